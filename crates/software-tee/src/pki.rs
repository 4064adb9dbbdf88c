//! The keys and certificates of one software TEE, and the collateral made from them.

use crate::{
    Error, Misbehaviour, Validity,
    amd::{Amd, AmdCollateral},
    intel::{Intel, IntelCollateral},
    keys::random,
    wire::{from_hex_array, to_hex},
    x509::{BACKDATE, Period},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path};

/// What is in a public certificate's subject beside the vendors' own words, so that nobody takes
/// it for a vendor's.
pub(crate) const ORGANIZATIONAL_UNIT: &str = "Development only - protects nothing";

/// What identifies the machine that is pretended. Nothing of it is secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Machine {
    /// Random; part of all names.
    pub(crate) network: String,
    /// Intel: PPID.
    ppid: String,
    /// Intel: platform instance id.
    platform_instance_id: String,
    /// AMD: chip id.
    chip_id: String,
}

impl Machine {
    fn generate() -> Result<Self, Error> {
        Ok(Self {
            network: to_hex(&random::<8>()?),
            ppid: to_hex(&random::<16>()?),
            platform_instance_id: to_hex(&random::<16>()?),
            chip_id: to_hex(&random::<64>()?),
        })
    }

    pub(crate) fn ppid(&self) -> Option<[u8; 16]> {
        from_hex_array(&self.ppid)
    }

    pub(crate) fn platform_instance_id(&self) -> Option<[u8; 16]> {
        from_hex_array(&self.platform_instance_id)
    }

    pub(crate) fn chip_id(&self) -> Option<[u8; 64]> {
        from_hex_array(&self.chip_id)
    }

    /// `O` of all names.
    pub(crate) fn organization(&self) -> String {
        format!("Casemate Software TEE {}", self.network)
    }
}

/// Both vendors' imitations.
#[derive(Debug)]
pub struct Pki {
    pub(crate) intel: Intel,
    pub(crate) amd: Amd,
}

/// All that a verifier needs beside the evidence.
#[derive(Clone, Debug)]
pub struct Collateral {
    /// For SGX quotes.
    pub sgx: IntelCollateral,
    /// For TDX quotes.
    pub tdx: IntelCollateral,
    /// For SEV-SNP reports.
    pub amd: AmdCollateral,
    /// SHA-256 of the Intel-shaped root's SubjectPublicKeyInfo.
    pub intel_root: [u8; 32],
    /// SHA-256 of the AMD-shaped root's SubjectPublicKeyInfo.
    pub amd_root: [u8; 32],
    /// When the first part of it expires, in seconds since 1970.
    pub expires_at: u64,
}

impl Pki {
    /// Makes all keys and certificates in a new folder.
    pub(crate) fn generate(folder: &Path, now: u64, validity: Validity) -> Result<(), Error> {
        let machine = Machine::generate()?;
        for name in ["keys", "certificates"] {
            let path = folder.join(name);
            fs::create_dir(&path).map_err(Error::file("create", &path))?;
        }
        let period = Period { from: now.saturating_sub(BACKDATE), to: validity.certificates(now) };
        std::thread::scope(|scope| {
            let intel = scope.spawn(|| Intel::generate(folder, &machine, period));
            let amd = Amd::generate(folder, &machine, period);
            intel.join().unwrap_or(Err(Error::Key("a thread has died"))).and(amd)
        })?;
        let text = serde_json::to_string_pretty(&machine)
            .map_err(|_| Error::Key("the machine has no JSON form"))?;
        write_file(&folder.join("machine.json"), format!("{text}\n").as_bytes())
    }

    /// Reads what [`Self::generate`] wrote.
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("machine.json");
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let machine: Machine = serde_json::from_str(&text)
            .map_err(|err| Error::BadState { path, reason: err.to_string() })?;
        Ok(Self { intel: Intel::load(folder, &machine)?, amd: Amd::load(folder, &machine)? })
    }

    /// Issues all collateral anew.
    ///
    /// # Errors
    /// If a key does not sign.
    pub fn collateral(
        &self,
        now: u64,
        validity: Validity,
        misbehave: &[Misbehaviour],
    ) -> Result<Collateral, Error> {
        let length = validity.collateral(0);
        let from = if misbehave.contains(&Misbehaviour::ExpiredCollateral) {
            now.saturating_sub(2 * length)
        } else if misbehave.contains(&Misbehaviour::FutureCollateral) {
            now.saturating_add(length)
        } else {
            now.saturating_sub(BACKDATE)
        };
        let period = Period { from, to: from.saturating_add(length) };
        let [sgx, tdx] = self.intel.collateral(period, misbehave)?;
        Ok(Collateral {
            sgx,
            tdx,
            amd: self.amd.collateral(period, misbehave)?,
            intel_root: self.intel.root_spki_sha256(),
            amd_root: self.amd.root_spki_sha256(),
            expires_at: period.to,
        })
    }
}

impl Collateral {
    /// The trust roots in the form that `casemate_attestation::TrustRoots` is read from: for a
    /// development chain's genesis, or an explicit flag.
    pub fn roots(&self) -> Value {
        let root = |vendor: &str, spki_sha256: &[u8]| json!({ "vendor": vendor, "grade": "software", "spkiSha256": to_hex(spki_sha256) });
        json!([root("intel", &self.intel_root), root("amd", &self.amd_root)])
    }

    /// All of it as JSON; see the README for its shape.
    pub fn to_json(&self) -> Value {
        json!({
            "expiresAt": self.expires_at,
            "roots": self.roots(),
            "intel": { "sgx": self.sgx.to_json(), "tdx": self.tdx.to_json() },
            "amd": self.amd.to_json(),
        })
    }

    /// Writes it as the vendors' services give it, each file whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        for name in ["", "intel", "intel/sgx", "intel/tdx", "amd"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
        }
        let put = |name: &str, bytes: &[u8]| write_file(&folder.join(name), bytes);
        let pretty = |value: &Value| format!("{value:#}\n");
        for (name, intel) in [("sgx", &self.sgx), ("tdx", &self.tdx)] {
            put(&format!("intel/{name}/tcb_info.json"), intel.tcb_info_body().as_bytes())?;
            put(&format!("intel/{name}/qe_identity.json"), intel.qe_identity_body().as_bytes())?;
            put(&format!("intel/{name}/collateral.json"), pretty(&intel.to_json()).as_bytes())?;
        }
        put("intel/root_ca.crl", &self.sgx.root_ca_crl)?;
        put("intel/pck_platform.crl", &self.sgx.pck_crl)?;
        put("intel/pck_crl_issuer_chain.pem", self.sgx.pck_crl_issuer_chain.as_bytes())?;
        put("intel/tcb_signing_chain.pem", self.sgx.tcb_issuer_chain.as_bytes())?;
        put("amd/vcek.pem", self.amd.vek.as_bytes())?;
        put("amd/cert_chain.pem", [&*self.amd.ask, &*self.amd.ark].concat().as_bytes())?;
        put("amd/crl", &self.amd.crl)?;
        put("roots.json", pretty(&self.roots()).as_bytes())?;
        // The last: it says until when all of them are valid.
        put("collateral.json", pretty(&self.to_json()).as_bytes())
    }
}

/// Writes a file whole or not at all, and to the disk.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = fs::File::create(&new).map_err(Error::file("create", &new))?;
    file.write_all(bytes).map_err(Error::file("write", &new))?;
    file.sync_all().map_err(Error::file("write", &new))?;
    fs::rename(&new, path).map_err(Error::file("replace", path))?;
    sync_parent(path)
}

/// Makes a change of names durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    let folder = fs::File::open(parent).map_err(Error::file("open", parent))?;
    folder.sync_all().map_err(Error::file("write", parent))
}
