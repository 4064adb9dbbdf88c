//! Who asks.

use std::sync::{Arc, PoisonError};

use axum::body::{Body, Bytes};
use casemate_client::{
    api::{MANIFEST_BYTES_MAX, RefusalCode},
    auth::{self, AuthError, RequestParts, RequestSignature},
    chain::LeaseView,
};
use casemate_primitives::{AccountBytes, LeaseId};
use casemate_provider_core::Backend;
use http::Request;
use http_body_util::{BodyExt, Limited};

use super::{Api, Problem};
use crate::{Chain, quotes::refusal, world::World};

/// A request whose signature was checked.
pub(super) struct Signed {
    pub(super) account: AccountBytes,
    pub(super) body: Bytes,
}

impl<C: Chain, B: Backend> Api<C, B> {
    /// Reads and checks a request. The cheap checks come first: a stranger's nonsense costs little.
    pub(super) async fn authenticate(&self, request: Request<Body>) -> Result<Signed, Problem> {
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let signature = RequestSignature::from_headers(header).map_err(unauthorised)?;
        let _room = self.unchecked.try_acquire().map_err(|_| {
            let text = "too many requests are under way".into();
            refusal(RefusalCode::Busy, text, "try again in a moment")
        })?;
        let now = (self.parts.clock)();
        let limited = Limited::new(body, BODY_BYTES_MAX).collect();
        let body = match tokio::time::timeout(BODY_LIMIT, limited).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(err)) if err.is::<http_body_util::LengthLimitError>() => {
                let text = format!("the body is longer than {BODY_BYTES_MAX} bytes");
                let hint = "a manifest may have 256 KiB; large data belongs into the image";
                return Err(refusal(RefusalCode::TooLarge, text, hint).into());
            }
            _ => {
                let text = "the body was cut off".into();
                return Err(refusal(RefusalCode::BadRequest, text, "try again").into());
            }
        };
        let path_and_query = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let parts = RequestParts {
            genesis_hash: &self.genesis_hash,
            provider: &self.account,
            method: head.method.as_str(),
            path_and_query,
            body: &body,
        };
        let account = auth::verify(&parts, &signature, now).map_err(unauthorised)?;
        let known = account == self.account
            || self.world().snapshot.leases.values().any(|lease| lease.publisher == account);
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        replays.accept(&signature, known, now).map_err(unauthorised)?;
        Ok(Signed { account, body })
    }

    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.parts.world.borrow())
    }

    /// A lease that `account` may look at: its publisher's, or any for the provider itself.
    pub(super) fn lease(
        &self,
        world: &World,
        id: &str,
        account: &AccountBytes,
    ) -> Result<LeaseView, Problem> {
        let lease = id.parse::<LeaseId>().ok().and_then(|id| world.snapshot.leases.get(&id));
        lease
            .filter(|lease| lease.publisher == *account || self.account == *account)
            .cloned()
            .ok_or_else(Problem::no_lease)
    }
}

fn unauthorised(err: AuthError) -> Problem {
    let code = match err {
        AuthError::Busy => RefusalCode::Busy,
        _ => RefusalCode::Unauthorised,
    };
    refusal(code, err.to_string(), err.hint()).into()
}

/// A manifest in a JSON string takes up to twice its length (quotes are escaped).
const BODY_BYTES_MAX: usize = 2 * MANIFEST_BYTES_MAX + 1024;
const BODY_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
