//! Reference integrity manifests: what NVIDIA says a driver and a VBIOS measure to.
//!
//! A manifest is a SWID tag (ISO/IEC 19770-2) with the values as TCG's "Reference Integrity Manifest
//! Information Model" has them, and an enveloped XML signature (W3C xmldsig) over the whole
//! document. The values are read from the very tree whose canonical form was hashed, so that no
//! second reading of the text can find other values than the signed ones.

mod xml;

use super::RimError;
use crate::{
    Grade, TrustRoots, UnixSeconds, Vendor,
    crypto::SignatureAlgorithm,
    roots,
    x509::{Certificate, X509Error, pem, verify_chain},
};
use alloc::{string::String, vec::Vec};
use sha2::{Digest, Sha384};
use xml::Element;

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Namespace of the values' attributes.
const SHA384: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const C14N_1_1: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const DIGEST_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
/// Most values that one measurement may have.
const ALTERNATIVES_MAX: u32 = 64;

/// The reference values of a driver or a VBIOS, from a manifest whose signature was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rim {
    product: String,
    version: String,
    values: Vec<Golden>,
    grade: Grade,
    not_after: UnixSeconds,
}

/// What one measurement may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Golden {
    /// From 0.
    pub(super) index: u8,
    pub(super) alternatives: Vec<Vec<u8>>,
}

impl Rim {
    /// Largest accepted manifest in bytes. NVIDIA's have about 20,500.
    pub const LEN_MAX: usize = 1 << 20;

    /// Verifies a manifest: its form, the digest over its canonical form, the signature, and the
    /// certificates in it up to a pinned root. Revocation (NVIDIA answers OCSP only) is not looked
    /// at: the signers' certificates are valid for two years.
    ///
    /// # Errors
    /// One for each check: see [`RimError`].
    pub fn verify(text: &[u8], trust: &TrustRoots, now: UnixSeconds) -> Result<Self, RimError> {
        if text.len() > Self::LEN_MAX {
            return Err(RimError::Xml { reason: "too long", at: Self::LEN_MAX });
        }
        let text = core::str::from_utf8(text)
            .map_err(|error| RimError::Xml { reason: "not UTF-8", at: error.valid_up_to() })?;
        let root = Element::parse(text)?;
        if !root.is(SWID, "SoftwareIdentity") {
            return Err(RimError::Structure { what: "a SoftwareIdentity" });
        }
        let (signature, certificates) = verify_signature(&root)?;
        let (grade, not_after) = verify_certificates(&certificates, trust, now)?;
        signature.verify(&certificates)?;

        let meta = only(&root, SWID, "Meta")?;
        let attribute = |name, what| {
            meta.attribute("", name)
                .filter(|value| !value.is_empty())
                .map(String::from)
                .ok_or(RimError::Structure { what })
        };
        Ok(Self {
            product: attribute("product", "a product")?,
            version: attribute("colloquialVersion", "a version")?,
            values: read_values(only(&root, SWID, "Payload")?)?,
            grade,
            not_after,
        })
    }

    /// The product line, such as `GH100`.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The version of driver or VBIOS that it is for.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What its root is worth.
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// First second at which one of its certificates has expired.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    pub(super) fn values(&self) -> &[Golden] {
        &self.values
    }
}

/// What is left to check once the certificates are known to be good.
struct Signature {
    signed: String,
    value: Vec<u8>,
}

impl Signature {
    fn verify(&self, certificates: &[Certificate]) -> Result<(), RimError> {
        let leaf = certificates.first().ok_or(RimError::Signer)?;
        leaf.public_key()
            .ok()
            .and_then(|key| {
                let algorithm = SignatureAlgorithm::EcdsaSha384;
                key.verify_raw(algorithm, self.signed.as_bytes(), &self.value).ok()
            })
            .ok_or(RimError::Signature)
    }
}

/// Checks the form of the signature and the digest of the document.
fn verify_signature(root: &Element) -> Result<(Signature, Vec<Certificate>), RimError> {
    // One signature in the whole document, so that there is no question which.
    let signature = only(root, XMLDSIG, "Signature")?;
    if root.count(XMLDSIG, "Signature") != 1 {
        return Err(RimError::Structure { what: "one signature" });
    }
    let info = only(signature, XMLDSIG, "SignedInfo")?;
    require_algorithm(info, "CanonicalizationMethod", C14N_1_1, "a canonical form")?;
    require_algorithm(info, "SignatureMethod", ECDSA_SHA384, "an algorithm")?;
    let reference = only(info, XMLDSIG, "Reference")?;
    // Nothing but the whole document, and no other transforms than the two that are done here.
    if reference.attribute("", "URI") != Some("") {
        return Err(RimError::Structure { what: "a reference to the whole document" });
    }
    let transforms: Vec<_> = only(reference, XMLDSIG, "Transforms")?
        .elements()
        .map(|transform| {
            let known = transform.is(XMLDSIG, "Transform") && transform.elements().next().is_none();
            transform.attribute("", "Algorithm").filter(|_| known)
        })
        .collect();
    if transforms != [Some(ENVELOPED), Some(C14N_1_1)] {
        return Err(RimError::Algorithm { what: "transforms" });
    }
    require_algorithm(reference, "DigestMethod", DIGEST_SHA384, "a digest")?;
    let digest = base64(only(reference, XMLDSIG, "DigestValue")?)?;
    let document = root.canonical(&|child| child.is(XMLDSIG, "Signature"));
    if digest != Sha384::digest(document.as_bytes()).as_slice() {
        return Err(RimError::Digest);
    }
    let data = only(only(signature, XMLDSIG, "KeyInfo")?, XMLDSIG, "X509Data")?;
    let certificates = data
        .elements()
        .map(|element| {
            if !element.is(XMLDSIG, "X509Certificate") {
                return Err(RimError::Structure { what: "nothing but certificates" });
            }
            Certificate::from_der(&base64(element)?).map_err(RimError::MalformedChain)
        })
        .collect::<Result<_, _>>()?;
    let signed = Element::canonical_in(&[root, signature, info])
        .ok_or(RimError::Structure { what: "a signature" })?;
    let value = base64(only(signature, XMLDSIG, "SignatureValue")?)?;
    Ok((Signature { signed, value }, certificates))
}

fn verify_certificates(
    certificates: &[Certificate],
    trust: &TrustRoots,
    now: UnixSeconds,
) -> Result<(Grade, UnixSeconds), RimError> {
    let [leaf, .., root] = certificates else {
        return Err(RimError::Structure { what: "a certificate chain" });
    };
    let spki_sha256 = root.spki_sha256();
    // NVIDIA's root for devices has its keys in GPUs; none of those may sign manifests.
    let grade = trust
        .find(Vendor::Nvidia, &spki_sha256)
        .filter(|_| spki_sha256 != roots::NVIDIA_DEVICE_IDENTITY)
        .ok_or(RimError::UnknownRoot { spki_sha256 })?
        .grade;
    if leaf.is_ca() || super::firmware::extension(leaf).is_some() {
        return Err(RimError::Signer);
    }
    let chain = verify_chain(certificates, now).map_err(|error| match error {
        X509Error::NotYetValid => RimError::NotYetValid,
        X509Error::Expired => RimError::Expired,
        error => RimError::Chain(error),
    })?;
    Ok((grade, chain.not_after.saturating_add(1)))
}

fn require_algorithm(
    parent: &Element,
    local: &'static str,
    algorithm: &str,
    what: &'static str,
) -> Result<(), RimError> {
    let element = only(parent, XMLDSIG, local)?;
    let same = element.attribute("", "Algorithm") == Some(algorithm);
    // Parameters would be children.
    if same && element.elements().next().is_none() {
        Ok(())
    } else {
        Err(RimError::Algorithm { what })
    }
}

fn only<'a>(
    parent: &'a Element,
    namespace: &str,
    local: &'static str,
) -> Result<&'a Element, RimError> {
    parent.only(namespace, local).ok_or(RimError::Structure { what: local })
}

fn base64(element: &Element) -> Result<Vec<u8>, RimError> {
    let damaged = RimError::Structure { what: "base64 where it belongs" };
    let text = element.text().ok_or_else(|| damaged.clone())?;
    pem::base64(text.as_bytes()).map_err(|_| damaged)
}

fn read_values(payload: &Element) -> Result<Vec<Golden>, RimError> {
    let mut values: Vec<Golden> = Vec::new();
    for resource in payload.elements() {
        if !resource.is(SWID, "Resource") || resource.attribute("", "type") != Some("Measurement") {
            return Err(RimError::Structure { what: "nothing but measurements" });
        }
        let (index, alternatives) = read_resource(resource)
            .ok_or(RimError::Structure { what: "well-formed measurements" })?;
        if values.iter().any(|known| known.index == index) {
            return Err(RimError::Structure { what: "each measurement once" });
        }
        values.push(Golden { index, alternatives });
    }
    values.retain(|value| !value.alternatives.is_empty());
    if values.is_empty() {
        return Err(RimError::Structure { what: "an active measurement" });
    }
    Ok(values)
}

/// Index and values; without values if it is not to be compared.
fn read_resource(resource: &Element) -> Option<(u8, Vec<Vec<u8>>)> {
    let index = resource.attribute("", "index")?.parse().ok()?;
    let size: usize = resource.attribute("", "size")?.parse().ok()?;
    let count: u32 = resource.attribute("", "alternatives")?.parse().ok()?;
    if count == 0 || count > ALTERNATIVES_MAX {
        return None;
    }
    let alternatives = (0..count)
        .map(|number| {
            let name = alloc::format!("Hash{number}");
            let value = hex::decode(resource.attribute(SHA384, &name)?).ok()?;
            (value.len() == size).then_some(value)
        })
        .collect::<Option<Vec<_>>>()?;
    match resource.attribute("", "active")? {
        "True" => Some((index, alternatives)),
        "False" => Some((index, Vec::new())),
        _ => None,
    }
}
