//! Sealed output of this machine's pods.

use std::collections::BTreeSet;

use casemate_provider_core::{LogBatch, LogMark, PodId};

use super::{Inner, lock};
use crate::{
    chunks::{self, SetAside},
    error::Result,
};

impl Inner {
    pub(super) fn logged(&self) -> Result<Vec<PodId>> {
        let aside = SetAside::all(&self.machine.instance.last_logs())?;
        let mut pods: BTreeSet<PodId> = aside.into_iter().map(|aside| aside.pod).collect();
        let live = self
            .entries()
            .into_iter()
            .filter(|(_, entry)| lock(&entry.events).unread_chunks().is_some());
        pods.extend(live.map(|(id, _)| id));
        Ok(pods.into_iter().collect())
    }

    pub(super) fn log_chunks(&self, id: PodId) -> Result<Option<LogBatch>> {
        let dir = self.machine.instance.last_logs();
        // Those of deleted pods are older.
        for aside in SetAside::all(&dir)?.into_iter().filter(|aside| aside.pod == id) {
            if let Some(batch) = aside.batch(&dir)? {
                return Ok(Some(batch));
            }
        }
        let Some(entry) = lock(&self.pods).get(&id).cloned() else { return Ok(None) };
        let Some((file, at)) = lock(&entry.events).unread_chunks() else { return Ok(None) };
        let (found, to) = chunks::read(&entry.paths.events(), id, entry.record.signer(), &at)?;
        match found {
            Some(found) => Ok(Some(found.into_batch(&file.to_string(), &to))),
            None => {
                lock(&entry.events).forget_chunks(file, to);
                Ok(None)
            }
        }
    }

    pub(super) fn forget_log_chunks(&self, id: PodId, mark: &LogMark) -> Result<()> {
        let Some((source, to)) = chunks::parse_mark(mark) else { return Ok(()) };
        if let Ok(file) = source.parse::<u64>() {
            if let Some(entry) = lock(&self.pods).get(&id).cloned() {
                lock(&entry.events).forget_chunks(file, to);
            }
            return Ok(());
        }
        let dir = self.machine.instance.last_logs();
        for aside in SetAside::all(&dir)?.into_iter().filter(|aside| aside.pod == id) {
            aside.forget(&dir, source, &to)?;
        }
        Ok(())
    }
}
