//! Judges a pod's evidence as a grant says.

use std::sync::Arc;

use casemate_attestation::{
    bundle::Bundle,
    dcap::{Quote, RawCollateral},
    sev_snp::{Product, RawEndorsements, Report, TcbVersion},
};
use casemate_ra_tls::{CollateralSource, PolicyAppraiser};

use crate::entry::{EntryError, Grant};

/// Most pieces that a request may bring, and most bytes of each.
pub(crate) const PIECES_MAX: usize = 16;
/// See [`PIECES_MAX`].
pub(crate) const PIECE_BYTES_MAX: usize = 256 * 1024;

/// Collateral of the publisher's, and what the carrier has brought. Of two statements about firmware
/// the newer is taken, whoever it comes from: all of it is verified.
#[derive(Debug)]
struct Both {
    /// The publisher's first, and the carrier's first.
    orders: [Bundle; 2],
    minimum_tcb: Vec<(Product, TcbVersion)>,
}

/// The appraiser of a grant.
pub(crate) fn appraiser(
    grant: &Grant,
    own: &[Vec<u8>],
    brought: &[Vec<u8>],
) -> Result<PolicyAppraiser, EntryError> {
    let bundle = |first: &[Vec<u8>], second: &[Vec<u8>]| {
        let mut bundle = Bundle::default();
        // What is no collateral is of no use, and does no harm.
        first.iter().chain(second).for_each(|piece| drop(bundle.add(piece)));
        bundle
    };
    let orders = [bundle(own, brought), bundle(brought, own)];
    let both = Both { orders, minimum_tcb: grant.minimum_tcb.clone() };
    Ok(PolicyAppraiser::new(grant.policy()?, grant.roots.clone(), Arc::new(both), None))
}

impl CollateralSource for Both {
    fn dcap(&self, quote: &Quote) -> Result<RawCollateral, String> {
        let [first, second] = self.orders.each_ref().map(|bundle| bundle.for_dcap(quote));
        match (first, second) {
            (Ok(first), Ok(second)) => {
                Ok(if newness(&second.tcb_info) > newness(&first.tcb_info) {
                    second
                } else {
                    first
                })
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(err), Err(_)) => Err(format!(
                "{err}; neither the grant's publisher nor the request's carrier has given it"
            )),
        }
    }

    fn sev_snp(
        &self,
        report: &Report,
        own: Option<RawEndorsements>,
    ) -> Result<RawEndorsements, String> {
        let [known, _] = &self.orders;
        let found = known.sev_snp(report, own)?;
        if found.crl.is_none() {
            return Err("AMD's revocation list is missing: neither the grant's publisher nor the \
                        request's carrier has given it"
                .to_owned());
        }
        Ok(found)
    }

    fn minimum_tcb(&self, product: Product) -> Option<TcbVersion> {
        self.minimum_tcb.iter().find(|(known, _)| *known == product).map(|(_, minimum)| *minimum)
    }
}

/// What a TCB info says about its own age: the vendor's count, then its date (RFC 3339, so that the
/// text's order is the time's).
fn newness(tcb_info: &str) -> (u64, String) {
    let json: serde_json::Value = serde_json::from_str(tcb_info).unwrap_or_default();
    let count = json.get("tcbEvaluationDataNumber").and_then(serde_json::Value::as_u64);
    let date = json.get("issueDate").and_then(serde_json::Value::as_str).unwrap_or_default();
    (count.unwrap_or(0), date.to_owned())
}

#[cfg(test)]
mod tests {
    use super::newness;

    #[test]
    fn the_vendors_count_goes_before_the_date() {
        let info = |count: u32, date: &str| {
            newness(&format!("{{\"tcbEvaluationDataNumber\":{count},\"issueDate\":\"{date}\"}}"))
        };
        assert!(info(18, "2026-01-01T00:00:00Z") > info(17, "2026-06-01T00:00:00Z"));
        assert!(info(18, "2026-02-01T00:00:00Z") > info(18, "2026-01-01T00:00:00Z"));
        assert_eq!(newness("nothing"), (0, String::new()));
    }
}
