//! Numbers of either width, so that a formula is written once: a vector of float32 of some level, or one float64.

use super::softmaxes::sum_each;
use crate::lanes::{self, Lanes};
use crate::reduce::{self, Num, Sum};

/// An element type with the arithmetic that its formulas are computed in.
pub(in crate::ops) trait Width: Num {
    /// See [`Real`].
    type R<S: Lanes>: Real<E = Self>;
    /// The arithmetic of a level.
    fn real<S: Lanes>(s: S) -> Self::R<S>;
    /// The nearest one.
    fn of(x: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
}

impl Width for f32 {
    type R<S: Lanes> = Single<S>;
    #[inline(always)]
    fn real<S: Lanes>(s: S) -> Single<S> {
        Single(s)
    }
    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Width for f64 {
    type R<S: Lanes> = Double;
    #[inline(always)]
    fn real<S: Lanes>(_: S) -> Double {
        Double
    }
    #[inline(always)]
    fn of(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

/// The arithmetic that formulas are made of.
pub(in crate::ops) trait Real: Copy {
    /// What lies in memory.
    type E: Width;
    /// One operand: several elements, or one.
    type V: Copy;

    /// How many elements an operand holds.
    fn width(self) -> usize;
    /// # Safety
    /// `p` is valid for reading `n` elements, at most the width.
    unsafe fn load(self, p: *const Self::E, n: usize) -> Self::V;
    /// # Safety
    /// `p` is valid for writing `n` elements, at most the width.
    unsafe fn store(self, p: *mut Self::E, x: Self::V, n: usize);
    /// The sums of `len` values each, in the order of [`reduce`]: `f(w, i, n)` gives values i..i + n of sum w.
    fn sums<const W: usize>(self, len: usize, f: impl FnMut(usize, usize, usize) -> Self::V) -> [Self::E; W];

    /// The same in each place.
    fn splat(self, x: Self::E) -> Self::V;
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
pub(in crate::ops) struct Single<S>(pub S);

impl<S: Lanes> Real for Single<S> {
    type E = f32;
    type V = S::F;

    #[inline(always)]
    fn width(self) -> usize {
        S::N
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32, n: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { lanes::load(self.0, p, n) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: S::F, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { lanes::store(self.0, p, x, n) }
    }
    #[inline(always)]
    fn sums<const W: usize>(self, len: usize, f: impl FnMut(usize, usize, usize) -> S::F) -> [f32; W] {
        reduce::folds_with::<S, Sum, W>(self.0, len, f)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> S::F {
        self.0.splat(x)
    }
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
pub(in crate::ops) struct Double;

impl Real for Double {
    type E = f64;
    type V = f64;

    #[inline(always)]
    fn width(self) -> usize {
        1
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f64, _: usize) -> f64 {
        // SAFETY: the caller's promise, for n = 1.
        unsafe { *p }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64, x: f64, _: usize) {
        // SAFETY: the caller's promise, for n = 1.
        unsafe { *p = x }
    }
    fn sums<const W: usize>(self, len: usize, mut f: impl FnMut(usize, usize, usize) -> f64) -> [f64; W] {
        std::array::from_fn(|w| sum_each(len, |i| f(w, i, 1)))
    }
    #[inline(always)]
    fn splat(self, x: f64) -> f64 {
        x
    }
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
