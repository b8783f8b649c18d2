//! Hashes and value noise: the same numbers for the same seed on every machine and in any order of evaluation.

/// Mixes bits (the finaliser of SplitMix64).
#[inline]
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash of a lattice point.
#[inline]
pub(crate) fn hash2(seed: u64, x: i64, y: i64) -> u64 {
    mix(seed ^ (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f))
}

/// A number in 0..1 from a hash; `lane` gives several independent ones.
#[inline]
pub(crate) fn unit(hash: u64, lane: u64) -> f64 {
    (mix(hash ^ lane.wrapping_mul(0xd6e8_feb8_6659_fd93)) >> 40) as f64 / (1u64 << 24) as f64
}

/// A number in −1..1 from a hash.
#[inline]
pub(crate) fn signed(hash: u64, lane: u64) -> f64 {
    2.0 * unit(hash, lane) - 1.0
}

/// Value noise, −1..1, with features of about one unit.
#[inline]
pub(crate) fn value(seed: u64, x: f64, y: f64) -> f32 {
    // Casts round towards zero; a call of `floor` costs more where the processor's own is not assumed.
    let down = |v: f64| v as i64 - i64::from(v < 0.0);
    let (ix, iy) = (down(x), down(y));
    let (tx, ty) = ((x - ix as f64) as f32, (y - iy as f64) as f32);
    let (sx, sy) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let corner = |dx, dy| (hash2(seed, ix + dx, iy + dy) >> 40) as f32 * (2.0 / (1u64 << 24) as f32) - 1.0;
    let (a, b, c, d) = (corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1));
    let (upper, lower) = (a + (b - a) * sx, c + (d - c) * sx);
    upper + (lower - upper) * sy
}

/// Octaves of value noise, about −1..1; the first has features of one unit.
#[inline]
pub(crate) fn fbm(seed: u64, x: f64, y: f64, octaves: u32) -> f32 {
    let (mut sum, mut amplitude, mut frequency, mut norm) = (0.0, 1.0, 1.0, 0.0);
    for octave in 0..octaves {
        sum += amplitude * value(seed.wrapping_add(u64::from(octave) * 7919), x * frequency, y * frequency);
        norm += amplitude;
        amplitude *= 0.5;
        frequency *= 2.03;
    }
    sum / norm
}

/// 0 below `a`, 1 above `b`, smooth in between.
#[inline]
pub(crate) fn smooth(a: f64, b: f64, x: f64) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0) as f32;
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn noise_stays_in_range_and_is_continuous(seed: u64, x in -1e4..1e4f64, y in -1e4..1e4f64) {
            let a = fbm(seed, x, y, 4);
            prop_assert!(a.abs() <= 1.0);
            prop_assert!((a - fbm(seed, x + 1e-6, y, 4)).abs() < 1e-3);
        }
    }
}
