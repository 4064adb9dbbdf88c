//! Lines of output, at once or followed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use casemate_client::api::{LogEntry, RefusalCode};
use casemate_primitives::{AccountBytes, ReplicaIndex};
use casemate_provider_core::{Backend, BackendError, LogLine, LogQuery, LogStream, PodId};
use http::Request;
use serde::Deserialize;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{Api, Problem, Shared};
use crate::{Chain, quotes::refusal};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsQuery {
    container: Option<String>,
    replica: Option<ReplicaIndex>,
    /// `pod:cursor`, separated by commas.
    #[serde(default)]
    after: String,
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

struct Reader<C, B> {
    api: Arc<Api<C, B>>,
    lease: String,
    account: AccountBytes,
    container: Option<String>,
    replica: Option<ReplicaIndex>,
    after: BTreeMap<PodId, u64>,
    tail: Option<usize>,
    follow: bool,
    ready: VecDeque<Bytes>,
    started: bool,
    last_sent: Instant,
    _permit: Option<OwnedSemaphorePermit>,
}

pub(super) async fn logs<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    query: Result<Query<LogsQuery>, axum::extract::rejection::QueryRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let signed = api.authenticate(request).await?;
    let bad = |text: String| {
        Problem::from(refusal(RefusalCode::BadRequest, text, "see the API's specification"))
    };
    let Query(query) = query.map_err(|err| bad(err.body_text()))?;
    let mut after = BTreeMap::new();
    for part in query.after.split(',').filter(|part| !part.is_empty()) {
        let parsed = part
            .split_once(':')
            .and_then(|(pod, cursor)| Some((pod.parse().ok()?, cursor.parse().ok()?)));
        let (pod, cursor) = parsed
            .ok_or_else(|| bad("`after` must be `pod:cursor`, separated by commas".into()))?;
        after.insert(pod, cursor);
    }
    api.lease(&api.world(), &id, &signed.account)?;
    let permit = if query.follow {
        let permit = Arc::clone(&api.followers).try_acquire_owned().map_err(|_| {
            let text = "too many logs are followed at the moment".into();
            refusal(RefusalCode::Busy, text, "try again later, or without following")
        })?;
        Some(permit)
    } else {
        None
    };
    let mut reader = Reader {
        api,
        lease: id,
        account: signed.account,
        container: query.container,
        replica: query.replica,
        after,
        tail: query.tail,
        follow: query.follow,
        ready: VecDeque::new(),
        started: false,
        last_sent: Instant::now(),
        _permit: permit,
    };
    // The first look may refuse (no such container); later ones can only end the stream.
    reader.look().await?;
    let lines = futures::stream::unfold(reader, |mut reader| async move {
        reader.next().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), reader))
    });
    let kind = [("content-type", "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

impl<C: Chain, B: Backend> Reader<C, B> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.last_sent = Instant::now();
                return Some(bytes);
            }
            if !self.follow {
                return None;
            }
            if self.last_sent.elapsed() >= HEARTBEAT {
                self.last_sent = Instant::now();
                return Some(Bytes::from_static(b"\n"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
            // Who may read is asked again each time: a lease ends.
            self.look().await.ok()?;
        }
    }

    async fn look(&mut self) -> Result<(), Problem> {
        let world = self.api.world();
        let lease = self.api.lease(&world, &self.lease, &self.account)?;
        let mut lines: Vec<(PodId, LogLine)> = Vec::new();
        let mut no_container = None;
        let mut found = false;
        for pod in world.pods_of(lease.id) {
            if self.replica.is_some_and(|replica| replica != pod.id.replica) {
                continue;
            }
            let query = LogQuery {
                container: self.container.clone(),
                after: self.after.get(&pod.id).copied(),
                // Of none there would be no cursor to go on from.
                tail: self.tail.filter(|_| !self.started).map(|tail| tail.max(1)),
            };
            let none_wanted = !self.started && self.tail == Some(0);
            match self.api.parts.backend.logs(pod.id, &query).await {
                Ok(new) => {
                    found = true;
                    if none_wanted && let Some(last) = new.last() {
                        self.after.insert(pod.id, last.cursor);
                        continue;
                    }
                    lines.extend(new.into_iter().map(|line| (pod.id, line)));
                }
                // It went while we asked.
                Err(BackendError::NotFound(_)) => (),
                Err(err @ BackendError::NoSuchContainer { .. }) => no_container = Some(err),
                Err(err) => return Err(Problem::internal("the logs cannot be read", &err)),
            }
        }
        if let Some(err) = no_container.filter(|_| !found && !self.started) {
            let hint = "`casemate status` shows the containers' names";
            return Err(refusal(RefusalCode::NotFound, err.to_string(), hint).into());
        }
        self.started = true;
        lines.sort_by_key(|(pod, line)| (line.time_ms, *pod, line.cursor));
        for (pod, line) in lines {
            let cursor = self.after.entry(pod).or_insert(line.cursor);
            *cursor = line.cursor.max(*cursor);
            self.ready.push_back(encode(pod, line));
        }
        Ok(())
    }
}

fn encode(pod: PodId, line: LogLine) -> Bytes {
    let entry = LogEntry {
        pod: pod.to_string(),
        cursor: line.cursor,
        time_ms: line.time_ms,
        container: line.container,
        stream: match line.stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
            LogStream::Agent => "agent",
        }
        .into(),
        text: line.text,
    };
    // Texts and numbers always have a JSON form.
    let mut json = serde_json::to_vec(&entry).unwrap_or_default();
    json.push(b'\n');
    json.into()
}

const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// A third of what the client waits for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
