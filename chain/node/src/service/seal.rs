//! Block making on a development chain: a block for each transaction, and one a second at least,
//! so that the chain's clock moves while nothing happens. Each block is final at once.

use std::{sync::Arc, time::Duration};

use futures::{Future, Stream, StreamExt};
use sc_consensus_manual_seal::{
    consensus::aura::AuraConsensusDataProvider, run_manual_seal, EngineCommand, ManualSealParams,
};
use sc_service::error::Error as ServiceError;
use sc_transaction_pool_api::TransactionPool;
use sp_runtime::traits::Block as BlockT;
use sp_timestamp::Timestamp;

use super::{Block, FullClient, FullPool, FullSelectChain};

type Hash = <Block as BlockT>::Hash;

/// Longest time without a block.
const IDLE_BLOCK: Duration = Duration::from_secs(1);

/// The clock of a development chain: the wall's, or one that was set to another time at start, so
/// that evidence and collateral of the past can be tried while they were valid.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DevelopmentClock {
    /// Milliseconds ahead of the wall's.
    ahead: i64,
}

impl DevelopmentClock {
    /// A clock that stands at `seconds` (Unix time) now.
    pub(crate) fn starting_at(seconds: u64) -> Self {
        let now = Timestamp::current().as_millis();
        let ahead = i128::from(seconds) * 1_000 - i128::from(now);
        Self { ahead: i64::try_from(ahead).unwrap_or(0) }
    }

    fn milliseconds(self, wall: u64) -> u64 {
        wall.saturating_add_signed(self.ahead)
    }
}

/// The future that makes blocks.
pub(super) fn run(
    client: Arc<FullClient>,
    pool: Arc<FullPool>,
    select_chain: FullSelectChain,
    env: sc_basic_authorship::ProposerFactory<FullPool, FullClient>,
    wall_clock: DevelopmentClock,
) -> Result<impl Future<Output = ()>, ServiceError> {
    let slot_milliseconds = sc_consensus_aura::slot_duration(&*client)?.as_millis();
    let commands_stream = Box::pin(commands(&pool));
    let clock = client.clone();
    Ok(run_manual_seal(ManualSealParams {
        block_import: client.clone(),
        env,
        client: client.clone(),
        pool,
        commands_stream,
        select_chain,
        consensus_data_provider: Some(Box::new(AuraConsensusDataProvider::new(client))),
        create_inherent_data_providers: move |parent, ()| {
            let clock = clock.clone();
            async move {
                let before = parent_milliseconds(&clock, parent)?;
                let now = wall_clock.milliseconds(Timestamp::current().as_millis());
                Ok(sp_timestamp::InherentDataProvider::new(Timestamp::new(next_milliseconds(
                    before,
                    now,
                    slot_milliseconds,
                ))))
            }
        },
    }))
}

/// The wall clock's time, but at least a slot after the parent's: two blocks never share a slot.
fn next_milliseconds(parent: u64, now: u64, slot: u64) -> u64 {
    now.max(parent.saturating_add(slot))
}

fn parent_milliseconds(
    client: &FullClient,
    parent: Hash,
) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    use sc_client_api::StorageProvider;
    let key = sp_core::storage::StorageKey(
        [sp_crypto_hashing::twox_128(b"Timestamp"), sp_crypto_hashing::twox_128(b"Now")].concat(),
    );
    let Some(data) = client.storage(parent, &key)? else { return Ok(0) };
    let bytes: [u8; 8] =
        data.0.try_into().map_err(|_| "the parent's timestamp is not eight bytes")?;
    Ok(u64::from_le_bytes(bytes))
}

/// One command for each transaction that becomes ready, and one a second.
fn commands(pool: &Arc<FullPool>) -> impl Stream<Item = EngineCommand<Hash>> {
    let seal = |create_empty| EngineCommand::SealNewBlock {
        create_empty,
        finalize: true,
        parent_hash: None,
        sender: None,
    };
    let on_transaction = pool.import_notification_stream().map(move |_| seal(false));
    let mut ticks = tokio::time::interval(IDLE_BLOCK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let on_time = futures::stream::unfold(ticks, |mut ticks| async move {
        ticks.tick().await;
        Some(((), ticks))
    })
    .map(move |()| seal(true));
    futures::stream::select(on_transaction, on_time)
}

#[cfg(test)]
mod tests {
    use super::{next_milliseconds, DevelopmentClock};

    #[test]
    fn a_set_clock_keeps_its_distance_from_the_wall() {
        assert_eq!(DevelopmentClock::default().milliseconds(7), 7);
        assert_eq!(DevelopmentClock { ahead: -5_000 }.milliseconds(60_000), 55_000);
        assert_eq!(DevelopmentClock { ahead: 5_000 }.milliseconds(60_000), 65_000);
        assert_eq!(DevelopmentClock { ahead: -5_000 }.milliseconds(1), 0);
    }

    #[test]
    fn time_is_the_walls_and_never_stands_still() {
        assert_eq!(next_milliseconds(1_000, 5_000, 20), 5_000);
        assert_eq!(next_milliseconds(5_000, 5_000, 20), 5_020);
        assert_eq!(next_milliseconds(9_000, 5_000, 20), 9_020);
    }
}
