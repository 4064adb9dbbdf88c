//! [`Documents`]: the way from an image's digest to how it wants to be run.

use crate::{
    Digest, Error, ImageConfig, Result,
    image::{Document, nested, parse_config, parse_document, select_platform},
};
#[cfg(feature = "store")]
use crate::{Image, Limits, Store};

/// The documents between the digest that a reference names and the image's configuration, as a
/// registry gives them. Hostile until [`Documents::check`] has taken them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Documents {
    /// The index, where the reference names one.
    pub index: Option<Vec<u8>>,
    /// The manifest for this machine's platform.
    pub manifest: Vec<u8>,
    /// The configuration.
    pub config: Vec<u8>,
}

impl Documents {
    /// Checks that the documents are those of the image with the digest `pinned`, each by its
    /// digest in the one before it, for this machine's platform; gives how the image wants to be run.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] for a document that is another one; else as [`Error`] says what is
    /// wrong with it.
    pub fn check(&self, pinned: &Digest) -> Result<ImageConfig> {
        let what = format!("image {pinned}");
        let digest = match &self.index {
            None => *pinned,
            Some(bytes) => {
                expect("index", &what, pinned, bytes)?;
                match parse_document(bytes, &what)? {
                    Document::Index(index) => select_platform(&index, &what)?.digest,
                    Document::Manifest(_) => {
                        let reason = "it is a manifest where an index is said to be".to_owned();
                        return Err(Error::Unsupported { what, reason });
                    }
                }
            }
        };
        expect("manifest", &what, &digest, &self.manifest)?;
        let Document::Manifest(manifest) = parse_document(&self.manifest, &what)? else {
            return Err(nested(&what));
        };
        expect("configuration", &what, &manifest.config.digest, &self.config)?;
        Ok(parse_config(&self.config, &manifest, &what)?.config)
    }
}

fn expect(part: &str, what: &str, expected: &Digest, bytes: &[u8]) -> Result<()> {
    let actual = Digest::of(bytes);
    if actual == *expected {
        return Ok(());
    }
    Err(Error::DigestMismatch { what: format!("{part} of {what}"), expected: *expected, actual })
}

#[cfg(feature = "store")]
impl Image {
    /// Its documents, for somebody who knows the image by the digest `pinned` and has no store.
    ///
    /// # Errors
    /// Where they are not in the store, or not this image's.
    pub fn documents(&self, store: &Store, pinned: &Digest, limits: &Limits) -> Result<Documents> {
        let read = |digest: &Digest| store.read(digest, limits.manifest_bytes_max);
        let has_index = *pinned != self.manifest_digest;
        let documents = Documents {
            index: if has_index { Some(read(pinned)?) } else { None },
            manifest: read(&self.manifest_digest)?,
            config: read(&self.config_digest)?,
        };
        documents.check(pinned)?;
        Ok(documents)
    }
}

#[cfg(test)]
mod tests;
