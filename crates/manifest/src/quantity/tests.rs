use crate::{CpuMillicores, Mebibytes};

#[test]
fn cpu_in_kubernetes_notation() {
    let good = [
        ("500m", 500, "500m"),
        ("1m", 1, "1m"),
        ("2", 2000, "2"),
        ("0.5", 500, "500m"),
        ("1.25", 1250, "1250m"),
        ("0.100000", 100, "100m"),
        ("1000m", 1000, "1"),
        ("0", 0, "0"),
        ("4294967.295", u32::MAX, "4294967295m"),
    ];
    for (text, millicores, canonical) in good {
        let parsed: CpuMillicores = text.parse().unwrap();
        assert_eq!(parsed, CpuMillicores(millicores), "{text}");
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(parsed));
    }
}

#[test]
fn wrong_cpu_is_refused_with_what_is_allowed() {
    let bad = [
        "",
        "m",
        "-1",
        "+1",
        "0.0001",
        "0.5m",
        "500 m",
        "500M",
        "128Mi",
        "1e3",
        ".5",
        "1.",
        "1.2.3",
        "0x10",
        "NaN",
        "inf",
        "4294967.296",
        "99999999999999999999999999999999999999999",
        "½",
        "١",
    ];
    for text in bad {
        let error = text.parse::<CpuMillicores>().unwrap_err().to_string();
        assert!(error.contains("CPU quantity") && error.contains("`500m`"), "{text}: {error}");
    }
}

#[test]
fn bytes_in_kubernetes_notation_rounded_up() {
    let good = [
        ("128Mi", 128, "128Mi"),
        ("1Gi", 1024, "1Gi"),
        ("1.5Gi", 1536, "1536Mi"),
        ("1024Ki", 1, "1Mi"),
        ("1025Ki", 2, "2Mi"),
        ("1G", 954, "954Mi"),
        ("1M", 1, "1Mi"),
        ("1k", 1, "1Mi"),
        ("1T", 953_675, "953675Mi"),
        ("2Ti", 2_097_152, "2048Gi"),
        ("1048576", 1, "1Mi"),
        ("1048577", 2, "2Mi"),
        ("0", 0, "0Mi"),
        ("4294967295Mi", u32::MAX, "4294967295Mi"),
    ];
    for (text, mib, canonical) in good {
        let parsed: Mebibytes = text.parse().unwrap();
        assert_eq!(parsed, Mebibytes(mib), "{text}");
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(parsed));
    }
}

#[test]
fn wrong_bytes_are_refused_with_what_is_allowed() {
    let bad = [
        "",
        "Mi",
        "-1Mi",
        "128MB",
        "128mb",
        "128m",
        "128mi",
        "128 Mi",
        "1Pi",
        "1e6",
        "1K",
        "4096Ti",
        "999999999999999999Ti",
        "12345678901234567890",
        "1,5Gi",
    ];
    for text in bad {
        let error = text.parse::<Mebibytes>().unwrap_err().to_string();
        assert!(
            error.contains("quantity of bytes") && error.contains("`128Mi`"),
            "{text}: {error}"
        );
    }
}
