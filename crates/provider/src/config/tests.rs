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
    assert!(changed("\"2m\"", "\"99999999999999999999d\"").contains("quote_ttl"));
}
