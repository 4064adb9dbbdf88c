//! What can be made wrong on purpose, so that a verifier can be seen to refuse it.

use crate::{Error, wire::Kind};
use std::{fmt, str::FromStr};

/// One of the machines that this program pretends to be. Each has keys and certificates of its own.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Platform {
    /// Firmware and microcode are the newest.
    #[default]
    Current,
    /// An update has been missed.
    OldTcb,
    /// The vendor has revoked its firmware.
    RevokedTcb,
    /// Its certificate (AMD: that of the key that certified it) is on the revocation list.
    RevokedCertificate,
    /// Its certificate has expired.
    ExpiredCertificate,
    /// The collateral is for another product (Intel: FMSPC).
    OtherProduct,
}

impl Platform {
    pub(crate) const ALL: [Self; 6] = [
        Self::Current,
        Self::OldTcb,
        Self::RevokedTcb,
        Self::RevokedCertificate,
        Self::ExpiredCertificate,
        Self::OtherProduct,
    ];

    /// Part of its files' names.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::OldTcb => "old-tcb",
            Self::RevokedTcb => "revoked-tcb",
            Self::RevokedCertificate => "revoked",
            Self::ExpiredCertificate => "expired-certificate",
            Self::OtherProduct => "other-product",
        }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// [`Platform::OldTcb`]: the evidence verifies, as out of date.
    OldTcb,
    /// [`Platform::RevokedTcb`].
    RevokedTcb,
    /// [`Platform::RevokedCertificate`].
    Revoked,
    /// [`Platform::ExpiredCertificate`].
    ExpiredCertificate,
    /// [`Platform::OtherProduct`].
    OtherProduct,
    /// The guest can be debugged.
    Debug,
    /// The evidence is over other report data than was asked for.
    WrongReportData,
    /// The evidence shows another measurement than the guest's.
    WrongMeasurement,
    /// Always the evidence for the first report data that was ever asked for.
    Replay,
    /// The signature over the evidence is wrong.
    BadSignature,
    /// The evidence has no end.
    Truncated,
    /// Intel: the quoting enclave is not Intel's.
    WrongQe,
    /// AMD: the report names another chip than the certificate.
    WrongChip,
    /// AMD: the report names other firmware than the certificate.
    WrongTcb,
    /// TCB info, identities and revocation lists have expired.
    ExpiredCollateral,
    /// TCB info, identities and revocation lists are not valid yet.
    FutureCollateral,
    /// Intel: the TCB signing certificate is on the revocation list.
    RevokedTcbSigning,
    /// AMD: the certificate of the key that certified the ordinary machine's is on the revocation
    /// list.
    RevokedAsk,
    /// Intel: the ordinary machine's certificate is on the revocation list.
    RevokedMachine,
    /// Intel: the PCK CA and the TCB signing certificate are on the root's revocation list.
    RevokedSigners,
    /// Intel: newer TCB info revokes all levels.
    RevokedLevel,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::OldTcb,
        Self::RevokedTcb,
        Self::Revoked,
        Self::ExpiredCertificate,
        Self::OtherProduct,
        Self::Debug,
        Self::WrongReportData,
        Self::WrongMeasurement,
        Self::Replay,
        Self::BadSignature,
        Self::Truncated,
        Self::WrongQe,
        Self::WrongChip,
        Self::WrongTcb,
        Self::ExpiredCollateral,
        Self::FutureCollateral,
        Self::RevokedTcbSigning,
        Self::RevokedAsk,
        Self::RevokedMachine,
        Self::RevokedSigners,
        Self::RevokedLevel,
    ];

    /// Its name on the command line and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OldTcb => "old-tcb",
            Self::RevokedTcb => "revoked-tcb",
            Self::Revoked => "revoked",
            Self::ExpiredCertificate => "expired-certificate",
            Self::OtherProduct => "other-product",
            Self::Debug => "debug",
            Self::WrongReportData => "wrong-report-data",
            Self::WrongMeasurement => "wrong-measurement",
            Self::Replay => "replay",
            Self::BadSignature => "bad-signature",
            Self::Truncated => "truncated",
            Self::WrongQe => "wrong-qe",
            Self::WrongChip => "wrong-chip",
            Self::WrongTcb => "wrong-tcb",
            Self::ExpiredCollateral => "expired-collateral",
            Self::FutureCollateral => "future-collateral",
            Self::RevokedTcbSigning => "revoked-tcb-signing",
            Self::RevokedAsk => "revoked-ask",
            Self::RevokedMachine => "revoked-machine",
            Self::RevokedSigners => "revoked-signers",
            Self::RevokedLevel => "revoked-level",
        }
    }

    /// Whether a guest of this kind can have it. What is wrong with the collateral is no guest's.
    pub fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::WrongQe => kind != Kind::AmdSevSnp,
            Self::WrongChip | Self::WrongTcb => kind == Kind::AmdSevSnp,
            Self::ExpiredCollateral
            | Self::FutureCollateral
            | Self::RevokedTcbSigning
            | Self::RevokedAsk
            | Self::RevokedMachine
            | Self::RevokedSigners
            | Self::RevokedLevel => false,
            _ => true,
        }
    }

    /// The machine that behaves like this, if it is a matter of the machine.
    fn platform(self) -> Option<Platform> {
        match self {
            Self::OldTcb => Some(Platform::OldTcb),
            Self::RevokedTcb => Some(Platform::RevokedTcb),
            Self::Revoked => Some(Platform::RevokedCertificate),
            Self::ExpiredCertificate => Some(Platform::ExpiredCertificate),
            Self::OtherProduct => Some(Platform::OtherProduct),
            _ => None,
        }
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Misbehaviour {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
            Error::Request(format!(
                "`{name}` is no misbehaviour that is known; there are {}",
                known.join(", ")
            ))
        })
    }
}

/// The machine that shall behave so: the first that is named, or the ordinary one.
pub(crate) fn platform(misbehave: &[Misbehaviour]) -> Platform {
    misbehave.iter().find_map(|one| one.platform()).unwrap_or_default()
}
