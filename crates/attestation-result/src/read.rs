//! A signed result, checked by somebody who relies on it.

use std::collections::BTreeMap;

use casemate_attestation::UnixSeconds;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value};

use crate::{
    CLOCK_SKEW_SECONDS, PROFILE, ResultError, ResultKey, Tier, TrustVector, from_base64url, jws,
};

/// What a relying party demands of a result besides its signature.
#[derive(Clone, Copy, Debug)]
pub struct Demands<'a> {
    /// The time of the check.
    pub now: UnixSeconds,
    /// Seconds since the appraisal that are put up with.
    pub age_seconds_max: u64,
    /// What the evidence was to carry; `None` accepts any, so also a result that was made for
    /// somebody else.
    pub nonce: Option<&'a [u8]>,
    /// The policy under which it was to be appraised ([`crate::policy_id`]); `None` accepts any, so
    /// trusts the verifier's choice.
    pub policy_id: Option<&'a str>,
}

/// A result whose signature, profile, age and whatever else was demanded have been checked. What it
/// *says* may still be that the evidence was refused: see [`Self::status`].
#[derive(Clone, Debug)]
pub struct Checked {
    /// Second of the appraisal.
    pub issued_at: UnixSeconds,
    /// First second at which it does not count any more.
    pub expires: Option<UnixSeconds>,
    /// Which program appraised.
    pub verifier: Verifier,
    /// What the evidence was demanded to carry.
    pub nonce: Nonces,
    /// Each piece of evidence.
    pub submodules: BTreeMap<String, Submodule>,
}

impl Checked {
    /// The worst status of all evidence; [`Tier::None`] if nothing is said about one of them, unless
    /// another is worse than affirmed.
    pub fn status(&self) -> Tier {
        let statuses = || self.submodules.values().map(|submodule| submodule.status);
        match statuses().max().unwrap_or(Tier::None) {
            Tier::Affirming if statuses().any(|status| status == Tier::None) => Tier::None,
            worst => worst,
        }
    }
}

/// `ear.verifier-id`.
#[derive(Clone, Debug, Deserialize)]
pub struct Verifier {
    /// Who is responsible for it.
    pub developer: String,
    /// Program and version.
    pub build: String,
}

/// One piece of evidence.
#[derive(Clone, Debug, Deserialize)]
pub struct Submodule {
    /// In a word.
    #[serde(rename = "ear.status")]
    pub status: Tier,
    /// By subject.
    #[serde(rename = "ear.trustworthiness-vector", default)]
    pub vector: TrustVector,
    /// The policy that was applied.
    #[serde(rename = "ear.appraisal-policy-id", default)]
    pub policy_id: Option<String>,
    /// Report data of the evidence.
    #[serde(rename = "eat_nonce", default)]
    pub nonce: Nonces,
    /// Whether a debugger may be attached (RFC 9711, 4.2.9).
    #[serde(rename = "dbgstat", default)]
    pub debug_status: Option<String>,
    /// What Casemate's verifier adds ([`crate::CASEMATE_CLAIM`]): its claims and checks.
    #[serde(rename = "tag:github.com,2026:casemate/appraisal", default)]
    pub casemate: Option<Value>,
}

/// No nonce, one, or several (RFC 9711, 4.1).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Nonces(pub Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for Nonces {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(String),
            Many(Vec<String>),
        }
        let texts = match Form::deserialize(d)? {
            Form::One(text) => vec![text],
            Form::Many(texts) => texts,
        };
        let read = |text: &String| {
            from_base64url(text.trim_end_matches('='))
                .filter(|bytes| (8..=64).contains(&bytes.len()))
                .ok_or_else(|| de::Error::custom("`eat_nonce` is not 8 to 64 bytes in base64url"))
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Deserialize)]
struct Profiled {
    #[serde(default)]
    eat_profile: Option<Value>,
}

#[derive(Deserialize)]
struct Ear {
    iat: Seconds,
    #[serde(default)]
    nbf: Option<Seconds>,
    #[serde(default)]
    exp: Option<Seconds>,
    #[serde(rename = "ear.verifier-id")]
    verifier: Verifier,
    #[serde(default)]
    eat_nonce: Nonces,
    submods: BTreeMap<String, Submodule>,
}

/// Checks a signed result: signature first, then profile, form, time, and what else is demanded.
///
/// # Errors
/// [`ResultError`] for the first that fails. A result that says that evidence was refused is *no*
/// error here.
pub fn read(token: &[u8], key: &ResultKey, demands: &Demands<'_>) -> Result<Checked, ResultError> {
    let claims = jws::verify(token, key)?;
    // Another profile may have other claims: it is told first.
    let Profiled { eat_profile } = serde_json::from_slice(&claims).map_err(ResultError::Claims)?;
    match eat_profile {
        Some(Value::String(found)) if found == PROFILE => {}
        Some(Value::String(found)) => {
            let found = found.chars().filter(|c| !c.is_control()).take(128).collect();
            return Err(ResultError::Profile { found });
        }
        _ => return Err(ResultError::Profile { found: String::new() }),
    }
    let ear: Ear = serde_json::from_slice(&claims).map_err(ResultError::Claims)?;
    if ear.submods.is_empty() {
        return Err(ResultError::Empty);
    }
    for (label, submodule) in &ear.submods {
        if submodule.status < submodule.vector.worst() {
            return Err(ResultError::Contradiction(label.clone()));
        }
    }
    check_time(&ear, demands)?;
    if demands.nonce.is_some_and(|nonce| !ear.eat_nonce.0.iter().any(|found| found == nonce)) {
        return Err(ResultError::Nonce);
    }
    if let Some(expected) = demands.policy_id {
        for (label, submodule) in &ear.submods {
            if submodule.policy_id.as_deref() != Some(expected) {
                return Err(ResultError::Policy {
                    submodule: label.clone(),
                    found: submodule.policy_id.clone().unwrap_or_else(|| "none".to_owned()),
                    expected: expected.to_owned(),
                });
            }
        }
    }
    Ok(Checked {
        issued_at: ear.iat.0,
        expires: ear.exp.map(|exp| exp.0),
        verifier: ear.verifier,
        nonce: ear.eat_nonce,
        submodules: ear.submods,
    })
}

fn check_time(ear: &Ear, demands: &Demands<'_>) -> Result<(), ResultError> {
    let now = demands.now;
    for from in [Some(&ear.iat), ear.nbf.as_ref()].into_iter().flatten() {
        if from.0 > now.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(ResultError::NotYet { issued_at: from.0, now });
        }
    }
    if let Some(Seconds(expires)) = ear.exp
        && now >= expires
    {
        return Err(ResultError::Expired { expires, now });
    }
    let age = now.saturating_sub(ear.iat.0);
    if age > demands.age_seconds_max {
        return Err(ResultError::TooOld { age, max: demands.age_seconds_max });
    }
    Ok(())
}

/// A time in whole seconds. RFC 9711 allows no fraction, but Veraison's tools write
/// `1.666091373e+09`.
struct Seconds(UnixSeconds);

impl<'de> Deserialize<'de> for Seconds {
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(d)?;
        // Below 2^53 each whole number has its own float.
        let whole =
            |value: &f64| (0.0..9_007_199_254_740_992.0).contains(value) && value.fract() == 0.0;
        number
            .as_u64()
            .or_else(|| number.as_f64().filter(whole).map(|value| value as u64))
            .map(Self)
            .ok_or_else(|| {
                de::Error::custom(format!("`{number}` is no Unix time in whole seconds"))
            })
    }
}
