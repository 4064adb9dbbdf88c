use super::*;
use crate::failure::Report;

#[test]
fn zero_picks_a_free_port_and_a_used_one_is_refused() {
    let held = hold_port(0, "--rpc-port").unwrap();
    let used = held.local_addr().unwrap().port();
    assert_ne!(used, 0);
    let report = Report::of(&hold_port(used, "--rpc-port").unwrap_err());
    assert!(report.hint.unwrap().contains("--rpc-port"));
}

#[test]
fn what_is_no_program_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node");
    assert!(program(Some(&file), "casemate-node", "--node").is_err());
    fs::write(&file, "").unwrap();
    let report = Report::of(&program(Some(&file), "casemate-node", "--node").unwrap_err());
    assert_eq!(report.exit_code, 2);
}

#[test]
fn the_stake_covers_the_largest_capacity() {
    let largest =
        Resources { cpu_millicores: 64_000, memory_mib: 262_144, storage_mib: 65_536, gpus: 0 };
    assert!(capacity().fits_in(&largest));
    // The runtime's rates: a core 10 CASE, a GiB of memory 1 CASE, 32 GiB of disk 1 CASE.
    let needed = 64 * 10 * CASE + 256 * CASE + 2 * CASE;
    assert!(STAKE >= needed);
}
