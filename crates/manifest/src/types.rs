//! The manifest's types, as they are written in YAML.
//!
//! The doc comments become the descriptions in the JSON Schema, which editors show.

use crate::{CpuMillicores, ImageReference, Logs, Mebibytes, Placement, ReleaseKey, TaskSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A Casemate pod manifest.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub api_version: ApiVersion,
    /// What is deployed.
    pub kind: Kind,
    /// Name and labels.
    pub metadata: Metadata,
    /// What runs.
    pub spec: ServiceSpec,
}

/// Version of the format.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ApiVersion {
    /// The first one.
    #[serde(rename = "casemate.io/v1")]
    V1,
}

/// What a manifest deploys.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Kind {
    /// Runs until it is stopped.
    Service,
    /// Runs to an end, once or on a schedule; `spec.task` says when.
    Task,
}

/// Name, labels and annotations.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the deployment: lower-case letters, digits and `-`, at most 63.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Short values to select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes for people and tools; Casemate does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a service runs.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// How many pods; of a task, how many of its runs at a time.
    #[serde(default = "one_replica")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: u16,
    /// When and how a task runs; of a task only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
    /// When an app that ended is started again. Not of a task: `task.retries` says it.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// How long an app may take to end after SIGTERM, before SIGKILL.
    #[serde(default = "grace_seconds")]
    #[schemars(range(min = 0, max = 300))]
    pub termination_grace_period_seconds: u32,
    /// What runs in each pod; all containers of a pod share one network.
    #[schemars(length(min = 1, max = 16))]
    pub containers: Vec<Container>,
    /// Storage that containers mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volumes: Vec<Volume>,
    /// Whose signed releases of secrets the pod takes. `casemate deploy` fills in the publisher's
    /// own key where secrets are asked for and nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub released_by: Vec<ReleaseKey>,
    /// Whom the output is sealed to, so that it can be proved and nobody else reads it. `casemate
    /// deploy` fills in the publisher's own key; without it the provider reads the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// Which providers are taken.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
}

/// When an app that ended is started again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    #[default]
    Always,
    /// When its exit code is not 0.
    OnFailure,
    /// Never: the pod is over when its apps are.
    Never,
}

/// One container of a pod.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Name, unique in the pod: lower-case letters, digits and `-`, at most 63.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The image: `[registry[:port]/]name[:tag][@digest]`.
    pub image: ImageReference,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub command: Vec<String>,
    /// Replaces the image's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub args: Vec<String>,
    /// Where the app starts; the image's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"))]
    pub working_dir: Option<String>,
    /// Environment variables, added to the image's. Providers read the values: a secret goes into
    /// `valueFrom`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,
    /// Secrets that the app gets as files in `/run/secrets`, or asks for at the socket
    /// `/run/secrets/.socket`. In the pod's first container only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub secrets: Vec<SecretRequest>,
    /// Ports that are reached from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ports: Vec<ContainerPort>,
    /// What it gets, and what is paid for.
    pub resources: ContainerResources,
    /// Where the pod's volumes appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volume_mounts: Vec<VolumeMount>,
    /// Whether requests may be sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Whether it must be started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Holds back the other probes until it passes once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// User, group and file system rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// An environment variable: exactly one of `value` and `valueFrom`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Letters, digits and `_`, not first a digit.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value, always a text. Providers read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from when the app starts. In the pod's first container only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

impl EnvVar {
    /// The secret that holds its value, where it is one.
    pub fn secret(&self) -> Option<&str> {
        self.value_from.as_ref().map(|from| from.secret_ref.name.as_str())
    }
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVarSource {
    /// A secret that the publisher releases to the attested pod.
    pub secret_ref: SecretRef,
}

/// A secret by name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Its name in releases: letters, digits, `.`, `_`, `-`, not first a dot.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
}

/// A secret that the app gets as a file, or asks for at the socket.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRequest {
    /// Its name in releases: letters, digits, `.`, `_`, `-`, not first a dot.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// Name of its file in `/run/secrets`; over the socket alone where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub file: Option<String>,
}

/// A port that is reached from outside.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    /// Name, unique in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// Where the app listens; unique in the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: u16,
    /// `HTTP` is routed by host name, `TCP` by port number.
    #[serde(default)]
    pub protocol: Protocol,
    /// HTTP only: the host name, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// HTTP only: the host names, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hosts: Vec<String>,
    /// TCP only: the provider's port; any free one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub host_port: Option<u16>,
}

impl ContainerPort {
    /// Its host names, whichever way they are written.
    pub fn all_hosts(&self) -> impl Iterator<Item = &str> {
        self.host.iter().chain(&self.hosts).map(String::as_str)
    }
}

/// How a port is reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Protocol {
    /// By host name, through the provider's ingress.
    #[serde(rename = "HTTP")]
    Http,
    /// By port number.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
}

/// What a container gets, and what is paid for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerResources {
    /// Cores (`2`, `0.5`) or thousandths of one (`500m`).
    pub cpu: CpuMillicores,
    /// Memory (`128Mi`, `1Gi`).
    pub memory: Mebibytes,
    /// Disk for what the container writes outside volumes (`256Mi`).
    pub storage: Mebibytes,
    /// Whole GPUs.
    #[serde(default)]
    #[schemars(range(min = 0, max = 64))]
    pub gpu: u32,
}

/// Where a volume appears in a container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// Name of the volume in `spec.volumes`.
    pub name: String,
    /// Absolute path in the container.
    #[schemars(regex(pattern = "^/."))]
    pub mount_path: String,
    /// Whether the container may only read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// How a container's health is asked for: exactly one of `httpGet`, `tcpSocket` and `exec`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Passes on a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,
    /// Passes when a connection opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocketAction>,
    /// Passes on exit code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Pause before the first try.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    pub initial_delay_seconds: u32,
    /// Pause between tries.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: u32,
    /// How long a try may take.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Tries that must fail in a row.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: u32,
    /// Tries that must pass in a row; 1 for liveness and start-up.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: u32,
}

impl Probe {
    /// What is done, or `None` in a probe that [`Manifest::validate`] refuses.
    pub fn action(&self) -> Option<ProbeAction<'_>> {
        match (&self.http_get, &self.tcp_socket, &self.exec) {
            (Some(get), None, None) => Some(ProbeAction::HttpGet(get)),
            (None, Some(socket), None) => Some(ProbeAction::TcpSocket(socket)),
            (None, None, Some(exec)) => Some(ProbeAction::Exec(exec)),
            _ => None,
        }
    }
}

/// What a probe does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProbeAction<'a> {
    /// An HTTP request.
    HttpGet(&'a HttpGetAction),
    /// A TCP connection.
    TcpSocket(&'a TcpSocketAction),
    /// A program in the container.
    Exec(&'a ExecAction),
}

/// A GET request to the container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGetAction {
    /// Path and query.
    #[serde(default = "root_path")]
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// Port in the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// A TCP connection to the container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpSocketAction {
    /// Port in the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// A program that is run in the container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecAction {
    /// Program and arguments; no shell is involved.
    #[schemars(length(min = 1, max = 256))]
    pub command: Vec<String>,
}

/// User, group and file system rights.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityContext {
    /// User id; the image's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_user: Option<u32>,
    /// Group id; the image's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<u32>,
    /// Whether the container may write only to volumes; the backend's choice where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

/// Storage that containers mount: exactly one of `empty` and `persistent`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Name, unique in the manifest.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Empty at the pod's start, gone with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<EmptyVolume>,
    /// Kept over restarts and updates, gone with the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<PersistentVolume>,
}

impl Volume {
    /// Which kind it is, or `None` in a volume that [`Manifest::validate`] refuses.
    pub fn source(&self) -> Option<VolumeSource> {
        match (&self.empty, &self.persistent) {
            (Some(empty), None) => Some(VolumeSource::Empty { size: empty.size }),
            (None, Some(persistent)) => Some(VolumeSource::Persistent { size: persistent.size }),
            _ => None,
        }
    }
}

/// Which kind a volume is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VolumeSource {
    /// Gone with the pod.
    Empty {
        /// Most it may hold.
        size: Mebibytes,
    },
    /// Gone with the lease.
    Persistent {
        /// Most it may hold.
        size: Mebibytes,
    },
}

/// A volume that is gone with the pod.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyVolume {
    /// Most it may hold (`64Mi`).
    pub size: Mebibytes,
}

/// A volume that is gone with the lease.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersistentVolume {
    /// Most it may hold (`1Gi`).
    pub size: Mebibytes,
}

fn one_replica() -> u16 {
    1
}

fn grace_seconds() -> u32 {
    10
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn root_path() -> String {
    "/".to_owned()
}
