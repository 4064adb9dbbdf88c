//! The `WWW-Authenticate` challenge.

/// What a registry wants to see.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from this realm.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// Reads one challenge; the header may have several, of which the first known one counts.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (key, value) in parameters(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// `key="value"` or `key=value`, separated by commas; a comma in quotes is part of the value.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']).to_owned();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((key, value.trim().to_owned()));
        text = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_send() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                 scope=\"repository:a/b:pull,push\"",
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            ("Bearer service=s, realm=https://r", bearer("https://r", Some("s"))),
            ("Bearer realm=\"https://r", bearer("https://r", None)),
            ("Bearer service=\"s\"", None),
            ("Negotiate", None),
            ("", None),
            ("Bearer ====", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }
}
