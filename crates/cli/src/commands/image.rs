//! `casemate image`

use std::path::{Path, PathBuf};

use casemate_image::{
    Digest, Image, ImageBuilder, Limits, Reference, RegistryOptions, Store, export_layout,
    load_archive, load_layout, pull, push, resolve,
};
use casemate_software_tee::measure::Tree;

use crate::{
    cli::{ImageCommand, PackArgs, PushArgs, ResolveArgs},
    context::Context,
    failure::{Failure, OrFail as _, fail},
};

pub(super) async fn run(context: &Context, command: &ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::Pack(args) => pack(context, args),
        ImageCommand::Push(args) => push_layout(context, args).await,
        ImageCommand::Resolve(ResolveArgs { reference }) => {
            let reference = parse(reference)?;
            let digest = digest_of(context, &reference).await?;
            show_reference(context, &reference.pinned(digest))
        }
    }
}

/// The digest that an image's tag has now, as `sha256:…`.
pub(crate) async fn pinned_digest(context: &Context, image: &str) -> anyhow::Result<String> {
    let reference = parse(image)?;
    Ok(digest_of(context, &reference).await?.to_string())
}

/// The digest of an image's root file system, as the software TEE measures it. The image is fetched
/// for that, and every layer compared with its digest.
pub(crate) async fn root_fs_digest(context: &Context, image: &str) -> anyhow::Result<[u8; 48]> {
    let reference = parse(image)?;
    let temporary = Temporary::new()?;
    let limits = Limits::default();
    let pulled = pull(&temporary.store, &reference, &registry_options(context), &limits).await;
    let pulled = pulled.or_fail(|| {
        Failure::new(format!("cannot fetch image `{reference}` to measure it"))
            .hint("a registry without TLS must be named: --insecure-registry HOST:PORT")
    })?;
    let digest = tokio::task::spawn_blocking(move || {
        let root = temporary.store.rootfs(&pulled, &limits)?;
        anyhow::Ok(Tree::read(&root)?.digest())
    });
    digest.await?.or_fail(|| Failure::new(format!("cannot measure image `{reference}`")))
}

async fn digest_of(context: &Context, reference: &Reference) -> anyhow::Result<Digest> {
    resolve(reference, &registry_options(context)).await.or_fail(|| {
        Failure::new(format!("cannot resolve image `{reference}`")).hint(
            "check that it was pushed; a registry without TLS must be named: --insecure-registry \
             HOST:PORT",
        )
    })
}

fn pack(context: &Context, args: &PackArgs) -> anyhow::Result<()> {
    if !args.root.is_dir() {
        return fail(
            Failure::usage(format!("`{}` is no folder", args.root.display()))
                .hint("give --root a folder with the files of the image"),
        );
    }
    let mut builder = ImageBuilder::from_directory(&args.root);
    if !args.entrypoint.is_empty() {
        builder = builder.entrypoint(args.entrypoint.iter().cloned());
    }
    if !args.cmd.is_empty() {
        builder = builder.cmd(args.cmd.iter().cloned());
    }
    for variable in &args.env {
        let pair = variable.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.or_fail(|| {
            Failure::usage(format!("`{variable}` sets no variable")).hint("write --env NAME=VALUE")
        })?;
        builder = builder.env(name, value);
    }
    if let Some(path) = &args.workdir {
        builder = builder.working_dir(path);
    }
    if let Some(user) = &args.user {
        builder = builder.user(user);
    }
    let temporary = Temporary::new()?;
    let image = builder.build(&temporary.store, &Limits::default())?;
    export_layout(&temporary.store, &image, &args.layout, &args.tag)?;
    let layout = args.layout.display().to_string();
    context.printer.note(format!(
        "`{layout}` has image `{}`. Push it: casemate image push {layout} REGISTRY/NAME:TAG",
        args.tag
    ));
    let value = serde_json::json!({
        "layout": layout, "tag": args.tag, "digest": image.manifest_digest.to_string(),
    });
    context.printer.data(&value, || image.manifest_digest.to_string())
}

async fn push_layout(context: &Context, args: &PushArgs) -> anyhow::Result<()> {
    let reference = parse(&args.reference)?;
    let temporary = Temporary::new()?;
    let image = load(&temporary.store, &args.layout, args.tag.as_deref())?;
    let options = registry_options(context);
    let digest = push(&temporary.store, &image, &reference, &options).await.or_fail(|| {
        Failure::new(format!("cannot push to `{reference}`"))
            .hint("a registry without TLS must be named: --insecure-registry HOST:PORT")
    })?;
    context.printer.note("Write this reference into the manifest");
    show_reference(context, &reference.pinned(digest))
}

fn load(store: &Store, layout: &Path, tag: Option<&str>) -> casemate_image::Result<Image> {
    if layout.is_file() {
        load_archive(store, layout, tag, &Limits::default())
    } else {
        load_layout(store, layout, tag, &Limits::default())
    }
}

fn show_reference(context: &Context, reference: &Reference) -> anyhow::Result<()> {
    let digest = reference.digest().map(ToString::to_string);
    let value = serde_json::json!({ "reference": reference, "digest": digest });
    context.printer.data(&value, || reference.to_string())
}

fn parse(text: &str) -> anyhow::Result<Reference> {
    text.parse::<Reference>().or_fail(|| Failure::usage("that is no image in a registry"))
}

fn registry_options(context: &Context) -> RegistryOptions {
    let mut options = RegistryOptions::default();
    options.insecure_hosts.clone_from(&context.settings.insecure_registries);
    options
}

/// A store that is gone with the command.
struct Temporary {
    store: Store,
    /// After the store, so that it is dropped last.
    _folder: tempfile::TempDir,
}

impl Temporary {
    fn new() -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("casemate-image-").tempdir().or_fail(|| {
                let folder: PathBuf = std::env::temp_dir();
                Failure::new(format!("cannot make a folder in `{}`", folder.display()))
                    .hint("set TMPDIR to a folder with space")
            })?;
        Ok(Self { store: Store::open(folder.path())?, _folder: folder })
    }
}
