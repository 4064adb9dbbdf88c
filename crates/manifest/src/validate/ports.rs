//! Checks of ports: of each, and of all in a pod together.

use super::{Faults, limits::*, names};
use crate::{Container, ContainerPort, Protocol, path::Path};
use std::collections::BTreeSet;

/// What ports of a pod must not have twice. Its containers share one network.
#[derive(Default)]
pub(super) struct PodPorts<'a> {
    container_ports: BTreeSet<u16>,
    host_ports: BTreeSet<u16>,
    hosts: BTreeSet<&'a str>,
}

impl<'a> PodPorts<'a> {
    pub(super) fn check(&mut self, container: &'a Container, at: &Path, faults: &mut Faults) {
        let at = at.at("ports");
        faults.count(at.clone(), container.ports.len(), PORTS_MAX);
        let mut port_names = BTreeSet::new();
        for (index, port) in container.ports.iter().enumerate() {
            let at = at.at(index);
            if let Some(name) = &port.name {
                faults.text(at.at("name"), name, names::is_label, names::LABEL_ALLOWED);
                faults.unique(at.at("name"), name.as_str(), "port name", &mut port_names);
            }
            let number_at = at.at("containerPort");
            faults.range(number_at.clone(), port.container_port.into(), 1, 65535);
            let what = "port of a pod, whose containers share one network,";
            faults.unique(number_at, port.container_port, what, &mut self.container_ports);
            match port.protocol {
                Protocol::Http => self.http(port, &at, faults),
                Protocol::Tcp => self.tcp(port, &at, faults),
            }
        }
    }

    fn http(&mut self, port: &'a ContainerPort, at: &Path, faults: &mut Faults) {
        if port.host.is_some() && !port.hosts.is_empty() {
            faults.add(at.at("hosts"), "both `host` and `hosts`", "one of them");
        } else if port.host.is_none() && port.hosts.is_empty() {
            let allowed = "an HTTP port with at least one: `host: web.localhost`";
            faults.add(at.clone(), "the host name is missing", allowed);
        }
        faults.count(at.at("hosts"), port.hosts.len(), HOSTS_MAX);
        if port.host_port.is_some() {
            let allowed = "`hostPort` with `protocol: TCP`; HTTP is routed by host name";
            faults.add(at.at("hostPort"), "`hostPort` on an HTTP port", allowed);
        }
        let several = port.hosts.iter().enumerate();
        let several = several.map(|(index, host)| (at.at("hosts").at(index), host));
        for (at, host) in port.host.iter().map(|host| (at.at("host"), host)).chain(several) {
            faults.text(at.clone(), host, names::is_host, names::HOST_ALLOWED);
            faults.unique(at, host.as_str(), "host name", &mut self.hosts);
        }
    }

    fn tcp(&mut self, port: &ContainerPort, at: &Path, faults: &mut Faults) {
        let allowed = "host names with `protocol: HTTP`; TCP is reached by port number";
        if port.host.is_some() {
            faults.add(at.at("host"), "`host` on a TCP port", allowed);
        }
        if !port.hosts.is_empty() {
            faults.add(at.at("hosts"), "`hosts` on a TCP port", allowed);
        }
        if let Some(host_port) = port.host_port {
            let at = at.at("hostPort");
            faults.range(at.clone(), host_port.into(), HOST_PORT_MIN.into(), 65535);
            faults.unique(at, host_port, "port of the provider", &mut self.host_ports);
        }
    }
}
