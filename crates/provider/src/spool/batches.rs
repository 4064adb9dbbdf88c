//! Leaves of batches: kept, from before a batch is on chain, for as long as anyone may ask for them.
//! A batch is known by its root: the number that the chain gives it comes later.

use casemate_client::chain::batch_leaf;
use casemate_primitives::{Hash256, UnixSeconds, UsageRecord, merkle};
use casemate_provider_core::SignedUsageRecord;
use codec::{DecodeAll, Encode};
use rusqlite::{OptionalExtension, params};

use super::{RecordKey, Spool, SpoolError, signed, unsigned};

/// A leaf of a batch, by where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeafPlace {
    /// The batch's root.
    pub root: Hash256,
    /// Its index.
    pub index: u64,
    /// The record's sequence.
    pub sequence: u64,
}

impl Spool {
    /// Keeps the records of a batch, in the order of its leaves; returns the root. The same records
    /// again are the same batch.
    ///
    /// # Errors
    /// The database fails; nothing is kept then, and the batch must not be submitted.
    pub async fn keep_batch(
        &self,
        records: Vec<SignedUsageRecord>,
        now: UnixSeconds,
    ) -> Result<Hash256, SpoolError> {
        let hashes: Vec<Hash256> =
            records.iter().map(|found| batch_leaf(&found.record, &found.signature)).collect();
        let root = merkle::root(&hashes);
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute(
                "INSERT OR REPLACE INTO batches (root, leaves, made) VALUES (?, ?, ?)",
                params![root.as_slice(), signed(records.len() as u64), signed(now)],
            )?;
            for (index, (found, hash)) in records.iter().zip(&hashes).enumerate() {
                let record = &found.record;
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO batch_leaves
                     (root, leaf, lease, replica, key, sequence, hash, record, signature)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    root.as_slice(),
                    signed(index as u64),
                    signed(record.lease.0),
                    record.replica,
                    found.key.as_slice(),
                    signed(record.sequence),
                    hash.as_slice(),
                    record.encode(),
                    found.signature.as_slice(),
                ])?;
            }
            tx.commit()
        })
        .await?;
        Ok(root)
    }

    /// The record at a place of a batch, and its path up to the root. `None` where it is not (or no
    /// longer) there.
    ///
    /// # Errors
    /// The database fails.
    pub async fn batch_leaf(
        &self,
        root: Hash256,
        index: u64,
    ) -> Result<Option<(SignedUsageRecord, Vec<Hash256>)>, SpoolError> {
        self.run(move |db| {
            let row = db.query_row(
                "SELECT record, key, signature FROM batch_leaves WHERE root = ? AND leaf = ?",
                params![root.as_slice(), signed(index)],
                |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?)),
            );
            let Some((record, key, signature)) = row.optional()? else { return Ok(None) };
            let hashes: Vec<Hash256> = {
                let mut query = db
                    .prepare_cached("SELECT hash FROM batch_leaves WHERE root = ? ORDER BY leaf")?;
                let rows = query.query_map([root.as_slice()], |row| row.get(0))?;
                rows.collect::<rusqlite::Result<_>>()?
            };
            let record = UsageRecord::decode_all(&mut record.as_slice()).ok();
            let path = merkle::inclusion_path(&hashes, index);
            let found = record.zip(path);
            // Of a run nothing is batched.
            let signed = |record| SignedUsageRecord { record, key, signature, run: None };
            Ok(found.map(|(record, path)| (signed(record), path)))
        })
        .await
    }

    /// Where the newest records of an agent after sequence `after` stand in batches, the newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn batched(&self, key: RecordKey, after: u64) -> Result<Vec<LeafPlace>, SpoolError> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT root, leaf, sequence FROM batch_leaves
                 WHERE lease = ? AND replica = ? AND key = ? AND sequence > ?
                 ORDER BY sequence DESC LIMIT 16",
            )?;
            let asked = params![signed(key.0.0), key.1, key.2.as_slice(), signed(after)];
            let rows = query.query_map(asked, |row| {
                let (index, sequence) = (unsigned(row.get(1)?), unsigned(row.get(2)?));
                Ok(LeafPlace { root: row.get(0)?, index, sequence })
            })?;
            rows.collect()
        })
        .await
    }

    /// Throws batches away that were made before `until`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sweep_batches(&self, until: UnixSeconds) -> Result<(), SpoolError> {
        self.run(move |db| {
            let tx = db.transaction()?;
            tx.execute(
                "DELETE FROM batch_leaves WHERE root IN (SELECT root FROM batches WHERE made < ?)",
                [signed(until)],
            )?;
            tx.execute("DELETE FROM batches WHERE made < ?", [signed(until)])?;
            tx.commit()
        })
        .await
    }
}

pub(super) const SCHEMA: &str = include_str!("batches.sql");

#[cfg(test)]
mod tests;
