//! RSA keys of 4,096 bits in a second or two, also with little optimisation.
//!
//! The `rsa` crate's own search divides candidates by a dozen primes only, so that most of its time
//! goes into exponentiations of numbers with a small factor. Sieving with all primes below 2^16
//! first leaves about 70 candidates for a prime of 2,048 bits instead of 200, and two primes are
//! looked for at once.

use crate::{Error, keys::random};
use num_bigint_dig::prime::probably_prime;
use rsa::{BigUint, RsaPrivateKey};

/// Sieve primes end here: beyond, a prime removes fewer candidates than its division costs.
const SIEVE_BELOW: usize = 1 << 16;

/// Odd numbers looked at from one random start. A prime of 2,048 bits is among 710 odd numbers on
/// average, so that a second start is needed once in 100,000 times.
const WINDOW: usize = 8_192;

/// Rounds of Miller-Rabin, beside the Lucas test: as `rsa` has it.
const ROUNDS: usize = 20;

/// A new RSA-4096 key with exponent 65,537.
pub(crate) fn rsa_4096() -> Result<RsaPrivateKey, Error> {
    loop {
        let (p, q) = std::thread::scope(|scope| {
            let other = scope.spawn(prime_2048);
            let p = prime_2048();
            (p, other.join().unwrap_or(Err(Error::Key("a thread has died"))))
        });
        // Fails if p - 1 or q - 1 has the exponent as a factor: then others are tried.
        if let Ok(key) = RsaPrivateKey::from_p_q(p?, q?, BigUint::from(65_537_u32)) {
            return Ok(key);
        }
    }
}

/// A random prime of 2,048 bits with its two top bits set, so that two of them have a product of
/// 4,096 bits.
fn prime_2048() -> Result<BigUint, Error> {
    let sieve = small_odd_primes();
    loop {
        let mut bytes = random::<256>()?;
        bytes[0] |= 0xc0;
        bytes[255] |= 1;
        let start = BigUint::from_bytes_be(&bytes);
        for offset in candidates(&bytes, &sieve) {
            let candidate = &start + BigUint::from(offset * 2);
            if candidate.bits() == 2_048 && probably_prime(&candidate, ROUNDS) {
                return Ok(candidate);
            }
        }
    }
}

/// Which `start + 2 * offset` have no factor in `sieve`.
fn candidates(start: &[u8], sieve: &[u32]) -> impl Iterator<Item = usize> + use<> {
    let mut composite = vec![false; WINDOW];
    for &prime in sieve {
        let wide = u64::from(prime);
        let (words, _) = start.as_chunks::<4>();
        let remainder = words.iter().fold(0, |remainder, &word| {
            (remainder << 32 | u64::from(u32::from_be_bytes(word))) % wide
        });
        // The least offset with remainder + 2 * offset = 0 (mod prime): half of -remainder.
        let negative = (wide - remainder) % wide;
        let half = if negative % 2 == 0 { negative / 2 } else { (negative + wide) / 2 };
        let (Ok(first), Ok(step)) = (usize::try_from(half), usize::try_from(prime)) else {
            continue;
        };
        composite.iter_mut().skip(first).step_by(step).for_each(|mark| *mark = true);
    }
    composite.into_iter().enumerate().filter(|(_, composite)| !composite).map(|(offset, _)| offset)
}

/// The odd primes below [`SIEVE_BELOW`].
fn small_odd_primes() -> Vec<u32> {
    let mut composite = vec![false; SIEVE_BELOW];
    let mut primes = Vec::new();
    for number in (3..SIEVE_BELOW).step_by(2) {
        if composite.get(number).copied().unwrap_or(true) {
            continue;
        }
        composite.iter_mut().skip(number * number).step_by(number).for_each(|mark| *mark = true);
        primes.extend(u32::try_from(number));
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::traits::{PrivateKeyParts, PublicKeyParts};

    #[test]
    fn the_sieve_keeps_exactly_what_has_no_small_factor() {
        let sieve = small_odd_primes();
        assert_eq!(sieve.len(), 6_541);
        assert_eq!(sieve.get(..4), Some(&[3, 5, 7, 11][..]));
        // 2^32 + 1 and on: as one word above another.
        let start = [0, 0, 0, 1, 0, 0, 0, 1];
        let kept: Vec<usize> = candidates(&start, &sieve).take(50).collect();
        let expected: Vec<usize> = (0..WINDOW)
            .filter(|offset| {
                let number = (1_u64 << 32) + 1 + 2 * (*offset as u64);
                sieve.iter().all(|&prime| !number.is_multiple_of(u64::from(prime)))
            })
            .take(50)
            .collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn keys_have_the_right_size_and_differ() {
        let (a, b) = (rsa_4096().unwrap(), rsa_4096().unwrap());
        for key in [&a, &b] {
            assert_eq!(key.n().bits(), 4_096);
            assert_eq!(key.primes().len(), 2);
            key.validate().unwrap();
        }
        assert_ne!(a.n(), b.n());
    }
}
