//! What the local backend is told.

use std::{net::Ipv4Addr, path::PathBuf, str::FromStr, time::Duration};

use casemate_image::{Limits, RegistryOptions};

use crate::TeeConfig;

/// Settings of a [`LocalBackend`](crate::LocalBackend).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LocalConfig {
    /// Where all of its state lies. One process at a time may use it.
    pub data_dir: PathBuf,
    /// Where images are kept; several backends may share them. `images` in the data directory where
    /// `None`.
    pub images_dir: Option<PathBuf>,
    /// The static `casemate-agent` binary, which becomes process 1 of every container.
    pub agent_path: PathBuf,
    /// The OCI runtime; `crun` or `runc`, whichever works, where `None`.
    pub runtime: Option<PathBuf>,
    /// How images are pulled.
    pub registry: RegistryOptions,
    /// What an image may ask of the machine.
    pub image_limits: Limits,
    /// Addresses for pods. Two backends on one machine need two subnets.
    pub subnet: Subnet,
    /// Most processes and threads in a container.
    pub pids_max: u32,
    /// Output of a pod that is kept, roughly.
    pub log_bytes_max: u64,
    /// How often it is looked whether pods keep to their storage.
    pub storage_check_interval: Duration,
    /// Where the evidence of new pods comes from; they have none where `None`.
    pub tee: Option<TeeConfig>,
}

impl LocalConfig {
    /// The defaults.
    pub fn new(data_dir: impl Into<PathBuf>, agent_path: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            images_dir: None,
            agent_path: agent_path.into(),
            runtime: None,
            registry: RegistryOptions::default(),
            image_limits: Limits::default(),
            subnet: Subnet { base: Ipv4Addr::new(10, 89, 0, 0), bits: 16 },
            // Servers with a thread for each connection need hundreds.
            pids_max: 1024,
            log_bytes_max: 16 << 20,
            storage_check_interval: Duration::from_secs(30),
            tee: None,
        }
    }
}

/// An IPv4 subnet such as `10.89.0.0/16`. Its first address is the machine's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subnet {
    base: Ipv4Addr,
    bits: u8,
}

impl Subnet {
    /// The machine's address towards the pods.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | 1)
    }

    /// How many addresses there are for pods.
    pub fn size(&self) -> u32 {
        (1_u32 << (32 - self.bits)) - 3
    }

    /// The address at `index`, which is below [`Subnet::size`].
    pub fn address(&self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() + 2 + index)
    }
}

/// Reads `a.b.c.d/bits` with 8 to 29 bits.
impl FromStr for Subnet {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let err = || format!("`{s}` is not a subnet such as 10.89.0.0/16 (8 to 29 bits)");
        let (base, bits) = s.split_once('/').ok_or_else(err)?;
        let base: Ipv4Addr = base.parse().map_err(|_| err())?;
        let bits: u8 = bits.parse().map_err(|_| err())?;
        if !(8..=29).contains(&bits) || base.to_bits() << bits != 0 {
            return Err(err());
        }
        Ok(Self { base, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let subnet: Subnet = "10.77.4.0/24".parse().unwrap();
        assert_eq!(subnet.gateway().to_string(), "10.77.4.1");
        assert_eq!(subnet.address(0).to_string(), "10.77.4.2");
        assert_eq!(subnet.address(subnet.size() - 1).to_string(), "10.77.4.254");
        for bad in ["10.77.4.0", "10.77.4.1/24", "10.0.0.0/7", "10.0.0.0/30", "x/24", "10.0.0.0/-1"]
        {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
