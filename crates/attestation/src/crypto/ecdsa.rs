//! The equation of ECDSA (FIPS 186-5, 6.4.2), for inputs that are all public.
//!
//! RustCrypto's own verifier multiplies generator and key one after the other and in constant time,
//! as if they were secret. Here both products share their doublings (Straus' method), and digits that
//! are zero cost nothing. Points, scalars and the checks of both are RustCrypto's.

use p384::elliptic_curve::{
    CurveArithmetic, FieldBytes, Scalar,
    group::{Curve, Group},
    ops::{Invert, Reduce},
    point::AffineCoordinates,
};

/// Whether `r` and `s`, neither of which is zero, sign this digest under the key.
pub(super) fn verifies<C: CurveArithmetic>(
    key: C::AffinePoint,
    digest: &[u8],
    r: Scalar<C>,
    s: Scalar<C>,
) -> bool {
    let Some(inverse) = Option::<Scalar<C>>::from(s.invert_vartime()) else { return false };
    let (u1, u2) = (number::<C>(digest) * inverse, r * inverse);
    let (u1, u2): (FieldBytes<C>, FieldBytes<C>) = (u1.into(), u2.into());
    let sum = two_products(C::ProjectivePoint::generator(), &u1, key.into(), &u2);
    // The x of the point at infinity is 0, which no `r` is.
    <Scalar<C> as Reduce<C::Uint>>::reduce_bytes(&sum.to_affine().x()) == r
}

/// The leftmost bits of the digest, as many as the curve's order has (both are whole bytes).
fn number<C: CurveArithmetic>(digest: &[u8]) -> Scalar<C> {
    let mut bytes = FieldBytes::<C>::default();
    let skip = bytes.len().saturating_sub(digest.len());
    for (to, from) in bytes.iter_mut().skip(skip).zip(digest) {
        *to = *from;
    }
    <Scalar<C> as Reduce<C::Uint>>::reduce_bytes(&bytes)
}

/// `a * p + b * q`; `a` and `b` are big-endian and of one length. Takes a time that depends on them.
fn two_products<P: Group>(p: P, a: &[u8], q: P, b: &[u8]) -> P {
    let (multiples_of_p, multiples_of_q) = (multiples(p), multiples(q));
    let mut sum = P::identity();
    for (a, b) in a.iter().zip(b) {
        for shift in [4, 0] {
            sum = sum.double().double().double().double();
            for (multiples, byte) in [(&multiples_of_p, a), (&multiples_of_q, b)] {
                let digit = usize::from(byte >> shift & 15);
                if let Some(multiple) = digit.checked_sub(1).and_then(|at| multiples.get(at)) {
                    sum += multiple;
                }
            }
        }
    }
    sum
}

/// The point once to fifteen times.
fn multiples<P: Group>(point: P) -> [P; 15] {
    let mut sum = P::identity();
    core::array::from_fn(|_| {
        sum += point;
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::NistP256;
    use p384::NistP384;

    /// Scalars at the edges and some in between.
    fn scalars<C: CurveArithmetic>() -> Vec<Scalar<C>> {
        let small = |n: u64| Scalar::<C>::from(n);
        let mut out: Vec<_> = [0, 1, 2, 15, 16, 17, 255, 256, u64::MAX].map(small).to_vec();
        let minus: Vec<_> = out.iter().map(|scalar| -*scalar).collect();
        out.extend(minus);
        let mut mixed = small(0x9e37_79b9_7f4a_7c15);
        for _ in 0..8 {
            mixed = mixed * mixed + small(3);
            out.push(mixed);
        }
        out
    }

    fn sums_are_right<C: CurveArithmetic>() {
        let generator = C::ProjectivePoint::generator();
        for a in scalars::<C>() {
            for b in scalars::<C>().into_iter().step_by(5) {
                for q in [generator, -generator, generator * mixed::<C>(), Group::identity()] {
                    let bytes = |scalar: Scalar<C>| -> FieldBytes<C> { scalar.into() };
                    let sum = two_products(generator, &bytes(a), q, &bytes(b));
                    assert_eq!(sum, generator * a + q * b);
                }
            }
        }
    }

    fn mixed<C: CurveArithmetic>() -> Scalar<C> {
        scalars::<C>().pop().unwrap_or_default()
    }

    #[test]
    fn sums_are_the_library_s() {
        sums_are_right::<NistP256>();
        sums_are_right::<NistP384>();
    }

    #[test]
    fn digests_of_every_length_are_numbers() {
        // Shorter than the order: as it is. Longer: its leftmost bytes.
        let one = |length: usize| {
            let mut digest = vec![0; length];
            digest[length - 1] = 1;
            digest
        };
        assert_eq!(number::<NistP384>(&one(32)), Scalar::<NistP384>::ONE);
        assert_eq!(number::<NistP384>(&one(48)), Scalar::<NistP384>::ONE);
        assert_eq!(number::<NistP256>(&one(32)), Scalar::<NistP256>::ONE);
        assert_eq!(number::<NistP256>(&one(48)), Scalar::<NistP256>::ZERO);
        assert_eq!(number::<NistP256>(&[]), Scalar::<NistP256>::ZERO);
    }
}
