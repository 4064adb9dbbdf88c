//! Sealed output of pods that exist only in memory.

use std::collections::{BTreeMap, VecDeque};

use casemate_primitives::LogChunk;
use codec::Encode as _;

use crate::{LOG_BATCH_BYTES, LogBatch, LogMark, PodId};

/// What was written and not given up yet, of all pods that ever were.
#[derive(Debug, Default)]
pub(super) struct Written {
    next: u64,
    pods: BTreeMap<PodId, VecDeque<(u64, Option<LogChunk>)>>,
}

impl Written {
    /// `None` is a piece that is no chunk.
    pub(super) fn push(&mut self, pod: PodId, chunk: Option<LogChunk>) {
        self.next += 1;
        self.pods.entry(pod).or_default().push_back((self.next, chunk));
    }

    pub(super) fn pods(&self) -> Vec<PodId> {
        self.pods.keys().copied().collect()
    }

    pub(super) fn batch(&self, pod: PodId) -> Option<LogBatch> {
        let pieces = self.pods.get(&pod)?;
        let (mut chunks, mut refused, mut upto, mut bytes) = (Vec::new(), 0, 0, 0);
        for (number, chunk) in pieces {
            bytes += chunk.as_ref().map_or(0, |chunk| chunk.encoded_size());
            if bytes > LOG_BATCH_BYTES && !chunks.is_empty() {
                break;
            }
            upto = *number;
            match chunk {
                Some(chunk) => chunks.push(chunk.clone()),
                None => refused += 1,
            }
        }
        let reason = (refused > 0).then(|| "the test says so".to_owned());
        Some(LogBatch { chunks, refused, reason, mark: LogMark(upto.to_string()) })
    }

    pub(super) fn forget(&mut self, pod: PodId, mark: &LogMark) {
        let Ok(upto) = mark.0.parse::<u64>() else { return };
        if let Some(pieces) = self.pods.get_mut(&pod) {
            pieces.retain(|(number, _)| *number > upto);
            if pieces.is_empty() {
                self.pods.remove(&pod);
            }
        }
    }
}
