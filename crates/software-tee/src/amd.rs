//! What imitates AMD: root (ARK), signing key (ASK), chip keys (VCEK) and SEV-SNP reports.
//!
//! Formats: AMD 57230 (VCEK certificates and key distribution service), 56860 (SEV-SNP firmware
//! ABI, table 23). All machines are Milan (EPYC 7003).

mod report;

use crate::{
    Error, der,
    intel::{leaf_period, serial},
    keys::{Algorithm, Key},
    misbehave::{Misbehaviour, Platform},
    pki::{Machine, ORGANIZATIONAL_UNIT, write_file},
    x509::{self, Certificate, Issuer, Period, Role, attribute},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

/// AMD's arc for what VCEK certificates say (57230, table 8).
const AMD: [u32; 8] = [1, 3, 6, 1, 4, 1, 3704, 1];

/// Everything with AMD's shape.
#[derive(Debug)]
pub(crate) struct Amd {
    ark_name: Vec<u8>,
    ark: Key,
    ark_certificate: Vec<u8>,
    ask_certificate: Vec<u8>,
    /// Of the same key, on the root's revocation list. AMD's VCEKs all have the serial number 0
    /// and cannot be revoked one by one.
    revoked_ask_certificate: Vec<u8>,
    revoked_ask_serial: Vec<u8>,
    vcek: BTreeMap<Platform, Vcek>,
    chip_id: [u8; 64],
}

#[derive(Debug)]
struct Vcek {
    key: Key,
    certificate: Vec<u8>,
}

/// What verifiers of SEV-SNP reports need.
#[derive(Clone, Debug)]
pub struct AmdCollateral {
    /// PEM of the ordinary machine's VCEK.
    pub vek: String,
    /// PEM.
    pub ask: String,
    /// PEM.
    pub ark: String,
    /// DER of the root's revocation list.
    pub crl: Vec<u8>,
}

impl AmdCollateral {
    /// `endorsements` is what `casemate_attestation::sev_snp::RawEndorsements` is read from;
    /// `minimumTcb` is what the ordinary machine has, and what an older one has not.
    pub fn to_json(&self) -> Value {
        json!({
            "endorsements": endorsements(&self.vek, &self.ask, &self.ark, Some(&self.crl)),
            "minimumTcb": Tcb::CURRENT.to_json(),
        })
    }
}

fn endorsements(vek: &str, ask: &str, ark: &str, crl: Option<&[u8]>) -> Value {
    json!({ "vek": vek, "ask": ask, "ark": ark, "crl": crl.map(x509::base64) })
}

/// Security versions of a machine's firmware.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Tcb {
    boot_loader: u8,
    tee: u8,
    snp: u8,
    microcode: u8,
}

impl Tcb {
    const CURRENT: Self = Self { boot_loader: 4, tee: 0, snp: 24, microcode: 219 };
    const OLD: Self = Self { boot_loader: 3, tee: 0, snp: 8, microcode: 115 };
    const REVOKED: Self = Self { boot_loader: 2, tee: 0, snp: 5, microcode: 68 };

    const fn of(platform: Platform) -> &'static Self {
        match platform {
            Platform::OldTcb => &Self::OLD,
            // AMD revokes no versions: callers raise their minimum.
            Platform::RevokedTcb => &Self::REVOKED,
            _ => &Self::CURRENT,
        }
    }

    fn to_json(self) -> Value {
        let Self { boot_loader, tee, snp, microcode } = self;
        json!({ "bootLoader": boot_loader, "tee": tee, "snp": snp, "microcode": microcode })
    }

    /// As Milan has it in reports.
    fn to_bytes(self) -> [u8; 8] {
        [self.boot_loader, self.tee, 0, 0, 0, 0, self.snp, self.microcode]
    }

    /// What a VCEK certificate says.
    fn extensions(self, platform: Platform, chip_id: &[u8; 64]) -> Vec<Vec<u8>> {
        let one =
            |arcs: &[u32], value: Vec<u8>| x509::extension(&[&AMD, arcs].concat(), false, &value);
        let number = |arcs: &[u32], value: u8| one(arcs, der::integer(value.into()));
        // IA5String.
        let name: &[u8] =
            if platform == Platform::OtherProduct { b"Genoa-B1" } else { b"Milan-B0" };
        vec![
            number(&[1], 0),
            one(&[2], der::tagged(0x16, name)),
            number(&[3, 1], self.boot_loader),
            number(&[3, 2], self.tee),
            number(&[3, 4], 0),
            number(&[3, 5], 0),
            number(&[3, 6], 0),
            number(&[3, 7], 0),
            number(&[3, 3], self.snp),
            number(&[3, 8], self.microcode),
            // Bare bytes, as in AMD's own.
            one(&[4], chip_id.to_vec()),
        ]
    }
}

fn name(machine: &Machine, common_name: &str) -> Vec<u8> {
    x509::name(&[
        (attribute::ORGANIZATIONAL_UNIT, ORGANIZATIONAL_UNIT),
        (attribute::ORGANIZATION, &machine.organization()),
        (attribute::COMMON_NAME, common_name),
    ])
}

fn chip_id(machine: &Machine) -> Result<[u8; 64], Error> {
    machine.chip_id().ok_or(Error::Key("`machine.json` has a bad id"))
}

impl Amd {
    /// Makes all keys and certificates. The two RSA keys are made side by side.
    pub(crate) fn generate(folder: &Path, machine: &Machine, period: Period) -> Result<(), Error> {
        let chip_id = chip_id(machine)?;
        let put = |name: &str, der: &[u8]| {
            write_file(&folder.join("certificates").join(format!("{name}.der")), der)
        };
        let generate = |algorithm, name: &str| {
            let key = Key::generate(algorithm)?;
            key.save(&folder.join("keys").join(format!("{name}.pem")))?;
            Ok::<_, Error>(key)
        };
        let (ark, ask) = std::thread::scope(|scope| {
            let ask = scope.spawn(|| generate(Algorithm::Rsa4096, "amd-ask"));
            let ark = generate(Algorithm::Rsa4096, "amd-ark");
            (ark, ask.join().unwrap_or(Err(Error::Key("a thread has died"))))
        });
        let (ark, ask) = (ark?, ask?);
        // Verifiers tell products apart by these words.
        let [ark_name, ask_name, vcek_name] =
            ["ARK-Milan", "SEV-Milan", "SEV-VCEK"].map(|common_name| name(machine, common_name));

        let by_ark = Issuer { key: &ark, name: &ark_name };
        let issue = |serial: &[u8], subject: &[u8], key: &Key, role| {
            let certificate = Certificate {
                serial,
                subject,
                spki: &key.spki(),
                period,
                role,
                extensions: vec![],
            };
            certificate.sign(&by_ark)
        };
        let root = Role::Authority { path_length: None, signs_crls: true };
        let authority = Role::Authority { path_length: Some(0), signs_crls: false };
        put("amd-ark", &issue(&serial()?, &ark_name, &ark, root)?)?;
        put("amd-ask", &issue(&serial()?, &ask_name, &ask, authority)?)?;
        let revoked = serial()?;
        put("amd-ask-revoked", &issue(&revoked, &ask_name, &ask, authority)?)?;
        put("amd-ask-revoked.serial", &revoked)?;

        for platform in Platform::ALL {
            let name = format!("amd-vcek-{}", platform.as_str());
            let key = generate(Algorithm::P384, &name)?;
            let certificate = Certificate {
                serial: &[0],
                subject: &vcek_name,
                spki: &key.spki(),
                period: leaf_period(platform, period),
                role: Role::BareLeaf,
                extensions: Tcb::of(platform).extensions(platform, &chip_id),
            };
            put(&name, &certificate.sign(&Issuer { key: &ask, name: &ask_name })?)?;
        }
        Ok(())
    }

    /// Reads them back.
    pub(crate) fn load(folder: &Path, machine: &Machine) -> Result<Self, Error> {
        let key = |algorithm, name: &str| {
            Key::load(algorithm, &folder.join("keys").join(format!("{name}.pem")))
        };
        let get = |name: &str| {
            let path = folder.join("certificates").join(format!("{name}.der"));
            fs::read(&path).map_err(Error::file("read", path))
        };
        let mut vcek = BTreeMap::new();
        for platform in Platform::ALL {
            let name = format!("amd-vcek-{}", platform.as_str());
            let one = Vcek { key: key(Algorithm::P384, &name)?, certificate: get(&name)? };
            vcek.insert(platform, one);
        }
        Ok(Self {
            ark_name: name(machine, "ARK-Milan"),
            ark: key(Algorithm::Rsa4096, "amd-ark")?,
            ark_certificate: get("amd-ark")?,
            ask_certificate: get("amd-ask")?,
            revoked_ask_certificate: get("amd-ask-revoked")?,
            revoked_ask_serial: get("amd-ask-revoked.serial")?,
            vcek,
            chip_id: chip_id(machine)?,
        })
    }

    pub(crate) fn root_spki_sha256(&self) -> [u8; 32] {
        self.ark.spki_sha256()
    }

    fn vcek(&self, platform: Platform) -> Result<&Vcek, Error> {
        self.vcek.get(&platform).ok_or(Error::Key("this machine has none"))
    }

    /// For the ordinary machine.
    pub(crate) fn collateral(
        &self,
        period: Period,
        misbehave: &[Misbehaviour],
    ) -> Result<AmdCollateral, Error> {
        let ark = Issuer { key: &self.ark, name: &self.ark_name };
        let mut revoked = vec![&*self.revoked_ask_serial];
        if misbehave.contains(&Misbehaviour::RevokedAsk) {
            let serial = x509::serial_of(&self.ask_certificate);
            revoked.push(serial.ok_or(Error::Key("the ASK's certificate has no serial number"))?);
        }
        Ok(AmdCollateral {
            vek: x509::pem(&self.vcek(Platform::Current)?.certificate),
            ask: x509::pem(&self.ask_certificate),
            ark: x509::pem(&self.ark_certificate),
            crl: x509::crl(&ark, period, &revoked)?,
        })
    }

    /// The certificates that a guest of this machine is given with its report.
    pub(crate) fn endorsements(&self, platform: Platform) -> Result<Value, Error> {
        let ask = if platform == Platform::RevokedCertificate {
            &self.revoked_ask_certificate
        } else {
            &self.ask_certificate
        };
        let [vek, ask, ark] = [&self.vcek(platform)?.certificate, ask, &self.ark_certificate]
            .map(|certificate| x509::pem(certificate));
        Ok(endorsements(&vek, &ask, &ark, None))
    }
}
