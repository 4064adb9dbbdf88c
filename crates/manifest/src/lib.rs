//! The pod manifest (`casemate.yaml`): types, strict parsing, validation and the JSON Schema.
//!
//! The shape is Kubernetes': `apiVersion`, `kind`, `metadata`, `spec`, in camelCase. Unlike there,
//! nothing is guessed or ignored: an unknown field, a duplicate key, a wrong unit or a number where
//! a text belongs is refused, with line, column, path and what is allowed. [`Manifest::parse`] is
//! the one way from YAML to a [`Manifest`]; [`Manifest::to_canonical_json`] gives the bytes whose
//! hash goes on chain.
//!
//! This crate is pure: it opens no file and no connection.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod canonical;
mod error;
mod image;
mod logs;
mod parse;
mod path;
mod placement;
mod quantity;
mod resources;
mod schema;
mod secrets;
mod task;
mod tree;
mod types;
mod validate;

pub use error::{ManifestError, Violation};
pub use image::{ImageReference, InvalidImageReference};
pub use logs::{InvalidLogKey, LogKey, Logs};
pub use parse::MANIFEST_BYTES_MAX;
pub use placement::{InvalidMeasurement, Measurement, Placement};
pub use quantity::{CpuMillicores, InvalidQuantity, Mebibytes};
pub use resources::{PodResources, TcpHostPort};
pub use schema::json_schema;
pub use secrets::{InvalidReleaseKey, ReleaseKey, SECRETS_DIR, SECRETS_SOCKET};
pub use task::{InvalidRunBudget, RunBudget, ScheduleSpec, TaskSpec};
pub use types::{
    ApiVersion, Container, ContainerPort, ContainerResources, EmptyVolume, EnvVar, EnvVarSource,
    ExecAction, HttpGetAction, Kind, Manifest, Metadata, PersistentVolume, Probe, ProbeAction,
    Protocol, RestartPolicy, SecretRef, SecretRequest, SecurityContext, ServiceSpec,
    TcpSocketAction, Volume, VolumeMount, VolumeSource,
};
pub use validate::limits;
