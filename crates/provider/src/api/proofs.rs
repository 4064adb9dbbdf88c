//! Sealed output with what proves it, and signed usage records: also of leases that are over, for as
//! long as they are kept.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use casemate_client::api::{
    Hex, LOG_CHUNKS_MAX, LogChunkEntry, LogChunkList, LogInfo, RecordEntry, RecordList, RefusalCode,
};
use casemate_primitives::{AccountBytes, AgentPublicKey, LeaseId, ReplicaIndex};
use casemate_provider_core::Backend;
use codec::Encode as _;
use http::Request;
use serde::Deserialize;

use super::{Api, Problem, Shared};
use crate::{Chain, quotes::refusal, spool::SpoolError};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunksQuery {
    replica: Option<ReplicaIndex>,
    key: Option<String>,
    #[serde(default)]
    from: u64,
    limit: Option<u32>,
    size: Option<u64>,
}

/// `GET /v1/leases/{id}/log-chunks`
pub(super) async fn chunks<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    query: Result<Query<ChunksQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<Json<LogChunkList>, Problem> {
    let signed = api.authenticate(request).await?;
    let Query(query) = query.map_err(|err| bad(err.body_text()))?;
    let lease = api.kept_lease(&id, &signed.account).await?;
    let key = match &query.key {
        Some(key) => {
            let key: Hex<AgentPublicKey> =
                key.parse().map_err(|err| bad(format!("`key` is no agent's key: {err}")))?;
            let replica =
                query.replica.ok_or_else(|| bad("`key` needs its `replica`, too".into()))?;
            Some((lease, replica, key.0))
        }
        None => None,
    };
    let spool = &api.parts.spool;
    let kept = spool.logs(lease).await.map_err(unreadable)?;
    let logs: Vec<LogInfo> = kept
        .into_iter()
        .filter(|log| query.replica.is_none_or(|replica| replica == log.replica))
        .filter(|log| key.is_none_or(|(_, _, key)| key == log.key))
        .map(|log| LogInfo {
            replica: log.replica,
            key: Hex(log.key),
            chunks: log.chunks,
            first: log.first,
            refused: log.refused,
        })
        .collect();
    let Some(key) = key else {
        return Ok(Json(LogChunkList { logs, size: 0, chunks: Vec::new() }));
    };
    let size = match query.size {
        Some(size) => size,
        None => {
            let records = spool.signed_records(lease, Some(key.1), 0).await.map_err(unreadable)?;
            let own = records.iter().filter(|signed| signed.key == key.2);
            own.map(|signed| signed.record.log.chunks).max().unwrap_or(0)
        }
    };
    let limit = query.limit.unwrap_or(LOG_CHUNKS_MAX).min(LOG_CHUNKS_MAX);
    let found = spool.log_chunks(key, query.from, limit, size).await.map_err(unreadable)?;
    let entry = |found: crate::spool::KeptChunk| LogChunkEntry {
        index: found.index,
        chunk: found.chunk.map(Hex),
        path: found.path.map(|path| path.into_iter().map(Hex).collect()),
    };
    Ok(Json(LogChunkList { logs, size, chunks: found.into_iter().map(entry).collect() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsQuery {
    replica: Option<ReplicaIndex>,
    #[serde(default)]
    after: u64,
}

/// `GET /v1/leases/{id}/records`
pub(super) async fn records<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    query: Result<Query<RecordsQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<Json<RecordList>, Problem> {
    let signed = api.authenticate(request).await?;
    let Query(query) = query.map_err(|err| bad(err.body_text()))?;
    let lease = api.kept_lease(&id, &signed.account).await?;
    let found = api.parts.spool.signed_records(lease, query.replica, query.after).await;
    let records = found.map_err(unreadable)?.into_iter().map(|signed| RecordEntry {
        key: Hex(signed.key),
        record: Hex(signed.record.encode()),
        signature: Hex(signed.signature),
    });
    Ok(Json(RecordList { records: records.collect() }))
}

impl<C: Chain, B: Backend> Api<C, B> {
    /// The number of a lease that `account` may look at, on chain or kept here after its end.
    async fn kept_lease(&self, id: &str, account: &AccountBytes) -> Result<LeaseId, Problem> {
        let world = self.world();
        if let Ok(lease) = self.lease(&world, id, account) {
            return Ok(lease.id);
        }
        let id = id.parse::<LeaseId>().map_err(|_| Problem::no_lease())?;
        let kept = self.parts.spool.kept_lease(id).await.map_err(unreadable)?;
        kept.filter(|kept| kept.publisher == *account || self.account == *account)
            .map(|_| id)
            .ok_or_else(Problem::no_lease)
    }
}

fn bad(text: String) -> Problem {
    refusal(RefusalCode::BadRequest, text, "see the API's specification").into()
}

fn unreadable(err: SpoolError) -> Problem {
    Problem::internal("the provider cannot read what it keeps", &err)
}
