//! The HTML page.

use crate::{clock, store::Entry};

/// Makes a text safe between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guest book</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
label { display: block; margin-top: .75rem; }
input, textarea { box-sizing: border-box; width: 100%; font: inherit; padding: .4rem; }
button { font: inherit; margin-top: .75rem; padding: .4rem 1rem; }
article { border-top: 1px solid #ccc; padding: .5rem 0; }
article p { white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0; }
time { color: #595959; font-size: .85rem; }
</style>
</head>
<body>
<h1>Guest book</h1>
<form method="post" action="/entries">
<label for="name">Name</label>
<input id="name" name="name" required maxlength="64" autocomplete="name">
<label for="message">Message</label>
<textarea id="message" name="message" required maxlength="2000" rows="4"></textarea>
"#;

const PASSWORD: &str = r#"<label for="password">Password</label>
<input id="password" name="password" type="password" required autocomplete="off">
"#;

const FORM_END: &str = r#"<button type="submit">Sign</button>
</form>
<main>
"#;

/// The page with the form and `entries`, in the order given; `count` is of all there are. The form
/// asks for a password where writers need one.
pub(crate) fn render(entries: &[Entry], count: u64, needs_password: bool) -> String {
    let password = if needs_password { PASSWORD } else { "" };
    let mut html = [HEAD, password, FORM_END].concat();
    html += &match count {
        0 => "<p>No entries yet: write the first one.</p>\n".to_owned(),
        1 => "<h2>1 entry</h2>\n".to_owned(),
        _ => format!("<h2>{count} entries</h2>\n"),
    };
    for entry in entries {
        let (name, message) = (escape(&entry.name), escape(&entry.message));
        let time = clock::rfc3339(entry.time);
        html += &format!(
            "<article id=\"entry-{}\">\n<strong>{name}</strong> <time datetime=\"{time}\">{time}\
             </time>\n<p>{message}</p>\n</article>\n",
            entry.id
        );
    }
    html + "</main>\n</body>\n</html>\n"
}

#[cfg(test)]
mod tests;
