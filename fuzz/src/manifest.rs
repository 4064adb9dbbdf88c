//! The pod manifest: publishers write it, providers read it.

use std::fmt;

use casemate_manifest::{CpuMillicores, ImageReference, Manifest, ManifestError, Mebibytes};

/// A message for people, however hostile what it is about.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A manifest in YAML.
pub(crate) fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(Manifest::parse(text));
    if let Ok(reference) = text.trim_end().parse::<ImageReference>() {
        assert_eq!(reference.to_string().parse::<ImageReference>().unwrap(), reference);
    }
}

/// A manifest in JSON, as providers get it.
pub(crate) fn json(data: &[u8]) {
    check(Manifest::from_json(data));
}

fn check(read: Result<Manifest, ManifestError>) {
    let manifest = match read {
        Ok(manifest) => manifest,
        Err(err) => {
            let length = err.to_string().len();
            assert!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
            return;
        }
    };
    let _ = (manifest.pod_resources(), manifest.tcp_host_ports().count(), manifest.is_pinned());
    // What is hashed must be readable, and there must be one form of it only.
    let canonical = manifest.to_canonical_json();
    let again = Manifest::from_json(&canonical).expect("canonical JSON is valid");
    assert_eq!(again, manifest);
    assert_eq!(again.to_canonical_json(), canonical);
}

/// Amounts such as `500m` and `1Gi`.
pub(crate) fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trip::<CpuMillicores>(text);
    round_trip::<Mebibytes>(text);
}

fn round_trip<T>(text: &str)
where
    T: std::str::FromStr<Err: fmt::Display> + fmt::Display + fmt::Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => match value.to_string().parse::<T>() {
            Ok(again) => assert_eq!(again, value),
            Err(err) => panic!("{value:?} is written as something that is not read: {err}"),
        },
        Err(err) => assert!(err.to_string().len() < MESSAGE_BYTES_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_seeds_are_manifests() {
        let yaml = include_str!("../corpus/manifest_yaml/service.yaml");
        Manifest::parse(yaml).unwrap_or_else(|err| panic!("{err}"));
        let json = include_bytes!("../corpus/manifest_json/service.json");
        Manifest::from_json(json).unwrap_or_else(|err| panic!("{err}"));
    }
}
