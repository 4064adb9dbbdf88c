//! What must outlive the process and is neither on chain nor in the backend: usage records not yet
//! claimed, offers that still hold, events, which pods and ports were given out. SQLite in WAL mode
//! with full synchronisation: what was answered for is on disk.

mod batches;
mod logs;
mod tree;

pub use batches::LeafPlace;
pub use logs::{ChunksAdded, KeptChunk, KeptLease, KeptLog, LogRoom};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use casemate_client::api::EventEntry;
use casemate_primitives::{
    AccountBytes, AgentPublicKey, Hash256, LeaseId, ReplicaIndex, RunId, RunResult, UnixSeconds,
    UsageRecord,
};
use casemate_provider_core::{PodId, SignedRunResult, SignedUsageRecord};
use codec::{DecodeAll, Encode};
use rusqlite::{Connection, OptionalExtension, params};

/// Whose records: one chain of records.
pub type RecordKey = (LeaseId, ReplicaIndex, AgentPublicKey);

/// An offer that may still become a lease, and what it holds back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenQuote {
    /// The quote's nonce.
    pub nonce: [u8; 16],
    /// Who may use it.
    pub publisher: AccountBytes,
    /// For which manifest.
    pub manifest_hash: Hash256,
    /// Number of replicas.
    pub replicas: u16,
    /// Until when it holds.
    pub expires_at: UnixSeconds,
}

/// Something to tell a publisher.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewEvent {
    /// Lease concerned.
    pub lease: LeaseId,
    /// When.
    pub time: UnixSeconds,
    /// Short name.
    pub kind: &'static str,
    /// Pod concerned.
    pub pod: Option<PodId>,
    /// For people.
    pub message: String,
}

/// Why the spool can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// SQLite says no (disk full, damaged file).
    #[error("spool `{path}`: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The folder belongs to another chain or account.
    #[error(
        "spool `{path}` belongs to another {what}: use another `data_dir`, or the one that the \
         spool was made for"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `chain` or `account`.
        what: &'static str,
    },
    /// The task that used it died.
    #[error("spool `{path}`: an access was cut short")]
    Interrupted {
        /// The file.
        path: PathBuf,
    },
}

/// Cheap to clone; every access runs on a thread that may block.
#[derive(Clone, Debug)]
pub struct Spool {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
}

impl Spool {
    /// Opens `spool.db` in `data_dir`, or makes it for this chain and account.
    ///
    /// # Errors
    /// The file can't be opened, or belongs to another chain or account.
    pub fn open(
        data_dir: &Path,
        genesis_hash: &Hash256,
        account: &AccountBytes,
    ) -> Result<Self, SpoolError> {
        let path = data_dir.join("spool.db");
        let failed = |source| SpoolError::Sqlite { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        connection.execute_batch(logs::SCHEMA).map_err(failed)?;
        connection.execute_batch(batches::SCHEMA).map_err(failed)?;
        for (what, value) in [("chain", genesis_hash), ("account", account)] {
            let stored: Vec<u8> = connection
                .query_row(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = value RETURNING value",
                    params![what, value.as_slice()],
                    |row| row.get(0),
                )
                .map_err(failed)?;
            if stored != value {
                return Err(SpoolError::Foreign { path, what });
            }
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path })
    }

    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, SpoolError> {
        let connection = Arc::clone(&self.connection);
        let job = tokio::task::spawn_blocking(move || {
            // A transaction that a panic cut short was rolled back when it was dropped.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match job.await {
            Ok(done) => {
                done.map_err(|source| SpoolError::Sqlite { path: self.path.clone(), source })
            }
            Err(_) => Err(SpoolError::Interrupted { path: self.path.clone() }),
        }
    }

    /// Number of the newest finalised block that was acted on.
    ///
    /// # Errors
    /// The database fails.
    pub async fn newest_block(&self) -> Result<u32, SpoolError> {
        self.run(|db| {
            let row = db.query_row("SELECT value FROM meta WHERE name = 'block'", [], |row| {
                row.get::<_, u32>(0)
            });
            Ok(row.optional()?.unwrap_or(0))
        })
        .await
    }

    /// Notes the newest finalised block that was acted on.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_newest_block(&self, block: u32) -> Result<(), SpoolError> {
        self.run(move |db| {
            db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('block', ?1)", [block])
                .map(drop)
        })
        .await
    }

    /// Notes which manifests pods run, before they are applied.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_pods(&self, pods: Vec<(PodId, Hash256)>) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for (pod, hash) in pods {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO pods (pod, lease, manifest) VALUES (?, ?, ?)",
                )?
                .execute(params![
                    pod.to_string(),
                    signed(pod.lease.0),
                    hash.as_slice()
                ])?;
            }
            tx.commit()
        })
        .await
    }

    /// Forgets a pod that was deleted. That its lease had pods is remembered until
    /// [`Spool::forget_lease`].
    ///
    /// # Errors
    /// The database fails.
    pub async fn pod_deleted(&self, pod: PodId) -> Result<(), SpoolError> {
        self.run(move |db| {
            db.execute("UPDATE pods SET manifest = NULL WHERE pod = ?", params![pod.to_string()])
                .map(drop)
        })
        .await
    }

    /// Pods with their manifests, and all leases that had pods.
    ///
    /// # Errors
    /// The database fails.
    pub async fn pods(&self) -> Result<(BTreeMap<PodId, Hash256>, BTreeSet<LeaseId>), SpoolError> {
        self.run(|db| {
            let mut pods = BTreeMap::new();
            let mut leases = BTreeSet::new();
            let mut query = db.prepare("SELECT pod, lease, manifest FROM pods")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                leases.insert(LeaseId(unsigned(row.get(1)?)));
                let hash: Option<[u8; 32]> = row.get(2)?;
                if let (Ok(pod), Some(hash)) = (row.get::<_, String>(0)?.parse(), hash) {
                    pods.insert(pod, hash);
                }
            }
            Ok((pods, leases))
        })
        .await
    }

    /// Forgets everything about a lease that is settled and whose volumes are gone.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_lease(&self, lease: LeaseId) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            logs::keep_last_records(&tx, lease, None)?;
            for table in ["pods", "records", "results", "events", "tcp_ports", "uploads"] {
                let sql = format!("DELETE FROM {table} WHERE lease = ?");
                tx.execute(&sql, [signed(lease.0)])?;
            }
            tx.commit()
        })
        .await
    }

    /// Keeps records until they are claimed: the newest 256 of each agent, because a lease that
    /// closes may be paid only up to an older one.
    ///
    /// # Errors
    /// The database fails; nothing is kept then.
    pub async fn add_records(&self, records: Vec<SignedUsageRecord>) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for signed_record in records {
                let record = &signed_record.record;
                let (lease, key) = (signed(record.lease.0), signed_record.key);
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO records
                     (lease, replica, key, sequence, until, record, signature)
                     VALUES (?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    lease,
                    record.replica,
                    key.as_slice(),
                    signed(record.sequence),
                    signed(record.to),
                    record.encode(),
                    signed_record.signature.as_slice(),
                ])?;
                if let Some(run) = &signed_record.run {
                    tx.prepare_cached(
                        "INSERT OR REPLACE INTO results
                         (lease, replica, key, record, record_signature, result, signature)
                         VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![
                        lease,
                        record.replica,
                        key.as_slice(),
                        record.encode(),
                        signed_record.signature.as_slice(),
                        run.result.encode(),
                        run.signature.as_slice(),
                    ])?;
                }
                tx.prepare_cached(
                    "DELETE FROM records
                     WHERE lease = ? AND replica = ? AND key = ? AND sequence <= ?",
                )?
                .execute(params![
                    lease,
                    record.replica,
                    key.as_slice(),
                    signed(record.sequence.saturating_sub(RECORDS_PER_KEY_MAX)),
                ])?;
            }
            tx.commit()
        })
        .await
    }

    /// Sequence and end of the newest record of each agent.
    ///
    /// # Errors
    /// The database fails.
    pub async fn newest_records(
        &self,
    ) -> Result<HashMap<RecordKey, (u64, UnixSeconds)>, SpoolError> {
        self.run(|db| {
            let mut query = db.prepare(
                "SELECT lease, replica, key, MAX(sequence), until FROM records
                 GROUP BY lease, replica, key",
            )?;
            let rows = query.query_map([], |row| {
                let key = (LeaseId(unsigned(row.get(0)?)), row.get(1)?, row.get(2)?);
                Ok((key, (unsigned(row.get(3)?), unsigned(row.get(4)?))))
            })?;
            rows.collect()
        })
        .await
    }

    /// The newest record of an agent after sequence `after` that ends at or before `until`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claimable(
        &self,
        key: RecordKey,
        after: u64,
        until: UnixSeconds,
    ) -> Result<Option<SignedUsageRecord>, SpoolError> {
        self.run(move |db| {
            let row = db.query_row(
                "SELECT record, signature FROM records
                 WHERE lease = ? AND replica = ? AND key = ? AND sequence > ? AND until <= ?
                 ORDER BY sequence DESC LIMIT 1",
                params![signed(key.0.0), key.1, key.2.as_slice(), signed(after), signed(until)],
                |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 64]>(1)?)),
            );
            let Some((record, signature)) = row.optional()? else { return Ok(None) };
            let record = UsageRecord::decode_all(&mut record.as_slice()).ok();
            Ok(record.map(|record| SignedUsageRecord { record, key: key.2, signature, run: None }))
        })
        .await
    }

    /// The runs whose results are here, by their agents.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ended_runs(&self) -> Result<HashMap<RecordKey, RunId>, SpoolError> {
        self.run(|db| {
            let mut query = db.prepare("SELECT lease, replica, key, result FROM results")?;
            let rows = query.query_map([], |row| {
                let key: RecordKey = (LeaseId(unsigned(row.get(0)?)), row.get(1)?, row.get(2)?);
                Ok((key, row.get::<_, Vec<u8>>(3)?))
            })?;
            let mut runs = HashMap::new();
            for row in rows {
                let (key, result) = row?;
                let result = RunResult::decode_all(&mut result.as_slice()).ok();
                runs.extend(result.map(|result| (key, result.run)));
            }
            Ok(runs)
        })
        .await
    }

    /// How an agent's run has ended, with its last record.
    ///
    /// # Errors
    /// The database fails.
    pub async fn run_result(
        &self,
        key: RecordKey,
    ) -> Result<Option<SignedUsageRecord>, SpoolError> {
        self.run(move |db| {
            let row = db.query_row(
                "SELECT record, record_signature, result, signature FROM results
                 WHERE lease = ? AND replica = ? AND key = ?",
                params![signed(key.0.0), key.1, key.2.as_slice()],
                |row| {
                    let record = (row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 64]>(1)?);
                    Ok((record, (row.get::<_, Vec<u8>>(2)?, row.get::<_, [u8; 64]>(3)?)))
                },
            );
            let Some(((record, signature), (result, of_result))) = row.optional()? else {
                return Ok(None);
            };
            let record = UsageRecord::decode_all(&mut record.as_slice()).ok();
            let result = RunResult::decode_all(&mut result.as_slice()).ok();
            Ok(record.zip(result).map(|(record, result)| {
                let run = Some(SignedRunResult { result, signature: of_result });
                SignedUsageRecord { record, key: key.2, signature, run }
            }))
        })
        .await
    }

    /// Forgets an agent's records up to and including `sequence`, but for the newest one, which
    /// shows what was used.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claimed(&self, key: RecordKey, sequence: u64) -> Result<(), SpoolError> {
        self.run(move |db| {
            db.execute(
                "DELETE FROM records
                 WHERE lease = ?1 AND replica = ?2 AND key = ?3 AND sequence < ?4",
                params![signed(key.0.0), key.1, key.2.as_slice(), signed(sequence)],
            )
            .map(drop)
        })
        .await
    }

    /// Forgets an agent that will never be paid (again).
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_agent(&self, key: RecordKey) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            logs::keep_last_records(&tx, key.0, Some((key.1, key.2)))?;
            for table in ["records", "results"] {
                let sql =
                    format!("DELETE FROM {table} WHERE lease = ? AND replica = ? AND key = ?");
                tx.execute(&sql, params![signed(key.0.0), key.1, key.2.as_slice()])?;
            }
            tx.commit()
        })
        .await
    }

    /// Notes events; each lease keeps its newest 500.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_events(&self, events: Vec<NewEvent>) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for event in &events {
                tx.prepare_cached(
                    "INSERT INTO events (lease, time, kind, pod, message) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    signed(event.lease.0),
                    signed(event.time),
                    event.kind,
                    event.pod.map(|pod| pod.to_string()),
                    event.message,
                ])?;
            }
            let leases: BTreeSet<LeaseId> = events.iter().map(|event| event.lease).collect();
            for lease in leases {
                tx.prepare_cached(
                    "DELETE FROM events WHERE lease = ?1 AND id <= (
                         SELECT id FROM events WHERE lease = ?1
                         ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![signed(lease.0), EVENTS_PER_LEASE_MAX])?;
            }
            tx.commit()
        })
        .await
    }

    /// Events of a lease after number `after`, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn events(&self, lease: LeaseId, after: u64) -> Result<Vec<EventEntry>, SpoolError> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT id, time, kind, pod, message FROM events
                 WHERE lease = ? AND id > ? ORDER BY id",
            )?;
            let rows = query.query_map([signed(lease.0), signed(after)], |row| {
                Ok(EventEntry {
                    id: unsigned(row.get(0)?),
                    time: unsigned(row.get(1)?),
                    kind: row.get(2)?,
                    pod: row.get(3)?,
                    message: row.get(4)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Notes an offer, in place of `replaces`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_quote(
        &self,
        quote: OpenQuote,
        replaces: Vec<[u8; 16]>,
    ) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for nonce in replaces {
                tx.execute("DELETE FROM quotes WHERE nonce = ?", [nonce.as_slice()])?;
            }
            tx.execute(
                "INSERT INTO quotes (nonce, publisher, manifest, replicas, expires)
                 VALUES (?, ?, ?, ?, ?)",
                params![
                    quote.nonce.as_slice(),
                    quote.publisher.as_slice(),
                    quote.manifest_hash.as_slice(),
                    quote.replicas,
                    signed(quote.expires_at),
                ],
            )?;
            tx.commit()
        })
        .await
    }

    /// Offers that hold at `now`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn open_quotes(&self, now: UnixSeconds) -> Result<Vec<OpenQuote>, SpoolError> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT nonce, publisher, manifest, replicas, expires FROM quotes
                 WHERE expires >= ? ORDER BY expires",
            )?;
            let rows = query.query_map([signed(now)], |row| {
                Ok(OpenQuote {
                    nonce: row.get(0)?,
                    publisher: row.get(1)?,
                    manifest_hash: row.get(2)?,
                    replicas: row.get(3)?,
                    expires_at: unsigned(row.get(4)?),
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Forgets an offer: a lease was opened with it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_quotes(&self, nonces: Vec<[u8; 16]>) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            for nonce in nonces {
                tx.execute("DELETE FROM quotes WHERE nonce = ?", [nonce.as_slice()])?;
            }
            tx.commit()
        })
        .await
    }

    /// Notes a manifest that was handed over for an update; a lease keeps its newest 4.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_upload(
        &self,
        lease: LeaseId,
        manifest: Hash256,
        until: UnixSeconds,
    ) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            let lease = signed(lease.0);
            tx.execute(
                "INSERT OR REPLACE INTO uploads (lease, manifest, until) VALUES (?, ?, ?)",
                params![lease, manifest.as_slice(), signed(until)],
            )?;
            tx.execute(
                "DELETE FROM uploads WHERE lease = ?1 AND manifest NOT IN (
                     SELECT manifest FROM uploads WHERE lease = ?1 ORDER BY until DESC LIMIT 4)",
                [lease],
            )?;
            tx.commit()
        })
        .await
    }

    /// Throws away what has expired, and gives the manifests that are still asked for.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sweep(&self, now: UnixSeconds) -> Result<BTreeSet<Hash256>, SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute("DELETE FROM quotes WHERE expires < ?", [signed(now)])?;
            tx.execute("DELETE FROM uploads WHERE until < ?", [signed(now)])?;
            let hashes = {
                let mut query = tx.prepare(
                    "SELECT manifest FROM quotes UNION SELECT manifest FROM uploads
                     UNION SELECT manifest FROM pods WHERE manifest IS NOT NULL",
                )?;
                let rows = query.query_map([], |row| row.get(0))?;
                rows.collect::<rusqlite::Result<_>>()?
            };
            tx.commit()?;
            Ok(hashes)
        })
        .await
    }

    /// TCP ports that were given out: lease, container, port in the container, port outside.
    ///
    /// # Errors
    /// The database fails.
    pub async fn tcp_ports(&self) -> Result<BTreeMap<(LeaseId, String, u16), u16>, SpoolError> {
        self.run(|db| {
            let mut query = db.prepare("SELECT lease, container, inner, outer FROM tcp_ports")?;
            let rows = query.query_map([], |row| {
                Ok(((LeaseId(unsigned(row.get(0)?)), row.get(1)?, row.get(2)?), row.get(3)?))
            })?;
            rows.collect()
        })
        .await
    }

    /// Gives a TCP port out.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_tcp_port(
        &self,
        lease: LeaseId,
        container: String,
        inner: u16,
        outer: u16,
    ) -> Result<(), SpoolError> {
        self.run(move |db| {
            db.execute(
                "INSERT OR REPLACE INTO tcp_ports (lease, container, inner, outer)
                 VALUES (?, ?, ?, ?)",
                params![signed(lease.0), container, inner, outer],
            )
            .map(drop)
        })
        .await
    }
}

/// SQLite has signed integers only. Seconds and counters never reach the upper half.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// At ten seconds a record this is 42 minutes of a chain that can't be reached, for a lease that
/// is closed in the meantime; a live one needs its newest record only.
const RECORDS_PER_KEY_MAX: u64 = 256;
const EVENTS_PER_LEASE_MAX: u32 = 500;
const SCHEMA: &str = include_str!("spool/schema.sql");

#[cfg(test)]
mod tests;
