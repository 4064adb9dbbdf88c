//! What a guest's measurements are: computed by the daemon when it launches one, and by whoever
//! wants to know beforehand what to expect.
//!
//! The registers and their meaning are the hardware's; what goes into them is our own, because
//! there is no firmware and no kernel to be measured:
//!
//! | register | value |
//! |---|---|
//! | TDX MRTD | SHA-384(`"casemate/software-tee/mrtd/v1"`, agent) |
//! | TDX RTMR\[0\] to RTMR\[2\] | zeros; the guest may extend the last of them |
//! | TDX RTMR\[3\] | extended with the root file system's digest if there is one, then with SHA-384(manifest hash), then by the guest itself |
//! | TDX MRCONFIGID | manifest hash, then 16 zeros |
//! | SNP MEASUREMENT | SHA-384(`"casemate/software-tee/snp/v1"`, agent, root file system) |
//! | SNP HOST_DATA | manifest hash |
//! | SGX MRENCLAVE | SHA-256(`"casemate/software-tee/mrenclave/v1"`, agent, root file system, manifest hash) |
//!
//! What is approved as a TDX guest's workload ([`Measurements::workload`]) covers MRTD and the registers
//! 0 to 2, as with hardware: it is the same for all pods of one agent, and what a pod runs is in
//! register 3.
//!
//! Here *agent* is the SHA-384 of the agent's binary, and *root file system* is a byte 1 and the
//! digest of its [`Tree`], or a byte 0 if there is none.

mod tree;

pub use tree::{Node, Tree};

use crate::{
    Error,
    client::EventLogEntry,
    wire::{Kind, to_hex},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    /// SHA-384 of the agent's binary.
    pub agent: [u8; 48],
    /// [`Tree::digest`] of the root file system.
    pub root_fs: Option<[u8; 48]>,
    /// BLAKE2b-256 of the manifest.
    pub manifest_hash: [u8; 32],
}

/// The registers of a guest.
#[expect(clippy::large_enum_variant, reason = "made one at a time, never kept in numbers")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Measurements {
    /// An SGX enclave's.
    Sgx {
        /// MRENCLAVE.
        mr_enclave: [u8; 32],
        /// MRSIGNER.
        mr_signer: [u8; 32],
    },
    /// A TDX trust domain's.
    Tdx {
        /// MRTD.
        mr_td: [u8; 48],
        /// RTMR\[0\] to RTMR\[3\].
        rtmr: [[u8; 48]; 4],
        /// MRCONFIGID.
        mr_config_id: [u8; 48],
    },
    /// An SEV-SNP guest's.
    SevSnp {
        /// MEASUREMENT.
        measurement: [u8; 48],
        /// HOST_DATA.
        host_data: [u8; 32],
    },
}

impl Content {
    /// Reads and hashes the files.
    ///
    /// # Errors
    /// If one cannot be read, or is of a type that no image has.
    pub fn read(
        agent: &Path,
        root_fs: Option<&Path>,
        manifest_hash: [u8; 32],
    ) -> Result<Self, Error> {
        let target = agent.canonicalize().map_err(Error::file("open", agent))?;
        let file = tree::open_file(&target)?;
        let agent = file_digest(file).map_err(Error::file("read", agent))?;
        let root_fs = root_fs.map(|path| Ok(Tree::read(path)?.digest())).transpose()?;
        Ok(Self { agent, root_fs, manifest_hash })
    }

    /// For an agent's bytes.
    pub fn new(agent: &[u8], root_fs: Option<&Tree>, manifest_hash: [u8; 32]) -> Self {
        let agent = Sha384::digest(agent).into();
        Self { agent, root_fs: root_fs.map(Tree::digest), manifest_hash }
    }

    /// What a launch itself writes to the event log.
    pub fn launch_events(&self, kind: Kind) -> Vec<EventLogEntry> {
        if kind != Kind::IntelTdx {
            return Vec::new();
        }
        let root_fs = self.root_fs.map(|digest| EventLogEntry {
            register: 3,
            digest,
            event: format!("root-fs {}", to_hex(&digest)),
        });
        let manifest = EventLogEntry {
            register: 3,
            digest: Sha384::digest(self.manifest_hash).into(),
            event: format!("manifest {}", to_hex(&self.manifest_hash)),
        };
        root_fs.into_iter().chain([manifest]).collect()
    }

    fn root_fs_part(&self) -> Vec<u8> {
        match &self.root_fs {
            Some(digest) => [&[1], &digest[..]].concat(),
            None => vec![0],
        }
    }
}

/// The measurements of a guest of `kind` with this content, as it is right after its launch.
pub fn expected(kind: Kind, content: &Content) -> Measurements {
    measurements(kind, content, &[])
}

/// The measurements of a guest after it has extended its registers by `extensions`.
pub fn measurements(kind: Kind, content: &Content, extensions: &[EventLogEntry]) -> Measurements {
    let root_fs = content.root_fs_part();
    match kind {
        Kind::IntelSgx => Measurements::Sgx {
            mr_enclave: Sha256::new()
                .chain_update(b"casemate/software-tee/mrenclave/v1")
                .chain_update(content.agent)
                .chain_update(root_fs)
                .chain_update(content.manifest_hash)
                .finalize()
                .into(),
            mr_signer: Sha256::digest(b"casemate/software-tee/mrsigner/v1").into(),
        },
        Kind::IntelTdx => {
            let mut mr_config_id = [0; 48];
            let (hash, _) = mr_config_id.split_at_mut(content.manifest_hash.len());
            hash.copy_from_slice(&content.manifest_hash);
            let mut log = content.launch_events(kind);
            log.extend_from_slice(extensions);
            Measurements::Tdx {
                mr_td: Sha384::new()
                    .chain_update(b"casemate/software-tee/mrtd/v1")
                    .chain_update(content.agent)
                    .finalize()
                    .into(),
                rtmr: replay(&log),
                mr_config_id,
            }
        }
        Kind::AmdSevSnp => Measurements::SevSnp {
            measurement: Sha384::new()
                .chain_update(b"casemate/software-tee/snp/v1")
                .chain_update(content.agent)
                .chain_update(root_fs)
                .finalize()
                .into(),
            host_data: content.manifest_hash,
        },
    }
}

/// What the four run-time registers are after these events (TDX module specification, RTMR: each
/// starts at zeros, `new = SHA-384(old || digest)`). Events of other registers are left out.
pub fn replay(log: &[EventLogEntry]) -> [[u8; 48]; 4] {
    let mut registers = [[0; 48]; 4];
    for entry in log {
        if let Some(register) = registers.get_mut(usize::from(entry.register)) {
            *register =
                Sha384::new().chain_update(*register).chain_update(entry.digest).finalize().into();
        }
    }
    registers
}

impl Measurements {
    /// What policies and a chain's list of approved workloads name: MRENCLAVE, SHA-384 over MRTD and
    /// RTMR\[0\] to RTMR\[2\], or MEASUREMENT (`casemate_attestation::Measurements::workload`).
    pub fn workload(&self) -> Vec<u8> {
        match self {
            Self::Sgx { mr_enclave, .. } => mr_enclave.to_vec(),
            Self::Tdx { mr_td, rtmr: [first, second, third, _], .. } => {
                Sha384::digest([mr_td, first, second, third].map(|part| &part[..]).concat())
                    .to_vec()
            }
            Self::SevSnp { measurement, .. } => measurement.to_vec(),
        }
    }

    /// As JSON with hex.
    pub fn to_json(&self) -> Value {
        let workload = to_hex(&self.workload());
        match self {
            Self::Sgx { mr_enclave, mr_signer } => json!({
                "workload": workload,
                "mrEnclave": to_hex(mr_enclave),
                "mrSigner": to_hex(mr_signer),
            }),
            Self::Tdx { mr_td, rtmr, mr_config_id } => json!({
                "workload": workload,
                "mrTd": to_hex(mr_td),
                "rtmr": rtmr.iter().map(|register| to_hex(register)).collect::<Vec<_>>(),
                "mrConfigId": to_hex(mr_config_id),
            }),
            Self::SevSnp { measurement, host_data } => json!({
                "workload": workload,
                "measurement": to_hex(measurement),
                "hostData": to_hex(host_data),
            }),
        }
    }
}

/// SHA-384 of a file from where it stands to its end.
fn file_digest(mut file: File) -> io::Result<[u8; 48]> {
    let mut hasher = Sha384::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(length) => hasher.update(buffer.get(..length).unwrap_or_default()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests;
