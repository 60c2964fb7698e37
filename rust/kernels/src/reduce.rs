//! Sums, products, maxima and minima in an order that the shape alone fixes.
//!
//! A fold over consecutive elements cuts them into chunks of [`CHAIN`]. Within a chunk element i joins accumulator
//! i mod 16, in ascending order; the sixteen are joined by halves (i with i + 8, then + 4, + 2, + 1); the chunks are
//! joined left to right. A fold over rows, column by column, is one chain over the rows in ascending order per block of
//! [`CHAIN`] rows, the blocks joined left to right: for a sum, what a product with a vector of ones gives.
//!
//! An accumulator starts at the fold's neutral element (+0 for a sum, so that no sum is −0).

use crate::CHAIN;
use crate::dtype::Elem;
use crate::lanes::{self, Lanes};
use std::ops::Range;

/// Accumulators of a fold over consecutive elements, on every level.
pub const LANES: usize = 16;

/// Numbers that folds are made of.
pub trait Num: Elem + PartialOrd {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// No number is less.
    const LOWEST: Self;
    /// No number is greater.
    const HIGHEST: Self;

    /// a + b; whole numbers wrap around.
    fn plus(self, other: Self) -> Self;
    /// a · b; whole numbers wrap around.
    fn times(self, other: Self) -> Self;
    /// a / n, for means; whole numbers round towards zero.
    fn over(self, n: usize) -> Self;

    /// Whether it is not a number.
    #[inline(always)]
    #[allow(clippy::eq_op)] // the definition of NaN
    fn is_nan(self) -> bool {
        self != self
    }

    /// The folds of `W` chunks of equal length, side by side: one chain alone would wait for its own latency.
    #[inline(always)]
    fn chunks<S: Lanes, R: Fold, const W: usize>(_: S, x: [&[Self]; W]) -> [Self; W] {
        x.map(plain_chunk::<Self, R>)
    }

    /// Joins `W` rows to `acc`, in their order.
    #[inline(always)]
    fn rows<S: Lanes, R: Fold, const W: usize>(_: S, acc: &mut [Self], rows: [&[Self]; W]) {
        for row in rows {
            for (a, &v) in acc.iter_mut().zip(row) {
                *a = R::join(*a, v);
            }
        }
    }
}

macro_rules! whole {
    ($($t:ty),*) => { $(
        impl Num for $t {
            const ZERO: $t = 0;
            const ONE: $t = 1;
            const LOWEST: $t = <$t>::MIN;
            const HIGHEST: $t = <$t>::MAX;
            #[inline(always)]
            fn plus(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn times(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn over(self, n: usize) -> $t {
                if n == 0 { 0 } else { (self as i128 / n as i128) as $t }
            }
        }
    )* };
}
whole!(u8, i32, i64);

macro_rules! float {
    ($t:ty, { $($more:tt)* }) => {
        impl Num for $t {
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const LOWEST: $t = <$t>::NEG_INFINITY;
            const HIGHEST: $t = <$t>::INFINITY;
            #[inline(always)]
            fn plus(self, other: $t) -> $t {
                self + other
            }
            #[inline(always)]
            fn times(self, other: $t) -> $t {
                self * other
            }
            #[inline(always)]
            fn over(self, n: usize) -> $t {
                self / n as $t
            }
            $($more)*
        }
    };
}
float!(f64, {});
float!(f32, {
    #[inline(always)]
    fn chunks<S: Lanes, R: Fold, const W: usize>(s: S, x: [&[f32]; W]) -> [f32; W] {
        let len = x[0].len();
        assert!(x.iter().all(|x| x.len() == len));
        if len < LANES {
            return x.map(plain_chunk::<f32, R>); // too short to be worth vectors
        }
        // SAFETY: `fold_chunks` asks for elements of 0..len only.
        fold_chunks::<S, R, W>(
            s,
            len,
            #[inline(always)]
            |w, i, n| unsafe { lanes::load(s, x[w].as_ptr().add(i), n) },
        )
    }

    #[inline(always)]
    fn rows<S: Lanes, R: Fold, const W: usize>(s: S, acc: &mut [f32], rows: [&[f32]; W]) {
        let len = acc.len();
        assert!(rows.iter().all(|row| row.len() >= len));
        let out = acc.as_mut_ptr();
        // SAFETY: `map_raw` asks for elements of 0..len, which acc and all rows have.
        unsafe {
            lanes::map_raw(
                s,
                len,
                out,
                #[inline(always)]
                |i, n| {
                    let mut a = lanes::load(s, out.add(i), n);
                    for row in rows {
                        a = R::lanes(s, a, lanes::load(s, row.as_ptr().add(i), n));
                    }
                    a
                },
            );
        }
    }
});

/// What a fold does with two values, and what it starts from.
pub trait Fold: Copy + Send + Sync + 'static {
    /// The neutral element.
    fn start<T: Num>() -> T;
    /// Joins the next value to an accumulator.
    fn join<T: Num>(acc: T, x: T) -> T;
    /// The same for vectors.
    fn lanes<S: Lanes>(s: S, acc: S::F, x: S::F) -> S::F;
}

/// Σ
#[derive(Clone, Copy)]
pub struct Sum;
/// Π
#[derive(Clone, Copy)]
pub struct Prod;
/// The greatest; NaN if there is one, as in NumPy.
#[derive(Clone, Copy)]
pub struct Max;
/// The least; NaN if there is one, as in NumPy.
#[derive(Clone, Copy)]
pub struct Min;

impl Fold for Sum {
    #[inline(always)]
    fn start<T: Num>() -> T {
        T::ZERO
    }
    #[inline(always)]
    fn join<T: Num>(acc: T, x: T) -> T {
        acc.plus(x)
    }
    #[inline(always)]
    fn lanes<S: Lanes>(s: S, acc: S::F, x: S::F) -> S::F {
        s.add(acc, x)
    }
}

impl Fold for Prod {
    #[inline(always)]
    fn start<T: Num>() -> T {
        T::ONE
    }
    #[inline(always)]
    fn join<T: Num>(acc: T, x: T) -> T {
        acc.times(x)
    }
    #[inline(always)]
    fn lanes<S: Lanes>(s: S, acc: S::F, x: S::F) -> S::F {
        s.mul(acc, x)
    }
}

impl Fold for Max {
    #[inline(always)]
    fn start<T: Num>() -> T {
        T::LOWEST
    }
    #[inline(always)]
    fn join<T: Num>(acc: T, x: T) -> T {
        if acc.is_nan() || acc > x { acc } else { x }
    }
    #[inline(always)]
    fn lanes<S: Lanes>(s: S, acc: S::F, x: S::F) -> S::F {
        s.select(s.eq(acc, acc), s.max(acc, x), acc) // `max` gives x if x is NaN
    }
}

impl Fold for Min {
    #[inline(always)]
    fn start<T: Num>() -> T {
        T::HIGHEST
    }
    #[inline(always)]
    fn join<T: Num>(acc: T, x: T) -> T {
        if acc.is_nan() || acc < x { acc } else { x }
    }
    #[inline(always)]
    fn lanes<S: Lanes>(s: S, acc: S::F, x: S::F) -> S::F {
        s.select(s.eq(acc, acc), s.min(acc, x), acc)
    }
}

/// Joins sixteen accumulators by halves.
#[inline(always)]
pub fn tree<T: Num, R: Fold>(mut acc: [T; LANES]) -> T {
    // Loops of constant length: they become vector instructions.
    for i in 0..8 {
        acc[i] = R::join(acc[i], acc[i + 8]);
    }
    for i in 0..4 {
        acc[i] = R::join(acc[i], acc[i + 4]);
    }
    for i in 0..2 {
        acc[i] = R::join(acc[i], acc[i + 2]);
    }
    R::join(acc[0], acc[1])
}

/// The fold of a chunk, element by element.
#[inline(always)]
fn plain_chunk<T: Num, R: Fold>(x: &[T]) -> T {
    let mut acc = [R::start::<T>(); LANES];
    for group in x.chunks(LANES) {
        for (a, &v) in acc.iter_mut().zip(group) {
            *a = R::join(*a, v);
        }
    }
    tree::<T, R>(acc)
}

/// The folds of `W` chunks of `len` ≤ [`CHAIN`] elements: `f(w, i, n)` gives elements i..i+n of chunk w in its first n
/// lanes (n = N but at the end); what it puts into the others does not matter.
#[inline(always)]
fn fold_chunks<S: Lanes, R: Fold, const W: usize>(
    s: S,
    len: usize,
    f: impl FnMut(usize, usize, usize) -> S::F,
) -> [f32; W] {
    // Just as many vectors as the level needs: a larger array would not be kept in registers.
    match S::N {
        16 => fold_in::<S, R, W, 1>(s, len, f),
        8 => fold_in::<S, R, W, 2>(s, len, f),
        4 => fold_in::<S, R, W, 4>(s, len, f),
        _ => fold_in::<S, R, W, LANES>(s, len, f),
    }
}

/// [`fold_chunks`] with `A` = 16 / N vectors of accumulators for each chunk.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // iterators stay calls in builds without link-time optimisation
fn fold_in<S: Lanes, R: Fold, const W: usize, const A: usize>(
    s: S,
    len: usize,
    mut f: impl FnMut(usize, usize, usize) -> S::F,
) -> [f32; W] {
    assert!(A * S::N == LANES);
    let mut acc = [[s.splat(R::start()); A]; W];
    let whole = len - len % LANES;
    let mut i = 0;
    while i < whole {
        for v in 0..A {
            for w in 0..W {
                acc[w][v] = R::lanes(s, acc[w][v], f(w, i + v * S::N, S::N));
            }
        }
        i += LANES;
    }
    let mut totals = [R::start(); W];
    for w in 0..W {
        let mut lanes = [R::start::<f32>(); LANES];
        for v in 0..A {
            // SAFETY: A · N = 16 floats fit.
            unsafe { s.store(lanes.as_mut_ptr().add(v * S::N), acc[w][v]) };
        }
        let mut i = whole;
        while i < len {
            let n = S::N.min(len - i);
            let mut values = [0.0f32; LANES];
            // SAFETY: N ≤ 16 floats fit.
            unsafe { s.store(values.as_mut_ptr(), f(w, i, n)) };
            for j in 0..n {
                lanes[i - whole + j] = R::join(lanes[i - whole + j], values[j]);
            }
            i += n;
        }
        totals[w] = tree::<f32, R>(lanes);
    }
    totals
}

/// `W` folds of `len` values each that are computed as they are needed: `f(w, i, n)` gives values i..i+n of fold w in
/// its first n lanes (n = N but at the end of a chunk) and is called once for each, in ascending order.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // iterators stay calls in builds without link-time optimisation
pub fn folds_with<S: Lanes, R: Fold, const W: usize>(
    s: S,
    len: usize,
    mut f: impl FnMut(usize, usize, usize) -> S::F,
) -> [f32; W] {
    let mut totals = [R::start(); W];
    let mut from = 0;
    while from < len {
        let chunks = fold_chunks::<S, R, W>(
            s,
            CHAIN.min(len - from),
            #[inline(always)]
            |w, i, n| f(w, from + i, n),
        );
        for w in 0..W {
            totals[w] = if from == 0 { chunks[w] } else { R::join(totals[w], chunks[w]) };
        }
        from += CHAIN;
    }
    totals
}

/// The fold of `len` values; see [`folds_with`].
#[inline(always)]
pub fn fold_with<S: Lanes, R: Fold>(s: S, len: usize, mut f: impl FnMut(usize, usize) -> S::F) -> f32 {
    let [total] = folds_with::<S, R, 1>(
        s,
        len,
        #[inline(always)]
        |_, i, n| f(i, n),
    );
    total
}

/// Σ of `len` values that are computed as they are needed; see [`fold_with`].
#[inline(always)]
pub fn sum_with<S: Lanes>(s: S, len: usize, f: impl FnMut(usize, usize) -> S::F) -> f32 {
    fold_with::<S, Sum>(s, len, f)
}

/// The fold of a slice of any length.
#[inline(always)]
pub fn fold<T: Num, S: Lanes, R: Fold>(s: S, x: &[T]) -> T {
    let mut total = R::start();
    let mut from = 0;
    while from < x.len() {
        let rest = &x[from..];
        if rest.len() >= 4 * CHAIN {
            let at = |k: usize| &rest[k * CHAIN..(k + 1) * CHAIN];
            let four = T::chunks::<S, R, 4>(s, [at(0), at(1), at(2), at(3)]);
            let first = if from == 0 { four[0] } else { R::join(total, four[0]) };
            total = four[1..].iter().fold(first, |total, &chunk| R::join(total, chunk));
            from += 4 * CHAIN;
        } else {
            let [chunk] = T::chunks::<S, R, 1>(s, [&rest[..CHAIN.min(rest.len())]]);
            total = if from == 0 { chunk } else { R::join(total, chunk) };
            from += CHAIN;
        }
    }
    total
}

/// The sum of a slice.
#[inline(always)]
pub fn sum<S: Lanes>(s: S, x: &[f32]) -> f32 {
    fold::<f32, S, Sum>(s, x)
}

/// Joins rows `rows` to `acc`, in ascending order: `row(r)` is row r, at least as long as `acc`.
#[inline(always)]
pub fn fold_rows<'a, T: Num, S: Lanes, R: Fold>(
    s: S,
    acc: &mut [T],
    rows: Range<usize>,
    mut row: impl FnMut(usize) -> &'a [T],
) {
    let mut r = rows.start;
    while rows.end - r >= 8 {
        // Eight at a time: one load and one store of an accumulator for eight additions.
        let eight = std::array::from_fn(|k| row(r + k));
        T::rows::<S, R, 8>(s, acc, eight);
        r += 8;
    }
    for r in r..rows.end {
        T::rows::<S, R, 1>(s, acc, [row(r)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uniform;
    use crate::{Kernel, Level};

    struct Sums<'a>(&'a [f32]);

    impl Kernel for Sums<'_> {
        type Out = (f32, f32);

        #[inline(always)]
        fn run<S: Lanes>(self, s: S) -> (f32, f32) {
            let x = self.0;
            // SAFETY: elements of x.
            let given = sum_with(s, x.len(), |i, n| unsafe { lanes::load(s, x.as_ptr().add(i), n) });
            (sum(s, x), given)
        }
    }

    #[test]
    fn sums_agree_on_every_level() {
        for n in [0, 1, 5, 16, 100, 4096, 9000, 16384, 30_000] {
            let x = uniform(n as u64, n, -1.0, 1.0);
            let (whole, given) = Level::Scalar.run(Sums(&x));
            assert_eq!(whole.to_bits(), given.to_bits());
            let exact: f64 = x.iter().map(|&v| f64::from(v)).sum();
            assert!((f64::from(whole) - exact).abs() <= 1e-6 * n as f64);
            for level in Level::ALL.into_iter().filter(|l| l.available()) {
                let (a, b) = level.run(Sums(&x));
                assert_eq!((a.to_bits(), b.to_bits()), (whole.to_bits(), whole.to_bits()), "{}", level.name());
            }
        }
    }

    #[test]
    fn means_of_whole_numbers() {
        assert_eq!(((-7i64).over(2), i32::MIN.over(1), 250u8.over(10), 5i64.over(0)), (-3, i32::MIN, 25, 0));
    }
}
