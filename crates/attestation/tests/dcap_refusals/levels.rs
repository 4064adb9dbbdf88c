//! The quoting enclave, the levels of firmware, and the workload.

use super::*;

#[test]
fn the_quoting_enclave_has_to_be_the_one_of_its_identity() {
    for form in [Form::SgxV3, Form::Tdx15V5] {
        refused(form, Error::QeSigner, |world| world.qe_report[128] ^= 1);
        refused(form, Error::QeProduct, |world| world.qe_report[256] ^= 1);
        refused(form, Error::QeDebug, |world| world.qe_report[48] |= 2);
        refused(form, Error::QeMiscSelect, |world| world.qe_report[16] = 1);
        refused(form, Error::QeAttributes, |world| world.qe_report[48] |= 8);
        refused(form, Error::NoQeTcbLevel(4), |world| world.qe_report[258] = 4);
        refused(form, Error::TcbRevoked("quoting enclave"), |world| world.qe_report[258] = 5);
    }
    assert!(
        with(Form::SgxV3, |world| world.qe_report[56] = 7).is_ok(),
        "XFRM is not among the bits that are compared"
    );
    assert_eq!(with(Form::SgxV3, |world| world.qe_report[258] = 7), Ok(TcbStatus::OutOfDate));
}

#[test]
fn the_platforms_level_is_found() {
    let sgx = |svn: u8, pce: u64| {
        with(Form::SgxV3, |world| {
            let extension = world.sgx_extension.as_mut().expect("is there");
            (extension.svns, extension.pce_svn) = ([svn; 16], pce);
        })
    };
    assert_eq!(sgx(5, 10), Ok(TcbStatus::UpToDate));
    assert_eq!(sgx(4, 10), Ok(TcbStatus::SwHardeningNeeded));
    assert_eq!(sgx(5, 9), Ok(TcbStatus::OutOfDate), "PCESVN counts");
    assert_eq!(sgx(2, 5), Ok(TcbStatus::OutOfDate));
    assert_eq!(sgx(1, 5), Err(Error::TcbRevoked("platform")));
    assert_eq!(sgx(0, 5), Err(Error::NoTcbLevel));
    assert_eq!(sgx(5, 4), Err(Error::NoTcbLevel));
    // One component is enough.
    assert_eq!(
        with(Form::SgxV3, |world| {
            world.sgx_extension.as_mut().expect("is there").svns[15] = 4;
        }),
        Ok(TcbStatus::SwHardeningNeeded)
    );
    // The order of the JSON does not matter.
    assert_eq!(
        with(Form::SgxV3, |world| {
            let levels = world.tcb_info["tcbLevels"].as_array_mut().expect("a list");
            levels.reverse();
        }),
        Ok(TcbStatus::UpToDate)
    );
}

#[test]
fn the_tdx_modules_level_is_found() {
    for form in TDX {
        let svn = |isv_svn, version, rest| {
            with(form, |world| world.set_tee_tcb_svn(isv_svn, version, rest))
        };
        assert_eq!(svn(4, 1, 5), Ok(TcbStatus::UpToDate));
        assert_eq!(svn(3, 1, 5), Ok(TcbStatus::OutOfDate), "the module");
        assert_eq!(svn(1, 1, 5), Err(Error::NoTdxModuleLevel(1)));
        assert_eq!(svn(4, 2, 5), Err(Error::UnknownTdxModule(2)));
        assert_eq!(svn(4, 1, 4), Ok(TcbStatus::SwHardeningNeeded), "the platform");
        assert_eq!(svn(4, 1, 0), Err(Error::NoTcbLevel));
        // Without a version the first two are components like the others.
        assert_eq!(svn(5, 0, 5), Err(Error::NoTcbLevel));
        assert_eq!(
            with(form, |world| {
                world.set_tee_tcb_svn(4, 0, 5);
                world.tcb_info["tcbLevels"][1]["tcb"]["tdxtcbcomponents"][1]["svn"] = 0.into();
            }),
            Ok(TcbStatus::SwHardeningNeeded)
        );
        refused(form, Error::TcbRevoked("TDX module"), |world| {
            world.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0] =
                part_level(4, "Revoked", &[]);
        });
        refused(form, Error::TdxModuleSigner, |world| world.body[64] = 1);
        refused(form, Error::TdxModuleAttributes, |world| world.body[112] = 1);
        refused(form, Error::TdxModuleAttributes, |world| {
            // Not compared, but without meaning.
            world.body[112] = 1;
            world.tcb_info["tdxModuleIdentities"][0]["attributesMask"] = "FEFFFFFFFFFFFFFF".into();
        });
    }
}

#[test]
fn a_td_is_judged_by_its_launch_and_by_now() {
    for form in [Form::Tdx15V5, Form::Tdx15ExV5] {
        let now = |svns: [u8; 16]| with(form, |world| world.body[584..600].copy_from_slice(&svns));
        let mut svns = [5; 16];
        svns[..2].copy_from_slice(&[4, 1]);
        assert_eq!(now(svns), Ok(TcbStatus::UpToDate));
        svns[0] = 3;
        assert_eq!(now(svns), Ok(TcbStatus::OutOfDate), "worse now than at launch");
        svns[1] = 9;
        assert_eq!(now(svns), Err(Error::UnknownTdxModule(9)));
        assert_eq!(now([0; 16]), Err(Error::NoTcbLevel));
        // Launched on an old module, updated since: Intel advises to launch anew.
        assert_eq!(with(form, |world| world.body[0] = 3), Ok(TcbStatus::OutOfDate));
    }
}

#[test]
fn advisories_of_all_parts_are_listed_once() {
    let mut world = World::new(Form::Tdx15V5);
    world.set_tee_tcb_svn(3, 1, 3);
    world.qe_report[258] = 6;
    let tcb = world.verify().expect("verifies").tcb;
    assert_eq!(tcb.status, TcbStatus::OutOfDate);
    assert_eq!(tcb.advisories, ["INTEL-SA-00001", "INTEL-SA-00004", "INTEL-SA-00005"]);
    assert_eq!(tcb.date, Some(NOW - 60 * DAY), "the module's level is the older one");
}

#[test]
fn statuses_converge_as_intels_verifier_has_it() {
    for (platform, expected) in [
        ("UpToDate", TcbStatus::OutOfDate),
        ("SWHardeningNeeded", TcbStatus::OutOfDate),
        ("ConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("OutOfDate", TcbStatus::OutOfDate),
        ("OutOfDateConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
    ] {
        let status = with(Form::SgxV3, |world| {
            world.tcb_info["tcbLevels"][0] = level(5, 10, 5, platform, &[]);
            world.qe_report[258] = 6;
        });
        assert_eq!(status, Ok(expected), "{platform} with a quoting enclave out of date");
    }
}

#[test]
fn debug_is_said_and_left_to_the_policy() {
    let debug = |form, change: &dyn Fn(&mut World)| {
        let mut world = World::new(form);
        change(&mut world);
        world.verify().expect("verifies").debug
    };
    assert!(debug(Form::SgxV3, &|world| world.body[48] |= 2));
    for form in TDX {
        assert!(debug(form, &|world| world.body[120] |= 1));
        assert!(debug(form, &|world| world.body[120] |= 0x10), "profiling");
    }
}

#[test]
fn what_no_honest_workload_has_is_refused() {
    refused(Form::SgxV3, Error::NotInitialised, |world| world.body[48] &= !1);
    for form in TDX {
        refused(form, Error::ReservedTdAttributes, |world| world.body[120] |= 2);
        refused(form, Error::ReservedTdAttributes, |world| world.body[124] |= 1);
        refused(form, Error::Migratable, |world| world.body[123] |= 0x20);
        refused(form, Error::ServiceTd, |world| world.body[122] |= 2);
        refused(form, Error::SeptVe, |world| world.body[123] = 0);
    }
    for form in [Form::Tdx15V5, Form::Tdx15ExV5] {
        refused(form, Error::ServiceTd, |world| world.body[600] = 1);
    }
}
