//! exp, log, tanh and their relatives over vectors of float32.
//!
//! One polynomial and one order of operations each, so that every level gives the same bits. The polynomials are
//! minimax fits of our own (Lawson's weighted least squares against 160-bit values, coefficients rounded to float32
//! one after another with the rest fitted anew). The errors were measured over all 2³² arguments against
//! float64, with denormals counted as zero in and out; `exhaustive` below measures them again.
//!
//! | function | largest error in ulp |
//! |---|---|
//! | [`exp`] | 0.89 |
//! | [`expm1`] | 1.53 |
//! | [`log`] | 0.92 |
//! | [`tanh`] | 1.97 |
//! | [`erf`] | 1.10 |
//! | [`sigmoid`] | 1.65 |
//! | [`softplus`] | 1.81 |
//!
//! NaN gives NaN and infinities their limits, with the sign that IEEE 754 asks for.

use crate::lanes::Lanes;
use std::f32::consts::LOG2_E;

/// ln 2 in two parts (Cody and Waite 1980): the first has 15 bits, so its product with an exponent is exact.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
const LN2_LOW: f32 = 1.428_606_8e-6;

/// 1.5 · 2²³: adding it rounds to an integer, ties to even, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// (eʳ - 1 - r) / r² on |r| ≤ ln 2 / 2, for an error of 2⁻²⁸ relative to eʳ.
const EXP: [f32; 5] = [4.9999994e-1, 1.6666521e-1, 4.166826e-2, 8.368668e-3, 1.3821258e-3];
/// The same for an error of 2⁻²⁶ relative to eʳ - 1.
const EXPM1: [f32; 5] = [4.9999997e-1, 1.6666546e-1, 4.166744e-2, 8.366257e-3, 1.3870291e-3];
/// (log(1 + f) - f + f²/2) / f³ on √½ ≤ 1 + f ≤ √2, for a relative error of 2⁻²⁷ in the logarithm.
const LOG1P: [f32; 8] =
    [3.333333e-1, -2.500082e-1, 2.0001242e-1, -1.6623409e-1, 1.420158e-1, -1.3159612e-1, 1.2762219e-1, -7.636433e-2];
/// erf(x)/x - 1 in powers of x² on |x| ≤ 0.95, for a relative error of 2⁻³⁰.
const ERF_SMALL: [f32; 7] =
    [1.2837917e-1, -3.7612632e-1, 1.128367e-1, -2.6858011e-2, 5.19758e-3, -8.103584e-4, 8.205776e-5];
/// -log(1 - erf(x)) on 0.95 ≤ x ≤ 3.95, for an error of 2⁻²⁹ in erf.
const ERF_LARGE: [f32; 7] =
    [2.4471525e-4, 1.127475, 6.3751686e-1, 1.0364055e-1, -2.2087796e-2, 3.008587e-3, -1.9243213e-4];

/// c[0] + c[1]·x + … by Horner's rule.
#[inline(always)]
fn poly<S: Lanes, const N: usize>(s: S, x: S::F, c: [f32; N]) -> S::F {
    let mut y = s.splat(c[N - 1]);
    for &a in c[..N - 1].iter().rev() {
        y = s.fma(y, x, s.splat(a));
    }
    y
}

/// `x` = n·ln 2 + r with |r| ≤ ln 2 / 2: r, and n in the low bits of an integer. For |x| < 2²¹.
#[inline(always)]
fn reduce<S: Lanes>(s: S, x: S::F) -> (S::F, S::I) {
    let shifted = s.fma(x, s.splat(LOG2_E), s.splat(ROUND));
    let n = s.sub(shifted, s.splat(ROUND));
    let r = s.fma(n, s.splat(-LN2_HIGH), x);
    (s.fma(n, s.splat(-LN2_LOW), r), s.bits(shifted))
}

/// eˣ.
#[inline(always)]
pub fn exp<S: Lanes>(s: S, x: S::F) -> S::F {
    let (r, n) = reduce(s, x);
    let one = s.splat(1.0);
    let y = s.fma(s.fma(poly(s, r, EXP), r, one), r, one);
    // Where the result is normal, adding n to the exponent is the multiplication by 2ⁿ; elsewhere it is not used.
    let y = s.from_bits(s.iadd(s.bits(y), s.ishl::<23>(n)));
    let infinity = s.max(s.splat(f32::INFINITY), x); // NaN if x is
    let y = s.select(s.le(x, s.splat(EXP_MAX)), y, infinity);
    s.select(s.lt(x, s.splat(EXP_MIN)), s.splat(0.0), y)
}

/// eˣ - 1 = 2ⁿ·q + (2ⁿ - 1) with q = eʳ - 1.
#[inline(always)]
pub fn expm1<S: Lanes>(s: S, x: S::F) -> S::F {
    // Beyond these, it is -1 and infinite. The order of arguments lets NaN through.
    let inside = s.min(s.splat(89.0), s.max(s.splat(-18.0), x));
    let (r, n) = reduce(s, inside);
    let q = s.fma(poly(s, r, EXPM1), s.mul(r, r), r);
    let half = s.from_bits(s.iadd(s.ishl::<23>(n), s.isplat(126 << 23))); // 2ⁿ⁻¹, since 2¹²⁸ is no float
    let y = s.fma(half, q, s.sub(half, s.splat(0.5)));
    s.select(s.lt(s.abs(x), s.splat(1e-9)), x, s.add(y, y))
}

/// The largest argument whose exponential is finite, and the smallest whose exponential is a normal number.
const EXP_MAX: f32 = 88.722_83;
const EXP_MIN: f32 = -87.336_54;

/// log x, the natural logarithm: -∞ at 0, NaN below.
#[inline(always)]
pub fn log<S: Lanes>(s: S, x: S::F) -> S::F {
    // x = 2ᵏ·m with √½ ≤ m < √2: the exponent's bits, counted from those of √½.
    let root = s.isplat(0x3f35_04f3);
    let above = s.isub(s.bits(x), root);
    let k = s.isar::<23>(above);
    let m = s.from_bits(s.iadd(s.iand(above, s.isplat(0x007f_ffff)), root));
    let y = log1p_reduced(s, s.sub(m, s.splat(1.0)), s.to_float(k));
    let y = s.select(s.le(x, s.splat(f32::MAX)), y, x); // infinity and NaN stay
    let beyond = s.select(s.lt(x, s.splat(0.0)), s.splat(f32::NAN), s.splat(f32::NEG_INFINITY));
    s.select(s.lt(x, s.splat(f32::MIN_POSITIVE)), beyond, y)
}

/// log(1 + f) + k·ln 2 for √½ ≤ 1 + f ≤ √2.
#[inline(always)]
fn log1p_reduced<S: Lanes>(s: S, f: S::F, k: S::F) -> S::F {
    let tail = s.fma(poly(s, f, LOG1P), f, s.splat(-0.5));
    let tail = s.fma(k, s.splat(LN2_LOW), s.mul(tail, s.mul(f, f)));
    s.fma(k, s.splat(LN2_HIGH), s.add(f, tail))
}

/// tanh x = (1 - E) / (1 + E) with E = e⁻²ˣ = 2ⁿ(1 + q), both sides from q, so that nothing cancels.
#[inline(always)]
pub fn tanh<S: Lanes>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let a = s.min(s.splat(10.0), s.abs(x)); // tanh 10 rounds to 1; NaN stays
    let (r, n) = reduce(s, s.mul(a, s.splat(-2.0)));
    let q = s.fma(poly(s, r, EXPM1), s.mul(r, r), r);
    let power = s.from_bits(s.iadd(s.ishl::<23>(n), s.bits(one)));
    let top = s.fma(power, s.neg(q), s.sub(one, power));
    let bottom = s.fma(power, q, s.add(one, power));
    s.copysign(s.div(top, bottom), x)
}

/// 1 / (1 + e⁻ˣ): with E = e^(-|x|) and y = E / (1 + E), it is 1 - y from 0 on and y = E - E·y below, which rounds off
/// less than the quotient itself.
#[inline(always)]
pub fn sigmoid<S: Lanes>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let e = exp_negative(s, s.abs(x));
    let y = s.div(e, s.add(one, e));
    s.select(s.lt(x, s.splat(0.0)), s.fma(s.neg(y), e, e), s.sub(one, y))
}

/// The error function: a polynomial near 0, 1 - e^(-g(x)) beyond.
#[inline(always)]
pub fn erf<S: Lanes>(s: S, x: S::F) -> S::F {
    let a = s.min(s.splat(4.0), s.abs(x)); // erf 4 rounds to 1; NaN stays
    let small = s.fma(poly(s, s.mul(a, a), ERF_SMALL), a, a);
    let large = s.sub(s.splat(1.0), exp_negative(s, poly(s, a, ERF_LARGE)));
    s.copysign(s.select(s.lt(a, s.splat(0.95)), small, large), x)
}

/// e⁻ˣ for x ≥ 0.
#[inline(always)]
fn exp_negative<S: Lanes>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let (r, n) = reduce(s, s.neg(s.min(s.splat(88.0), x))); // NaN stays
    let y = s.fma(s.fma(poly(s, r, EXP), r, one), r, one);
    // 2⁻¹²⁷, the power for 88, comes out as 0; before it, products below the normal numbers are flushed.
    s.mul(y, s.from_bits(s.iadd(s.ishl::<23>(n), s.bits(one))))
}

/// log(1 + eˣ) = max(x, 0) + log(1 + e^(-|x|)).
#[inline(always)]
pub fn softplus<S: Lanes>(s: S, x: S::F) -> S::F {
    let e = exp_negative(s, s.abs(x));
    // 1 + e, or half of it where that lies nearer to 1.
    let halve = s.lt(s.splat(std::f32::consts::SQRT_2 - 1.0), e);
    let f = s.select(halve, s.mul(s.sub(e, s.splat(1.0)), s.splat(0.5)), e);
    let k = s.select(halve, s.splat(1.0), s.splat(0.0));
    s.add(s.max(s.splat(0.0), x), log1p_reduced(s, f, k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Level, flush_denormals, restore_float_state};
    use crate::lanes::{Kernel, map1};
    use crate::testing::ulps;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Function {
        Exp,
        Expm1,
        Log,
        Tanh,
        Erf,
        Sigmoid,
        Softplus,
    }
    use Function::*;

    /// Each function and the bound that this file states for it.
    const ALL: [(Function, f64); 7] =
        [(Exp, 1.5), (Expm1, 2.0), (Log, 1.5), (Tanh, 2.0), (Erf, 2.0), (Sigmoid, 2.0), (Softplus, 2.0)];

    impl Function {
        fn reference(self, x: f64) -> f64 {
            match self {
                Exp => libm::exp(x),
                Expm1 => libm::expm1(x),
                Log => libm::log(x),
                Tanh => libm::tanh(x),
                Erf => libm::erf(x),
                Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
                Softplus if x.is_nan() => x,
                Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            }
        }
    }

    struct Map<'a>(Function, &'a [f32], &'a mut [f32]);
    impl Kernel for Map<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Lanes>(self, s: S) {
            let Map(function, x, y) = self;
            match function {
                Exp => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| exp(s, x),
                ),
                Expm1 => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| expm1(s, x),
                ),
                Log => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| log(s, x),
                ),
                Tanh => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| tanh(s, x),
                ),
                Erf => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| erf(s, x),
                ),
                Sigmoid => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| sigmoid(s, x),
                ),
                Softplus => map1(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |x| softplus(s, x),
                ),
            }
        }
    }

    /// The largest error over the floats with the bits `first`, `first + step`, … below 2³², and where it is. Checks
    /// that every level gives the same bits.
    fn largest_error(function: Function, first: u64, step: u64) -> (f64, f32) {
        const BLOCK: usize = 4096;
        let levels: Vec<Level> = Level::ALL.into_iter().filter(|l| l.available()).collect();
        let state = flush_denormals();
        let mut worst = (0.0, 0.0);
        let (mut x, mut y, mut z) = (vec![0.0f32; BLOCK], vec![0.0f32; BLOCK], vec![0.0f32; BLOCK]);
        let mut bits = first;
        while bits < 1 << 32 {
            for v in &mut x {
                *v = f32::from_bits(bits.min(u32::MAX.into()) as u32);
                bits += step;
            }
            levels[0].run(Map(function, &x, &mut y));
            for level in &levels[1..] {
                level.run(Map(function, &x, &mut z));
                let same = y.iter().zip(&z).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
                assert!(same, "{function:?} at {level:?} differs near {}", x[0]);
            }
            for (&x, &y) in x.iter().zip(&y) {
                let x = if x.is_subnormal() { 0f32.copysign(x) } else { x };
                let error = ulps(y, function.reference(x.into()));
                if error > worst.0 {
                    worst = (error, x);
                }
            }
        }
        restore_float_state(state);
        worst
    }

    #[test]
    fn errors_within_the_stated_bounds_on_a_sample() {
        for (function, bound) in ALL {
            let (error, at) = largest_error(function, 0, 4099); // a prime: all exponents, varied mantissas
            assert!(error <= bound, "{function:?}({at:e}) is off by {error} ulp");
        }
    }

    /// Every float32: minutes each.
    mod exhaustive {
        use super::*;

        fn check(function: Function) {
            let halves = std::thread::scope(|s| {
                [0, 1].map(|first| s.spawn(move || largest_error(function, first, 2))).map(|t| t.join().unwrap())
            });
            let (error, at) = if halves[0].0 > halves[1].0 { halves[0] } else { halves[1] };
            println!("{function:?}: {error:.3} ulp at {at:e}");
            let bound = ALL.iter().find(|(f, _)| *f == function).unwrap().1;
            assert!(error <= bound, "{function:?}({at:e}) is off by {error} ulp");
        }

        macro_rules! checks {
            ($($name:ident $function:ident),*) => { $(
                #[test]
                #[ignore = "every float32: minutes"]
                fn $name() {
                    check($function);
                }
            )* };
        }
        checks!(exp Exp, expm1 Expm1, log Log, tanh Tanh, erf Erf, sigmoid Sigmoid, softplus Softplus);
    }
}
