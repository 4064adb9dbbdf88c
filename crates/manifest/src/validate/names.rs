//! Grammars of names and paths.

use super::limits::PATH_BYTES_MAX;
use std::net::IpAddr;

pub(super) const LABEL_ALLOWED: &str =
    "1 to 63 lower-case letters, digits and `-`, first and last no `-`";
pub(super) const LABEL_KEY_ALLOWED: &str = "a key `name` or `domain/name`, the name 1 to 63 \
     letters, digits, `-`, `_`, `.`, first and last a letter or digit";
pub(super) const LABEL_VALUE_ALLOWED: &str =
    "up to 63 letters, digits, `-`, `_`, `.`, first and last a letter or digit";
pub(super) const HOST_ALLOWED: &str = "a host name such as `web.localhost`: lower-case labels of \
     letters, digits and `-`, joined by dots, at most 253 characters, no IP address, no port, no \
     wildcard";
pub(super) const ENV_NAME_ALLOWED: &str = "1 to 256 letters, digits and `_`, the first no digit";
pub(super) const SECRET_NAME_ALLOWED: &str =
    "1 to 128 letters, digits, `.`, `_` and `-`, the first no dot";
pub(super) const PATH_ALLOWED: &str =
    "an absolute path without `.`, `..`, `//`, a final `/` or control characters";

/// A DNS label (RFC 1123) in lower case.
pub(super) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels joined by dots.
fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A host name that can't be taken for an address: not even for one in the short or hexadecimal
/// forms that `inet_aton` takes, all of which end in a label of digits or `0x…`.
pub(super) fn is_host(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    is_domain(text) && !is_numeric && text.parse::<IpAddr>().is_err()
}

fn is_qualified(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Key of a label or an annotation, as Kubernetes has it.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_qualified(name),
        None => is_qualified(text),
    }
}

/// Value of a label, as Kubernetes has it.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified(text)
}

/// Name of an environment variable.
pub(super) fn is_env_name(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Name of a secret and of its file: what `casemate_ra_tls::SecretName` takes.
pub(super) fn is_secret_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(good)
}

/// An absolute path in its one normal form.
pub(super) fn is_path(text: &str) -> bool {
    let Some(relative) = text.strip_prefix('/') else { return false };
    text.len() <= PATH_BYTES_MAX
        && !text.contains(char::is_control)
        && (relative.is_empty()
            || relative
                .split('/')
                .all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255))
}

/// Whether the normal path `path` is `top` or below it.
pub(super) fn is_under(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
