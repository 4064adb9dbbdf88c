//! Usage records that the publisher holds: a file of JSON lines for each lease, added to and never
//! rewritten. A line that was cut off (the machine went down) is dropped when the next is written.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use casemate_client::{
    api::{Hex, RecordEntry},
    chain::AgentView,
    records::{Contradiction, SignedRecord, first_contradiction},
};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, LogHead, ReplicaIndex, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, OrFail as _, fail},
    keystore::make_folder,
    state::replace,
};

/// One line. What is readable in it is for people: the record itself is what counts.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    chain: Hex<[u8; 32]>,
    lease: LeaseId,
    replica: ReplicaIndex,
    sequence: u64,
    from: UnixSeconds,
    to: UnixSeconds,
    #[serde(flatten)]
    entry: RecordEntry,
}

/// What a dispute needs: two records of one agent that can't both be true.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dispute {
    chain: Hex<[u8; 32]>,
    lease: LeaseId,
    replica: ReplicaIndex,
    key: Hex<[u8; 32]>,
    why: String,
    first: RecordEntry,
    second: RecordEntry,
}

/// Reads two records that prove misconduct in `lease`, and checks all that the chain will check but
/// for whose key it is.
pub(crate) fn read_evidence(
    path: &Path,
    genesis_hash: &Hash256,
    lease: LeaseId,
) -> anyhow::Result<[SignedRecord; 2]> {
    let shown = path.display();
    let wrong = |why: String| {
        Failure::new(format!("`{shown}` proves nothing: {why}"))
            .hint("give the file that this has written: casemate lease records")
    };
    let size = fs::metadata(path).map(|file| file.len());
    let text = size.and_then(|size| match size {
        ..=EVIDENCE_BYTES_MAX => fs::read(path),
        _ => Err(io::Error::other("it is too long")),
    });
    let text = text.or_fail(|| Failure::usage(format!("cannot read `{shown}`")))?;
    let dispute: Dispute = serde_json::from_slice(&text)
        .or_fail(|| wrong("it does not have two usage records".into()))?;
    if dispute.chain.0 != *genesis_hash {
        return fail(wrong("it is of another chain".into()));
    }
    let record = |entry: &RecordEntry, which: &str| {
        SignedRecord::check(entry, lease, genesis_hash)
            .or_fail(|| wrong(format!("its {which} record does not count")))
    };
    let (first, second) = (record(&dispute.first, "first")?, record(&dispute.second, "second")?);
    if first.key() != second.key() {
        return fail(wrong("its records are of two agents".into()));
    }
    if !first.record().contradicts(second.record()) {
        let told = Failure::new(format!("`{shown}` does not prove it: both records can be true"));
        return fail(told.hint(format!(
            "what the chain can't decide by itself, arbiters can: casemate lease contest {lease}"
        )));
    }
    Ok([first, second])
}

/// Files with contradictions that were written beside a lease's records.
pub(crate) fn evidence_beside(records: &Path) -> Vec<PathBuf> {
    let stem = records.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let (Some(stem), Some(folder)) = (stem, records.parent()) else { return Vec::new() };
    let start = format!("{stem}.contradiction-");
    let is_evidence = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with(&start) && name.ends_with(".json"))
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_evidence).collect();
    found.sort();
    found
}

/// Two records and what is said of them take a few KiB.
const EVIDENCE_BYTES_MAX: u64 = 64 * 1024;

/// The records of one lease.
#[derive(Debug)]
pub(crate) struct KeptRecords {
    path: PathBuf,
    genesis_hash: Hash256,
    lease: LeaseId,
    records: Vec<SignedRecord>,
    /// Length of the file's whole lines.
    length: u64,
}

/// A log's head, and who stands behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AnchoredHead {
    /// Which of the lease's pods.
    pub(crate) replica: ReplicaIndex,
    /// Which of the pod's agents.
    pub(crate) key: AgentPublicKey,
    /// The head.
    pub(crate) head: LogHead,
    /// Number of the record that has it.
    pub(crate) sequence: u64,
    /// Up to when that record goes.
    pub(crate) to: UnixSeconds,
}

impl AnchoredHead {
    fn of(signed: &SignedRecord) -> Self {
        let record = signed.record();
        Self {
            replica: record.replica,
            key: *signed.key(),
            head: record.log,
            sequence: record.sequence,
            to: record.to,
        }
    }
}

/// Head of the log of an agent that the chain has attested: that of its newest record, `records` being
/// checked ones of the lease, from wherever.
///
/// # Errors
/// For people: there is no record that is as new as the one that was claimed, or one that says otherwise.
pub(crate) fn anchored_head(
    agent: &AgentView,
    records: &[SignedRecord],
) -> Result<AnchoredHead, String> {
    let replica = agent.replica;
    let own = || {
        records
            .iter()
            .filter(|signed| signed.record().replica == replica && *signed.key() == agent.key)
    };
    // What was claimed is on chain: no record may say otherwise of the log.
    let is_other = |signed: &&SignedRecord| {
        let record = signed.record();
        (record.sequence == agent.sequence && record.log != agent.log)
            || (record.sequence > agent.sequence && record.log.chunks < agent.log.chunks)
    };
    if let Some(other) = own().find(is_other) {
        return Err(format!(
            "replica {replica}: record {} has another log than the chain",
            other.record().sequence
        ));
    }
    match own().max_by_key(|signed| signed.record().sequence) {
        Some(newest) if newest.record().sequence >= agent.sequence => Ok(AnchoredHead::of(newest)),
        Some(newest) => Err(format!(
            "replica {replica}: the provider shows records up to {} only, and has claimed {}",
            newest.record().sequence,
            agent.sequence
        )),
        None => Err(format!("replica {replica}: the provider shows no record of its agent")),
    }
}

impl KeptRecords {
    /// Reads a lease's file; none is an empty one.
    pub(crate) fn open(path: &Path, genesis_hash: Hash256, lease: LeaseId) -> anyhow::Result<Self> {
        let mut kept =
            Self { path: path.to_owned(), genesis_hash, lease, records: Vec::new(), length: 0 };
        let text = match fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(kept),
            text => text.or_fail(|| Failure::new(format!("cannot read `{}`", path.display())))?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        kept.length = whole as u64;
        let lines = text.get(..whole).unwrap_or_default().split_inclusive(|byte| *byte == b'\n');
        for (number, line) in (1..).zip(lines) {
            let wrong = |why: String| {
                Failure::new(format!("`{}`, line {number}: {why}", path.display())).hint(
                    "it was changed; take a copy of it from elsewhere, or name another --save FILE",
                )
            };
            let line: Line =
                serde_json::from_slice(line).or_fail(|| wrong("it is no usage record".into()))?;
            if line.chain.0 != genesis_hash {
                return fail(wrong("it is of another chain".into()));
            }
            let signed = SignedRecord::check(&line.entry, lease, &genesis_hash);
            kept.records.push(signed.map_err(|err| wrong(err.to_string()).into_error())?);
        }
        Ok(kept)
    }

    /// All of them.
    pub(crate) fn records(&self) -> &[SignedRecord] {
        &self.records
    }

    /// The newest record's head of each agent.
    pub(crate) fn heads(&self) -> Vec<AnchoredHead> {
        let mut newest: BTreeMap<(ReplicaIndex, AgentPublicKey), AnchoredHead> = BTreeMap::new();
        for signed in &self.records {
            let head = AnchoredHead::of(signed);
            let known = newest.entry((head.replica, head.key)).or_insert(head);
            if known.sequence < head.sequence {
                *known = head;
            }
        }
        newest.into_values().collect()
    }

    /// Whether records of this agent were taken before.
    pub(crate) fn knows(&self, replica: ReplicaIndex, key: &AgentPublicKey) -> bool {
        self.records.iter().any(|s| s.record().replica == replica && s.key() == key)
    }

    /// Adds what is new, and returns how much that is. Records that contradict kept ones, or one
    /// another, are not added: both are written to a file of their own.
    ///
    /// # Errors
    /// The disk says no, or there is a contradiction, which is told with that file.
    pub(crate) fn add(&mut self, fetched: &[SignedRecord]) -> anyhow::Result<usize> {
        let mut all = self.records.clone();
        let mut text = Vec::new();
        let mut new = Vec::new();
        for signed in fetched {
            // An agent signs one record once; another signature over the same says nothing new.
            if all
                .iter()
                .any(|known| known.record() == signed.record() && known.key() == signed.key())
            {
                continue;
            }
            all.push(*signed);
            new.push(*signed);
            let record = signed.record();
            let line = Line {
                chain: Hex(self.genesis_hash),
                lease: self.lease,
                replica: record.replica,
                sequence: record.sequence,
                from: record.from,
                to: record.to,
                entry: signed.to_entry(),
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        if let Some((first, second, why)) = first_contradiction(&all) {
            return Err(self.contradiction(&first, &second, why));
        }
        if new.is_empty() {
            return Ok(0);
        }
        self.append(&text)
            .or_fail(|| Failure::new(format!("cannot write `{}`", self.path.display())))?;
        self.length += text.len() as u64;
        self.records.extend(&new);
        Ok(new.len())
    }

    /// What is wrong with what is kept already.
    ///
    /// # Errors
    /// There is a contradiction.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match first_contradiction(&self.records) {
            Some((first, second, why)) => Err(self.contradiction(&first, &second, why)),
            None => Ok(()),
        }
    }

    fn append(&self, text: &[u8]) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        file.set_len(self.length)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(text)?;
        Ok(file.sync_all()?)
    }

    /// Writes what proves it, and makes the error that says so.
    fn contradiction(
        &self,
        first: &SignedRecord,
        second: &SignedRecord,
        why: Contradiction,
    ) -> anyhow::Error {
        let (a, b) = (first.record(), second.record());
        let dispute = Dispute {
            chain: Hex(self.genesis_hash),
            lease: self.lease,
            replica: a.replica,
            key: Hex(*first.key()),
            why: why.to_string(),
            first: first.to_entry(),
            second: second.to_entry(),
        };
        let key: String = hex::encode(first.key()).chars().take(8).collect();
        let name = format!("contradiction-{key}-{}-{}.json", a.sequence, b.sequence);
        let path = self.path.with_extension(name);
        let told = Failure::new(format!(
            "THE RECORDS OF LEASE {} CONTRADICT EACH OTHER: replica {}, records {} and {}: {why}",
            self.lease, a.replica, a.sequence, b.sequence
        ));
        let written = serde_json::to_vec_pretty(&dispute).map_err(anyhow::Error::from).and_then(
            |mut bytes| {
                bytes.push(b'\n');
                if let Some(folder) = path.parent().filter(|at| !at.as_os_str().is_empty()) {
                    make_folder(folder)?;
                }
                Ok(replace(&path, &bytes)?)
            },
        );
        match written {
            Ok(()) => told
                .hint(format!(
                    "both are in `{}`, signed: prove it before the claims are final: casemate lease \
                     misconduct {}",
                    path.display(),
                    self.lease
                ))
                .into_error(),
            Err(error) => error.context(told.hint(format!(
                "`{}` could not be written; make room and do this again",
                path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
