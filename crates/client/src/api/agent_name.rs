//! Names under which a provider's TLS ingress knows the agents of its pods.

use std::{fmt, str::FromStr};

use casemate_primitives::{LeaseId, ReplicaIndex};

/// Domain of the agents' names. It is in no DNS (`.internal` is reserved for private use): a client
/// connects to the provider's TLS ingress and asks for the name there. No app gets a name in it.
pub const AGENT_DOMAIN: &str = "agent.casemate.internal";

/// A pod's agent as a TLS server name: `r<replica>.l<lease>.agent.casemate.internal` is the newest
/// pod of a replica that has evidence, and with `v<version>.` before it the pod of that version of
/// the manifest. While an update runs a replica has two.
///
/// The name only decides where an ingress sends a connection. Who answers is told by the evidence.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AgentName {
    /// The lease.
    pub lease: LeaseId,
    /// Which of its replicas.
    pub replica: ReplicaIndex,
    /// Version of the manifest; the newest pod where there is none.
    pub version: Option<u32>,
}

impl AgentName {
    /// Whether `host` (in lower case) is in the agents' domain, as a good name or not.
    pub fn is_reserved(host: &str) -> bool {
        host.strip_suffix(AGENT_DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version {
            write!(f, "v{version}.")?;
        }
        write!(f, "r{}.l{}.{AGENT_DOMAIN}", self.replica, self.lease)
    }
}

/// Inverse of `Display`; there is one way to write a name.
impl FromStr for AgentName {
    type Err = ParseAgentNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let err = || ParseAgentNameError(text.chars().take(80).collect());
        let rest = text.strip_suffix(AGENT_DOMAIN).and_then(|rest| rest.strip_suffix('.'));
        let mut labels = rest.ok_or_else(err)?.rsplit('.');
        let mut number = |letter: char| labels.next().map(|label| label.strip_prefix(letter));
        let lease = number('l').flatten().and_then(|digits| digits.parse().ok()).ok_or_else(err)?;
        let replica =
            number('r').flatten().and_then(|digits| digits.parse().ok()).ok_or_else(err)?;
        let version = match number('v') {
            None => None,
            Some(label) => Some(label.and_then(|digits| digits.parse().ok()).ok_or_else(err)?),
        };
        let name = Self { lease, replica, version };
        // `+1` and `01` parse as numbers, and there may be more labels.
        if name.to_string() == text { Ok(name) } else { Err(err()) }
    }
}

/// A text that is no agent's name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no agent's name (expected [v<version>.]r<replica>.l<lease>.{AGENT_DOMAIN})")]
pub struct ParseAgentNameError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let newest = AgentName { lease: LeaseId(u64::MAX), replica: 63, version: None };
        assert_eq!(newest.to_string(), "r63.l18446744073709551615.agent.casemate.internal");
        let one = AgentName { lease: LeaseId(5), replica: 0, version: Some(2) };
        assert_eq!(one.to_string(), "v2.r0.l5.agent.casemate.internal");
        for name in [newest, one] {
            assert_eq!(name.to_string().parse::<AgentName>().unwrap(), name);
            assert!(AgentName::is_reserved(&name.to_string()));
        }
        for bad in [
            "",
            "agent.casemate.internal",
            ".agent.casemate.internal",
            "l5.agent.casemate.internal",
            "r0.agent.casemate.internal",
            "r0.l5.agent.casemate.internal.",
            "r00.l5.agent.casemate.internal",
            "r0.l+5.agent.casemate.internal",
            "r70000.l5.agent.casemate.internal",
            "x.v1.r0.l5.agent.casemate.internal",
            "v1.v1.r0.l5.agent.casemate.internal",
            "é0.l5.agent.casemate.internal",
            "r0.l5.agentXcasemate.internal",
            "r0.l5.example.org",
        ] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad}");
        }
        assert!(AgentName::is_reserved("agent.casemate.internal"));
        assert!(AgentName::is_reserved("any.thing.agent.casemate.internal"));
        assert!(!AgentName::is_reserved("myagent.casemate.internal"));
        assert!(!AgentName::is_reserved("r0.l5.agent.casemate.internal.example.org"));
    }
}
