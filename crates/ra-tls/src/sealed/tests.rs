use casemate_evidence::{Attester, EvidenceError, RawEvidence, TeeKind};
use proptest::prelude::*;

use super::*;
use crate::{Keys, PodIdentity};

#[derive(Debug)]
struct Plain;

impl Attester for Plain {
    fn kind(&self) -> TeeKind {
        TeeKind::IntelTdx
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        Ok(RawEvidence::new(TeeKind::IntelTdx, report_data.to_vec()))
    }
}

const POD: PodIdentity =
    PodIdentity { genesis_hash: [1; 32], lease: LeaseId(5), replica: 2, manifest_hash: [3; 32] };

fn agent() -> Arc<EvidenceIssuer> {
    let keys = Keys::generate().unwrap();
    Arc::new(EvidenceIssuer::new(Arc::new(Plain), POD, [4; 32], keys))
}

fn header(agent: &EvidenceIssuer, sequence: u64) -> Header {
    let evidence = agent.session([7; 32], [8; 32]).unwrap().evidence;
    Header {
        genesis_hash: POD.genesis_hash,
        lease: POD.lease,
        replica: POD.replica,
        manifest_hash: POD.manifest_hash,
        evidence_digest: evidence.digest(),
        policy_id: [9; 32],
        sequence,
    }
}

fn secrets(value: &str) -> Secrets {
    let mut secrets = Secrets::new();
    let value = Zeroizing::new(value.as_bytes().to_vec());
    secrets.insert(SecretName::new("PASSWORD").unwrap(), value).unwrap();
    secrets
}

fn take(receiver: &Receiver, sealed: &SealedSecrets) -> Result<Secrets, OpenError> {
    let mut out = None;
    receiver.receive(&sealed.to_bytes(), |received| {
        out = Some(received.secrets);
        Ok::<_, OpenError>(())
    })?;
    Ok(out.unwrap())
}

fn seal(agent: &EvidenceIssuer, header: Header, sender: Option<&SigningKey>) -> SealedSecrets {
    SealedSecrets::seal(&secrets("canary"), header, &agent.keys().hpke_key(), sender).unwrap()
}

#[test]
fn what_is_sealed_to_an_agent_is_opened_by_it() {
    let agent = agent();
    let receiver = Receiver::new(Arc::clone(&agent), vec![]);
    let sealed = seal(&agent, header(&agent, 1), None);
    assert!(!sealed.to_bytes().windows(6).any(|w| w == b"canary"));
    assert_eq!(take(&receiver, &sealed).unwrap(), secrets("canary"));
}

#[test]
fn a_stolen_bundle_does_not_open_for_another_agent() {
    let (owner, thief) = (agent(), agent());
    let receiver = Receiver::new(Arc::clone(&thief), vec![]);
    let stolen = seal(&owner, header(&owner, 1), None);
    assert!(matches!(take(&receiver, &stolen), Err(OpenError::Sealed)));
}

#[test]
fn each_part_of_the_header_is_checked_with_its_own_error() {
    let agent = agent();
    let receiver = Receiver::new(Arc::clone(&agent), vec![]);
    let good = header(&agent, 1);
    let error = |header: Header| take(&receiver, &seal(&agent, header, None)).unwrap_err();
    let cases = [
        (Header { genesis_hash: [0; 32], ..good.clone() }, "wrongChain"),
        (Header { lease: LeaseId(6), ..good.clone() }, "wrongLease"),
        (Header { replica: 0, ..good.clone() }, "wrongReplica"),
        (Header { manifest_hash: [0; 32], ..good.clone() }, "wrongManifest"),
        (Header { evidence_digest: [0; 32], ..good }, "unknownEvidence"),
    ];
    for (header, code) in cases {
        assert_eq!(error(header).code(), code);
    }
    take(&receiver, &seal(&agent, good, None)).unwrap();
}

#[test]
fn a_header_that_was_changed_after_sealing_does_not_open() {
    let agent = agent();
    let receiver = Receiver::new(Arc::clone(&agent), vec![]);
    // Everything but this was sealed for the pod; somebody corrects the rest.
    let mut sealed = seal(&agent, Header { lease: LeaseId(6), ..header(&agent, 1) }, None);
    sealed.header.lease = POD.lease;
    assert!(matches!(take(&receiver, &sealed), Err(OpenError::Sealed)));
    let mut sealed = seal(&agent, header(&agent, 1), None);
    sealed.header.sequence = 2;
    assert!(matches!(take(&receiver, &sealed), Err(OpenError::Sealed)));
    let mut sealed = seal(&agent, header(&agent, 1), None);
    sealed.header.policy_id = [0; 32];
    assert!(matches!(take(&receiver, &sealed), Err(OpenError::Sealed)));
    let mut sealed = seal(&agent, header(&agent, 1), None);
    sealed.ciphertext[0] ^= 1;
    assert!(matches!(take(&receiver, &sealed), Err(OpenError::Sealed)));
}

#[test]
fn an_older_release_is_refused_and_a_failed_one_does_not_count() {
    let agent = agent();
    let receiver = Receiver::new(Arc::clone(&agent), vec![]);
    let failed = receiver
        .receive(&seal(&agent, header(&agent, 9), None).to_bytes(), |_| Err(OpenError::Content));
    assert!(failed.is_err());
    take(&receiver, &seal(&agent, header(&agent, 5), None)).unwrap();
    for sequence in [4, 5] {
        let err = take(&receiver, &seal(&agent, header(&agent, sequence), None)).unwrap_err();
        assert!(matches!(err, OpenError::RolledBack { last: 5, .. }), "{err}");
    }
    take(&receiver, &seal(&agent, header(&agent, 6), None)).unwrap();
}

#[test]
fn only_named_senders_are_taken() {
    let agent = agent();
    let (known, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let senders = vec![known.verifying_key().to_bytes()];
    let receiver = Receiver::new(Arc::clone(&agent), senders);
    let unsigned = take(&receiver, &seal(&agent, header(&agent, 1), None)).unwrap_err();
    assert!(matches!(unsigned, OpenError::Sender), "{unsigned}");
    let foreign = take(&receiver, &seal(&agent, header(&agent, 1), Some(&other))).unwrap_err();
    assert!(matches!(foreign, OpenError::Sender), "{foreign}");
    let mut forged = seal(&agent, header(&agent, 1), Some(&other));
    forged.sender.as_mut().unwrap().key = known.verifying_key().to_bytes();
    assert!(matches!(take(&receiver, &forged), Err(OpenError::Signature)));
    take(&receiver, &seal(&agent, header(&agent, 1), Some(&known))).unwrap();
}

#[test]
fn without_named_senders_the_first_stays_the_only_one() {
    let agent = agent();
    let receiver = Receiver::new(Arc::clone(&agent), vec![]);
    let first = SigningKey::from_bytes(&[1; 32]);
    take(&receiver, &seal(&agent, header(&agent, 1), Some(&first))).unwrap();
    assert!(matches!(
        take(&receiver, &seal(&agent, header(&agent, 2), None)),
        Err(OpenError::Sender)
    ));
    take(&receiver, &seal(&agent, header(&agent, 2), Some(&first))).unwrap();
}

#[test]
fn a_list_that_is_none_is_refused() {
    for plain in [vec![], vec![4], vec![0, 0], vec![4, 4, b'/', 0], vec![4, 4, b'a', 0xfc]] {
        assert_eq!(decode(&plain), None, "{plain:?}");
    }
    assert_eq!(decode(&[0]), Some(Secrets::new()));
}

proptest! {
    #[test]
    fn any_secrets_come_out_as_they_went_in(
        pairs in proptest::collection::btree_map("[A-Z][A-Z0-9_]{0,9}", any::<Vec<u8>>(), 0..8)
    ) {
        let mut secrets = Secrets::new();
        for (name, value) in pairs {
            secrets.insert(SecretName::new(&name).unwrap(), Zeroizing::new(value)).unwrap();
        }
        let encoded = encode(&secrets);
        prop_assert!(encoded.capacity() >= encoded.len());
        prop_assert_eq!(decode(&encoded), Some(secrets));
    }

    #[test]
    fn strangers_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = SealedSecrets::from_bytes(&bytes);
        let _ = SealedSecrets::from_bytes(&[&[VERSION], bytes.as_slice()].concat());
        let _ = decode(&bytes);
    }
}
