//! All targets: `CASEMATE_FUZZ_TARGET` chooses.

#![no_main]

use std::sync::LazyLock;

use casemate_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("CASEMATE_FUZZ_TARGET").unwrap_or_default();
    casemate_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = casemate_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("CASEMATE_FUZZ_TARGET is `{name}`, must be one of {names:?}")
    })
});

fuzz_target!(|data: &[u8]| TARGET(data));
