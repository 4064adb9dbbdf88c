//! Exponential decay in whole numbers.

use crate::Balance;

/// What is left of `amount` after `seconds`, when half is gone after each `half_life_seconds` (0: at
/// once). Never more than exact arithmetic would give.
pub fn decayed(amount: Balance, seconds: u64, half_life_seconds: u32) -> Balance {
    if seconds == 0 {
        return amount;
    }
    let half_life = u64::from(half_life_seconds);
    let (Some(halves), Some(rest)) =
        (seconds.checked_div(half_life), seconds.checked_rem(half_life))
    else {
        return 0;
    };
    // In 2^-32 of a half-life, rounded up; below 2^32, since `rest` is below a half-life of 32 bits.
    let part = (rest << 32).div_ceil(half_life);
    let factor = FACTORS
        .iter()
        .enumerate()
        .filter(|(bit, _)| part >> (31 - bit) & 1 == 1)
        .fold(None, |factor: Option<u64>, (_, next)| {
            Some(factor.map_or(*next, |factor| high(factor, *next)))
        });
    let amount = factor.map_or(amount, |factor| scaled(amount, factor));
    u32::try_from(halves).ok().and_then(|halves| amount.checked_shr(halves)).unwrap_or(0)
}

/// `amount * factor / 2^64`, rounded down.
fn scaled(amount: Balance, factor: u64) -> Balance {
    let factor = Balance::from(factor);
    let (upper, lower) = (amount >> 64, amount & Balance::from(u64::MAX));
    // Both products and their sum are below 2^128, since the factor is below 2^64.
    upper.saturating_mul(factor).saturating_add(lower.saturating_mul(factor) >> 64)
}

/// `a * b / 2^64`, rounded down.
fn high(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// 2^(-2^-i) for i from 1 to 32, in 2^-64, rounded down.
pub(super) const FACTORS: [u64; 32] = [
    0xb504_f333_f9de_6484,
    0xd744_fcca_d69d_6af4,
    0xeac0_c6e7_dd24_392e,
    0xf525_7d15_2486_cc2c,
    0xfa83_b2db_722a_033a,
    0xfd3e_0c0c_f486_c174,
    0xfe9e_115c_7b8f_884b,
    0xff4e_cb59_511e_c8a5,
    0xffa7_5652_1c8d_aed1,
    0xffd3_a751_c0f7_e10b,
    0xffe9_d2b2_f7db_2755,
    0xfff4_e91b_ff1b_8c3d,
    0xfffa_747e_a004_0664,
    0xfffd_3a3b_7814_eb53,
    0xfffe_9d1c_c60d_dab1,
    0xffff_4e8e_2587_9bfa,
    0xffff_a747_0363_f451,
    0xffff_d3a3_7dda_0313,
    0xffff_e9d1_bdf7_03ae,
    0xffff_f4e8_debe_025e,
    0xffff_fa74_6f4f_a150,
    0xffff_fd3a_37a3_f8b0,
    0xffff_fe9d_1bd1_065a,
    0xffff_ff4e_8de8_45ad,
    0xffff_ffa7_46f4_1376,
    0xffff_ffd3_a37a_05e3,
    0xffff_ffe9_d1bd_01fb,
    0xffff_fff4_e8de_80c0,
    0xffff_fffa_746f_4050,
    0xffff_fffd_3a37_a024,
    0xffff_fffe_9d1b_d011,
    0xffff_ffff_4e8d_e808,
];
