//! What the host may ask for.

use super::{
    Shared,
    connection::error,
    guest::{self, Guest, State},
    now,
};
use crate::{
    Error, Misbehaviour,
    evidence::Format,
    measure::Content,
    wire::{Kind, from_hex_array},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Request {
    Launch(Box<Launch>),
    Destroy(Id),
    List(Nothing),
    Collateral(Nothing),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Launch {
    id: String,
    kind: String,
    version: Option<u16>,
    agent: PathBuf,
    root_fs: Option<PathBuf>,
    manifest_hash: String,
    owner: Option<guest::Owner>,
    #[serde(default)]
    misbehave: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Longest name of a guest: with the rest of its path it has to fit into a socket's address.
const ID_LENGTH_MAX: usize = 64;

/// Answers one line.
pub(super) fn answer(shared: &Arc<Shared>, line: &[u8]) -> Vec<u8> {
    let answer = match serde_json::from_slice(line) {
        Ok(Request::Launch(request)) => launch(shared, *request),
        Ok(Request::Destroy(Id { id })) => destroy(shared, &id),
        Ok(Request::List(Nothing {})) => list(shared),
        Ok(Request::Collateral(Nothing {})) => collateral(shared),
        Err(err) => Err(Error::Request(format!("this is no request that is known: {err}"))),
    };
    match answer {
        Ok(answer) => answer.to_string().into_bytes(),
        Err(err) => error(&err.chain()),
    }
}

fn launch(shared: &Arc<Shared>, request: Launch) -> Result<Value, Error> {
    let id_is_good = !request.id.is_empty()
        && request.id.len() <= ID_LENGTH_MAX
        && request.id.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !id_is_good {
        return Err(Error::Request(format!(
            "`id` must be 1 to {ID_LENGTH_MAX} of a-z, 0-9 and -, not `{}`",
            request.id.escape_default()
        )));
    }
    let kind = Kind::parse(&request.kind).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        Error::Request(format!("`kind` must be one of {known}"))
    })?;
    let format = Format::new(kind, request.version)?;
    let manifest_hash = from_hex_array(&request.manifest_hash)
        .ok_or_else(|| Error::Request("`manifestHash` must be 64 digits of hex".into()))?;
    let misbehave: Vec<Misbehaviour> =
        request.misbehave.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    if let Some(one) = misbehave.iter().find(|one| !one.is_of(kind)) {
        return Err(Error::Request(format!("no guest of {kind} can misbehave by `{one}`")));
    }
    if shared.guests().contains_key(&request.id) {
        return Err(Error::GuestExists(request.id));
    }
    // Measured without the lock, because it takes long; the name is asked for again below.
    let content = Content::read(&request.agent, request.root_fs.as_deref(), manifest_hash)?;
    let state = State::new(request.id.clone(), format, content, request.owner, misbehave);
    let mut guests = shared.guests();
    if guests.contains_key(&request.id) {
        return Err(Error::GuestExists(request.id));
    }
    let folder = shared.directory.guests().join(&request.id);
    state.create(&folder)?;
    let running = match shared.start_guest(Guest::new(folder.clone(), state)) {
        Ok(running) => running,
        Err(err) => {
            guest::forget(&folder)?;
            return Err(err);
        }
    };
    let description = running.guest.describe();
    guests.insert(request.id, running);
    Ok(json!({ "launched": description }))
}

fn destroy(shared: &Shared, id: &str) -> Result<Value, Error> {
    let mut guests = shared.guests();
    let running = guests.get(id).ok_or_else(|| Error::NoSuchGuest(id.to_owned()))?;
    // From here on it does not come back, whatever happens to us.
    running.guest.end()?;
    let folder = running.guest.folder().to_path_buf();
    if let Some(running) = guests.remove(id) {
        running.listening.stop();
    }
    guest::forget(&folder)?;
    Ok(json!({ "destroyed": id }))
}

fn list(shared: &Shared) -> Result<Value, Error> {
    let guests: Vec<_> = shared.guests().values().map(|running| running.guest.describe()).collect();
    Ok(json!({ "guests": guests }))
}

fn collateral(shared: &Shared) -> Result<Value, Error> {
    Ok(json!({ "collateral": shared.directory.collateral(now()?, &shared.misbehave)? }))
}
