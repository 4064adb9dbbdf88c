//! `application/x-www-form-urlencoded`, as browsers send forms.

/// The first field of that name, decoded; `None` where it is missing or not UTF-8.
pub(crate) fn field(body: &str, name: &str) -> Option<String> {
    body.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key).as_deref() == Some(name)).then(|| decode(value))?
    })
}

/// `+` is a space and `%XX` a byte. A `%` without two hex digits stays as it is, as in browsers.
fn decode(text: &str) -> Option<String> {
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (hex(bytes.get(at)), hex(bytes.get(at + 1))) {
                (Some(high), Some(low)) => {
                    out.push(u8::try_from(high * 16 + low).ok()?);
                    at += 2;
                }
                _ => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
