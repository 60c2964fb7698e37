//! Numbers of either width, so that a formula is written once: a vector of float32 of some level, or one float64.

use crate::lanes::Lanes;

/// The arithmetic that formulas of optimizers are made of.
pub(super) trait Real: Copy {
    /// One operand of it.
    type V: Copy;

    /// A constant.
    fn of(self, x: f64) -> Self::V;
    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a − b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// √a
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The lesser; b if either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The greater; b if either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// |a|
    fn abs(self, a: Self::V) -> Self::V;
    /// −1, 0 or 1; NaN of NaN.
    fn sign(self, a: Self::V) -> Self::V;
    /// aⁿ for a ≥ 0, element by element through `libm`.
    fn power(self, a: Self::V, n: f64) -> Self::V;

    /// keep · old + (1 − keep) · new: a running mean.
    #[inline(always)]
    fn mean(self, keep: f64, old: Self::V, new: Self::V) -> Self::V {
        self.add(self.mul(self.of(keep), old), self.mul(self.of(1.0 - keep), new))
    }

    /// old + (new − old) · share: a running mean in another form.
    #[inline(always)]
    fn towards(self, old: Self::V, new: Self::V, share: f64) -> Self::V {
        self.fma(self.sub(new, old), self.of(share), old)
    }
}

/// Vectors of float32.
#[derive(Clone, Copy)]
pub(super) struct Single<S>(pub S);

impl<S: Lanes> Real for Single<S> {
    type V = S::F;

    #[inline(always)]
    fn of(self, x: f64) -> S::F {
        self.0.splat(x as f32)
    }
    #[inline(always)]
    fn add(self, a: S::F, b: S::F) -> S::F {
        self.0.add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: S::F, b: S::F) -> S::F {
        self.0.sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: S::F, b: S::F) -> S::F {
        self.0.mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: S::F, b: S::F) -> S::F {
        self.0.div(a, b)
    }
    #[inline(always)]
    fn fma(self, a: S::F, b: S::F, c: S::F) -> S::F {
        self.0.fma(a, b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: S::F) -> S::F {
        self.0.sqrt(a)
    }
    #[inline(always)]
    fn min(self, a: S::F, b: S::F) -> S::F {
        self.0.min(a, b)
    }
    #[inline(always)]
    fn max(self, a: S::F, b: S::F) -> S::F {
        self.0.max(a, b)
    }
    #[inline(always)]
    fn abs(self, a: S::F) -> S::F {
        self.0.abs(a)
    }
    #[inline(always)]
    fn sign(self, a: S::F) -> S::F {
        let (s, zero) = (self.0, self.0.splat(0.0));
        let unit = s.copysign(s.splat(1.0), a);
        s.select(s.lt(zero, s.abs(a)), unit, s.add(a, zero)) // zero and NaN stay
    }
    fn power(self, a: S::F, n: f64) -> S::F {
        let mut lanes = [0.0f32; 16];
        // SAFETY: N divides 16.
        unsafe { self.0.store(lanes.as_mut_ptr(), a) };
        lanes[..S::N].iter_mut().for_each(|x| *x = libm::pow(f64::from(*x), n) as f32);
        // SAFETY: as above.
        unsafe { self.0.load(lanes.as_ptr()) }
    }
}

/// One float64.
#[derive(Clone, Copy)]
pub(super) struct Double;

impl Real for Double {
    type V = f64;

    fn of(self, x: f64) -> f64 {
        x
    }
    fn add(self, a: f64, b: f64) -> f64 {
        a + b
    }
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }
    fn div(self, a: f64, b: f64) -> f64 {
        a / b
    }
    fn fma(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c // two roundings: a fused one would be a call of the system's library
    }
    fn sqrt(self, a: f64) -> f64 {
        a.sqrt()
    }
    fn min(self, a: f64, b: f64) -> f64 {
        if a < b { a } else { b }
    }
    fn max(self, a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
    }
    fn abs(self, a: f64) -> f64 {
        a.abs()
    }
    fn sign(self, a: f64) -> f64 {
        if a == 0.0 || a.is_nan() { a } else { 1f64.copysign(a) }
    }
    fn power(self, a: f64, n: f64) -> f64 {
        libm::pow(a, n)
    }
}
