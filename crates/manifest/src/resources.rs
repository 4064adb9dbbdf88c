//! What a pod needs of a provider.

use crate::{Container, ContainerPort, Manifest, Protocol, VolumeSource};

/// Resources of one pod: the sum over its containers and volumes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PodResources {
    /// Thousandths of a CPU core.
    pub cpu_millicores: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Disk (what containers write, and volumes) in MiB.
    pub storage_mib: u32,
    /// Whole GPUs.
    pub gpus: u32,
}

impl PodResources {
    /// The sum, or `None` where a field overflows.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpu_millicores: self.cpu_millicores.checked_add(other.cpu_millicores)?,
            memory_mib: self.memory_mib.checked_add(other.memory_mib)?,
            storage_mib: self.storage_mib.checked_add(other.storage_mib)?,
            gpus: self.gpus.checked_add(other.gpus)?,
        })
    }
}

/// A TCP port that the provider publishes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TcpHostPort {
    /// Container that listens.
    pub container: String,
    /// Port that it listens on.
    pub container_port: u16,
    /// Port that the provider must give; any free one where `None`.
    pub host_port: Option<u16>,
}

impl Manifest {
    /// What one pod needs, or `None` where the sum overflows, which [`Manifest::validate`]
    /// refuses.
    pub fn checked_pod_resources(&self) -> Option<PodResources> {
        let containers = self.spec.containers.iter().map(|container| PodResources {
            cpu_millicores: container.resources.cpu.0,
            memory_mib: container.resources.memory.0,
            storage_mib: container.resources.storage.0,
            gpus: container.resources.gpu,
        });
        let volumes = self.spec.volumes.iter().filter_map(|volume| {
            let (VolumeSource::Empty { size } | VolumeSource::Persistent { size }) =
                volume.source()?;
            Some(PodResources { storage_mib: size.0, ..PodResources::default() })
        });
        containers
            .chain(volumes)
            .try_fold(PodResources::default(), |sum, part| sum.checked_add(&part))
    }

    /// What one pod needs. In a manifest that was not validated, a sum that overflows is taken
    /// for the largest there is, which no provider has.
    pub fn pod_resources(&self) -> PodResources {
        self.checked_pod_resources().unwrap_or(PodResources {
            cpu_millicores: u32::MAX,
            memory_mib: u32::MAX,
            storage_mib: u32::MAX,
            gpus: u32::MAX,
        })
    }

    /// All host names that HTTP ports ask for.
    pub fn http_hosts(&self) -> impl Iterator<Item = &str> {
        self.spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .flat_map(|port| port.all_hosts())
    }

    /// The port that TLS for the app goes to: the first HTTP port of the first container, whose agent
    /// has the pod's evidence.
    pub fn app_http_port(&self) -> Option<&ContainerPort> {
        self.spec.containers.first()?.ports.iter().find(|port| port.protocol == Protocol::Http)
    }

    /// All TCP ports.
    pub fn tcp_host_ports(&self) -> impl Iterator<Item = TcpHostPort> {
        self.spec.containers.iter().flat_map(tcp_ports)
    }

    /// Whether every image is fixed by its digest.
    pub fn is_pinned(&self) -> bool {
        self.spec.containers.iter().all(|container| container.image.is_pinned())
    }

    /// Replaces every image that is not pinned by what `pin` gives for it.
    ///
    /// # Errors
    /// The first error of `pin`; images before it are replaced already.
    pub fn pin_images<E>(
        &mut self,
        mut pin: impl FnMut(&crate::ImageReference) -> Result<crate::ImageReference, E>,
    ) -> Result<(), E> {
        for container in &mut self.spec.containers {
            if !container.image.is_pinned() {
                container.image = pin(&container.image)?;
            }
        }
        Ok(())
    }
}

fn tcp_ports(container: &Container) -> impl Iterator<Item = TcpHostPort> {
    container.ports.iter().filter(|port| port.protocol == crate::Protocol::Tcp).map(|port| {
        TcpHostPort {
            container: container.name.clone(),
            container_port: port.container_port,
            host_port: port.host_port,
        }
    })
}
