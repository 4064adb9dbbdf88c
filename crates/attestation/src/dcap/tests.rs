//! Small parts; whole quotes are in `tests/dcap_*.rs`.

use super::{json, status::converge};
use crate::TcbStatus::{self, *};

const ALL: [TcbStatus; 7] = [
    UpToDate,
    SwHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSwHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    Revoked,
];

#[test]
fn converging_never_makes_a_status_better() {
    for a in ALL {
        assert_eq!(converge(a, a), a);
        assert_eq!(converge(a, UpToDate), a);
        assert_eq!(converge(a, Revoked), Revoked);
        for b in ALL {
            let both = converge(a, b);
            assert_eq!(both, converge(b, a));
            assert_eq!(converge(both, a), both, "{a:?} and {b:?}");
        }
    }
    assert_eq!(converge(SwHardeningNeeded, OutOfDate), OutOfDate);
    assert_eq!(converge(SwHardeningNeeded, ConfigurationNeeded), ConfigurationAndSwHardeningNeeded);
    assert_eq!(converge(ConfigurationNeeded, OutOfDate), OutOfDateConfigurationNeeded);
}

#[test]
fn dates_have_one_form() {
    let date = |text: &str| {
        serde_json::from_str::<json::Date>(&alloc::format!("\"{text}\"")).map(|date| date.0).ok()
    };
    assert_eq!(date("2025-06-19T10:56:11Z"), Some(1_750_330_571));
    for text in [
        "2025-06-19T10:56:11",
        "2025-06-19T10:56:11.0Z",
        "2025-06-19t10:56:11z",
        "2025-06-19 10:56:11Z",
        "2025-02-29T00:00:00Z",
        "2025-06-19T24:00:00Z",
        "2025-06-19T10:56:11+00:00",
        "+025-06-19T10:56:11Z",
        "",
    ] {
        assert_eq!(date(text), None, "{text}");
    }
}

#[test]
fn hex_has_its_length() {
    let hex = |text: &str| {
        serde_json::from_str::<json::Hex<2>>(&alloc::format!("\"{text}\"")).map(|hex| hex.0).ok()
    };
    assert_eq!(hex("00fF"), Some([0, 0xff]));
    for text in ["00f", "00ff00", "00fg", "", "0x00"] {
        assert_eq!(hex(text), None, "{text}");
    }
}
