//! What each path answers.

use crate::{
    form,
    http::{Request, Response},
    page,
    store::{Entry, Store},
};
use serde::Deserialize;
use std::io;

/// Entries on the page.
const PAGE_ENTRIES: usize = 50;

/// Entries that the API gives.
const API_ENTRIES: usize = 100;

const NAME_CHARS_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 2_000;

/// No script at all, and no frame of another site around the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The app behind the server.
#[derive(Debug)]
pub(crate) struct App {
    store: Store,
    /// What visitors must know to write; nothing where `None`.
    password: Option<Password>,
}

/// A secret of the app's owner. Never printed.
pub(crate) struct Password(Vec<u8>);

impl Password {
    /// `None` where it is empty: then it would protect nothing.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// In a time that tells nothing of how much of it is right.
    fn is(&self, given: &str) -> bool {
        let differences = self.0.iter().zip(given.as_bytes()).map(|(a, b)| a ^ b);
        self.0.len() == given.len() && differences.fold(0, |all, one| all | one) == 0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// An entry as a client sends it in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEntry {
    name: String,
    message: String,
    #[serde(default)]
    password: String,
}

impl App {
    pub(crate) fn new(store: Store, password: Option<Password>) -> Self {
        Self { store, password }
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        match (request.path.as_str(), request.method.as_str()) {
            ("/", _) if is_read => self.page(),
            ("/api/entries", _) if is_read => self.list(),
            ("/healthz", _) if is_read => Response::text(200, "ok"),
            ("/entries", "POST") => self.post(request),
            ("/entries", _) => Response::text(405, "entries are posted").with("allow", "POST"),
            ("/" | "/api/entries" | "/healthz", _) => {
                Response::text(405, "this is only read").with("allow", "GET, HEAD")
            }
            _ => Response::text(404, "there is nothing here"),
        }
    }

    fn page(&self) -> Response {
        let (entries, count) = self.store.newest(PAGE_ENTRIES);
        Response::new(
            200,
            "text/html; charset=utf-8",
            page::render(&entries, count, self.password.is_some()),
        )
        .with("content-security-policy", CONTENT_SECURITY_POLICY)
        .with("cache-control", "no-store")
    }

    fn list(&self) -> Response {
        let (entries, count) = self.store.newest(API_ENTRIES);
        json(200, &serde_json::json!({ "count": count, "entries": entries }))
            .with("cache-control", "no-store")
    }

    fn post(&self, request: &Request) -> Response {
        let is_json = request.content_type == "application/json";
        let new = match request.content_type.as_str() {
            "application/json" => serde_json::from_slice::<NewEntry>(&request.body)
                .map_err(|error| format!("this is not `{{\"name\", \"message\"}}`: {error}")),
            "application/x-www-form-urlencoded" => from_form(&request.body),
            _ => {
                let text = "send application/x-www-form-urlencoded or application/json";
                return Response::text(415, text);
            }
        };
        let NewEntry { name, message, password } = match new {
            Ok(new) => new,
            Err(reason) => return Response::text(400, &reason),
        };
        if self.password.as_ref().is_some_and(|wanted| !wanted.is(&password)) {
            return Response::text(403, "this is not the password that visitors were given");
        }
        // Browsers send line ends as CRLF.
        let (name, message) = (name.trim(), message.trim().replace("\r\n", "\n"));
        for (what, text, max) in
            [("name", name, NAME_CHARS_MAX), ("message", &message, MESSAGE_CHARS_MAX)]
        {
            if text.is_empty() || text.chars().count() > max {
                let reason = format!("the {what} must have 1 to {max} characters");
                return Response::text(422, &reason);
            }
        }
        match self.store.append(name.to_owned(), message) {
            Ok(entry) if is_json => created(&entry),
            Ok(_) => Response::text(303, "thank you").with("location", "/"),
            Err(error) => not_stored(&error),
        }
    }
}

fn from_form(body: &[u8]) -> Result<NewEntry, String> {
    let body = std::str::from_utf8(body).map_err(|_| "the form is not UTF-8".to_owned())?;
    let field =
        |name| form::field(body, name).ok_or_else(|| format!("the field `{name}` is missing"));
    let password = form::field(body, "password").unwrap_or_default();
    Ok(NewEntry { name: field("name")?, message: field("message")?, password })
}

fn json(status: u16, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => Response::new(status, "application/json", body),
        Err(error) => Response::text(500, &format!("can't write JSON: {error}")),
    }
}

fn created(entry: &Entry) -> Response {
    json(201, entry)
}

fn not_stored(error: &io::Error) -> Response {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded) {
        return Response::text(507, "the guest book is full; the entry was not stored");
    }
    crate::server::log_line(&format!("can't store an entry: {error}"));
    Response::text(500, "the entry was not stored; try again later")
}

#[cfg(test)]
mod tests;
