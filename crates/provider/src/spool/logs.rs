//! Chunks of sealed output: kept until a lease's retention is over, with what proves them.
//!
//! Agents choose what is in a chunk. Taken is only what goes on where the log of its key ends: the
//! next index, or (again) a chunk that is there already. Bodies are dropped, the oldest first, when a
//! lease has more than its share; hashes stay, so that what is left can still be proved.

use std::collections::BTreeMap;

use casemate_client::chain::{LeaseState, LeaseView};
use casemate_primitives::{
    AccountBytes, AgentPublicKey, Hash256, LOG_CHUNK_BYTES_MAX, LeaseId, LogChunk, ReplicaIndex,
    UnixSeconds, UsageRecord, merkle,
};
use casemate_provider_core::SignedUsageRecord;
use codec::{DecodeAll, Encode};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{RecordKey, Spool, SpoolError, signed, tree, unsigned};

/// A lease whose logs and last records are kept, also when the chain has forgotten it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeptLease {
    /// Who may read.
    pub publisher: AccountBytes,
    /// How long after its end.
    pub retention_seconds: u32,
    /// When it ended, if it has.
    pub ended_at: Option<UnixSeconds>,
}

impl KeptLease {
    /// What is kept of a lease as the chain has it.
    pub fn of(lease: &LeaseView) -> Self {
        let ended_at = match lease.state {
            LeaseState::Closing { at, .. } => Some(at),
            _ => None,
        };
        let retention_seconds = lease.terms.retention_seconds;
        Self { publisher: lease.publisher, retention_seconds, ended_at }
    }
}

/// What became of chunks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChunksAdded {
    /// How many are new.
    pub added: u64,
    /// Logs that go on no more, and why, for people. Each is told of once.
    pub refused: Vec<(AgentPublicKey, String)>,
    /// How many old bodies were dropped to make room.
    pub dropped: u64,
    /// Whether any belonged to a log for which there is no room: the lease has too many.
    pub too_many: bool,
}

/// How much of a lease's output is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogRoom {
    /// Chunks and their hashes, in bytes.
    pub bytes_max: u64,
    /// Of a task, each of whose runs has a log of its own: whole logs are dropped for newer ones, the
    /// oldest first, but none of these agents'. The chain has their heads, and may ask for any chunk
    /// under them. `None` where no log is dropped as a whole.
    pub anchored: Option<Vec<(ReplicaIndex, AgentPublicKey)>>,
}

/// A log that is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptLog {
    /// Which of the lease's pods.
    pub replica: ReplicaIndex,
    /// Which of the pod's agents.
    pub key: AgentPublicKey,
    /// How many chunks there were.
    pub chunks: u64,
    /// Index of the first chunk whose body is there; `chunks` if there is none.
    pub first: u64,
    /// Why it goes on no more.
    pub refused: Option<String>,
}

/// A chunk, and what proves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptChunk {
    /// Which.
    pub index: u64,
    /// The chunk in SCALE; `None` where it was dropped for room.
    pub chunk: Option<Vec<u8>>,
    /// From it to the root over as many chunks as were asked for; `None` where it is not among them,
    /// or there are fewer.
    pub path: Option<Vec<Hash256>>,
}

impl Spool {
    /// Notes whose leases are kept; those that were kept and are not in `leases` have ended at
    /// `now` at the latest.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_leases(
        &self,
        leases: BTreeMap<LeaseId, KeptLease>,
        now: UnixSeconds,
    ) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for (id, kept) in &leases {
                tx.prepare_cached(
                    "INSERT INTO kept_leases (lease, publisher, retention, ended)
                     VALUES (?, ?, ?, ?)
                     ON CONFLICT (lease) DO UPDATE SET ended = coalesce(ended, excluded.ended),
                         retention = excluded.retention",
                )?
                .execute(params![
                    signed(id.0),
                    kept.publisher.as_slice(),
                    kept.retention_seconds,
                    kept.ended_at.map(signed),
                ])?;
            }
            let open: Vec<i64> = {
                let mut query =
                    tx.prepare_cached("SELECT lease FROM kept_leases WHERE ended IS NULL")?;
                let rows = query.query_map([], |row| row.get(0))?;
                rows.collect::<rusqlite::Result<_>>()?
            };
            for lease in open {
                if !leases.contains_key(&LeaseId(unsigned(lease))) {
                    tx.prepare_cached("UPDATE kept_leases SET ended = ? WHERE lease = ?")?
                        .execute(params![signed(now), lease])?;
                }
            }
            tx.commit()
        })
        .await
    }

    /// All leases of which something is kept.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_leases(&self) -> Result<Vec<LeaseId>, SpoolError> {
        self.run(|db| {
            let mut query = db.prepare_cached("SELECT lease FROM kept_leases")?;
            let rows = query.query_map([], |row| Ok(LeaseId(unsigned(row.get(0)?))))?;
            rows.collect()
        })
        .await
    }

    /// What is kept of a lease, if anything.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_lease(&self, lease: LeaseId) -> Result<Option<KeptLease>, SpoolError> {
        self.run(move |db| {
            db.query_row(
                "SELECT publisher, retention, ended FROM kept_leases WHERE lease = ?",
                [signed(lease.0)],
                |row| {
                    let ended: Option<i64> = row.get(2)?;
                    Ok(KeptLease {
                        publisher: row.get(0)?,
                        retention_seconds: row.get(1)?,
                        ended_at: ended.map(unsigned),
                    })
                },
            )
            .optional()
        })
        .await
    }

    /// Keeps chunks of one pod, all or (where the database fails) none. The lease must be kept, see
    /// [`Spool::keep_leases`]: what belongs to no lease is dropped.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_log_chunks(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        chunks: Vec<LogChunk>,
        room: LogRoom,
    ) -> Result<ChunksAdded, SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            let mut done = ChunksAdded::default();
            let used = tx.query_row(
                "SELECT log_bytes FROM kept_leases WHERE lease = ?",
                [signed(lease.0)],
                |row| row.get(0),
            );
            let Some(used) = used.optional()?.map(unsigned) else { return Ok(done) };
            let mut room = Room { used, room };
            for chunk in chunks {
                let header = &chunk.header;
                let taken = match (header.lease, header.replica) == (lease, replica) {
                    true => add_chunk(&tx, &chunk, &mut room, &mut done)?,
                    false => Err("it is of another pod"),
                };
                if let Err(why) = taken {
                    refuse(&tx, (lease, replica), &chunk, why, (&mut room, &mut done))?;
                }
            }
            tx.execute(
                "UPDATE kept_leases SET log_bytes = ? WHERE lease = ?",
                params![signed(room.used), signed(lease.0)],
            )?;
            tx.commit()?;
            Ok(done)
        })
        .await
    }

    /// The logs of a lease, in the order in which they began.
    ///
    /// # Errors
    /// The database fails.
    pub async fn logs(&self, lease: LeaseId) -> Result<Vec<KeptLog>, SpoolError> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT replica, key, chunks, refused, (SELECT MIN(chunk) FROM log_chunks
                     WHERE log = logs.id AND body IS NOT NULL)
                 FROM logs WHERE lease = ? ORDER BY id LIMIT ?",
            )?;
            let rows = query.query_map(params![signed(lease.0), LOGS_MAX], |row| {
                let (chunks, first) = (row.get(2)?, row.get::<_, Option<i64>>(4)?);
                Ok(KeptLog {
                    replica: row.get(0)?,
                    key: row.get(1)?,
                    chunks: unsigned(chunks),
                    first: unsigned(first.unwrap_or(chunks)),
                    refused: row.get(3)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Up to `limit` chunks of a log from index `from` on, each with its path in the tree of the
    /// first `size` chunks.
    ///
    /// # Errors
    /// The database fails.
    pub async fn log_chunks(
        &self,
        key: RecordKey,
        from: u64,
        limit: u32,
        size: u64,
    ) -> Result<Vec<KeptChunk>, SpoolError> {
        self.run(move |db| {
            let Some((log, length)) = log_of(db, &key)? else { return Ok(Vec::new()) };
            let mut query = db.prepare_cached(
                "SELECT chunk, body FROM log_chunks WHERE log = ? AND chunk >= ?
                 ORDER BY chunk LIMIT ?",
            )?;
            let rows = query.query_map(params![log, signed(from), limit], |row| {
                Ok((unsigned(row.get(0)?), row.get::<_, Option<Vec<u8>>>(1)?))
            })?;
            let mut chunks = Vec::new();
            for row in rows {
                let (index, chunk) = row?;
                let path = match size <= length {
                    true => tree::path(index, size, &mut |level, at| node(db, log, level, at))?,
                    false => None,
                };
                chunks.push(KeptChunk { index, chunk, path });
            }
            Ok(chunks)
        })
        .await
    }

    /// The chunk at `index` of a log, with its path in the tree of the first `size` chunks: what a
    /// challenge asks for. `None` where it is not (or no longer) there.
    ///
    /// # Errors
    /// The database fails.
    pub async fn proved_log_chunk(
        &self,
        key: RecordKey,
        index: u64,
        size: u64,
    ) -> Result<Option<(LogChunk, Vec<Hash256>)>, SpoolError> {
        let found = self.log_chunks(key, index, 1, size).await?.pop();
        Ok(found.filter(|found| found.index == index).and_then(|found| {
            let chunk = LogChunk::decode_all(&mut found.chunk?.as_slice()).ok()?;
            Some((chunk, found.path?))
        }))
    }

    /// Records of a replica (of all where `None`) that are here, unclaimed ones and the newest of
    /// each agent: those of each agent after sequence `after`, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn signed_records(
        &self,
        lease: LeaseId,
        replica: Option<ReplicaIndex>,
        after: u64,
    ) -> Result<Vec<SignedUsageRecord>, SpoolError> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT key, record, signature, replica, sequence FROM records
                     WHERE lease = ?1 AND (?2 IS NULL OR replica = ?2) AND sequence > ?3
                 UNION SELECT key, record, signature, replica, sequence FROM last_records
                     WHERE lease = ?1 AND (?2 IS NULL OR replica = ?2) AND sequence > ?3
                 ORDER BY replica, key, sequence LIMIT ?4",
            )?;
            let asked = params![signed(lease.0), replica, signed(after), RECORDS_MAX];
            let rows = query.query_map(asked, |row| {
                Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
            })?;
            let mut records = Vec::new();
            for row in rows {
                let (key, record, signature) = row?;
                if let Ok(record) = UsageRecord::decode_all(&mut record.as_slice()) {
                    records.push(SignedUsageRecord { record, key, signature, run: None });
                }
            }
            Ok(records)
        })
        .await
    }

    /// Throws away what is kept of leases whose retention is over and that are not on chain, which
    /// are those in `live`. Returns how many leases that were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sweep_logs(
        &self,
        live: Vec<LeaseId>,
        now: UnixSeconds,
    ) -> Result<usize, SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            let over: Vec<i64> = {
                let mut query =
                    tx.prepare_cached("SELECT lease FROM kept_leases WHERE ended + retention < ?")?;
                let rows = query.query_map([signed(now)], |row| row.get::<_, i64>(0))?;
                let over = rows.collect::<rusqlite::Result<Vec<_>>>()?;
                over.into_iter().filter(|id| !live.contains(&LeaseId(unsigned(*id)))).collect()
            };
            for lease in &over {
                tx.execute(
                    "DELETE FROM log_nodes WHERE log IN (SELECT id FROM logs WHERE lease = ?)",
                    [lease],
                )?;
                for table in ["log_chunks", "logs", "last_records", "kept_leases"] {
                    tx.execute(&format!("DELETE FROM {table} WHERE lease = ?"), [lease])?;
                }
            }
            tx.commit()?;
            Ok(over.len())
        })
        .await
    }
}

/// Before records are deleted: the newest of each agent of a kept lease stays, as what its log's head
/// is proved by. `only` is one agent, or all of the lease.
pub(super) fn keep_last_records(
    tx: &Transaction<'_>,
    lease: LeaseId,
    only: Option<(ReplicaIndex, AgentPublicKey)>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO last_records (lease, replica, key, sequence, record, signature)
         SELECT lease, replica, key, MAX(sequence), record, signature FROM records
         WHERE lease = ?1 AND (?2 IS NULL OR (replica = ?2 AND key = ?3))
             AND lease IN (SELECT lease FROM kept_leases)
         GROUP BY lease, replica, key
         ON CONFLICT (lease, replica, key) DO UPDATE SET sequence = excluded.sequence,
             record = excluded.record, signature = excluded.signature
             WHERE excluded.sequence > sequence",
    )?
    .execute(params![
        signed(lease.0),
        only.map(|(replica, _)| replica),
        only.map(|(_, key)| key.to_vec())
    ])
    .map(drop)
}

/// How many bytes a lease has, and what it may have.
struct Room {
    used: u64,
    room: LogRoom,
}

/// Adds one chunk, or says why it is not taken.
fn add_chunk(
    tx: &Transaction<'_>,
    chunk: &LogChunk,
    room: &mut Room,
    done: &mut ChunksAdded,
) -> rusqlite::Result<Result<(), &'static str>> {
    let header = &chunk.header;
    let (lease, replica) = (header.lease, header.replica);
    let no = |why| Ok(Err(why));
    let known = tx
        .prepare_cached(
            "SELECT id, chunks, refused IS NOT NULL FROM logs
             WHERE lease = ? AND replica = ? AND key = ?",
        )?
        .query_row(params![signed(lease.0), replica, header.key.as_slice()], |row| {
            Ok((row.get::<_, i64>(0)?, unsigned(row.get(1)?), row.get::<_, bool>(2)?))
        })
        .optional()?;
    if known.is_some_and(|(_, _, refused)| refused) {
        return Ok(Ok(()));
    }
    if chunk.body.len() > LOG_CHUNK_BYTES_MAX as usize {
        return no("it is longer than a chunk may be");
    }
    let next = known.map_or(0, |(_, chunks, _)| chunks);
    let encoded = chunk.encode();
    let leaf = merkle::leaf_hash(&encoded);
    if header.index < next {
        let log = known.map_or(0, |(log, ..)| log);
        return match node(tx, log, 0, header.index)? == Some(leaf) {
            true => Ok(Ok(())),
            false => no("it contradicts the chunk that was written at its place before"),
        };
    }
    if header.index > next {
        return no("chunks before it are missing");
    }
    let size = encoded.len() as u64;
    // Hashes are never dropped, so they alone may be all that fits.
    let log = match known {
        Some((log, ..)) => log,
        None => match new_log(tx, chunk, room)? {
            Some(log) => log,
            None => return no("the lease has too many logs"),
        },
    };
    while room.used.saturating_add(size + LEAF_BYTES) > room.room.bytes_max {
        if let Some(freed) = drop_oldest(tx, lease)? {
            room.used = room.used.saturating_sub(freed);
            done.dropped += 1;
        } else if !drop_log(tx, lease, Some(log), room)? {
            return no("the provider keeps no more of this lease's output");
        }
    }
    let nodes = tree::append(header.index, leaf, &mut |level, at| node(tx, log, level, at))?;
    let Some(nodes) = nodes else { return no("what the provider has of its log is damaged") };
    for (level, position, hash) in nodes {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO log_nodes (log, level, position, hash) VALUES (?, ?, ?, ?)",
        )?
        .execute(params![log, level, signed(position), hash.as_slice()])?;
    }
    tx.prepare_cached(
        "INSERT INTO log_chunks (lease, log, chunk, size, body) VALUES (?, ?, ?, ?, ?)",
    )?
    .execute(params![signed(lease.0), log, signed(header.index), signed(size), encoded])?;
    tx.prepare_cached("UPDATE logs SET chunks = ? WHERE id = ?")?
        .execute(params![signed(header.index + 1), log])?;
    room.used = room.used.saturating_add(size + LEAF_BYTES);
    done.added += 1;
    Ok(Ok(()))
}

/// A log with nothing in it; `None` where the lease has as many as it may.
fn new_log(
    tx: &Transaction<'_>,
    chunk: &LogChunk,
    room: &mut Room,
) -> rusqlite::Result<Option<i64>> {
    let header = &chunk.header;
    let count: u32 = tx.query_row(
        "SELECT COUNT(*) FROM logs WHERE lease = ?",
        [signed(header.lease.0)],
        |row| row.get(0),
    )?;
    if count >= LOGS_MAX && !drop_log(tx, header.lease, None, room)? {
        return Ok(None);
    }
    tx.query_row(
        "INSERT INTO logs (lease, replica, key) VALUES (?, ?, ?) RETURNING id",
        params![signed(header.lease.0), header.replica, header.key.as_slice()],
        |row| row.get(0),
    )
    .map(Some)
}

/// Ends a chunk's log, and has that told once.
fn refuse(
    tx: &Transaction<'_>,
    (lease, replica): (LeaseId, ReplicaIndex),
    chunk: &LogChunk,
    why: &str,
    (room, done): (&mut Room, &mut ChunksAdded),
) -> rusqlite::Result<()> {
    let header = &chunk.header;
    let reason = format!("chunk {} is not taken: {why}", header.index);
    let log = match log_of(tx, &(lease, replica, header.key))? {
        Some((log, _)) => Some(log),
        // Where the header is of another pod, the log is that of this pod under this key.
        None => {
            let mut own = chunk.clone();
            (own.header.lease, own.header.replica) = (lease, replica);
            new_log(tx, &own, room)?
        }
    };
    let Some(log) = log else {
        // There is nothing that it could be noted at.
        done.too_many = true;
        return Ok(());
    };
    let marked = tx.execute(
        "UPDATE logs SET refused = ? WHERE id = ? AND refused IS NULL",
        params![reason, log],
    )?;
    if marked > 0 {
        done.refused.push((header.key, reason));
    }
    Ok(())
}

/// Drops a lease's oldest log as a whole, but none that is anchored or is a replica's newest (its key
/// may be anchored next), nor `spared`. Returns whether there was one.
fn drop_log(
    tx: &Transaction<'_>,
    lease: LeaseId,
    spared: Option<i64>,
    room: &mut Room,
) -> rusqlite::Result<bool> {
    let Some(anchored) = &room.room.anchored else { return Ok(false) };
    let found = {
        let mut query = tx.prepare_cached(
            "SELECT id, replica, key, chunks FROM logs WHERE lease = ?1 AND id NOT IN
                 (SELECT MAX(id) FROM logs WHERE lease = ?1 GROUP BY replica) ORDER BY id",
        )?;
        let mut rows = query.query([signed(lease.0)])?;
        loop {
            let Some(row) = rows.next()? else { break None };
            let (id, agent) = (row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?));
            if Some(id) != spared && !anchored.contains(&agent) {
                break Some((id, agent, unsigned(row.get(3)?)));
            }
        }
    };
    let Some((log, (replica, key), chunks)) = found else { return Ok(false) };
    let bodies: i64 = tx
        .prepare_cached(
            "SELECT coalesce(SUM(size), 0) FROM log_chunks WHERE log = ? AND body IS NOT NULL",
        )?
        .query_row([log], |row| row.get(0))?;
    for sql in [
        "DELETE FROM log_nodes WHERE log = ?",
        "DELETE FROM log_chunks WHERE log = ?",
        "DELETE FROM logs WHERE id = ?",
    ] {
        tx.prepare_cached(sql)?.execute([log])?;
    }
    // The record that has proved it serves nothing any more.
    tx.prepare_cached("DELETE FROM last_records WHERE lease = ? AND replica = ? AND key = ?")?
        .execute(params![signed(lease.0), replica, key.as_slice()])?;
    let freed = unsigned(bodies).saturating_add(chunks.saturating_mul(LEAF_BYTES));
    room.used = room.used.saturating_sub(freed);
    Ok(true)
}

/// Drops the body of a lease's oldest chunk; returns what it took.
fn drop_oldest(tx: &Transaction<'_>, lease: LeaseId) -> rusqlite::Result<Option<u64>> {
    let size = tx
        .prepare_cached(
            "UPDATE log_chunks SET body = NULL WHERE id = (
                 SELECT id FROM log_chunks WHERE lease = ? AND body IS NOT NULL
                 ORDER BY id LIMIT 1) RETURNING size",
        )?
        .query_row([signed(lease.0)], |row| row.get(0))
        .optional()?;
    Ok(size.map(unsigned))
}

fn log_of(db: &Connection, key: &RecordKey) -> rusqlite::Result<Option<(i64, u64)>> {
    db.prepare_cached("SELECT id, chunks FROM logs WHERE lease = ? AND replica = ? AND key = ?")?
        .query_row(params![signed(key.0.0), key.1, key.2.as_slice()], |row| {
            Ok((row.get(0)?, unsigned(row.get(1)?)))
        })
        .optional()
}

fn node(db: &Connection, log: i64, level: u32, at: u64) -> rusqlite::Result<Option<Hash256>> {
    db.prepare_cached("SELECT hash FROM log_nodes WHERE log = ? AND level = ? AND position = ?")?
        .query_row(params![log, level, signed(at)], |row| row.get(0))
        .optional()
}

/// What a chunk costs for good: its hash, about one node above it, and their rows.
const LEAF_BYTES: u64 = 160;
/// Logs of one lease: each start of an agent begins one. 64 replicas that start again 64 times; a list
/// of them is below 1 MiB. A task has one for each run, and keeps the newest.
const LOGS_MAX: u32 = 4096;
/// Records in one answer: an answer of 512 bytes each is far below what clients take.
const RECORDS_MAX: u32 = 2048;
pub(super) const SCHEMA: &str = include_str!("logs.sql");

#[cfg(test)]
mod tests;
