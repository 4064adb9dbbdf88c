//! Batches, and claims out of them.

use super::*;
use sp_runtime::DispatchError;

fn claim(who: u64, batch: BatchNumber, index: u64, all: &[UsageRecord]) -> DispatchResult {
    let record = all[index as usize];
    let signature = sign(&signing_key(), &record);
    let path = path(&leaves(all), index);
    Proofs::claim_from_batch(origin(who), batch, index, record, signature, path)
}

#[test]
fn a_record_is_claimed_by_its_path_as_of_the_time_of_the_batch() {
    ready(|| {
        let all = records(LEASE, 5);
        let batch = submit(PROVIDER, &leaves(&all));
        let at = Now::get();
        System::assert_last_event(
            Event::BatchSubmitted {
                provider: PROVIDER,
                batch,
                root: merkle::root(&leaves(&all)),
                leaves: 5,
            }
            .into(),
        );
        Now::set(at + 500);
        for index in [1, 4] {
            assert_ok!(claim(PROVIDER, batch, index, &all));
            let claimed = lease(1, |lease| (lease.anchors[&0].sequence, lease.claimed_as_of));
            assert_eq!(claimed, (4 + index, Some(at)));
        }
    });
}

#[test]
fn a_leaf_pays_once_wherever_it_stands() {
    ready(|| {
        let mut all = records(LEASE, 2);
        all.push(all[1]);
        let batch = submit(PROVIDER, &leaves(&all));
        assert_ok!(claim(PROVIDER, batch, 1, &all));
        let old = DispatchError::Other("RecordOld");
        assert_noop!(claim(PROVIDER, batch, 1, &all), old);
        assert_noop!(claim(PROVIDER, batch, 2, &all), DispatchError::Other("RecordOld"));
        // Nor in another batch.
        let again = submit(PROVIDER, &leaves(&all));
        assert_noop!(claim(PROVIDER, again, 2, &all), DispatchError::Other("RecordOld"));
    });
}

#[test]
fn a_record_of_another_provider_s_lease_pays_nothing() {
    ready(|| {
        let all = [records(LEASE, 1), records(OTHER_LEASE, 1)].concat();
        let batch = submit(PROVIDER, &leaves(&all));
        assert_noop!(claim(PROVIDER, batch, 1, &all), DispatchError::Other("NotProvider"));
        // The other provider has no such batch.
        assert_noop!(claim(OTHER_PROVIDER, batch, 1, &all), Error::<Test>::BatchUnknown);
    });
}

#[test]
fn only_what_is_under_the_root_at_its_place_is_claimed() {
    ready(|| {
        let all = records(LEASE, 5);
        let batch = submit(PROVIDER, &leaves(&all));
        let call = |batch, index, record: UsageRecord, path: Path| {
            let signature = sign(&signing_key(), &record);
            Proofs::claim_from_batch(origin(PROVIDER), batch, index, record, signature, path)
        };
        let good = path(&leaves(&all), 2);
        for index in [0, 1, 3, 4, 5, 1 << 63, u64::MAX] {
            assert_noop!(call(batch, index, all[2], good.clone()), Error::<Test>::LeafNotProved);
        }
        let mut other = all[2];
        other.total.cpu_millicore_seconds += 1;
        assert_noop!(call(batch, 2, other, good.clone()), Error::<Test>::LeafNotProved);
        let mut path = good.clone();
        path[0][0] ^= 1;
        assert_noop!(call(batch, 2, all[2], path), Error::<Test>::LeafNotProved);
        let mut path = good.clone();
        path.pop();
        assert_noop!(call(batch, 2, all[2], path.clone()), Error::<Test>::LeafNotProved);
        path.try_push(good[good.len() - 1]).unwrap();
        path.try_push([0; 32]).unwrap();
        assert_noop!(call(batch, 2, all[2], path), Error::<Test>::LeafNotProved);
        // Another signature over the same record is another leaf.
        let forged = sign(&other_key(), &all[2]);
        assert_noop!(
            Proofs::claim_from_batch(origin(PROVIDER), batch, 2, all[2], forged, good.clone()),
            Error::<Test>::LeafNotProved
        );
        assert_noop!(call(batch + 1, 2, all[2], good.clone()), Error::<Test>::BatchUnknown);
        assert_ok!(call(batch, 2, all[2], good));
    });
}

#[test]
fn a_batch_with_a_wrong_number_of_leaves_proves_nothing_twice() {
    ready(|| {
        let all = records(LEASE, 5);
        let real = leaves(&all);
        for count in [4, 6, 8, u64::from(u32::MAX)] {
            assert_ok!(Proofs::submit_batch(origin(PROVIDER), merkle::root(&real), count));
            let batch = NextBatch::<Test>::get(PROVIDER) - 1;
            let stored = Batches::<Test>::get(PROVIDER, batch).unwrap();
            for (at, leaf) in real.iter().enumerate() {
                let path = merkle::inclusion_path(&real, at as u64).unwrap();
                let places = (0..10)
                    .filter(|place| {
                        let proved = merkle::proved_root(leaf, *place, stored.leaves, &path);
                        proved == Some(stored.root)
                    })
                    .count();
                assert!(places <= 1, "leaf {at} of {count} has {places} places");
            }
        }
    });
}

#[test]
fn only_active_providers_submit_and_no_batch_is_empty_or_too_large() {
    ready(|| {
        let submit = |who, leaves| Proofs::submit_batch(origin(who), [1; 32], leaves);
        assert_noop!(submit(STRANGER, 1), pallet_providers::Error::<Test>::NotRegistered);
        assert_noop!(submit(PROVIDER, 0), Error::<Test>::Leaves);
        assert_noop!(submit(PROVIDER, (1 << 63) + 1), Error::<Test>::Leaves);
        assert_ok!(submit(PROVIDER, 1 << 63));
        let unsigned = Proofs::submit_batch(RuntimeOrigin::none(), [1; 32], 1);
        assert_noop!(unsigned, DispatchError::BadOrigin);
        assert_ok!(Providers::retire(origin(PROVIDER)));
        assert_noop!(submit(PROVIDER, 1), pallet_providers::Error::<Test>::Retiring);
    });
}

#[test]
fn only_the_newest_are_kept_of_each_provider() {
    ready(|| {
        let all = records(LEASE, 1);
        let other = submit(OTHER_PROVIDER, &leaves(&all));
        for number in 0..BatchesMax::get() {
            assert_eq!(submit(PROVIDER, &leaves(&all)), number);
        }
        assert!(Batches::<Test>::contains_key(PROVIDER, 0));
        submit(PROVIDER, &leaves(&all));
        assert_noop!(claim(PROVIDER, 0, 0, &all), Error::<Test>::BatchUnknown);
        assert_eq!(Batches::<Test>::iter_prefix(PROVIDER).count() as u64, BatchesMax::get());
        assert!(Batches::<Test>::contains_key(OTHER_PROVIDER, other), "others' stay");
        assert_ok!(claim(PROVIDER, 1, 0, &all));
    });
}

#[test]
fn an_old_batch_counts_no_more_and_anyone_may_remove_it() {
    ready(|| {
        let all = records(LEASE, 2);
        let batch = submit(PROVIDER, &leaves(&all));
        let forget = || Proofs::forget_batch(origin(STRANGER), PROVIDER, batch);
        Now::set(Now::get() + BatchSecondsMax::get() - 1);
        assert_noop!(forget(), Error::<Test>::BatchCounts);
        assert_ok!(claim(PROVIDER, batch, 0, &all));
        Now::set(Now::get() + 1);
        assert_noop!(claim(PROVIDER, batch, 1, &all), Error::<Test>::BatchTooOld);
        let target = Target::BatchLeaf { provider: PROVIDER, batch, index: 0 };
        assert_noop!(challenge(STRANGER, target), Error::<Test>::BatchTooOld);
        assert_ok!(forget());
        assert_noop!(forget(), Error::<Test>::BatchUnknown);
        assert_noop!(claim(PROVIDER, batch, 1, &all), Error::<Test>::BatchUnknown);
    });
}
