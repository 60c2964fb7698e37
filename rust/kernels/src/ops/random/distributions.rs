//! Random bits into numbers.

use super::Distribution;
use crate::lanes::Lanes;
use crate::math;
use crate::rng::{BLOCKS, WORDS};

/// 64-bit words in a group.
pub(super) const WIDE: usize = WORDS / 2;

/// 64-bit word `k` of a group: elements of 64 bits take their words in this order.
#[inline(always)]
pub(super) fn wide(words: &[[u32; BLOCKS]; 4], k: usize) -> u64 {
    let (pair, lane) = (k / BLOCKS * 2, k % BLOCKS);
    u64::from(words[pair + 1][lane]) << 32 | u64::from(words[pair][lane])
}

/// A whole number below `range`: the upper half of their product (Lemire 2019, "Fast random integer generation in an
/// interval", without the rejection: the bias is range / 2⁶⁴).
#[inline(always)]
pub(super) fn below(word: u64, range: u64) -> u64 {
    ((u128::from(word) * u128::from(range)) >> 64) as u64
}

/// 53 bits as a number in [0, 1).
#[inline(always)]
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[inline(always)]
fn lanes_of<S: Lanes>(s: S, words: &[u32; BLOCKS], lane: usize) -> S::I {
    assert!(lane + S::N <= BLOCKS);
    // SAFETY: N words from `lane` on are inside; loading moves bits only.
    s.bits(unsafe { s.load(words.as_ptr().add(lane).cast()) })
}

/// # Safety
/// `out` has N elements from `at` on.
#[inline(always)]
unsafe fn put<S: Lanes>(s: S, out: &mut [f32], at: usize, x: S::F) {
    debug_assert!(at + S::N <= out.len());
    // SAFETY: the caller's promise.
    unsafe { s.store(out.as_mut_ptr().add(at), x) }
}

/// Uniform in [low, high): 24 bits in float32, 53 in float64.
#[derive(Clone, Copy)]
pub(super) struct Uniform {
    pub low: f64,
    pub high: f64,
}

impl Distribution<f32> for Uniform {
    const PER: usize = WORDS;
    #[inline(always)]
    fn group<S: Lanes>(self, s: S, words: &[[u32; BLOCKS]; 4], out: &mut [f32]) {
        let (low, high) = (self.low as f32, self.high as f32);
        let last = if high > low { high.next_down() } else { low }; // rounding must not reach `high`
        let (scale, low, last) = (s.splat((high - low) / (1 << 24) as f32), s.splat(low), s.splat(last));
        for (w, words) in words.iter().enumerate() {
            for lane in (0..BLOCKS).step_by(S::N) {
                let bits = s.iand(s.isar::<8>(lanes_of(s, words, lane)), s.isplat(0x00ff_ffff));
                let x = s.min(s.fma(s.to_float(bits), scale, low), last);
                // SAFETY: PER = 4 · BLOCKS elements.
                unsafe { put(s, out, w * BLOCKS + lane, x) };
            }
        }
    }
}

impl Distribution<f64> for Uniform {
    const PER: usize = WIDE;
    #[inline(always)]
    fn group<S: Lanes>(self, _: S, words: &[[u32; BLOCKS]; 4], out: &mut [f64]) {
        let last = if self.high > self.low { self.high.next_down() } else { self.low };
        for (k, x) in out.iter_mut().enumerate() {
            *x = (unit(wide(words, k)) * (self.high - self.low) + self.low).min(last);
        }
    }
}

/// Normal by the method of Box and Muller (1958, "A note on the generation of random normal deviates"): a pair of
/// words gives a radius and an angle, and these a pair of elements that lie a row of the group apart.
#[derive(Clone, Copy)]
pub(super) struct Normal {
    pub mean: f64,
    pub stddev: f64,
}

impl Distribution<f32> for Normal {
    const PER: usize = WORDS;
    #[inline(always)]
    fn group<S: Lanes>(self, s: S, words: &[[u32; BLOCKS]; 4], out: &mut [f32]) {
        let (mean, stddev) = (s.splat(self.mean as f32), s.splat(self.stddev as f32));
        for pair in [0, 2] {
            for lane in (0..BLOCKS).step_by(S::N) {
                let r = radius(s, lanes_of(s, &words[pair], lane));
                let (x, y) = direction(s, lanes_of(s, &words[pair + 1], lane));
                // SAFETY: PER = 4 · BLOCKS elements.
                unsafe {
                    put(s, out, pair * BLOCKS + lane, s.fma(s.mul(r, x), stddev, mean));
                    put(s, out, (pair + 1) * BLOCKS + lane, s.fma(s.mul(r, y), stddev, mean));
                }
            }
        }
    }
}

/// √(−2 ln u) for u in (0, 1] from 31 bits.
#[inline(always)]
fn radius<S: Lanes>(s: S, bits: S::I) -> S::F {
    let whole = s.to_float(s.iand(bits, s.isplat(i32::MAX)));
    let u = s.mul(s.max(whole, s.splat(0.5)), s.splat(1.0 / (1u64 << 31) as f32));
    s.sqrt(s.max(s.mul(s.splat(-2.0), math::log(s, u)), s.splat(0.0)))
}

/// A direction, as cosine and sine, evenly spread over the circle: 30 bits place it in the quarter around the first
/// axis, one turns the quarter to the opposite side, one exchanges the axes.
#[inline(always)]
fn direction<S: Lanes>(s: S, bits: S::I) -> (S::F, S::F) {
    let centred = s.isub(s.iand(bits, s.isplat(0x3fff_ffff)), s.isplat(1 << 29));
    let angle = s.mul(s.to_float(centred), s.splat((std::f64::consts::FRAC_PI_2 / (1u64 << 30) as f64) as f32));
    let z = s.mul(angle, angle);
    let sin = horner(s, z, [-1.958_800_9e-4, 8.332_749e-3, -1.666_666_4e-1]);
    let sin = s.fma(s.mul(angle, z), sin, angle);
    let cos = horner(s, z, [2.454_804e-5, -1.388_830_4e-3, 4.166_666_4e-2, -0.5]);
    let cos = s.fma(z, cos, s.splat(1.0));
    let cos = s.from_bits(s.ixor(s.bits(cos), s.iand(bits, s.isplat(i32::MIN))));
    let sign = s.iand(s.ishl::<1>(bits), s.isplat(i32::MIN));
    let exchange = s.lt(s.from_bits(s.ior(sign, s.isplat(0x3f80_0000))), s.splat(0.0)); // ±1 < 0
    (s.select(exchange, sin, cos), s.select(exchange, cos, sin))
}

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
fn horner<S: Lanes, const K: usize>(s: S, x: S::F, coefficients: [f32; K]) -> S::F {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

impl Distribution<f64> for Normal {
    const PER: usize = WIDE;
    #[inline(always)]
    fn group<S: Lanes>(self, _: S, words: &[[u32; BLOCKS]; 4], out: &mut [f64]) {
        for lane in 0..BLOCKS {
            let u = 1.0 - unit(wide(words, lane)); // in (0, 1]
            let (sin, cos) = libm::sincos(std::f64::consts::TAU * unit(wide(words, BLOCKS + lane)));
            let r = (-2.0 * libm::log(u)).max(0.0).sqrt();
            out[lane] = r * cos * self.stddev + self.mean;
            out[BLOCKS + lane] = r * sin * self.stddev + self.mean;
        }
    }
}

/// Normal, cut off at two standard deviations: the inverse of its distribution function at a uniform number.
#[derive(Clone, Copy)]
pub(super) struct Truncated {
    pub mean: f64,
    pub stddev: f64,
}

/// erf(√2), the share of a normal distribution within two standard deviations.
pub(super) const WITHIN: f64 = 0.954_499_736_103_641_6;

/// √2 · erf⁻¹(u) / u as a polynomial in w = −ln(1 − u²), for |u| ≤ [`WITHIN`], highest power first (a minimax fit of
/// our own, error 6e-9; the variable is that of Giles 2010, "Approximating the erfinv function").
const INVERSE: [f64; 8] = [
    -4.979_183_850e-7,
    -2.279_590_393e-6,
    7.761_298_399_5e-5,
    -1.949_926_499_21e-4,
    -3.293_540_848_602e-3,
    1.633_053_440_610_96e-2,
    3.281_171_887_695_892e-1,
    1.253_314_131_301_837,
];

impl Distribution<f32> for Truncated {
    const PER: usize = WORDS;
    #[inline(always)]
    fn group<S: Lanes>(self, s: S, words: &[[u32; BLOCKS]; 4], out: &mut [f32]) {
        let (mean, stddev) = (s.splat(self.mean as f32), s.splat(self.stddev as f32));
        let scale = s.splat((WITHIN / (1u64 << 31) as f64) as f32);
        for (w, words) in words.iter().enumerate() {
            for lane in (0..BLOCKS).step_by(S::N) {
                let u = s.mul(s.to_float(lanes_of(s, words, lane)), scale);
                let log = s.neg(math::log(s, s.fma(s.neg(u), u, s.splat(1.0))));
                let x = s.mul(u, horner(s, log, INVERSE.map(|c| c as f32)));
                let x = s.max(s.min(x, s.splat(2.0)), s.splat(-2.0));
                // SAFETY: PER = 4 · BLOCKS elements.
                unsafe { put(s, out, w * BLOCKS + lane, s.fma(x, stddev, mean)) };
            }
        }
    }
}

impl Distribution<f64> for Truncated {
    const PER: usize = WIDE;
    #[inline(always)]
    fn group<S: Lanes>(self, _: S, words: &[[u32; BLOCKS]; 4], out: &mut [f64]) {
        for (k, x) in out.iter_mut().enumerate() {
            let u = (2.0 * unit(wide(words, k)) - 1.0) * WITHIN;
            *x = quantile(u) * self.stddev + self.mean;
        }
    }
}

/// The x with erf(x / √2) = u: the polynomial, then two steps of Newton's method.
fn quantile(u: f64) -> f64 {
    let w = -libm::log1p(-u * u);
    let mut x = u * INVERSE.iter().fold(0.0, |sum, c| sum * w + c);
    for _ in 0..2 {
        let slope = (2.0 / std::f64::consts::PI).sqrt() * libm::exp(-0.5 * x * x);
        x -= (libm::erf(x * std::f64::consts::FRAC_1_SQRT_2) - u) / slope;
    }
    x.clamp(-2.0, 2.0)
}

/// Whole numbers in [low, low + range).
#[derive(Clone, Copy)]
pub(super) struct Integers {
    pub low: i64,
    pub range: u64,
}

impl Integers {
    #[inline(always)]
    fn at(self, words: &[[u32; BLOCKS]; 4], k: usize) -> i64 {
        self.low.wrapping_add(below(wide(words, k), self.range) as i64)
    }
}

impl Distribution<i32> for Integers {
    const PER: usize = WIDE;
    #[inline(always)]
    fn group<S: Lanes>(self, _: S, words: &[[u32; BLOCKS]; 4], out: &mut [i32]) {
        for (k, x) in out.iter_mut().enumerate() {
            *x = self.at(words, k) as i32;
        }
    }
}

impl Distribution<i64> for Integers {
    const PER: usize = WIDE;
    #[inline(always)]
    fn group<S: Lanes>(self, _: S, words: &[[u32; BLOCKS]; 4], out: &mut [i64]) {
        for (k, x) in out.iter_mut().enumerate() {
            *x = self.at(words, k);
        }
    }
}
