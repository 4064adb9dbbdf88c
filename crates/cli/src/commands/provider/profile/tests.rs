use super::*;
use crate::failure::Report;

const FILE: &str = r#"
name = "home"
regions = ["eu-central"]
endpoints = ["https://provider.example:8443"]
tee_kinds = ["intel-tdx"]
stake = "1000 CASE"

[capacity]
cpu_millicores = 8000
memory_mib = 16384
storage_mib = 100000

[prices]
cpu_millicore_second = 10000
memory_mib_second = "1 nCASE"
storage_mib_second = 10
"#;

fn from_file(text: &str, args: ProfileArgs) -> anyhow::Result<Profile> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Profile::read(&ProfileArgs { file: Some(file.path().to_owned()), ..args }, None)
}

#[test]
fn a_flag_wins_over_the_file() {
    let args = ProfileArgs { cpu: Some(500), price_cpu: Some(Amount(7)), ..Default::default() };
    let profile = from_file(FILE, args).unwrap();
    let (info, capacity, prices) = profile.build(None).unwrap();
    assert_eq!(info.name.to_vec(), b"home");
    assert_eq!(info.tee_kinds.to_vec(), [TeeKind::IntelTdx]);
    assert_eq!((capacity.cpu_millicores, capacity.memory_mib), (500, 16_384));
    assert_eq!(prices.len(), 1);
    assert_eq!(prices[0].prices.cpu_millicore_second, 7);
    assert_eq!(prices[0].prices.memory_mib_second, 1_000);
    assert_eq!(profile.stake().unwrap(), Amount(1_000_000_000_000_000));
}

#[test]
fn an_update_keeps_what_it_does_not_name() {
    let now = ProviderView {
        account: [1; 32],
        name: "old".into(),
        regions: vec!["r".into()],
        endpoints: vec!["http://old".into()],
        tee_kinds: vec!["AmdSevSnp".into()],
        capacity: Resources { cpu_millicores: 1, memory_mib: 2, storage_mib: 3, gpus: 4 },
        used: Resources::default(),
        price_lists: vec![(Asset::Native, Prices { gpu_second: 9, ..Prices::default() })],
        stake: 0,
        unbonding: Vec::new(),
        live_leases: 0,
        cluster: None,
    };
    let args = ProfileArgs { memory: Some(20), ..Default::default() };
    let (info, capacity, prices) = Profile::read(&args, None).unwrap().build(Some(&now)).unwrap();
    assert_eq!(info.name.to_vec(), b"old");
    assert_eq!(info.tee_kinds.to_vec(), [TeeKind::AmdSevSnp]);
    assert_eq!(capacity, Resources { memory_mib: 20, ..now.capacity });
    assert_eq!(prices[0].prices, now.price_lists[0].1);
}

#[test]
fn what_is_missing_or_wrong_is_an_error_of_usage() {
    let without = |line: &str| {
        let text: String =
            FILE.lines().filter(|l| !l.starts_with(line)).collect::<Vec<_>>().join("\n");
        from_file(&text, ProfileArgs::default()).unwrap().build(None).unwrap_err()
    };
    for line in ["name", "endpoints", "cpu_millicores", "memory_mib ", "storage_mib_second"] {
        assert_eq!(Report::of(&without(line)).exit_code, 2, "{line}");
    }
    for (from, to) in [
        ("home", "a name that is longer than the sixty-four bytes that the chain has for a name"),
        ("https://", "ftp://"),
        ("intel-tdx", "9999"),
    ] {
        let profile = from_file(&FILE.replace(from, to), ProfileArgs::default()).unwrap();
        assert_eq!(Report::of(&profile.build(None).unwrap_err()).exit_code, 2, "{to}");
    }
    assert!(from_file("unknown = 1", ProfileArgs::default()).is_err());
    assert!(from_file("stake = -1", ProfileArgs::default()).is_err());
    assert!(Profile::default().stake().is_err());
}

#[test]
fn prices_in_assets_are_those_of_the_file() {
    let list = |id| format!("[[assets]]\nasset = {id}\ncpu_millicore_second = 3\n");
    let profile = |lists: &str| from_file(&format!("{FILE}\n{lists}"), ProfileArgs::default());
    let (_, _, lists) = profile(&list(7)).unwrap().build(None).unwrap();
    let native = PriceList { asset: Asset::Native, ..lists[0] };
    let prices = Prices { cpu_millicore_second: 3, ..Prices::default() };
    assert_eq!(lists, [native, PriceList { asset: Asset::Registered(7), prices }]);
    let twice = profile(&(list(7) + &list(7))).unwrap().build(None).unwrap_err();
    assert_eq!(Report::of(&twice).exit_code, 2);
    assert!(profile("[[assets]]\nasset = -1\n").is_err());
}
