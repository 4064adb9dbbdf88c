use super::*;

#[test]
fn binary_and_money_have_a_fixed_form() {
    let hex: Hex<[u8; 2]> = serde_json::from_str("\"0x00ff\"").unwrap();
    assert_eq!(hex, Hex([0, 255]));
    assert_eq!(serde_json::to_string(&hex).unwrap(), "\"0x00ff\"");
    assert_eq!("00ff".parse::<Hex<Vec<u8>>>().unwrap().0, [0, 255]);
    for bad in ["\"0x00\"", "\"0x00f\"", "\"0xzz00\"", "\"0x000000\"", "12"] {
        assert!(serde_json::from_str::<Hex<[u8; 2]>>(bad).is_err(), "{bad}");
    }
    let most = serde_json::to_string(&Amount(u128::MAX)).unwrap();
    assert_eq!(most, "\"340282366920938463463374607431768211455\"");
    assert_eq!(serde_json::from_str::<Amount>(&most).unwrap(), Amount(u128::MAX));
    for bad in ["1", "\"-1\"", "\"1.5\"", "\"\"", "\"340282366920938463463374607431768211456\""] {
        assert!(serde_json::from_str::<Amount>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_newer_providers_codes_are_read_as_unknown() {
    let text = r#"{"code": "made-up-later", "message": "m", "more": 1}"#;
    let refusal: Refusal = serde_json::from_str(text).unwrap();
    assert_eq!(refusal.code, RefusalCode::Unknown);
    let code = serde_json::to_string(&RefusalCode::HostTaken).unwrap();
    assert_eq!(code, "\"host-taken\"");
}

#[test]
fn a_request_with_an_unknown_field_is_refused() {
    assert!(serde_json::from_str::<QuoteRequest>(r#"{"manifest": "{}", "x": 1}"#).is_err());
}

#[test]
fn answers_of_providers_without_a_tls_ingress_are_read() {
    let ingress: IngressInfo =
        serde_json::from_str(r#"{"domain": "d", "httpPort": 80, "tcpPorts": [1, 2]}"#).unwrap();
    assert_eq!(ingress.tls, None);
    let pod: PodInfo = serde_json::from_str(
        r#"{"pod": "l1-r0-v1", "replica": 0, "version": 1, "phase": "running", "ready": true,
            "reason": null, "agentKey": null, "containers": [], "usage": null}"#,
    )
    .unwrap();
    assert_eq!(pod.agent, None);
    let text = serde_json::to_string(&PodInfo {
        agent: Some(AgentEndpoint { address: "h:1".into(), server_name: "n".into() }),
        ..pod
    });
    assert!(text.unwrap().contains(r#""agent":{"address":"h:1","serverName":"n"}"#));
}
