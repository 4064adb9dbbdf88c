//! What one policy says about one piece of evidence.

use casemate_attestation::{
    Claims, Grade, TeeKind, UnixSeconds, Verified,
    policy::{Check, Context, Outcome, Policy, Verdict},
};

use crate::{Tier, TrustVector, policy_id};

/// The appraisal of one piece of evidence. It can be made only by appraising: nobody hands in a
/// status.
#[derive(Clone, Debug)]
pub struct Appraisal {
    pub(crate) kind: TeeKind,
    pub(crate) status: Tier,
    pub(crate) vector: TrustVector,
    pub(crate) policy_id: String,
    pub(crate) at: UnixSeconds,
    pub(crate) finding: Finding,
}

/// What the status rests on.
#[derive(Clone, Debug)]
pub(crate) enum Finding {
    Genuine { claims: Box<Claims>, verdict: Verdict },
    NotGenuine { error: String, reason: String },
}

impl Appraisal {
    /// Appraises genuine evidence.
    pub fn of<E>(verified: &Verified<E>, policy: &Policy, context: &Context<'_>) -> Self {
        let verdict = match policy.appraise(verified, context) {
            Ok(accepted) => accepted.verdict().clone(),
            Err(verdict) => verdict,
        };
        let claims = Box::new(verified.claims().clone());
        let vector = TrustVector::of(&claims, policy.require.as_ref(), verdict.accepted());
        Self {
            kind: claims.kind,
            status: status(&claims, &verdict, &vector),
            vector,
            policy_id: policy_id(policy),
            at: context.now,
            finding: Finding::Genuine { claims, verdict },
        }
    }

    /// Evidence that a verifier has found not to be genuine, or not provably so: `error` is the
    /// name of what failed, `reason` the same in words.
    pub fn not_genuine(
        kind: TeeKind,
        policy: &Policy,
        now: UnixSeconds,
        error: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status: Tier::Contraindicated,
            vector: TrustVector::not_genuine(),
            policy_id: policy_id(policy),
            at: now,
            finding: Finding::NotGenuine { error: error.into(), reason: reason.into() },
        }
    }

    /// The status in one word.
    pub fn status(&self) -> Tier {
        self.status
    }

    /// The status by subject.
    pub fn vector(&self) -> &TrustVector {
        &self.vector
    }

    /// The policy's verdict with all of its checks; `None` when the evidence is not genuine.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.finding {
            Finding::Genuine { verdict, .. } => Some(verdict),
            Finding::NotGenuine { .. } => None,
        }
    }

    /// First second at which something that genuine evidence rests on has expired.
    pub(crate) fn not_after(&self) -> Option<UnixSeconds> {
        match &self.finding {
            Finding::Genuine { claims, .. } => Some(claims.not_after),
            Finding::NotGenuine { .. } => None,
        }
    }
}

/// No better than the worst claim, as the draft demands; and no software TEE is ever affirmed to
/// somebody who may not know the policy.
fn status(claims: &Claims, verdict: &Verdict, vector: &TrustVector) -> Tier {
    if !verdict.accepted() {
        return Tier::Contraindicated;
    }
    let graced = claims.grade != Grade::Hardware || verdict.checks().iter().any(graced);
    let least = if graced { Tier::Warning } else { Tier::Affirming };
    vector.worst().max(least)
}

fn graced(check: &Check) -> bool {
    check.outcome == Outcome::Graced || check.parts.iter().any(graced)
}

#[cfg(test)]
mod tests {
    use casemate_attestation::{
        Measurements, Tcb, TcbStatus,
        policy::{Condition, HexBytes, TcbPolicy},
    };

    use super::*;

    fn claims() -> Claims {
        Claims {
            kind: TeeKind::IntelTdx,
            grade: Grade::Hardware,
            measurements: Measurements::Tdx {
                mr_td: [1; 48],
                rtmr: [[0; 48]; 4],
                mr_config_id: {
                    let mut id = [0; 48];
                    id[..32].copy_from_slice(&[4; 32]);
                    id
                },
                mr_owner: [5; 48],
                mr_owner_config: [0; 48],
                mr_seam: [6; 48],
                td_attributes: [0; 8],
                xfam: [0; 8],
            },
            report_data: [7; 64],
            debug: false,
            tcb: Tcb {
                status: TcbStatus::UpToDate,
                advisories: Vec::new(),
                date: None,
                evaluation: None,
            },
            platform_id: vec![8; 16],
            product: "b0c06f000000".into(),
            not_after: 2_000,
        }
    }

    fn vector(claims: &Claims, require: Option<&Condition>) -> TrustVector {
        TrustVector::of(claims, require, true)
    }

    /// Of real evidence: nothing else can make one.
    fn accepted_verdict() -> Verdict {
        let verified = crate::tests::verified();
        let context = Context { now: crate::tests::NOW, report_data: None, provider: None };
        Policy::default().appraise(&verified, &context).unwrap().verdict().clone()
    }

    fn workload() -> Vec<HexBytes> {
        vec![HexBytes(claims().measurements.workload().to_vec())]
    }

    fn one(byte: u8, length: usize) -> Vec<HexBytes> {
        vec![HexBytes(vec![byte; length])]
    }

    #[test]
    fn only_what_evidence_shows_is_claimed() {
        let expected = TrustVector {
            instance_identity: Some(2),
            hardware: Some(2),
            runtime_opaque: Some(2),
            ..TrustVector::default()
        };
        assert_eq!(vector(&claims(), None), expected);
        assert_eq!(expected.worst(), Tier::Affirming);
    }

    #[test]
    fn a_software_tee_is_no_hardware_and_hides_nothing() {
        let software = Claims { grade: Grade::Software, ..claims() };
        assert_eq!(vector(&software, None), TrustVector::default());
        let require = Condition::Workload(workload());
        let vector = vector(&software, Some(&require));
        assert_eq!(vector, TrustVector { executables: Some(3), ..TrustVector::default() });
        assert_eq!(vector.worst(), Tier::Affirming);
        // So it is the status that says it.
        let mut verdict = accepted_verdict();
        assert_eq!(status(&software, &verdict, &vector), Tier::Warning);
        assert_eq!(status(&claims(), &verdict, &vector), Tier::Affirming);
        verdict = Verdict::default();
        assert_eq!(status(&claims(), &verdict, &vector), Tier::Contraindicated);
    }

    #[test]
    fn a_debugger_is_never_put_up_with() {
        let debug = Claims { debug: true, ..claims() };
        let found = vector(&debug, Some(&Condition::Configuration(one(4, 32))));
        assert_eq!((found.configuration, found.runtime_opaque), (Some(96), Some(96)));
        assert_eq!(found.worst(), Tier::Contraindicated);
        let software = Claims { grade: Grade::Software, ..debug };
        assert_eq!(vector(&software, None).worst(), Tier::Contraindicated);
    }

    #[test]
    fn the_firmware_s_state_decides_about_hardware_and_configuration() {
        for (status, hardware, configuration) in [
            (TcbStatus::UpToDate, 2, None),
            (TcbStatus::SwHardeningNeeded, 32, None),
            (TcbStatus::ConfigurationNeeded, 2, Some(36)),
            (TcbStatus::ConfigurationAndSwHardeningNeeded, 32, Some(36)),
            (TcbStatus::OutOfDate, 32, None),
            (TcbStatus::OutOfDateConfigurationNeeded, 32, Some(36)),
            (TcbStatus::Revoked, 96, None),
        ] {
            let claims = Claims { tcb: Tcb { status, ..claims().tcb }, ..claims() };
            let vector = vector(&claims, None);
            assert_eq!((vector.hardware, vector.configuration), (Some(hardware), configuration));
            assert_eq!(vector.worst() > Tier::Affirming, status != TcbStatus::UpToDate);
        }
    }

    #[test]
    fn what_a_policy_lists_is_looked_up() {
        let all = Condition::All(vec![
            Condition::Any(vec![Condition::Workload(one(9, 48)), Condition::Workload(workload())]),
            Condition::Configuration(one(4, 32)),
            Condition::PlatformId(one(8, 16)),
        ]);
        let found = vector(&claims(), Some(&all));
        assert_eq!(found.executables, Some(3));
        assert_eq!(found.configuration, Some(2));
        assert_eq!(found.instance_identity, Some(2));

        let signer = Condition::Signer(one(5, 48));
        assert_eq!(vector(&claims(), Some(&signer)).executables, Some(3));
        let other = Condition::Workload(one(9, 48));
        assert_eq!(vector(&claims(), Some(&other)).executables, Some(33));
        let machine = Condition::PlatformId(one(9, 16));
        assert_eq!(vector(&claims(), Some(&machine)).instance_identity, Some(2));
        assert_eq!(TrustVector::of(&claims(), Some(&machine), false).instance_identity, Some(97));
        let configuration = Condition::Configuration(one(9, 32));
        assert_eq!(vector(&claims(), Some(&configuration)).configuration, None);
    }

    #[test]
    fn a_gpu_without_reference_values_has_no_hardware_claim() {
        let gpu = |matches_rim| Claims {
            kind: TeeKind::NvidiaGpu,
            measurements: Measurements::NvidiaGpu {
                blocks: Vec::new(),
                driver_version: "1".into(),
                vbios_version: "2".into(),
                matches_rim,
            },
            ..claims()
        };
        assert_eq!(vector(&gpu(false), None).hardware, None);
        assert_eq!(vector(&gpu(true), None).hardware, Some(2));
        assert_eq!(vector(&gpu(true), None).runtime_opaque, None);
    }

    #[test]
    fn each_policy_has_its_own_name() {
        let strict = policy_id(&Policy::default());
        assert!(strict.starts_with("ni:///sha-256;"), "{strict}");
        let lax = Policy {
            tcb: TcbPolicy { max_age_seconds: Some(1), ..TcbPolicy::default() },
            ..Policy::default()
        };
        assert_ne!(policy_id(&lax), strict);
        // Written down by relying parties: it must not change from one version to the next. Checked
        // with `printf %s JSON | openssl dgst -sha256 -binary | base64`.
        assert_eq!(strict, "ni:///sha-256;Xke7rYnwqCOLgMCyKnSG75gkel0PRgkGz4sil83BavM");
    }
}
