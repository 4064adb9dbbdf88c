//! What imitates Intel: SGX root, PCK certificates, TCB info, identities, quotes (DCAP).
//!
//! Formats: Intel's "SGX PCK Certificate and CRL Profile Specification" 1.5, PCS API v4, and the
//! quote layouts of `sgx_quote_3.h`, `sgx_quote_4.h`, `sgx_quote_5.h`.

mod collateral;
mod quote;

pub use collateral::IntelCollateral;

use crate::{
    Error,
    calendar::DAY,
    der,
    keys::{Algorithm, Key, p256_key, random},
    misbehave::Platform,
    pki::{Machine, ORGANIZATIONAL_UNIT, write_file},
    x509::{self, Certificate, Issuer, Period, Role, attribute},
};
use std::{collections::BTreeMap, fs, path::Path};

/// Intel's arc for what PCK certificates say.
const SGX_EXTENSION: [u32; 7] = [1, 2, 840, 113_741, 1, 13, 1];

/// PCE-ID: Intel has only this one.
const PCE_ID: [u8; 2] = [0, 0];

/// Everything with Intel's shape.
#[derive(Debug)]
pub(crate) struct Intel {
    names: Names,
    root: Key,
    pck_ca: Key,
    tcb_signing: Key,
    root_certificate: Vec<u8>,
    pck_ca_certificate: Vec<u8>,
    tcb_signing_certificate: Vec<u8>,
    /// Of the same key, on the root's revocation list.
    revoked_tcb_signing_certificate: Vec<u8>,
    revoked_tcb_signing_serial: Vec<u8>,
    pck: BTreeMap<Platform, Pck>,
    /// The quoting enclave's: as real ones, it lives no longer than its process.
    attestation_key: p256::ecdsa::SigningKey,
}

/// A machine's key that certifies quoting enclaves.
#[derive(Debug)]
struct Pck {
    key: Key,
    certificate: Vec<u8>,
    serial: Vec<u8>,
}

/// DER of the subjects.
#[derive(Debug)]
struct Names {
    root: Vec<u8>,
    pck_ca: Vec<u8>,
    tcb_signing: Vec<u8>,
    pck: Vec<u8>,
}

impl Names {
    fn new(machine: &Machine) -> Self {
        let organization = machine.organization();
        let name = |common_name: &str| {
            x509::name(&[
                (attribute::COMMON_NAME, common_name),
                (attribute::ORGANIZATION, &organization),
                (attribute::ORGANIZATIONAL_UNIT, ORGANIZATIONAL_UNIT),
            ])
        };
        Self {
            root: name(&format!("Casemate Software TEE SGX Root CA {}", machine.network)),
            // Verifiers tell the two kinds of PCK authority apart by these words.
            pck_ca: name("Intel SGX PCK Platform CA"),
            tcb_signing: name("Intel SGX TCB Signing"),
            pck: name("Intel SGX PCK Certificate"),
        }
    }
}

/// Versions of a machine's firmware and microcode.
struct Tcb {
    fmspc: [u8; 6],
    /// SGX TCB components, which are also the CPUSVN.
    sgx: [u8; 16],
    pce_svn: u16,
    /// TEE_TCB_SVN of a TD: the module's minor and major version, then TDX microcode.
    tdx: [u8; 16],
}

/// FMSPC of the machines that the collateral is for. Intel has none with these bytes.
const FMSPC: [u8; 6] = [0xca, 0x5e, 0x0a, 0x7e, 0x00, 0x00];

/// First bytes of an array, zeros after them.
const fn padded<const N: usize>(first: [u8; N]) -> [u8; 16] {
    let mut out = [0; 16];
    let mut index = 0;
    while index < N {
        out[index] = first[index];
        index += 1;
    }
    out
}

impl Tcb {
    const CURRENT: Self = Self {
        fmspc: FMSPC,
        sgx: padded([4, 4, 2, 2, 4, 1, 0, 5]),
        pce_svn: 11,
        tdx: padded([11, 1, 4]),
    };
    const OLD: Self = Self {
        fmspc: FMSPC,
        sgx: padded([3, 3, 2, 2, 3, 1, 0, 5]),
        pce_svn: 11,
        tdx: padded([6, 1, 3]),
    };
    const REVOKED: Self = Self {
        fmspc: FMSPC,
        sgx: padded([2, 2, 2, 2, 2, 1, 0, 3]),
        pce_svn: 10,
        tdx: padded([4, 1, 2]),
    };
    const OTHER_PRODUCT: Self =
        Self { fmspc: [0xca, 0x5e, 0x0a, 0x7e, 0x00, 0x01], ..Self::CURRENT };

    const fn of(platform: Platform) -> &'static Self {
        match platform {
            Platform::Current | Platform::RevokedCertificate | Platform::ExpiredCertificate => {
                &Self::CURRENT
            }
            Platform::OldTcb => &Self::OLD,
            Platform::RevokedTcb => &Self::REVOKED,
            Platform::OtherProduct => &Self::OTHER_PRODUCT,
        }
    }

    /// DER of what a PCK certificate says about its machine.
    fn extension(&self, machine: &Machine) -> Result<Vec<u8>, Error> {
        let bad = || Error::Key("`machine.json` has a bad id");
        let pair = |arcs: &[u32], value: Vec<u8>| {
            der::sequence(&[der::oid(&[&SGX_EXTENSION, arcs].concat()), value])
        };
        let components = (1..).zip(&self.sgx);
        let mut tcb: Vec<_> =
            components.map(|(number, &svn)| pair(&[2, number], der::integer(svn.into()))).collect();
        tcb.push(pair(&[2, 17], der::integer(self.pce_svn.into())));
        tcb.push(pair(&[2, 18], der::octets(&self.sgx)));
        let configuration: Vec<_> =
            [1, 2, 3].map(|number| pair(&[7, number], der::boolean(true))).into();
        let content = der::sequence(&[
            pair(&[1], der::octets(&machine.ppid().ok_or_else(bad)?)),
            pair(&[2], der::sequence(&tcb)),
            pair(&[3], der::octets(&PCE_ID)),
            pair(&[4], der::octets(&self.fmspc)),
            // Scalable, as all machines with TDX are.
            pair(&[5], der::enumerated(1)),
            pair(&[6], der::octets(&machine.platform_instance_id().ok_or_else(bad)?)),
            pair(&[7], der::sequence(&configuration)),
        ]);
        Ok(x509::extension(&SGX_EXTENSION, false, &content))
    }
}

impl Intel {
    /// Makes all keys and certificates.
    pub(crate) fn generate(folder: &Path, machine: &Machine, period: Period) -> Result<(), Error> {
        let names = Names::new(machine);
        let keys = folder.join("keys");
        let key = |name: &str| {
            let key = Key::generate(Algorithm::P256)?;
            key.save(&keys.join(format!("{name}.pem")))?;
            Ok::<_, Error>(key)
        };
        let put = |name: &str, der: &[u8]| {
            write_file(&folder.join("certificates").join(format!("{name}.der")), der)
        };
        let root = key("intel-root")?;
        let by_root = Issuer { key: &root, name: &names.root };
        let issue = |subject: &[u8], key: &Key, role| {
            let certificate = Certificate {
                serial: &serial()?,
                subject,
                spki: &key.spki(),
                period,
                role,
                extensions: vec![],
            };
            certificate.sign(&by_root)
        };
        let authority = |length| Role::Authority { path_length: Some(length), signs_crls: true };
        put("intel-root", &issue(&names.root, &root, authority(1))?)?;
        let pck_ca = key("intel-pck-ca")?;
        put("intel-pck-ca", &issue(&names.pck_ca, &pck_ca, authority(0))?)?;
        let tcb_signing = key("intel-tcb-signing")?;
        put("intel-tcb-signing", &issue(&names.tcb_signing, &tcb_signing, Role::Leaf)?)?;
        let revoked = serial()?;
        let certificate = Certificate {
            serial: &revoked,
            subject: &names.tcb_signing,
            spki: &tcb_signing.spki(),
            period,
            role: Role::Leaf,
            extensions: vec![],
        };
        put("intel-tcb-signing-revoked", &certificate.sign(&by_root)?)?;
        put("intel-tcb-signing-revoked.serial", &revoked)?;

        for platform in Platform::ALL {
            let name = format!("intel-pck-{}", platform.as_str());
            let (key, serial) = (key(&name)?, serial()?);
            let certificate = Certificate {
                serial: &serial,
                subject: &names.pck,
                spki: &key.spki(),
                period: leaf_period(platform, period),
                role: Role::Leaf,
                extensions: vec![Tcb::of(platform).extension(machine)?],
            };
            put(&name, &certificate.sign(&Issuer { key: &pck_ca, name: &names.pck_ca })?)?;
            put(&format!("{name}.serial"), &serial)?;
        }
        Ok(())
    }

    /// Reads them back.
    pub(crate) fn load(folder: &Path, machine: &Machine) -> Result<Self, Error> {
        let key = |name: &str| {
            let path = folder.join("keys").join(format!("{name}.pem"));
            Key::load(Algorithm::P256, &path)
        };
        let get = |name: &str| {
            let path = folder.join("certificates").join(format!("{name}.der"));
            fs::read(&path).map_err(Error::file("read", path))
        };
        let mut pck = BTreeMap::new();
        for platform in Platform::ALL {
            let name = format!("intel-pck-{}", platform.as_str());
            let serial = get(&format!("{name}.serial"))?;
            let one = Pck { key: key(&name)?, certificate: get(&name)?, serial };
            pck.insert(platform, one);
        }
        Ok(Self {
            names: Names::new(machine),
            root: key("intel-root")?,
            pck_ca: key("intel-pck-ca")?,
            tcb_signing: key("intel-tcb-signing")?,
            root_certificate: get("intel-root")?,
            pck_ca_certificate: get("intel-pck-ca")?,
            tcb_signing_certificate: get("intel-tcb-signing")?,
            revoked_tcb_signing_certificate: get("intel-tcb-signing-revoked")?,
            revoked_tcb_signing_serial: get("intel-tcb-signing-revoked.serial")?,
            pck,
            attestation_key: p256_key()?,
        })
    }

    pub(crate) fn root_spki_sha256(&self) -> [u8; 32] {
        self.root.spki_sha256()
    }

    fn pck(&self, platform: Platform) -> Result<&Pck, Error> {
        self.pck.get(&platform).ok_or(Error::Key("this machine has none"))
    }

    /// PEM of a machine's certificate, its authority and the root, as quotes carry it.
    fn pck_chain(&self, platform: Platform) -> Result<String, Error> {
        let leaf = &self.pck(platform)?.certificate;
        Ok([leaf, &self.pck_ca_certificate, &self.root_certificate]
            .map(|der| x509::pem(der))
            .concat())
    }
}

/// A random serial number, positive and of 20 bytes.
pub(crate) fn serial() -> Result<Vec<u8>, Error> {
    let mut bytes = random::<20>()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes.to_vec())
}

/// When a machine's certificate is valid.
pub(crate) fn leaf_period(platform: Platform, period: Period) -> Period {
    if platform == Platform::ExpiredCertificate {
        Period {
            from: period.from.saturating_sub(400 * DAY),
            to: period.from.saturating_sub(30 * DAY),
        }
    } else {
        period
    }
}
