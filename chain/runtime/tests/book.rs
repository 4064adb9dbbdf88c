//! The numbers in `docs/book` are this runtime's.

#![allow(clippy::unwrap_used, missing_docs)]

use casemate_primitives::{
    reputation::{decayed, pay, weighed, Fault, Pair, Rules, Score},
    Balance, Prices, Quantities, Resources, UsageRecord, CASE,
};
use casemate_runtime::{Runtime, RuntimeCall};
use codec::Encode;
use frame_support::{dispatch::GetDispatchInfo, traits::Get};
use sp_runtime::Permill;

const DAY: u64 = 86_400;
const ECONOMICS: &str = include_str!("../../../docs/book/economics.md");
const REPUTATION: &str = include_str!("../../../docs/book/reputation.md");
const SAMPLE: &str = include_str!("../../../crates/provider/src/config/sample.toml");

fn number<N: Get<u32>>() -> u32 {
    N::get()
}

fn seconds<N: Get<u64>>() -> u64 {
    N::get()
}

fn money<N: Get<Balance>>() -> Balance {
    N::get()
}

/// Fails with all that the page does not say.
fn says(page: &str, texts: &[String]) {
    let missing: Vec<_> = texts.iter().filter(|text| !page.contains(text.as_str())).collect();
    assert!(missing.is_empty(), "the page does not say: {missing:#?}");
}

/// An amount in CASE, in full.
fn case(amount: Balance) -> String {
    let text = format!("{}.{:012}", amount / CASE, amount % CASE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The same with four decimals, rounded.
fn short(amount: Balance) -> String {
    const UNIT: Balance = CASE / 10_000;
    case((amount + UNIT / 2) / UNIT * UNIT)
}

/// A number of the daemon's sample configuration.
fn sample(name: &str) -> Balance {
    let line = SAMPLE.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
    line.unwrap().parse().unwrap()
}

fn pod() -> (Resources, Prices) {
    let resources =
        Resources { cpu_millicores: 2_000, memory_mib: 4_096, storage_mib: 20_480, gpus: 0 };
    let prices = Prices {
        cpu_millicore_second: sample("cpu_millicore_second"),
        memory_mib_second: sample("memory_mib_second"),
        storage_mib_second: sample("storage_mib_second"),
        gpu_second: sample("gpu_second"),
        egress_mib: sample("egress_mib"),
        ingress_mib: 0,
    };
    (resources, prices)
}

#[test]
fn the_numbers_of_the_runtime_are_in_the_page_on_economics() {
    let days = |seconds: u64| seconds / DAY;
    let rates = <Runtime as pallet_providers::Config>::StakeRates::get();
    let per_case = |rate: Balance| CASE / rate;
    let complaint = money::<<Runtime as pallet_reputation::Config>::ComplaintDeposit>();
    let complaint_days =
        days(seconds::<<Runtime as pallet_reputation::Config>::ArbitrationSeconds>());
    let term = number::<<Runtime as pallet_leases::Config>::TermSecondsMax>();
    let notice = number::<<Runtime as pallet_leases::Config>::NoticeSecondsMax>();
    assert_eq!(notice, number::<<Runtime as pallet_leases::Config>::GraceSecondsMax>());
    says(
        ECONOMICS,
        &[
            format!(
                "0 % at genesis, at most {} %",
                <Runtime as pallet_leases::Config>::TreasuryShareMax::get().deconstruct() / 10_000
            ),
            format!(
                "{} CASE for a thousandth of a core, 1/{} CASE for a MiB of memory, 1/{} CASE for a \
                 MiB of disk, {} CASE for a GPU; at least {} CASE",
                case(rates.cpu_millicore),
                per_case(rates.memory_mib),
                per_case(rates.storage_mib),
                case(rates.gpu),
                case(money::<<Runtime as pallet_providers::Config>::StakeMin>())
            ),
            format!(
                "| unbonding | {} days |",
                days(seconds::<<Runtime as pallet_providers::Config>::UnbondingSeconds>())
            ),
            format!(
                "{} % of what is contested, at least {} CASE; arbiters have {} days",
                <Runtime as pallet_leases::Config>::ContestDepositShare::get().deconstruct()
                    / 10_000,
                case(money::<<Runtime as pallet_leases::Config>::ContestDepositMin>()),
                days(seconds::<<Runtime as pallet_leases::Config>::ArbitrationSeconds>())
            ),
            format!(
                "{} CASE × (1 + open ones against the same account); arbiters have \
                 {complaint_days} days",
                case(complaint)
            ),
            format!(
                "| deployment | {} CASE,",
                case(money::<<Runtime as pallet_deployments::Config>::Deposit>())
            ),
            format!(
                "at most {} days each where the chain bounds them; notice and grace at most {}",
                days(term.into()),
                days(notice.into())
            ),
            format!(
                "can't take less than {} CASE",
                case(money::<<Runtime as pallet_balances::Config>::ExistentialDeposit>())
            ),
            format!(
                "good for at most {} hour",
                seconds::<<Runtime as pallet_leases::Config>::QuoteSecondsMax>() / 3_600
            ),
        ],
    );
    sp_io::TestExternalities::default().execute_with(|| {
        assert_eq!(pallet_leases::TreasuryShare::<Runtime>::get(), Permill::zero());
        let record = UsageRecord::default();
        let call = RuntimeCall::Leases(pallet_leases::Call::claim { record, signature: [0; 64] });
        // Signature, address and extensions take about a hundred bytes more.
        let length = u32::try_from(call.encoded_size()).unwrap() + 110;
        let info = call.get_dispatch_info();
        let fee = pallet_transaction_payment::Pallet::<Runtime>::compute_fee(length, &info, 0);
        let said = 4 * CASE / 10_000;
        assert!((said * 2 / 3..said * 3 / 2).contains(&fee), "a claim's fee is {}", case(fee));
    });
}

#[test]
fn the_worked_numbers_of_the_page_on_economics_come_out() {
    let (resources, prices) = pod();
    let second = prices.per_second(&resources).unwrap();
    let hour = second * 3_600;
    let sent = |mib| Quantities { egress_mib: mib, ..Quantities::default() };
    let claim = Quantities { egress_mib: 50, ..Quantities::quota(&resources, 600).unwrap() };
    let share = Permill::from_percent(5).mul_floor(hour);
    let room = (600 * 4_500_000 - 600 * second) / prices.egress_mib;
    let rates = <Runtime as pallet_providers::Config>::StakeRates::get();
    let stake = rates.required(&resources);
    let machine = Resources {
        cpu_millicores: 64_000,
        memory_mib: 256 * 1_024,
        storage_mib: 4 * 1_024 * 1_024,
        gpus: 0,
    };
    let contest = money::<<Runtime as pallet_leases::Config>::ContestDepositMin>();
    assert_eq!(144 * 4 * CASE / 10_000, 576 * CASE / 10_000);
    assert!((6..8).contains(&(second * 86_400 * 10_000 / CASE / 576)), "a sixth");
    assert!(SAMPLE.contains("dispute = \"1h\"") && SAMPLE.contains("grace = \"10m\""));
    assert!(SAMPLE.contains("deposit_covers = \"1h\"") && SAMPLE.contains("silence = \"6h\""));
    says(
        ECONOMICS,
        &[
            format!(
                "({} for a thousandth of a core and second, {} for a MiB of memory, {} for a MiB of \
                 disk, {} for a MiB sent)",
                prices.cpu_millicore_second,
                prices.memory_mib_second,
                prices.storage_mib_second,
                prices.egress_mib
            ),
            format!("= {second} a second"),
            format!("= {} CASE an hour", case(hour)),
            format!("= {} CASE a day", case(second * 86_400)),
            format!("= {} CASE in 30 days", case(second * 86_400 * 30)),
            format!("A GiB sent is {} CASE", case(prices.cost(&sent(1_024)).unwrap())),
            format!("costs that instead of {second}"),
            format!("{} CASE an hour. Traffic", case(5_000_000.max(second) * 3_600)),
            format!("50 × 100000 = {}.", prices.cost(&claim).unwrap()),
            format!("In ten minutes that is {}, so there is room for {room} MiB", 600 * 4_500_000_u64),
            format!("at the least: {} CASE", case(hour)),
            format!("600 × {second} = {} CASE", case(600 * second)),
            format!(
                "{} CASE become {} CASE for the provider and {} CASE",
                case(hour),
                case(hour - share),
                case(share)
            ),
            format!("= {} CASE, which is {} days of its price", short(stake), stake / hour / 24),
            format!("4 TiB needs {} CASE", short(rates.required(&machine))),
            format!("with one hour {} CASE of stake", case(hour)),
            format!(
                "of {} CASE {}, the price of {} hours",
                short(stake),
                short(stake / 50),
                stake / 50 / hour
            ),
            format!("`silence = \"6h\"` that is {} CASE", case(6 * hour)),
            format!("two periods at most: here {} CASE", case(2 * hour)),
            format!("The loss of {} CASE", short(stake / 50)),
            format!(
                "an hour's {} CASE for at most 14 days costs {} CASE if nobody decides for the \
                 publisher: {} times",
                case(hour),
                case(contest),
                contest / hour
            ),
        ],
    );
}

#[test]
fn the_numbers_of_the_page_on_reputation_come_out() {
    let rules: Rules = <Runtime as pallet_reputation::Config>::Rules::get();
    let fault = |score: Balance, fault| {
        let mut tally = Score::default().provider;
        tally.work = score;
        tally.take(fault, 0, &rules)
    };
    // What a fault costs: of a large score in parts, and of none.
    let parts = |which| (1_600 * CASE) / fault(1_600 * CASE, which);
    let words = |which| (parts(which), fault(0, which));
    assert_eq!(words(Fault::ChallengeLost), (4, CASE));
    assert_eq!(words(Fault::ComplaintUpheld), (8, CASE));
    assert_eq!(words(Fault::ContestLost), (16, CASE / 2));
    let broken = |brought| Score::default().provider.take(Fault::LeaseBroken, brought, &rules);
    assert_eq!((broken(0), broken(7) - broken(0)), (CASE / 10, 14));

    let start = 1_000 * DAY;
    let first = |others: Balance| {
        let (mut publisher, mut provider, mut pair) =
            (Score::default(), Score::default(), Pair::default());
        pay(&mut publisher, &mut provider, &mut pair, CASE, start, &rules);
        publisher = publisher.at(start + 30 * DAY, &rules);
        publisher.fees += others;
        (publisher, provider, pair)
    };
    let (mut publisher, mut provider, mut pair) = first(0);
    let day_0 = provider.provider.score();
    let later = start + 30 * DAY;
    let day_30 = provider.at(later, &rules).provider.score();
    let gained = pay(&mut publisher, &mut provider, &mut pair, CASE, later, &rules);
    let work = weighed(pair.fees, rules.pair_free) - decayed(CASE, 30 * DAY, 90 * 86_400);
    assert_eq!(gained, work + work / 2);
    let (mut other_publisher, mut other_provider, mut other_pair) = first(CASE);
    pay(&mut other_publisher, &mut other_provider, &mut other_pair, CASE, later, &rules);
    let mut day_120 = provider.at(start + 120 * DAY, &rules).provider;
    let before = day_120.score();
    day_120.take(Fault::ChallengeLost, 0, &rules);

    // What is bought: all at once, by one publisher or by a hundred.
    let bought = |publishers: u32| {
        let mut provider = Score::default();
        for _ in 0..publishers {
            let fee = 100 * CASE / Balance::from(publishers);
            let (mut publisher, mut pair) = (Score::default(), Pair::default());
            pay(&mut publisher, &mut provider, &mut pair, fee, start, &rules);
        }
        provider.provider.score()
    };
    let honest = {
        let (mut publisher, mut pair) = (Score::default(), Pair::default());
        publisher = publisher.at(start, &rules);
        publisher.fees = 100 * CASE;
        let mut provider = Score::default();
        pay(&mut publisher, &mut provider, &mut pair, 100 * CASE, start, &rules);
        provider.provider.score()
    };
    let complaint_seconds = seconds::<<Runtime as pallet_reputation::Config>::ComplaintSeconds>();
    let arbitration = seconds::<<Runtime as pallet_reputation::Config>::ArbitrationSeconds>();
    says(
        REPUTATION,
        &[
            format!("The knee is {} CASE and all", case(rules.pair_free)),
            format!("{} days for all of it", u64::from(rules.uptime_seconds) / DAY),
            format!("halve in {} days", u64::from(rules.half_life_seconds) / DAY),
            format!("| the first 20 CASE | {} |", short(day_0)),
            format!("it has decayed | {} |", short(day_30)),
            format!(
                "the fees are {} now, beyond the knee; they count {}, so {} more",
                short(pair.fees),
                short(weighed(pair.fees, rules.pair_free)),
                short(work)
            ),
            format!("30 days without a break | {} |", short(provider.provider.score())),
            format!("and half more | {} |", short(other_provider.provider.score())),
            format!("| nothing for 90 days | {} |", short(before)),
            format!("a quarter is less than 1 CASE | {} |", short(day_120.score())),
            format!("| one publisher, one provider | {} |", short(bought(1))),
            format!("| 100 publishers that pay 1 CASE each | {} |", short(bought(100))),
            format!("strangers that also pay others | {} |", short(honest)),
            format!("up to {} days after its end", complaint_seconds / DAY),
            format!(
                "of {} CASE × (1 + open complaints against the same account), at most {} of them",
                case(money::<<Runtime as pallet_reputation::Config>::ComplaintDeposit>()),
                number::<<Runtime as pallet_reputation::Config>::ComplaintsOpenMax>()
            ),
            format!("decide within {} days", arbitration / DAY),
        ],
    );
}
