//! Random calls against books that are kept beside the pallet's; every invariant after each.

mod actions;
mod ledger;

use super::*;
use crate::{LeaseProofs as _, Leases as Stored};
use actions::{action, Action};
use casemate_primitives::{Amendment, PodState, UnixSeconds};
use frame_support::{
    storage::with_storage_layer,
    traits::fungibles::{hold::Inspect as _, Inspect as _},
};
use ledger::Ledger;
use pallet_deployments::DeploymentRegistry as _;
use proptest::{prelude::*, test_runner::TestRunner};
use sp_runtime::Permill;
use std::{cell::RefCell, collections::BTreeMap};

/// After which a provider is silent, where it is agreed.
const SILENCE: u32 = 150;

struct Model {
    ledger: Ledger,
    nonce: u8,
    /// The newest record of each key that was claimed.
    records: BTreeMap<(LeaseId, u16, u8), UsageRecord>,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte + 100; 32])
}

/// The byte of the key that now signs for a replica.
fn present_key(id: LeaseId, replica: u16) -> Option<u8> {
    let agent = Agents::<Test>::get(id, replica)?;
    (0..3).find(|byte| key(*byte).verifying_key().to_bytes() == agent.key)
}

/// One of the leases that the chain knows.
fn pick(lease: u64) -> LeaseId {
    pick_of(lease, |_, _| false)
}

/// One of those that are so, or of all where none is.
fn pick_of(lease: u64, is_so: impl Fn(LeaseId, &Lease) -> bool) -> LeaseId {
    let mut known: Vec<(LeaseId, Lease)> = Stored::<Test>::iter().collect();
    known.sort_unstable_by_key(|(id, _)| *id);
    if known.iter().any(|(id, lease)| is_so(*id, lease)) {
        known.retain(|(id, lease)| is_so(*id, lease));
    }
    let known: Vec<LeaseId> = known.into_iter().map(|(id, _)| id).collect();
    let at = lease.checked_rem(known.len() as u64).unwrap_or_default();
    known.get(usize::try_from(at).unwrap()).copied().unwrap_or_default()
}

fn uri(provider: &AccountId32) -> &'static str {
    if *provider == accounts()[2] {
        "//v0"
    } else {
        "//v1"
    }
}

fn thaw_all() {
    let owner = || origin(issuer());
    for asset in [1, 2] {
        let _ = Assets::thaw_asset(owner(), asset);
        for who in accounts() {
            let _ = Assets::thaw(owner(), asset, who);
        }
    }
}

/// Does it, and says whether the chain did.
fn apply(model: &mut Model, action: Action) -> bool {
    let who = accounts();
    let root = RuntimeOrigin::root;
    match action {
        Action::Open {
            publisher,
            provider,
            asset,
            deposit,
            replicas,
            second_min,
            is_contestable,
            is_evictable,
        } => {
            model.nonce += 1;
            let quote = Quote {
                provider: who[provider].clone().into(),
                publisher: who[publisher].clone().into(),
                nonce: [model.nonce; 16],
                replicas,
                terms: LeaseTerms {
                    asset,
                    second_min,
                    dispute_seconds: if is_contestable { 100 } else { 0 },
                    silence_seconds: if is_evictable { SILENCE } else { 0 },
                    reclaim_seconds: 50,
                    ..quote().terms
                },
                ..quote()
            };
            Leases::deploy(
                origin(who[publisher].clone()),
                DeploymentKind::Service,
                MANIFEST,
                quote,
                sign(uri(&who[provider]), &quote),
                deposit,
                2 * PRICE_PER_SECOND * u128::from(replicas),
            )
            .is_ok()
        }
        Action::Fund { lease, by, amount } => {
            Leases::fund(origin(who[by].clone()), pick(lease), amount).is_ok()
        }
        Action::FundFor { lease, spender, amount } => {
            let id = pick_of(lease, |id, lease| {
                !lease.is_over() && crate::Spenders::<Test>::contains_key(id)
            });
            let spenders = crate::Spenders::<Test>::get(id);
            // One that is authorised, if there is any.
            let at = spender.checked_rem(spenders.len());
            let spender = at.map_or_else(|| who[spender].clone(), |at| spenders[at].who.clone());
            let allowance = || {
                let spenders = crate::Spenders::<Test>::get(id);
                let found = spenders.iter().find(|entry| entry.who == spender);
                found.map_or(0, |entry| entry.allowance)
            };
            let before = allowance();
            let is_done = Leases::fund_for(origin(spender.clone()), id, amount).is_ok();
            if is_done {
                assert_eq!(allowance() + amount, before, "never more than the allowance");
            }
            is_done
        }
        Action::Close { lease, by } => close(pick(lease), &who[by]),
        Action::Settle { lease, by } => {
            Leases::settle(origin(who[by].clone()), pick(lease)).is_ok()
        }
        Action::Payout { lease } => Leases::payout(origin(stranger()), pick(lease)).is_ok(),
        Action::Forget { lease } => {
            let is_ended = |_, lease: &Lease| matches!(lease.state, LeaseState::Ended { .. });
            Leases::forget(origin(stranger()), pick_of(lease, is_ended)).is_ok()
        }
        Action::Decide { lease, percent } => {
            let id = pick_of(lease, |_, lease| lease.contest.is_some());
            Leases::decide(root(), id, Permill::from_percent(percent)).is_ok()
        }
        Action::Expire { lease } => {
            let id = pick_of(lease, |_, lease| lease.contest.is_some());
            let Some(contest) = Stored::<Test>::get(id).and_then(|found| found.contest) else {
                return Leases::expire_contest(origin(stranger()), id).is_ok();
            };
            let expire = || Leases::expire_contest(origin(stranger()), id).is_ok();
            assert!(Now::get() > contest.until || !expire(), "the arbiters have time");
            Now::set(Now::get().max(contest.until + 1));
            expire()
        }
        Action::Penalise { lease } => {
            let id = pick(lease);
            let is_done = with_storage_layer(|| Leases::penalise(id)).is_ok();
            if is_done {
                assert_eq!(Stored::<Test>::get(id).unwrap().open_amount(), 0);
            }
            is_done
        }
        Action::TreasuryShare { percent } => {
            Leases::set_treasury_share(root(), Permill::from_percent(percent)).is_ok()
        }
        Action::Admit { asset, open } => {
            MoneyList::set_admission(root(), asset, ASSET_MINIMUM, open).is_ok()
        }
        Action::Block { asset, who: index } => {
            model.ledger.is_frozen = true;
            Assets::block(origin(issuer()), asset, who[index].clone()).is_ok()
        }
        Action::FreezeAsset { asset } => {
            model.ledger.is_frozen = true;
            Assets::freeze_asset(origin(issuer()), asset).is_ok()
        }
        Action::ThawAll => {
            thaw_all();
            model.ledger.is_frozen = false;
            true
        }
        Action::Pass { seconds } => {
            pass(seconds);
            true
        }
        of_a_lease => apply_to_known(model, of_a_lease),
    }
}

/// Calls that are made as a side of a lease that is there.
fn apply_to_known(model: &mut Model, action: Action) -> bool {
    let who = accounts();
    let (Action::Authorise { lease, .. }
    | Action::SetRate { lease, .. }
    | Action::Amend { lease, .. }
    | Action::Activate { lease, .. }
    | Action::Claim { lease, .. }
    | Action::Update { lease }
    | Action::Stop { lease }
    | Action::GiveNotice { lease }
    | Action::Contest { lease }
    | Action::Evict { lease }
    | Action::Misconduct { lease, .. }) = action
    else {
        unreachable!("{action:?}")
    };
    let id = pick(lease);
    let Some(found) = Stored::<Test>::get(id) else { return false };
    let publisher = || origin(found.publisher.clone());
    match action {
        Action::Authorise { spender, allowance, .. } => {
            Leases::authorise(publisher(), id, who[spender].clone(), allowance).is_ok()
        }
        Action::SetRate { rate, .. } => Leases::set_spend_rate(publisher(), id, rate).is_ok(),
        Action::Amend { prices, second_min, is_signed, .. } => {
            let replaces = found.terms.prices;
            let expires_at = Now::get() + 300;
            let number = found.before.map_or(0, |before| before.number) + 1;
            let amendment =
                Amendment { lease: id, number, replaces, prices, second_min, expires_at };
            let signer = if is_signed { uri(&found.provider) } else { "//p0" };
            let signature = pair(signer).sign(&amendment.signing_payload(&GENESIS)).into();
            let is_done = Leases::amend(publisher(), amendment, signature).is_ok();
            assert!(is_signed || !is_done, "both sides agree to new prices");
            is_done
        }
        Action::Activate { replica, key: byte, .. } => {
            let public = key(byte).verifying_key().to_bytes();
            activate(found.provider, id, replica, public).is_ok()
        }
        Action::Claim { .. } => claim_in(model, id, found, action),
        Action::Update { .. } => {
            model.nonce += 1;
            let manifest = ManifestRef { hash: [model.nonce; 32], size: 10 };
            Deployments::update(publisher(), found.deployment, manifest).is_ok()
        }
        Action::Stop { .. } => Deployments::stop(publisher(), found.deployment).is_ok(),
        Action::GiveNotice { .. } => Leases::give_notice(origin(found.provider), id).is_ok(),
        Action::Contest { .. } => Leases::contest(publisher(), id).is_ok(),
        Action::Evict { .. } => evict(id, &found),
        Action::Misconduct { replica, is_signed, .. } => {
            let Some(byte) = present_key(id, replica) else { return false };
            let record = model.records.get(&(id, replica, byte)).copied();
            let record = record.unwrap_or(UsageRecord { lease: id, replica, ..Default::default() });
            let mut other = record;
            other.total.egress_mib += 1;
            let by = if is_signed { key(byte) } else { key(9) };
            let (a, b) = (signed_by(&key(byte), &record), signed_by(&by, &other));
            let is_done = Leases::prove_misconduct(origin(stranger()), record, a, other, b).is_ok();
            assert!(is_signed || !is_done, "only the agent's own words count");
            if let Some(after) = Stored::<Test>::get(id).filter(|_| is_done) {
                assert_eq!((after.open_amount(), after.contested()), (0, 0));
                assert!(after.is_over());
            }
            is_done
        }
        _ => unreachable!("the others need no lease"),
    }
}

/// Whether claims have used the money up, and the grace is over.
fn is_out(lease: &Lease) -> bool {
    let over = |at| Now::get() > at + UnixSeconds::from(lease.terms.grace_seconds);
    lease.escrow == 0 && lease.exhausted_at.is_some_and(over)
}

/// Nobody but its two sides and who its publisher has authorised ends a lease that has money, whose
/// apps run, and whose provider is not silent.
fn close(id: LeaseId, by: &AccountId32) -> bool {
    let Some(found) = Stored::<Test>::get(id) else { return false };
    let is_publishers = *by == found.publisher || crate::Pallet::<Test>::is_spender(id, by);
    let is_noticed = found.reclaim_at.is_some_and(|at| Now::get() >= at);
    let is_providers = *by == found.provider;
    let longest = u64::from(TermSecondsMax::get());
    let is_forsaken = found.terms.silence_seconds == 0 && Now::get() > found.claimed_at + longest;
    if Leases::close(origin(by.clone()), id).is_err() {
        return false;
    }
    let closed = events().into_iter().rev().find_map(|event| match event {
        Event::Closed { lease, reason, .. } if lease == id => Some(reason),
        _ => None,
    });
    let is_right = match closed.expect("it is told why") {
        EndReason::Stopped => is_publishers,
        EndReason::OutOfFunds => is_out(&found),
        EndReason::NeverStarted => {
            is_forsaken || (is_providers && found.state == LeaseState::Pending)
        }
        EndReason::Reclaimed => is_providers && is_noticed,
        EndReason::AppEnded => found.ended.is_some_and(|ended| ended.count == found.replicas),
        EndReason::ProviderSilent | EndReason::Misconduct => false,
    };
    assert!(is_right, "{closed:?} of {found:?} by {by}");
    true
}

/// Silence costs no more than was agreed, or than a tenth of what is behind a lease in an asset.
fn evict(id: LeaseId, found: &Lease) -> bool {
    let version = Deployments::version(found.deployment);
    let runs_the_newest = Agents::<Test>::get(id, 0).is_none_or(|a| Some(a.version) == version);
    let is_done = Leases::evict(origin(stranger()), id).is_ok();
    if !is_done {
        return false;
    }
    assert_eq!(found.terms.silence_seconds, SILENCE);
    assert!(Now::get() > found.claimed_at + UnixSeconds::from(SILENCE));
    assert!(!is_out(found), "nobody owes a proof for nothing");
    let most = match found.terms.asset {
        Asset::Native => found.price_per_second().unwrap() * u128::from(SILENCE),
        _ => CASE / 10 * u128::from(found.replicas),
    };
    let slashed = events().into_iter().rev().find_map(|event| match event {
        Event::ProviderSlashed { lease, amount, .. } if lease == id => Some(amount),
        _ => None,
    });
    let slashed = slashed.expect("it is told what was taken");
    assert!(slashed <= most, "{slashed} > {most}");
    assert!(runs_the_newest || slashed == 0, "nobody pays for a manifest that may not run");
    true
}

/// A record of the full quota and some traffic is claimed.
fn claim_in(model: &mut Model, id: LeaseId, found: Lease, action: Action) -> bool {
    let Action::Claim { replica, key: byte, seconds, egress, passes, ends, batched, .. } = action
    else {
        unreachable!("{action:?}")
    };
    let replica = replica % found.replicas;
    // Its first agent, if it has none.
    let byte = byte.or_else(|| present_key(id, replica)).unwrap_or(0);
    if Agents::<Test>::get(id, replica).is_none() {
        let public = key(byte).verifying_key().to_bytes();
        let _ = activate(found.provider.clone(), id, replica, public);
    }
    if passes {
        pass(seconds);
    }
    let before = model.records.get(&(id, replica, byte)).copied();
    let agent = Agents::<Test>::get(id, replica);
    let first = agent.as_ref().map_or(found.opened_at, |agent| agent.claimed_to);
    let from = before.map_or(first, |record| record.to);
    let used = Quantities { egress_mib: egress, ..Quantities::quota(&RESOURCES, seconds).unwrap() };
    let record = UsageRecord {
        lease: id,
        replica,
        sequence: before.map_or(0, |record| record.sequence) + 1,
        previous: before.map_or([0; 32], |record| record.hash()),
        from,
        to: from + seconds,
        running_seconds: before.map_or(0, |record| record.running_seconds) + seconds,
        total: before.map_or(used, |record| record.total.checked_add(&used).unwrap()),
        state: if ends { PodState::Ended { code: 0 } } else { PodState::default() },
        ..Default::default()
    };
    let signature = signed_by(&key(byte), &record);
    let provider = found.provider.clone();
    let claimed = match batched {
        Some(ago) => {
            let as_of = Now::get() - ago;
            with_storage_layer(|| Leases::claim_as_of(provider, record, signature, as_of))
        }
        None => Leases::claim(origin(provider), record, signature),
    };
    if claimed.is_err() {
        return false;
    }
    model.records.insert((id, replica, byte), record);
    let (agent, after) = (agent.unwrap(), Agents::<Test>::get(id, replica).unwrap());
    let paid = Stored::<Test>::get(id).unwrap().earned() - found.earned();
    assert!(!agent.has_ended, "nothing is paid of an app that has ended");
    assert_eq!(key(byte).verifying_key().to_bytes(), agent.key, "only the present agent is paid");

    // Never more than the spend rate of the seconds that were not paid for before.
    let end = match found.state {
        LeaseState::Closing { at, .. } => record.to.min(at),
        _ => record.to,
    };
    let seconds = end.saturating_sub(agent.claimed_to);
    let room = match seconds {
        0 => agent.allowance,
        seconds => found.spend_rate_max * u128::from(seconds) / u128::from(found.replicas),
    };
    assert!(paid + after.allowance <= room, "nor is more left to spend");
    assert!(paid <= found.escrow, "nor than there is");

    // Never more than what is counted as claimed with it costs, so that nothing is paid twice.
    let mut counted = after.claimed_total.checked_sub(&agent.claimed_total).unwrap();
    let mut ran = after.claimed_running - agent.claimed_running;
    if seconds == 0 {
        let (egress_mib, ingress_mib) = (counted.egress_mib, counted.ingress_mib);
        counted = Quantities { egress_mib, ingress_mib, ..Quantities::default() };
        ran = 0;
    }
    let worth = model.ledger.book(id).cost((agent.claimed_to, record.to), &counted, ran);
    assert!(paid <= worth, "{paid} > {worth}, for {counted:?}");
    model.ledger.signed(id, worth);
    true
}

/// The kinds of calls that succeed now and then, so that a pallet that refuses them is found.
const CALLS: [&str; 25] = [
    "Activate",
    "Admit",
    "Amend",
    "Authorise",
    "Block",
    "Claim",
    "Close",
    "Contest",
    "Decide",
    "Evict",
    "Expire",
    "Forget",
    "Fund",
    "FundFor",
    "GiveNotice",
    "Misconduct",
    "Open",
    "Payout",
    "Penalise",
    "SetRate",
    "Settle",
    "Stop",
    "ThawAll",
    "TreasuryShare",
    "Update",
];

#[test]
fn money_is_conserved_whatever_is_called() {
    let done = RefCell::new(BTreeMap::<String, u32>::new());
    let config =
        ProptestConfig { cases: 192, source_file: Some(file!()), ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(action(), 1..80), |actions| {
        new_test_ext().execute_with(|| all_is_given_to_whom_it_belongs(actions, &done));
        Ok(())
    });
    run.unwrap_or_else(|failed| panic!("{failed}"));
    let done = done.into_inner();
    for call in CALLS {
        assert!(done.contains_key(call), "{call} was always refused; not so: {done:?}");
    }
}

fn all_is_given_to_whom_it_belongs(actions: Vec<Action>, done: &RefCell<BTreeMap<String, u32>>) {
    register_provider("//v0");
    register_provider("//v1");
    let mut model = Model { ledger: Ledger::new(), nonce: 0, records: BTreeMap::new() };
    let entered = |model: &mut Model| {
        model.ledger.enter();
        check_state();
        model.ledger.check();
    };
    let count = |call: &str, is_done: bool| {
        if is_done {
            *done.borrow_mut().entry(call.to_owned()).or_default() += 1;
        }
    };
    for action in actions {
        let call = format!("{action:?}");
        let is_done = apply(&mut model, action);
        count(call.split(' ').next().unwrap_or_default(), is_done);
        entered(&mut model);
    }
    // However it went: when nothing is frozen any more, everybody gets what is theirs, with nobody's
    // help but a stranger's.
    apply(&mut model, Action::ThawAll);
    let leases = || (0..crate::NextId::<Test>::get().0).map(LeaseId);
    pass(u32::MAX.into());
    for id in leases() {
        let Some(found) = Stored::<Test>::get(id) else { continue };
        let (is_closed, is_evicted) = (close(id, &stranger()), evict(id, &found));
        assert!(is_closed || is_evicted || found.is_over(), "anyone ends {found:?}");
        count("Evict", is_evicted);
        entered(&mut model);
    }
    // The notice is over.
    pass(600);
    for id in leases() {
        count("Settle", Leases::settle(origin(stranger()), id).is_ok());
        entered(&mut model);
        let _ = Leases::expire_contest(origin(stranger()), id);
        entered(&mut model);
        count("Forget", Leases::forget(origin(stranger()), id).is_ok());
        entered(&mut model);
    }
    for (asset, who) in KINDS.iter().flat_map(|asset| accounts().map(|who| (*asset, who))) {
        for reason in [HoldReason::Escrow, HoldReason::Contest] {
            assert_eq!(Held::balance_on_hold(asset, &reason.into(), &who), 0);
        }
    }
    assert_eq!(Stored::<Test>::iter().count(), 0);
}

/// What is paid for these records (seconds, traffic) of one agent, if those are claimed for which
/// `is_claimed` says so.
fn paid_for(records: &[(u64, u64)], is_claimed: impl Fn(usize, u64) -> bool) -> Balance {
    new_test_ext().execute_with(|| {
        open_active_lease();
        assert_ok!(Leases::fund(origin(publisher()), LEASE, 100 * DEPOSIT));
        let mut before = None;
        for (at, (seconds, mib)) in records.iter().enumerate() {
            pass(*seconds);
            let mut record = record_after(before.as_ref(), *seconds);
            record.total.egress_mib += mib;
            before = Some(record);
            if is_claimed(at, *seconds) {
                assert_ok!(claim(record));
                check_invariants();
            }
        }
        lease().earned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bringing a record without a second on chain never costs the provider anything.
    #[test]
    fn a_claim_without_a_second_loses_nothing(
        records in prop::collection::vec((prop_oneof![Just(0u64), 1..20u64], 0..900u64), 1..12),
    ) {
        let last = records.len() - 1;
        let all = paid_for(&records, |_, _| true);
        let without = paid_for(&records, |at, seconds| seconds > 0 || at == last);
        let bare = paid_for(&records, |_, seconds| seconds > 0);
        prop_assert!(all >= without, "{all} < {without}");
        prop_assert!(without >= bare, "{without} < {bare}");
    }
}
