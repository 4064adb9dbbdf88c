//! The local backend: pods by an OCI runtime (`crun` or `runc`) on this machine.
//!
//! Everything that matters lies in the data directory and in the kernel: a provider that is killed
//! and started again finds its pods running, reads their events from where it wants, and finishes or
//! clears what was half done.
//!
//! # What a pod is made of
//! `pods/<pod>/` holds `pod.json` (what was asked for; written first), `events` (what the agents
//! say), and for each container a bundle with an overlay of the image and a writable directory. The
//! network namespace is bound to `netns` in there. Cgroups are `/casemate/<tag>/<pod>/<container>`,
//! links `c<tag><pod>`, where the tag is a hash of the data directory: two backends on one machine
//! leave each other alone.
//!
//! # Isolation
//! Process, mount, ipc, uts, cgroup and network namespaces; eight capabilities at most; no new
//! privileges; a seccomp list; limits of memory, cpu and processes. A pod can be reached from this
//! machine and reaches nothing itself (see [`LocalConfig::subnet`]). Root in a container is root of
//! the machine's user namespace without those rights: sandboxes with a kernel of their own come with
//! the TEE backends.
//!
//! # Evidence
//! With a [`TeeConfig`] each pod's signer serves attestation evidence at the pod's address. With a
//! software TEE the pod has a guest of it, `c<tag>-<pod>`, measured from the agent and the image's
//! tree as it was unpacked, before an overlay or a bind mount adds anything.
//!
//! The signer gets the manifest and its image's documents beside its configuration, and refuses to run
//! what does not follow from them. Released secrets reach its container's memory only: a tmpfs at
//! `/run/secrets`, and no swap for the container.
//!
//! # Limits
//! Storage quotas are looked after by measuring (each half minute by default), as project quotas are
//! rare on people's disks: a pod can write more for so long. A pod that is over its storage is
//! stopped and has failed. Traffic out of a pod is not possible yet.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod chunks;
mod config;
mod error;
mod files;
mod fold;
mod instance;
mod lifecycle;
mod network;
mod record;
mod runtime;
mod spec;
mod status;
mod tee;
mod upkeep;

pub use backend::LocalBackend;
pub use config::{LocalConfig, Subnet};
pub use tee::TeeConfig;
