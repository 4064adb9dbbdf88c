//! `casemate image`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `casemate image`
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an OCI image layout of a folder's files
    Pack(PackArgs),
    /// Push an image of a layout to a registry and print its pinned reference
    Push(PushArgs),
    /// Print the pinned reference of an image in a registry
    Resolve(ResolveArgs),
}

/// `casemate image pack`
#[derive(Args, Debug)]
pub(crate) struct PackArgs {
    /// Folder that becomes the image's root
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// Folder for the layout; it must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) layout: PathBuf,
    /// Tag in the layout
    #[arg(long, default_value = "latest")]
    pub(crate) tag: String,
    /// Program and its first arguments, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) entrypoint: Vec<String>,
    /// Arguments that a manifest may replace, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) cmd: Vec<String>,
    /// Environment variable (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Folder in which the app starts
    #[arg(long, value_name = "PATH")]
    pub(crate) workdir: Option<String>,
    /// User, and perhaps group, by number: `1000` or `1000:1000`
    #[arg(long)]
    pub(crate) user: Option<String>,
}

/// `casemate image push`
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// Folder or tar archive with an OCI layout
    pub(crate) layout: PathBuf,
    /// Where to, such as `registry.example/team/app:1.0`
    pub(crate) reference: String,
    /// Tag in the layout [default: the only image in it]
    #[arg(long)]
    pub(crate) tag: Option<String>,
}

/// `casemate image resolve`
#[derive(Args, Debug)]
pub(crate) struct ResolveArgs {
    /// Image, such as `registry.example/team/app:1.0`
    pub(crate) reference: String,
}
