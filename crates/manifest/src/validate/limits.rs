//! The bounds of a manifest, for those who make one.

/// Most pods of a deployment: `casemate_primitives::REPLICAS_MAX`, which a test compares it with, as
/// this crate does not depend on the chain's.
pub const REPLICAS_MAX: u16 = 64;

/// Most containers of a pod.
pub const CONTAINERS_MAX: usize = 16;

/// Most volumes of a pod, and mounts of a container.
pub const VOLUMES_MAX: usize = 16;

/// Most ports of a container.
pub const PORTS_MAX: usize = 32;

/// Most host names of a port.
pub const HOSTS_MAX: usize = 16;

/// Most environment variables of a container.
pub const ENV_MAX: usize = 256;

/// Most secrets of a container.
pub const SECRETS_MAX: usize = 64;

/// Most keys that may release secrets.
pub const RELEASE_KEYS_MAX: usize = 16;

/// Longest deadline of a task's run, and latest start, in seconds: `pallet_tasks::TERM_SECONDS_MAX`.
pub const TASK_SECONDS_MAX: u32 = 30 * 86_400;

/// Shortest period of a task: `casemate_primitives::task::PERIOD_SECONDS_MIN`.
pub const TASK_PERIOD_SECONDS_MIN: u32 = 10;

/// Most tries after the first.
pub const TASK_RETRIES_MAX: u32 = 100;

/// Longest first pause before a retry, in seconds.
pub const TASK_BACKOFF_SECONDS_MAX: u32 = 3_600;

/// Most artefacts of a run: `casemate_primitives::task::ARTEFACTS_MAX`.
pub const ARTEFACTS_MAX: usize = 16;

/// Most measurements of control planes.
pub const MEASUREMENTS_MAX: usize = 16;

/// Most words of a command, and arguments.
pub const WORDS_MAX: usize = 256;

/// Most bytes of command, arguments and environment of a container together: well under what
/// `execve` takes with a small stack limit (128 KiB for one string, a quarter of the stack for
/// all).
pub const COMMAND_BYTES_MAX: usize = 96 * 1024;

/// Longest grace between SIGTERM and SIGKILL.
pub const GRACE_SECONDS_MAX: u32 = 300;

/// Most labels, and most annotations.
pub const LABELS_MAX: usize = 64;

/// Longest annotation.
pub const ANNOTATION_BYTES_MAX: usize = 16 * 1024;

/// Least CPU of a container, in thousandths of a core.
pub const CPU_MILLICORES_MIN: u32 = 1;

/// Least memory of a container in MiB: what a static program and its agent need to start.
pub const MEMORY_MIB_MIN: u32 = 4;

/// Most GPUs of a container.
pub const GPUS_MAX: u32 = 64;

/// Longest path in a container (`PATH_MAX` without the final zero).
pub const PATH_BYTES_MAX: usize = 4095;

/// Lowest port that a provider publishes for a tenant.
pub const HOST_PORT_MIN: u16 = 1024;

/// Highest user and group id.
pub const USER_ID_MAX: u32 = 2_147_483_647;
