//! `casemate dev`

use std::path::PathBuf;

use clap::Args;

/// `casemate dev`
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Folder for all that the network keeps
    #[arg(long, value_name = "DIR", default_value = ".casemate-dev")]
    pub(crate) data_dir: PathBuf,
    /// Chain node [default: casemate-node beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) node: Option<PathBuf>,
    /// Provider daemon [default: casemate-provider beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) provider: Option<PathBuf>,
    /// Agent, a static binary [default: casemate-agent beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Software TEE, for machines without a real one [default: casemate-software-tee beside this
    /// program]
    #[arg(long, value_name = "FILE")]
    pub(crate) software_tee: Option<PathBuf>,
    /// Addresses for pods, such as 10.90.0.0/16: two networks on one machine need two
    /// [default: the provider's own]
    #[arg(long, value_name = "CIDR")]
    pub(crate) subnet: Option<String>,
    /// Port of the chain's RPC, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 9944)]
    pub(crate) rpc_port: u16,
    /// Port of the provider's API, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 7070)]
    pub(crate) api_port: u16,
    /// Port on which apps answer, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) ingress_port: u16,
    /// Port on which TLS goes through to the apps' agents, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) tls_port: u16,
    /// Port of the provider's metrics, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 7071)]
    pub(crate) metrics_port: u16,
}
