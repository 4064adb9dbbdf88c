//! The same evidence to this crate and to dcap-qvl, with both of its back ends.
//!
//! The promise is one-sided: what dcap-qvl refuses is refused, and where both accept, the status is
//! the same or worse. Where this crate accepts more or refuses more, the reason is listed here:
//!
//! More is accepted: debug enclaves and TDs ([`claims.debug`](casemate_attestation::Claims::debug),
//! a policy refuses them); SGX quotes of version 4; authentication data of another length than 32.
//!
//! More is refused: see [`stricter`].

#![allow(clippy::cast_possible_truncation, reason = "the test chooses the values")]

#[path = "../../../crates/attestation/tests/dcap_support/mod.rs"]
mod dcap_support;

use casemate_attestation::{
    Claims, TcbStatus, TrustRoots,
    dcap::{Error, Quote, RawCollateral, verify_with_collateral},
};
use dcap_qvl::{
    QuoteCollateralV3,
    configs::{RingConfig, RustCryptoConfig},
    verify::{QuoteVerifier, VerifiedReport},
};
use dcap_support::{
    sample,
    world::{DAY, Form, NOW, World, level, part_level},
};

/// A small generator (xorshift64*), so that the cases are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn theirs(
    root: Option<&[u8]>,
    quote: &[u8],
    collateral: &RawCollateral,
    now: u64,
) -> Result<VerifiedReport, String> {
    let json = serde_json::to_string(collateral).expect("JSON");
    let collateral: QuoteCollateralV3 = serde_json::from_str(&json).expect("the same JSON");
    let verifier = || match root {
        Some(root) => QuoteVerifier::new(root.to_vec()),
        None => QuoteVerifier::new_prod(),
    };
    let ring = verifier().with_config::<RingConfig>().verify(quote, &collateral, now);
    let rust = verifier().with_config::<RustCryptoConfig>().verify(quote, &collateral, now);
    assert_eq!(ring.is_ok(), rust.is_ok(), "dcap-qvl's back ends disagree");
    ring.map_err(|error| format!("{error:#}"))
}

fn ours(
    roots: &TrustRoots,
    quote: &[u8],
    collateral: &RawCollateral,
    now: u64,
) -> Result<Claims, Error> {
    let quote = Quote::parse(quote)?;
    verify_with_collateral(quote, collateral, roots, now).map(|verified| verified.into_claims())
}

/// What dcap-qvl accepts and this crate does not, and why.
fn stricter(error: &Error) -> Option<&'static str> {
    match error {
        Error::TrailingData => Some("bytes after the quote are not looked at there"),
        Error::WrongLength(_) => Some("nor bytes within its length fields that nothing reads"),
        Error::QuoteTooLarge => Some("quotes have no largest size there"),
        Error::QeReportData => Some("the second half of the report data is not looked at there"),
        Error::PceIdMismatch => Some("PCE-ID is not compared there"),
        Error::NotInitialised => Some("INIT is not looked at there"),
        Error::WrongName(_) => Some("names are not looked at there"),
        Error::QeAttributes | Error::QeMiscSelect => {
            Some("what is expected is masked there, but not by Intel's verifier")
        }
        Error::TdxModuleAttributes => Some("the same"),
        Error::Certificate { .. } => Some("PEM is read more leniently there"),
        Error::UntrustedRoot(_) | Error::ChainLength(_) => {
            Some("certificates that no path needs, such as the root, are not looked at there")
        }
        _ => None,
    }
}

/// Statuses as sets of needs: `Some` for each that is not revoked.
fn needs(status: &str) -> [bool; 3] {
    let (update, configuration, hardening) = match status {
        "UpToDate" => (false, false, false),
        "SWHardeningNeeded" => (false, false, true),
        "ConfigurationNeeded" => (false, true, false),
        "ConfigurationAndSWHardeningNeeded" => (false, true, true),
        // Whoever was launched out of date is out of date, whatever was updated since.
        "OutOfDate" | "TDRelaunchAdvised" => (true, false, false),
        "OutOfDateConfigurationNeeded" | "TDRelaunchAdvisedConfigurationNeeded" => {
            (true, true, false)
        }
        other => panic!("status {other}"),
    };
    [update, configuration, hardening]
}

fn name(status: TcbStatus) -> String {
    serde_json::to_value(status).expect("JSON").as_str().expect("a name").to_owned()
}

#[derive(Debug, Default)]
struct Tally {
    both_accept: usize,
    both_refuse: usize,
    stricter: usize,
    debug: usize,
}

impl Tally {
    fn compare(
        &mut self,
        case: &str,
        ours: Result<Claims, Error>,
        theirs: Result<VerifiedReport, String>,
    ) {
        match (ours, theirs) {
            (Ok(claims), Ok(report)) => {
                let status = name(claims.tcb.status);
                let (mine, other) = (needs(&status), needs(&report.status));
                // Out of date and hardening needed has no name of its own.
                let covers = mine[0] >= other[0] && mine[1] >= other[1];
                assert!(
                    covers && (mine[0] || mine[2] >= other[2]),
                    "{case}: {status}, dcap-qvl says {}",
                    report.status
                );
                for advisory in &report.advisory_ids {
                    assert!(claims.tcb.advisories.contains(advisory), "{case}: {advisory}");
                }
                assert_eq!(claims.platform_id, report.ppid, "{case}");
                self.both_accept += 1;
            }
            (Err(_), Err(_)) => self.both_refuse += 1,
            (Err(error), Ok(_)) => {
                assert!(stricter(&error).is_some(), "{case}: only this crate refuses: {error:?}");
                self.stricter += 1;
            }
            (Ok(claims), Err(error)) => {
                let debug = claims.debug
                    && (error.contains("Debug mode") || error.contains("TD profiling"));
                assert!(debug, "{case}: only dcap-qvl refuses: {error}");
                self.debug += 1;
            }
        }
    }
}

const SAMPLES: [(&str, u64); 4] = [
    ("sgx_quote", 1_750_809_600),
    ("tdx_quote", 1_750_809_600),
    ("tdx_quote_td15ex", 1_792_022_400),
    ("tdx_quote_outdated", 1_772_323_200),
];

#[test]
fn real_evidence_gives_the_same_status_and_advisories() {
    for (file, now) in SAMPLES {
        let sample = sample(file);
        let ours = ours(&TrustRoots::vendors(), &sample.quote, &sample.collateral, now);
        let theirs = theirs(None, &sample.quote, &sample.collateral, now);
        match (ours, theirs) {
            (Ok(claims), Ok(report)) => {
                assert_eq!(name(claims.tcb.status), report.status, "{file}");
                assert_eq!(claims.tcb.advisories, report.advisory_ids, "{file}");
                assert_eq!(claims.platform_id, report.ppid, "{file}");
            }
            (Err(ours), Err(theirs)) => {
                assert_eq!(ours, Error::NoTcbLevel, "{file}");
                assert!(theirs.contains("No matching TCB level found"), "{file}: {theirs}");
            }
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn collateral_of_one_sample_does_not_serve_another() {
    let mut tally = Tally::default();
    for (quote_file, now) in SAMPLES {
        for (collateral_file, other_now) in SAMPLES {
            let quote = sample(quote_file).quote;
            let collateral = sample(collateral_file).collateral;
            for now in [now, other_now] {
                tally.compare(
                    &format!("{quote_file} with {collateral_file} at {now}"),
                    ours(&TrustRoots::vendors(), &quote, &collateral, now),
                    theirs(None, &quote, &collateral, now),
                );
            }
        }
    }
    assert!(tally.both_accept >= 3, "{tally:?}");
}

#[test]
fn random_changes_of_real_evidence() {
    let mut random = Random(0x5eed_0001);
    let mut tally = Tally::default();
    for case in 0..400 {
        let (file, mut now) = *random.of(&SAMPLES[..3]);
        let mut sample = sample(file);
        for _ in 0..=random.below(2) {
            mutate(&mut random, &mut sample.quote, &mut sample.collateral, &mut now);
        }
        tally.compare(
            &format!("case {case} on {file}"),
            ours(&TrustRoots::vendors(), &sample.quote, &sample.collateral, now),
            theirs(None, &sample.quote, &sample.collateral, now),
        );
    }
    assert!(tally.both_refuse > 250 && tally.both_accept > 5, "{tally:?}");
}

fn mutate(random: &mut Random, quote: &mut Vec<u8>, collateral: &mut RawCollateral, now: &mut u64) {
    let flip = |random: &mut Random, bytes: &mut [u8]| {
        let position = random.below(bytes.len());
        bytes[position] ^= 1 << random.below(8);
    };
    let letter = |random: &mut Random, text: &mut String| {
        let position = random.below(text.len());
        let with = *random.of(&["0", "1", "A", "z", "\"", " ", "-", "\n"]);
        text.replace_range(position..=position, with);
    };
    match random.below(13) {
        0..=2 => flip(random, quote),
        3 => quote.truncate(random.below(quote.len())),
        4 => quote.extend([*random.of(&[0, 0, 7]); 9]),
        5 => flip(random, &mut collateral.pck_crl),
        6 => flip(random, &mut collateral.root_ca_crl),
        7 => letter(random, &mut collateral.tcb_info),
        8 => letter(random, &mut collateral.qe_identity),
        9 => flip(random, &mut collateral.tcb_info_signature),
        10 => letter(random, &mut collateral.tcb_info_issuer_chain),
        11 => letter(random, &mut collateral.pck_crl_issuer_chain),
        // Up to two months to either side.
        _ => *now = *now + random.below(120 * 86_400) as u64 - 60 * 86_400,
    }
}

#[test]
fn random_platforms_are_judged_alike() {
    let mut random = Random(0x5eed_0002);
    let mut tally = Tally::default();
    for case in 0..240 {
        let world = random_world(&mut random);
        let root = world.root.der();
        let (quote, collateral) = (world.quote(), world.collateral());
        tally.compare(
            &format!("case {case}: {:?}", world.form),
            ours(&world.roots(), &quote, &collateral, world.now),
            theirs(Some(&root), &quote, &collateral, world.now),
        );
    }
    assert!(tally.both_accept > 60 && tally.both_refuse > 20, "{tally:?}");
}

fn random_world(random: &mut Random) -> World {
    const ALL: [&str; 7] = [
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
    ];
    // What Intel gives to parts.
    const PART: [&str; 3] = ["UpToDate", "OutOfDate", "Revoked"];
    let status = |random: &mut Random, list: &[&'static str]| {
        // The last, revoked, would hide much else.
        let end = if random.one_in(8) { list.len() } else { list.len() - 1 };
        list[random.below(end)]
    };
    let mut world = World::new(*random.of(&[
        Form::SgxV3,
        Form::TdxV4,
        Form::Tdx10V5,
        Form::Tdx15V5,
        Form::Tdx15ExV5,
    ]));
    let levels: Vec<_> = (0..1 + random.below(5))
        .map(|_| {
            let mut level = level(
                random.below(7) as u8,
                5 + random.below(6) as u16,
                random.below(6) as u8,
                status(random, &ALL),
                &[*random.of(&["INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3"])],
            );
            level["tcb"]["sgxtcbcomponents"][random.below(16)]["svn"] = random.below(7).into();
            level["tcb"]["tdxtcbcomponents"][random.below(16)]["svn"] = random.below(7).into();
            level
        })
        .collect();
    world.tcb_info["tcbLevels"] = levels.into();
    world.tcb_info["tcbLevels"].as_array_mut().expect("a list").push(level(
        0,
        0,
        0,
        "OutOfDate",
        &[],
    ));
    world.sgx_extension.as_mut().expect("is there").svns = [3 + random.below(4) as u8; 16];
    if !world.form.is_sgx() {
        let (isv_svn, version, rest) =
            (1 + random.below(5) as u8, random.below(2) as u8, 2 + random.below(4) as u8);
        world.set_tee_tcb_svn(isv_svn, version, rest);
        world.tcb_info["tdxModuleIdentities"][0]["tcbLevels"] = serde_json::json!([
            part_level(4, status(random, &PART), &["INTEL-SA-4"]),
            part_level(1, status(random, &PART), &[]),
        ]);
        if world.body.len() > 584 && random.one_in(2) {
            world.body[584] = 1 + random.below(5) as u8;
            world.body[586..600].fill(2 + random.below(4) as u8);
        }
        if random.one_in(6) {
            let bit = random.below(64);
            world.body[120 + bit / 8] ^= 1 << (bit % 8);
        }
        if random.one_in(12) {
            world.body[112 + random.below(8)] ^= 1;
        }
        if random.one_in(12) && world.body.len() > 584 {
            world.body[600 + random.below(48)] = 1;
        }
    }
    world.qe_identity["tcbLevels"] = serde_json::json!([
        part_level(8, status(random, &PART), &["INTEL-SA-5"]),
        part_level(6, status(random, &PART), &["INTEL-SA-1"]),
    ]);
    world.qe_report[258] = 5 + random.below(5) as u8;
    if random.one_in(10) {
        world.qe_report[48 + random.below(16)] ^= 1 << random.below(8);
    }
    if random.one_in(10) {
        world.now = NOW + random.below(80) as u64 * DAY - 40 * DAY;
    }
    if random.one_in(12) {
        let serial = random.below(5) as u64;
        world.pck_crl.revoked.push(serial);
        world.root_crl.revoked.push(random.below(5) as u64);
    }
    if random.one_in(12) {
        world.tcb_info["fmspc"] = (*random.of(&["00A067110000", "00A067110001"])).into();
    }
    world
}
