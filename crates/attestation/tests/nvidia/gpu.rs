//! A GPU and a signer of manifests under test roots.

use crate::pki::{Key, Template, base64, oid, p384_key, p384_sign, pem, sequence, tlv};
use casemate_attestation::{
    Grade, TrustRoot, TrustRoots, Vendor, Verified,
    nvidia::{Error, Report, Rim, RimError, verify},
};
use sha2::{Digest, Sha384};

pub use crate::real::NOW;

pub const FIRMWARE_ID: [u8; 48] = [0xf1; 48];
pub const NONCE: [u8; 32] = [0x90; 32];
pub const TCB_INFO: &str = "2.23.133.5.4.1";

/// Numbers of keys.
const ROOT: u8 = 10;
const DEVICE: u8 = 11;
const LEAF: u8 = 12;
const RIM_ROOT: u8 = 20;
const RIM_SIGNER: u8 = 21;

pub fn root_key() -> Key {
    Key::p384(ROOT)
}

pub fn rim_root_key() -> Key {
    Key::p384(RIM_ROOT)
}

pub fn trust(grades: [Grade; 2]) -> TrustRoots {
    let keys = [root_key(), rim_root_key()];
    TrustRoots::new(keys.into_iter().zip(grades).map(|(key, grade)| TrustRoot {
        vendor: Vendor::Nvidia,
        grade,
        spki_sha256: key.spki_sha256(),
    }))
}

pub fn roots() -> TrustRoots {
    trust([Grade::Hardware, Grade::Hardware])
}

fn fwid(digest: &[u8]) -> Vec<u8> {
    sequence(&[oid("2.16.840.1.101.3.4.2.2"), tlv(4, digest)])
}

/// As Hopper GPUs have it.
pub fn composite_device_id(digest: &[u8]) -> Vec<u8> {
    sequence(&[crate::pki::integer(&[1]), Key::p384(LEAF).spki(), fwid(digest)])
}

/// As Blackwell GPUs have it: vendor, model, layer, two digests of which the first counts.
pub fn dice_tcb_info(digest: &[u8]) -> Vec<u8> {
    let fwids = [fwid(digest), fwid(&[0; 48])].concat();
    sequence(&[tlv(0x80, b"NVIDIA"), tlv(0x81, b"GB100"), tlv(0x84, &[1]), tlv(0xa6, &fwids)])
}

pub fn leaf_template() -> Template {
    let mut template =
        Template::new("TEST100 A01 GSP FMC LF", "TEST100 A01 GSP BROM", &Key::p384(LEAF));
    template.extensions = vec![(TCB_INFO, false, composite_device_id(&FIRMWARE_ID))];
    template
}

pub fn device_template() -> Template {
    let mut template = Template::new("TEST100 A01 GSP BROM", "Root", &Key::p384(DEVICE)).ca();
    template.serial = vec![0x41, 0x42];
    template
}

pub fn root_template() -> Template {
    Template::new("Root", "Root", &root_key()).ca()
}

pub fn chain(leaf: &Template) -> String {
    chain_of(leaf, &device_template(), &root_template())
}

pub fn chain_of(leaf: &Template, device: &Template, root: &Template) -> String {
    [leaf.sign(&Key::p384(DEVICE)), device.sign(&root_key()), root.sign(&root_key())]
        .map(|der| pem("CERTIFICATE", &der))
        .concat()
}

/// What is about to be signed by the GPU.
#[derive(Clone)]
pub struct Draft {
    pub request: [u8; 37],
    pub response: [u8; 4],
    /// Index, specification, value.
    pub blocks: Vec<(u8, u8, Vec<u8>)>,
    pub opaque: Vec<(u16, Vec<u8>)>,
}

impl Draft {
    pub fn good() -> Self {
        let mut request = [0; 37];
        request[..4].copy_from_slice(&[0x11, 0xe0, 0x01, 0xff]);
        request[4..36].copy_from_slice(&NONCE);
        let blocks = (1..=40).map(|index| (index, 1, vec![index; 48])).collect();
        let opaque = vec![
            (6, vec![0x00, 0x9f, 0x00, 0x96, 0x01, 0, 0, 0]),
            (3, b"550.90.07\0".to_vec()),
            (20, FIRMWARE_ID.to_vec()),
            (11, vec![0xaa]),
        ];
        Self { request, response: [0x11, 0x60, 0, 0], blocks, opaque }
    }

    /// Takes a field of the opaque data away or sets it.
    pub fn opaque(mut self, kind: u16, value: Option<&[u8]>) -> Self {
        self.opaque.retain(|(known, _)| *known != kind);
        if let Some(value) = value {
            self.opaque.push((kind, value.to_vec()));
        }
        self
    }

    pub fn unsigned(&self) -> Vec<u8> {
        let mut record = Vec::new();
        for (index, specification, value) in &self.blocks {
            record.extend([*index, *specification]);
            record.extend((value.len() as u16 + 3).to_le_bytes());
            record.push(1);
            record.extend((value.len() as u16).to_le_bytes());
            record.extend(value);
        }
        let mut opaque = Vec::new();
        for (kind, value) in &self.opaque {
            opaque.extend(kind.to_le_bytes());
            opaque.extend((value.len() as u16).to_le_bytes());
            opaque.extend(value);
        }
        let mut out = [&self.request[..], &self.response[..]].concat();
        out.push(self.blocks.len() as u8);
        out.extend(&(record.len() as u32).to_le_bytes()[..3]);
        out.extend(record);
        out.extend([0x77; 32]);
        out.extend((opaque.len() as u16).to_le_bytes());
        out.extend(opaque);
        out
    }

    pub fn sign(&self) -> Vec<u8> {
        let mut out = self.unsigned();
        out.extend(p384_sign(&p384_key(LEAF), &self.unsigned()));
        out
    }

    pub fn report(&self) -> Result<Report, Error> {
        Report::parse(&self.sign())
    }

    pub fn appraise(&self, chain: &str) -> Result<Verified<Report>, Error> {
        verify(self.report()?, chain.as_bytes(), &roots(), Some(NONCE), None, NOW)
    }

    pub fn compare(&self, rims: &[Rim]) -> Result<Verified<Report>, Error> {
        let chain = chain(&leaf_template());
        verify(self.report()?, chain.as_bytes(), &roots(), None, Some(rims), NOW)
    }
}

/// What goes into a manifest.
#[derive(Clone)]
pub struct Manifest {
    pub product: &'static str,
    pub version: &'static str,
    /// The `Resource` elements.
    pub payload: String,
    pub signer: Template,
    pub root: Template,
    /// Replaced in `SignedInfo` before it is signed.
    pub info: Vec<(&'static str, &'static str)>,
}

const HEAD: &str = "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" xmlns:h=\"http://www.w3.org/2001/04/xmlenc#sha384\" name=\"&lt;&quot;&amp;\">";

/// `SignedInfo` in its canonical form, apart from the namespaces that it inherits.
const INFO: &str = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384\"></ds:SignatureMethod><ds:Reference URI=\"\"><ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform><ds:Transform Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\"></ds:DigestMethod><ds:DigestValue>DIGEST</ds:DigestValue></ds:Reference>";

pub fn resource(index: u8, active: bool, values: &[&[u8]]) -> String {
    let active = if active { "True" } else { "False" };
    let size = values[0].len();
    let count = values.len();
    let hashes: String = values
        .iter()
        .enumerate()
        .map(|(number, value)| format!(" h:Hash{number}=\"{}\"", hex::encode(value)))
        .collect();
    // In canonical order: attributes without a namespace first, by name.
    format!(
        "<Resource active=\"{active}\" alternatives=\"{count}\" index=\"{index}\" size=\"{size}\" type=\"Measurement\"{hashes}></Resource>"
    )
}

impl Manifest {
    pub fn new(version: &'static str, payload: String) -> Self {
        let key = Key::p384(RIM_SIGNER);
        Self {
            product: "TEST100",
            version,
            payload,
            signer: Template::new("Signer", "RIM root", &key),
            root: Template::new("RIM root", "RIM root", &rim_root_key()).ca(),
            info: Vec::new(),
        }
    }

    /// For the driver of [`Draft::good`]: measurements 0 and 1.
    pub fn driver() -> Self {
        let payload = [resource(0, true, &[&[1; 48]]), resource(1, true, &[&[9; 48], &[2; 48]])];
        Self::new("550.90.07", payload.concat())
    }

    /// For its VBIOS: measurement 2, and 3 which does not count.
    pub fn vbios() -> Self {
        let payload = [resource(2, true, &[&[3; 48]]), resource(3, false, &[&[0; 48]])];
        Self::new("96.00.9f.00.01", payload.concat())
    }

    pub fn document(&self) -> String {
        let Self { product, version, payload, .. } = self;
        format!(
            "{HEAD}\n<Meta colloquialVersion=\"{version}\" product=\"{product}\"></Meta>\n<Payload>{payload}</Payload>\n</SoftwareIdentity>"
        )
    }

    pub fn sign(&self) -> String {
        let document = self.document();
        let mut info = INFO.replace("DIGEST", &base64(&Sha384::digest(&document)));
        for (from, to) in &self.info {
            assert!(info.contains(from));
            info = info.replace(from, to);
        }
        let canonical = format!(
            "<ds:SignedInfo xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:h=\"http://www.w3.org/2001/04/xmlenc#sha384\">{info}</ds:SignedInfo>"
        );
        let value = base64(&p384_sign(&p384_key(RIM_SIGNER), canonical.as_bytes()));
        let certificates: String =
            [self.signer.sign(&rim_root_key()), self.root.sign(&rim_root_key())]
                .iter()
                .map(|der| format!("<ds:X509Certificate>{}</ds:X509Certificate>", base64(der)))
                .collect();
        let signature = format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>{info}</ds:SignedInfo><ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>"
        );
        document.replace("</SoftwareIdentity>", &format!("{signature}</SoftwareIdentity>"))
    }

    pub fn verify(&self) -> Result<Rim, RimError> {
        Rim::verify(self.sign().as_bytes(), &roots(), NOW)
    }

    pub fn good(&self) -> Rim {
        self.verify().unwrap()
    }
}
