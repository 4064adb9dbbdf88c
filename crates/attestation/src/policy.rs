//! Appraisal: whether verified claims are good enough for whoever asks.
//!
//! The default is strict: hardware only, no debugger, newest firmware. Each check is listed in the
//! [`Verdict`] with what it looked at and how it ended, also where all is well.

mod check;
mod condition;
#[cfg(test)]
mod tests;

pub use check::{Check, Outcome, Verdict};
pub use condition::{Condition, HexBytes};

use crate::{Claims, Grade, Measurements, TcbStatus, UnixSeconds, Verified};
use alloc::{format, string::String, vec, vec::Vec};
use casemate_primitives::AccountBytes;
use serde::{Deserialize, Serialize};

/// What a relying party demands. Everything that is not allowed here is refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Grades of trust roots that are good enough. `Hardware` alone by default.
    pub grades: Vec<Grade>,
    /// Whether a debugger may be attached. Never by default.
    pub allow_debug: bool,
    /// The platform's firmware.
    pub tcb: TcbPolicy,
    /// What else must hold. `None` asks for nothing more, which is enough to know that evidence is
    /// genuine, and not enough to release a secret.
    pub require: Option<Condition>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grades: vec![Grade::Hardware],
            allow_debug: false,
            tcb: TcbPolicy::default(),
            require: None,
        }
    }
}

/// What is demanded of a platform's firmware.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TcbPolicy {
    /// Accepted states. `UpToDate` alone by default. `Revoked` is refused even if it is listed.
    pub statuses: Vec<TcbStatus>,
    /// Oldest accepted level, in seconds before now; `None` for any age.
    pub max_age_seconds: Option<u64>,
    /// Advisories that are put up with: where the state is not accepted (and not `Revoked`) and
    /// each open advisory has a grace that still runs, the state passes.
    pub grace: Vec<Grace>,
}

impl Default for TcbPolicy {
    fn default() -> Self {
        Self { statuses: vec![TcbStatus::UpToDate], max_age_seconds: None, grace: Vec::new() }
    }
}

/// An advisory that is put up with for a time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grace {
    /// Its name, such as `INTEL-SA-00615`.
    pub advisory: String,
    /// Last second of the grace (Unix time); `None` for no end.
    #[serde(default)]
    pub until: Option<UnixSeconds>,
}

/// What the relying party knows besides the evidence.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the appraisal.
    pub now: UnixSeconds,
    /// What the report data must be ([`crate::Binding::report_data`]). `None` where a file is only
    /// looked at: such an appraisal proves no key.
    pub report_data: Option<&'a [u8; 64]>,
    /// The account on whose machine the pod runs, where it is known.
    pub provider: Option<AccountBytes>,
}

/// Claims that a policy has accepted, with the verdict that says why.
#[derive(Clone, Debug)]
pub struct Accepted {
    claims: Claims,
    verdict: Verdict,
}

impl Accepted {
    /// What was accepted.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Why.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl Policy {
    /// Appraises `verified`. All checks are made, also after one has failed, so that the verdict
    /// names every reason.
    ///
    /// # Errors
    /// The verdict, with at least one failed check.
    pub fn appraise<E>(
        &self,
        verified: &Verified<E>,
        context: &Context<'_>,
    ) -> Result<Accepted, Verdict> {
        let claims = verified.claims();
        let mut verdict = Verdict::default();
        verdict.push(Check::new(
            "signatures, certificates and collateral",
            format!("{:?} evidence of a {}", claims.kind, claims.product),
            "verified up to a pinned root",
            Outcome::Passed,
        ));
        verdict.push(self.check_grade(claims));
        verdict.push(self.check_debug(claims));
        verdict.push(self.check_tcb_status(claims, context.now));
        if let Some(max) = self.tcb.max_age_seconds {
            verdict.push(check_tcb_age(claims, max, context.now));
        }
        verdict.push(check_expiry(claims, context.now));
        if let Measurements::NvidiaGpu { matches_rim, .. } = claims.measurements {
            verdict.push(check_gpu_firmware(matches_rim));
        }
        if let Some(expected) = context.report_data {
            verdict.push(check_report_data(claims, expected));
        }
        if let Some(require) = &self.require {
            verdict.push(require.check(claims, context));
        }
        if verdict.accepted() {
            Ok(Accepted { claims: claims.clone(), verdict })
        } else {
            Err(verdict)
        }
    }

    fn check_grade(&self, claims: &Claims) -> Check {
        Check::new(
            "grade of the trust root",
            format!("{:?}", claims.grade),
            format!("one of {:?}", self.grades),
            Outcome::of(self.grades.contains(&claims.grade)),
        )
    }

    fn check_debug(&self, claims: &Claims) -> Check {
        Check::new(
            "debugger",
            if claims.debug { "may be attached" } else { "shut out" },
            if self.allow_debug { "either" } else { "shut out" },
            Outcome::of(self.allow_debug || !claims.debug),
        )
    }

    fn check_tcb_status(&self, claims: &Claims, now: UnixSeconds) -> Check {
        let tcb = &claims.tcb;
        let graced = |name: &String| {
            self.tcb.grace.iter().any(|grace| {
                grace.advisory == *name && grace.until.is_none_or(|until| now <= until)
            })
        };
        let outcome = if tcb.status == TcbStatus::Revoked {
            Outcome::Failed
        } else if self.tcb.statuses.contains(&tcb.status) {
            Outcome::Passed
        } else if !tcb.advisories.is_empty() && tcb.advisories.iter().all(graced) {
            Outcome::Graced
        } else {
            Outcome::Failed
        };
        let input = if tcb.advisories.is_empty() {
            format!("{:?}", tcb.status)
        } else {
            format!("{:?} with open {}", tcb.status, tcb.advisories.join(", "))
        };
        Check::new(
            "state of the platform's firmware",
            input,
            format!("one of {:?}, or a grace for each advisory", self.tcb.statuses),
            outcome,
        )
    }
}

fn check_tcb_age(claims: &Claims, max: u64, now: UnixSeconds) -> Check {
    let name = "age of the firmware level";
    let wanted = format!("at most {max} s");
    match claims.tcb.date {
        Some(date) => {
            let age = now.saturating_sub(date);
            Check::new(name, format!("{age} s"), wanted, Outcome::of(age <= max))
        }
        None => Check::new(name, "the vendor gives no date", wanted, Outcome::Failed),
    }
}

fn check_expiry(claims: &Claims, now: UnixSeconds) -> Check {
    Check::new(
        "validity of certificates and collateral",
        format!("until {} (Unix time)", claims.not_after),
        format!("after {now}"),
        Outcome::of(now < claims.not_after),
    )
}

/// A GPU's firmware is judged by a signed manifest; without one the verdict must say that nobody
/// has judged it.
fn check_gpu_firmware(matches_rim: bool) -> Check {
    Check::new(
        "GPU firmware",
        if matches_rim { "equals the signed RIM" } else { "no RIM was given to compare it to" },
        "equals the signed RIM (to insist: the condition `gpuMatchesRim`)",
        if matches_rim { Outcome::Passed } else { Outcome::Graced },
    )
}

fn check_report_data(claims: &Claims, expected: &[u8; 64]) -> Check {
    Check::new(
        "report data",
        hex::encode(claims.report_data),
        format!("{} (this key, lease and nonce)", hex::encode(expected)),
        Outcome::of(claims.report_data == *expected),
    )
}
