//! Rows of one operand: float32 in vectors, float64 and the integers one by one.

use super::walk::{Tile, tiles};
use super::{FLOATS, NUMBERS, operands};
use crate::dtype::{DType, Elem};
use crate::lanes::{self, Kernel, Lanes};
use crate::math;
use crate::op::{Attrs, OpDef, Scratch};
use crate::team::Part;
use crate::view::View;
use std::marker::PhantomData;

/// A function of one number.
pub(super) trait Unary {
    /// The row's name.
    const NAME: &'static str;
    /// The dtypes it takes.
    const DTYPES: &'static [DType];
    /// Of float32 lanes.
    fn lanes<S: Lanes>(s: S, x: S::F) -> S::F;
    /// Of a float64.
    fn double(x: f64) -> f64;
    /// Of an int32, where [`Unary::DTYPES`] has it.
    fn int(x: i32) -> i32 {
        x
    }
    /// Of an int64, likewise.
    fn long(x: i64) -> i64 {
        x
    }
}

/// The row of a function.
pub(super) const fn row<O: Unary>() -> OpDef {
    OpDef {
        name: O::NAME,
        infer: |ins, _, _| Ok(vec![operands::<1>(O::NAME, ins, O::DTYPES)?[0]]),
        in_place: Some(0),
        run: run::<O>,
        ..OpDef::BASE
    }
}

macro_rules! unary {
    ($($name:literal $op:ident ($s:ident, $x:ident) => $lanes:expr, $double:expr $(, $int:expr)?;)*) => { $(
        pub(super) struct $op;
        impl Unary for $op {
            const NAME: &'static str = $name;
            const DTYPES: &'static [DType] = unary!(@dtypes $($int)?);
            #[inline(always)]
            fn lanes<S: Lanes>($s: S, $x: S::F) -> S::F {
                $lanes
            }
            fn double($x: f64) -> f64 {
                $double
            }
            $(
                fn int(x: i32) -> i32 {
                    let f: fn(i32) -> i32 = $int;
                    f(x)
                }
                fn long(x: i64) -> i64 {
                    let f: fn(i64) -> i64 = $int;
                    f(x)
                }
            )?
        }
    )* };
    (@dtypes $int:expr) => { NUMBERS };
    (@dtypes) => { FLOATS };
}

unary! {
    "negative" Negative(s, x) => s.neg(x), -x, |x| x.wrapping_neg();
    "abs" Abs(s, x) => s.abs(x), x.abs(), |x| x.wrapping_abs();
    "sign" Sign(s, x) => sign(s, x), if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }, |x| x.signum();
    "square" Square(s, x) => s.mul(x, x), x * x, |x| x.wrapping_mul(x);
    "sqrt" Sqrt(s, x) => s.sqrt(x), x.sqrt();
    "rsqrt" Rsqrt(s, x) => s.div(s.splat(1.0), s.sqrt(x)), 1.0 / x.sqrt();
    "reciprocal" Reciprocal(s, x) => s.div(s.splat(1.0), x), 1.0 / x;
    "exp" Exp(s, x) => math::exp(s, x), libm::exp(x);
    "expm1" Expm1(s, x) => math::expm1(s, x), libm::expm1(x);
    "log" Log(s, x) => math::log(s, x), libm::log(x);
    "tanh" Tanh(s, x) => math::tanh(s, x), libm::tanh(x);
    "sigmoid" Sigmoid(s, x) => math::sigmoid(s, x), 1.0 / (1.0 + libm::exp(-x));
    "erf" Erf(s, x) => math::erf(s, x), libm::erf(x);
    "softplus" Softplus(s, x) => math::softplus(s, x), softplus(x);
    "relu" Relu(s, x) => s.max(s.splat(0.0), x), if x < 0.0 { 0.0 } else { x }, |x| x.max(0);
    "floor" Floor(s, x) => floor(s, x), x.floor();
    "ceil" Ceil(s, x) => s.neg(floor(s, s.neg(x))), x.ceil();
    "round" Round(s, x) => round(s, x), x.round_ties_even();
}

/// The signs of zeros and NaN stay.
#[inline(always)]
fn sign<S: Lanes>(s: S, x: S::F) -> S::F {
    let zero = s.splat(0.0);
    let below = s.select(s.lt(x, zero), s.splat(-1.0), x);
    s.select(s.lt(zero, x), s.splat(1.0), below)
}

/// The nearest integer, ties to even; a zero has the sign of x.
#[inline(always)]
fn round<S: Lanes>(s: S, x: S::F) -> S::F {
    let whole = s.splat(8_388_608.0); // from 2²³ on, every float is a whole number
    let a = s.abs(x);
    let near = s.sub(s.add(a, whole), whole);
    s.select(s.lt(a, whole), s.copysign(near, x), x)
}

/// The largest integer not above x; a zero has the sign of x.
#[inline(always)]
fn floor<S: Lanes>(s: S, x: S::F) -> S::F {
    let near = round(s, x);
    let less = s.copysign(s.sub(near, s.splat(1.0)), x);
    s.select(s.lt(x, near), less, near)
}

fn softplus(x: f64) -> f64 {
    let tail = libm::log1p(libm::exp(-x.abs()));
    if x > 0.0 { x + tail } else { tail }
}

struct Vectors<'a, O>(&'a Tile<1>, PhantomData<O>);

impl<O: Unary> Kernel for Vectors<'_, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let tile = self.0;
        for r in 0..tile.rows {
            let (x, y) = (tile.input::<f32>(0, r), tile.output(r));
            // SAFETY: the tile's row has `cols` elements of either.
            unsafe {
                lanes::map_raw(
                    s,
                    tile.cols,
                    y,
                    #[inline(always)]
                    |i, n| O::lanes(s, lanes::load(s, x.add(i), n)),
                )
            }
        }
    }
}

fn run<O: Unary>(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let (x, y) = (&ins[0], &outs[0]);
    match x.meta.dtype {
        DType::F32 => tiles(part, [x], y, false, &mut |t| part.level.run(Vectors::<O>(t, PhantomData))),
        DType::F64 => each(part, x, y, O::double),
        DType::I32 => each(part, x, y, O::int),
        _ => each(part, x, y, O::long),
    }
}

/// y = f(x), element by element.
pub(super) fn each<T: Elem, U: Elem>(part: &Part<'_>, x: &View, y: &View, f: impl Fn(T) -> U) {
    tiles(part, [x], y, false, &mut |tile| {
        for r in 0..tile.rows {
            let (x, y) = (tile.input::<T>(0, r), tile.output::<U>(r));
            for i in 0..tile.cols {
                // SAFETY: the tile's row has `cols` elements of either.
                unsafe { y.add(i).write(f(x.add(i).read())) };
            }
        }
    });
}
