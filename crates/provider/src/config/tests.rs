use super::*;

#[test]
fn the_sample_is_a_good_configuration_with_every_default() {
    let config = Config::parse(Config::SAMPLE).unwrap();
    assert_eq!(config.timing.claim_interval, Period::seconds(600));
    let again = toml::to_string(&config).unwrap();
    Config::parse(&again).unwrap();
}

#[test]
fn unknown_fields_and_bad_values_are_named() {
    let changed = |from: &str, to: &str| {
        assert!(Config::SAMPLE.contains(from), "{from}");
        Config::parse(&Config::SAMPLE.replace(from, to)).unwrap_err().to_string()
    };
    assert!(changed("[api]", "[api]\nlisten_on = 1").contains("listen_on"));
    assert!(changed("drain = \"30s\"", "drain = \"30\"").contains("ms, s, m, h or d"));
    assert!(changed("drain = \"30s\"", "drain = 30").contains("drain"));
    assert!(changed("[30000, 32767]", "[80, 90]").contains("ingress.tcp_ports"));
    assert!(changed("claim_interval = \"10m\"", "claim_interval = \"1s\"").contains("claim"));
    assert!(changed("replicas_max = 64", "replicas_max = 65").contains("replicas_max"));
    let budget = "run_budget_percent_min";
    assert!(changed("percent_min = 50", "percent_min = 101").contains(budget));
    assert!(changed("\"2m\"", "\"99999999999999999999d\"").contains("quote_ttl"));
}

#[test]
fn vaults_are_public_unless_the_operator_says_otherwise() {
    let sample = Config::parse(Config::SAMPLE).unwrap();
    assert!(!sample.rules.private_vaults && !RulesConfig::default().private_vaults);
    let text = Config::SAMPLE.replacen("private_vaults = false", "private_vaults = true", 1);
    assert!(Config::parse(&text).unwrap().rules.private_vaults);
}

#[test]
fn a_tee_is_either_software_or_hardware() {
    let with = |tee: &str| {
        let tee = format!("[tee]\n{tee}\n[pricing]");
        Config::parse(&Config::SAMPLE.replacen("[pricing]", &tee, 1))
    };
    let tee = with("software = \"/run/tee.sock\"").unwrap().tee.unwrap();
    assert_eq!(tee.software, Some(PathBuf::from("/run/tee.sock")));
    assert_eq!(tee.kind, TeeKind::IntelTdx);
    let tee = with("software = \"/run/tee.sock\"\nkind = \"amdSevSnp\"").unwrap().tee.unwrap();
    assert_eq!(tee.kind, TeeKind::AmdSevSnp);
    let tee = with("hardware = true\ncollateral = \"/var/collateral\"").unwrap().tee.unwrap();
    assert!(tee.hardware && tee.collateral.is_some());
    assert!(Config::parse(Config::SAMPLE).unwrap().tee.is_none());
    for (bad, named) in [
        ("", "`tee`"),
        ("hardware = true\nsoftware = \"s\"", "`tee`"),
        ("software = \"s\"\nkind = \"nvidiaGpu\"", "tee.kind"),
        ("software = \"s\"\ncollateral = \"c\"", "tee.collateral"),
        ("hardware = true\nport = 1", "port"),
    ] {
        let told = with(bad).unwrap_err().to_string();
        assert!(told.contains(named), "{bad}: {told}");
    }
}

#[test]
fn the_control_plane_has_a_tee_of_its_own() {
    let with = |tee: &str| {
        let tee = format!("[cluster_tee]\n{tee}\n[pricing]");
        Config::parse(&Config::SAMPLE.replacen("[pricing]", &tee, 1))
    };
    let config = with("software = \"/run/tee.sock\"\nkind = \"amdSevSnp\"").unwrap();
    assert!(config.tee.is_none());
    assert_eq!(config.cluster_tee.unwrap().kind, TeeKind::AmdSevSnp);
    let config = with("hardware = true\ncollateral = \"/var/collateral\"").unwrap();
    assert!(config.cluster_tee.is_some_and(|tee| tee.hardware && tee.collateral.is_some()));
    assert!(Config::parse(Config::SAMPLE).unwrap().cluster_tee.is_none());
    for (bad, named) in [
        ("", "`cluster_tee`"),
        ("hardware = true\nsoftware = \"s\"", "`cluster_tee`"),
        ("software = \"s\"\nkind = \"nvidiaGpu\"", "cluster_tee.kind"),
        ("software = \"s\"\ncollateral = \"c\"", "cluster_tee.collateral"),
        ("hardware = true\nport = 1", "port"),
    ] {
        let told = with(bad).unwrap_err().to_string();
        assert!(told.contains(named), "{bad}: {told}");
    }
}

#[test]
fn where_tls_is_taken_is_told_to_others() {
    let with = |lines: &str| {
        let lines = format!("[ingress]\n{lines}");
        Config::parse(&Config::SAMPLE.replacen("[ingress]", &lines, 1))
    };
    let ingress = with("tls_listen = \"127.0.0.1:8443\"").unwrap().ingress;
    assert_eq!(ingress.tls_address(8443), "localhost:8443");
    for public in ["tee.example.org:443", "192.0.2.1:8443", "[2001:db8::1]:443"] {
        let lines = format!("tls_listen = \"127.0.0.1:8443\"\ntls_public = \"{public}\"");
        assert_eq!(with(&lines).unwrap().ingress.tls_address(8443), public);
    }
    let lines = "tls_listen = \"127.0.0.1:8443\"\ntls_public = \"TEE.example.org:443\"";
    let ingress = with(lines).unwrap().ingress;
    assert!(ingress.is_own("tee.example.org") && ingress.is_own("localhost"));
    assert!(!ingress.is_own("a.localhost") && !ingress.is_own("example.org"));
    for bad in
        ["", "tee.example.org", "tee.example.org:0", ":443", "https://a:443", "a:443/", "::1:443"]
    {
        let lines = format!("tls_listen = \"127.0.0.1:8443\"\ntls_public = \"{bad}\"");
        let told = with(&lines).unwrap_err().to_string();
        assert!(told.contains("ingress.tls_public"), "{bad}: {told}");
    }
    let told = with("tls_public = \"a:443\"").unwrap_err().to_string();
    assert!(told.contains("tls_listen"), "{told}");
    let changed = |from: &str, to: &str| {
        Config::parse(&Config::SAMPLE.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let told = changed("tls_client_connections_max = 100", "tls_client_connections_max = 0");
    assert!(told.contains("tls_client_connections_max"), "{told}");
    for bad in ["0s", "100000000000s"] {
        let told = changed("tls_idle = \"15m\"", &format!("tls_idle = \"{bad}\""));
        assert!(told.contains("tls_idle"), "{bad}: {told}");
    }
}

#[test]
fn a_hook_is_a_program_with_arguments() {
    let with = |hooks: &str| {
        Config::parse(&Config::SAMPLE.replacen("[hooks]", &format!("[hooks]\n{hooks}"), 1))
    };
    assert!(Config::parse(Config::SAMPLE).unwrap().hooks.low_funds.is_empty());
    let hooks = with("low_funds = [\"/bin/tell\", \"a b\"]").unwrap().hooks;
    assert_eq!(hooks.low_funds, ["/bin/tell", "a b"]);
    for (bad, named) in [
        ("low_funds = [\"\"]", "hooks.low_funds"),
        ("low_funds = \"tell me\"", "low_funds"),
        ("high_funds = []", "high_funds"),
    ] {
        let told = with(bad).unwrap_err().to_string();
        assert!(told.contains(named), "{bad}: {told}");
    }
    let endless = Config::SAMPLE.replacen("timeout = \"30s\"", "timeout = \"0s\"", 1);
    assert!(Config::parse(&endless).unwrap_err().to_string().contains("hooks.timeout"));
}

#[test]
fn nothing_runs_for_nothing_in_an_asset_and_none_is_named_twice() {
    let with = |lists: &str| {
        let text = format!("{}\n{lists}", Config::SAMPLE);
        Config::parse(&text).map(|config| config.pricing)
    };
    let flat = with("[[pricing.assets]]\nasset = 7\nsecond_min = 10").unwrap();
    let (prices, least) = flat.prices_in(Asset::Registered(7)).unwrap();
    assert_eq!((prices, least), (Prices::default(), 10));
    assert_eq!(flat.prices_in(Asset::Registered(8)), None);
    assert_eq!(flat.prices_in(Asset::Native), Some((flat.prices(), 0)));
    for (bad, named) in [
        ("[[pricing.assets]]\nasset = 7", "second_min"),
        ("[[pricing.assets]]\nasset = 7\ncpu_millicore_second = 1", "memory_mib_second"),
        (
            "[[pricing.assets]]\nasset = 7\nsecond_min = 1\n[[pricing.assets]]\nasset = 7\n\
             second_min = 2",
            "twice",
        ),
        ("[[pricing.assets]]\nasset = 7\nsecond_min = 1\nnotice = 1", "notice"),
        ("[[pricing.assets]]\nasset = -1\nsecond_min = 1", "asset"),
    ] {
        let told = with(bad).unwrap_err().to_string();
        assert!(told.contains(named), "{bad}: {told}");
    }
}
