//! A machine under a test root, which can be asked for what no hardware would sign.

use crate::{
    data,
    pki::{Key, Template, crl, p384_key, p384_sign, tlv},
};
use casemate_attestation::{
    Grade, TrustRoot, TrustRoots, Vendor,
    sev_snp::{Error, Report, Vek, verify, verify_vek},
};
use p384::ecdsa::SigningKey;
use rsa::{RsaPrivateKey, pkcs1::DecodeRsaPrivateKey};
use std::sync::OnceLock;

pub use crate::real::NOW;

pub const CHIP_ID: [u8; 64] = [0xc5; 64];
pub const PRODUCT_NAME: &str = "1.3.6.1.4.1.3704.1.2";
pub const BOOT_LOADER: &str = "1.3.6.1.4.1.3704.1.3.1";
pub const TEE: &str = "1.3.6.1.4.1.3704.1.3.2";
pub const SNP: &str = "1.3.6.1.4.1.3704.1.3.3";
pub const MICROCODE: &str = "1.3.6.1.4.1.3704.1.3.8";
pub const FMC: &str = "1.3.6.1.4.1.3704.1.3.9";
pub const HARDWARE_ID: &str = "1.3.6.1.4.1.3704.1.4";
pub const CSP_ID: &str = "1.3.6.1.4.1.3704.1.5";

fn rsa(pem: &[u8]) -> Key {
    let pem = core::str::from_utf8(pem).unwrap();
    Key::Rsa(Box::new(RsaPrivateKey::from_pkcs1_pem(pem).unwrap()))
}

pub fn ark_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| rsa(data!("test_only_ark.pem")))
}

pub fn ask_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| rsa(data!("test_only_ask.pem")))
}

pub fn vek_key() -> SigningKey {
    p384_key(1)
}

pub fn roots() -> TrustRoots {
    TrustRoots::new([TrustRoot {
        vendor: Vendor::Amd,
        grade: Grade::Software,
        spki_sha256: ark_key().spki_sha256(),
    }])
}

pub fn ark_template(product: &str) -> Template {
    let name = format!("ARK-{product}");
    Template::new(&name, &name, ark_key()).ca()
}

pub fn ask_template(subject: &str, product: &str) -> Template {
    let mut template = Template::new(subject, &format!("ARK-{product}"), ask_key()).ca();
    template.serial = vec![0x01, 0x00, 0x01];
    template
}

pub fn small(value: u8) -> Vec<u8> {
    crate::pki::integer(&[value])
}

/// A VCEK of Milan for boot loader 3, TEE 0, SNP 8, microcode 115.
pub fn vek_template() -> Template {
    let mut template = Template::new("SEV-VCEK", "SEV-Milan", &Key::p384(1));
    template.serial = vec![0];
    template.extensions = vec![
        (PRODUCT_NAME, false, tlv(0x16, b"Milan-B0")),
        (BOOT_LOADER, false, small(3)),
        (TEE, false, small(0)),
        (SNP, false, small(8)),
        (MICROCODE, false, small(115)),
        (HARDWARE_ID, false, CHIP_ID.to_vec()),
    ];
    template
}

/// The same as a VLEK's.
pub fn vlek_template() -> Template {
    let mut template = vek_template();
    template.subject = crate::pki::name("SEV-VLEK");
    template.issuer = crate::pki::name("SEV-VLEK-Milan");
    set(&mut template, HARDWARE_ID, None);
    set(&mut template, CSP_ID, Some(tlv(0x16, b"example-cloud")));
    template
}

/// A VCEK of Turin.
pub fn turin_template() -> Template {
    let mut template = vek_template();
    template.issuer = crate::pki::name("SEV-Turin");
    set(&mut template, PRODUCT_NAME, Some(tlv(0x16, b"Turin")));
    set(&mut template, FMC, Some(small(2)));
    set(&mut template, HARDWARE_ID, Some(CHIP_ID[..8].to_vec()));
    template
}

/// Changes, adds or takes away an extension.
pub fn set(template: &mut Template, id: &'static str, value: Option<Vec<u8>>) {
    template.extensions.retain(|(known, ..)| *known != id);
    if let Some(value) = value {
        template.extensions.push((id, false, value));
    }
}

/// Certificates of one chain.
#[derive(Clone)]
pub struct Chain {
    pub vek: Vec<u8>,
    pub ask: Vec<u8>,
    pub ark: Vec<u8>,
    pub crl: Option<Vec<u8>>,
}

impl Chain {
    /// Of a product, with this certificate at its end.
    pub fn of(product: &'static str, ask: &str, vek: &Template) -> Self {
        Self {
            vek: vek.sign(ask_key()),
            ask: ask_template(ask, product).sign(ark_key()),
            ark: ark_template(product).sign(ark_key()),
            crl: None,
        }
    }

    pub fn milan() -> Self {
        static CHAIN: OnceLock<Chain> = OnceLock::new();
        CHAIN.get_or_init(|| Self::of("Milan", "SEV-Milan", &vek_template())).clone()
    }

    pub fn with_vek(vek: &Template) -> Self {
        Self { vek: vek.sign(ask_key()), ..Self::milan() }
    }

    pub fn with_crl(revoked: &[&[u8]]) -> Self {
        let crl = crl("ARK-Milan", ark_key(), "260101000000Z", "270101000000Z", revoked);
        Self { crl: Some(crl), ..Self::milan() }
    }

    pub fn verify(&self) -> Result<Vek, Error> {
        self.verify_at(NOW)
    }

    pub fn verify_at(&self, now: u64) -> Result<Vek, Error> {
        verify_vek(&self.vek, &self.ask, &self.ark, self.crl.as_deref(), &roots(), now)
    }
}

pub fn milan_vek() -> Vek {
    static VEK: OnceLock<Vek> = OnceLock::new();
    VEK.get_or_init(|| Chain::milan().verify().unwrap()).clone()
}

/// The bytes of a report that the machine's key is about to sign.
#[derive(Clone)]
pub struct Draft(pub [u8; Report::LEN]);

impl Draft {
    /// A good report of version 3.
    pub fn milan() -> Self {
        let mut draft = Self([0; Report::LEN]);
        draft.put(0, &3_u32.to_le_bytes());
        draft.put(8, &0x30000_u64.to_le_bytes());
        draft.put(0x34, &1_u32.to_le_bytes());
        draft.put(0x50, &[0xda; 64]);
        draft.put(0x90, &[0x3e; 48]);
        draft.put(0xc0, &[0x05; 32]);
        draft.put(0x160, &[0xff; 32]);
        draft.put(0x188, &[0x19, 0x01, 0x01]);
        draft.put(0x1a0, &CHIP_ID);
        draft.tcbs([3, 0, 0, 0, 0, 0, 8, 115])
    }

    /// A good report of version 5 of a Turin machine.
    pub fn turin() -> Self {
        let mut draft = Self::milan();
        draft.put(0, &5_u32.to_le_bytes());
        draft.put(0x188, &[0x1a, 0x02, 0x01]);
        draft.put(0x1a0 + 8, &[0; 56]);
        draft.put(0x1f8, &[0xff; 16]);
        draft.tcbs([2, 3, 0, 8, 0, 0, 0, 115])
    }

    pub fn tcbs(mut self, tcb: [u8; 8]) -> Self {
        for at in [0x38, 0x180, 0x1e0, 0x1f0] {
            self.put(at, &tcb);
        }
        self
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    pub fn sign(self) -> [u8; Report::LEN] {
        self.sign_with(&vek_key())
    }

    pub fn sign_with(mut self, key: &SigningKey) -> [u8; Report::LEN] {
        let signature = p384_sign(key, &self.0[..Report::SIGNED_LEN]);
        let reversed = |half: &[u8]| half.iter().rev().copied().collect::<Vec<_>>();
        self.put(0x2a0, &reversed(&signature[..48]));
        self.put(0x2e8, &reversed(&signature[48..]));
        self.0
    }

    /// Signs, parses and verifies.
    pub fn appraise(self, vek: &Vek) -> Result<casemate_attestation::Claims, Error> {
        let report = Report::parse(&self.sign())?;
        verify(report, vek, None, NOW).map(casemate_attestation::Verified::into_claims)
    }
}
