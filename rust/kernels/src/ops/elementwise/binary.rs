//! Rows of two operands of one dtype, arithmetic and logical.
//!
//! Integers wrap around. Dividing an integer by zero gives 0, quotient and remainder alike, as in NumPy; floats follow
//! IEEE 754. The remainder has the sign of the divisor, as in Python.

use super::activation::Activation;
use super::walk::{Tile, tiles};
use super::{FLOATS, NUMBERS, broadcast, operands};
use crate::dtype::{DType, Elem};
use crate::lanes::{self, Kernel, Lanes};
use crate::op::{Attrs, Fault, OpDef, Scratch, tasks_by_elements};
use crate::team::Part;
use crate::view::{Meta, View};
use std::marker::PhantomData;

/// A function of two numbers.
pub(super) trait Binary {
    /// The row's name.
    const NAME: &'static str;
    /// The dtypes it takes.
    const DTYPES: &'static [DType];
    /// Whether float32 is computed by [`Binary::double`] and rounded, rather than in lanes.
    const WIDE: bool = false;
    /// Of float32 lanes.
    fn lanes<S: Lanes>(s: S, a: S::F, b: S::F) -> S::F;
    /// Of float64.
    fn double(a: f64, b: f64) -> f64;
    /// Of int32, where [`Binary::DTYPES`] has it.
    fn int(a: i32, _: i32) -> i32 {
        a
    }
    /// Of int64, likewise.
    fn long(a: i64, _: i64) -> i64 {
        a
    }
}

/// The row of a function.
pub(super) const fn row<O: Binary>() -> OpDef {
    OpDef {
        name: O::NAME,
        infer: infer::<O>,
        tasks: |ins, outs, _| tasks_by_elements(ins, outs, if O::WIDE { 1 << 10 } else { 1 << 14 }),
        in_place: Some(0),
        run: run::<O>,
        ..OpDef::BASE
    }
}

macro_rules! binary {
    ($($name:literal $op:ident ($s:ident, $a:ident, $b:ident) => $lanes:expr, $double:expr $(, $int:expr)?;)*) => { $(
        pub(super) struct $op;
        impl Binary for $op {
            const NAME: &'static str = $name;
            const DTYPES: &'static [DType] = binary!(@dtypes $($int)?);
            #[inline(always)]
            fn lanes<S: Lanes>($s: S, $a: S::F, $b: S::F) -> S::F {
                $lanes
            }
            binary!(@rest $a, $b, $double $(, $int)?);
        }
    )* };
    (@dtypes $int:expr) => { NUMBERS };
    (@dtypes) => { FLOATS };
    (@rest $a:ident, $b:ident, $double:expr $(, $int:expr)?) => {
        fn double($a: f64, $b: f64) -> f64 {
            $double
        }
        $(
            fn int(a: i32, b: i32) -> i32 {
                let f: fn(i32, i32) -> i32 = $int;
                f(a, b)
            }
            #[allow(clippy::useless_conversion)] // the same expression serves int32
            fn long(a: i64, b: i64) -> i64 {
                let f: fn(i64, i64) -> i64 = $int;
                f(a, b)
            }
        )?
    };
    (wide: $($name:literal $op:ident ($a:ident, $b:ident) => $double:expr $(, $int:expr)?;)*) => { $(
        pub(super) struct $op;
        impl Binary for $op {
            const NAME: &'static str = $name;
            const DTYPES: &'static [DType] = binary!(@dtypes $($int)?);
            const WIDE: bool = true;
            #[inline(always)]
            fn lanes<S: Lanes>(_: S, a: S::F, _: S::F) -> S::F {
                a
            }
            binary!(@rest $a, $b, $double $(, $int)?);
        }
    )* };
}

binary! {
    "add" Add(s, a, b) => s.add(a, b), a + b, |a, b| a.wrapping_add(b);
    "subtract" Subtract(s, a, b) => s.sub(a, b), a - b, |a, b| a.wrapping_sub(b);
    "multiply" Multiply(s, a, b) => s.mul(a, b), a * b, |a, b| a.wrapping_mul(b);
    "divide" Divide(s, a, b) => s.div(a, b), a / b;
    "maximum" Maximum(s, a, b) => s.select(s.eq(a, a), s.max(a, b), a),
        if a > b || a.is_nan() { a } else { b }, |a, b| a.max(b);
    "minimum" Minimum(s, a, b) => s.select(s.eq(a, a), s.min(a, b), a),
        if a < b || a.is_nan() { a } else { b }, |a, b| a.min(b);
}

binary! { wide:
    "power" Power(a, b) => libm::pow(a, b), |a, b| integer_power(a.into(), b.into()) as _;
    "floor_divide" FloorDivide(a, b) => floor_divide(a, b), |a, b| {
        if b == 0 { return 0; }
        let below = a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
        if below { a / b - 1 } else { a.wrapping_div(b) }
    };
    "mod" Mod(a, b) => modulo(a, b), |a, b| {
        if b == 0 { return 0; }
        let rest = a.wrapping_rem(b);
        if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
    };
    "arctan2" Arctan2(a, b) => libm::atan2(a, b);
}

/// aᵇ, wrapping; for negative b the fraction is cut off: 0 unless a is 1 or -1 (and 0 for a = 0).
fn integer_power(mut a: i64, b: i64) -> i64 {
    if b < 0 {
        return match a {
            1 => 1,
            -1 => 1 - 2 * (b & 1),
            _ => 0,
        };
    }
    let (mut power, mut left) = (1i64, b);
    while left > 0 {
        if left & 1 == 1 {
            power = power.wrapping_mul(a);
        }
        a = a.wrapping_mul(a);
        left >>= 1;
    }
    power
}

/// a - b·⌊a/b⌋, exact but for the last addition; a zero has the sign of b.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = libm::fmod(a, b);
    if rest == 0.0 {
        0f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// ⌊a/b⌋ by the remainder, since the rounded quotient may lie on the wrong side of an integer.
fn floor_divide(a: f64, b: f64) -> f64 {
    let rest = libm::fmod(a, b);
    if b == 0.0 || rest.is_nan() {
        return if b == 0.0 { a / b } else { f64::NAN };
    }
    let below = (rest != 0.0 && (rest < 0.0) != (b < 0.0)) as u8;
    let quotient = (a - rest) / b - f64::from(below);
    if quotient == 0.0 { 0f64.copysign(a / b) } else { quotient.round() }
}

fn infer<O: Binary>(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let dtype = operands::<2>(O::NAME, ins, O::DTYPES)?[0].dtype;
    Ok(vec![Meta { dtype, shape: broadcast(O::NAME, ins)? }])
}

struct Vectors<'a, O>(&'a Tile<2>, PhantomData<O>);

impl<O: Binary> Kernel for Vectors<'_, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        rows(
            s,
            self.0,
            #[inline(always)]
            |a, b| O::lanes(s, a, b),
        );
    }
}

/// y = f(a, b) over a tile.
#[inline(always)]
fn rows<S: Lanes>(s: S, tile: &Tile<2>, f: impl Fn(S::F, S::F) -> S::F) {
    for r in 0..tile.rows {
        let (a, b, y): (*const f32, *const f32, *mut f32) = (tile.input(0, r), tile.input(1, r), tile.output(r));
        let cols = tile.cols;
        // SAFETY: the tile's row has `cols` elements of each, or one of an operand that repeats.
        unsafe {
            match (tile.repeats(0), tile.repeats(1)) {
                (false, false) => {
                    lanes::map_raw(
                        s,
                        cols,
                        y,
                        #[inline(always)]
                        |i, n| f(lanes::load(s, a.add(i), n), lanes::load(s, b.add(i), n)),
                    );
                }
                (false, true) => {
                    let b = s.splat(b.read());
                    lanes::map_raw(
                        s,
                        cols,
                        y,
                        #[inline(always)]
                        |i, n| f(lanes::load(s, a.add(i), n), b),
                    );
                }
                (true, false) => {
                    let a = s.splat(a.read());
                    lanes::map_raw(
                        s,
                        cols,
                        y,
                        #[inline(always)]
                        |i, n| f(a, lanes::load(s, b.add(i), n)),
                    );
                }
                (true, true) => {
                    let same = f(s.splat(a.read()), s.splat(b.read()));
                    lanes::map_raw(
                        s,
                        cols,
                        y,
                        #[inline(always)]
                        |_, _| same,
                    );
                }
            }
        }
    }
}

fn run<O: Binary>(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let (ab, y) = ([&ins[0], &ins[1]], &outs[0]);
    match ins[0].meta.dtype {
        DType::F32 if O::WIDE => each(part, ab, y, |a: f32, b: f32| O::double(a.into(), b.into()) as f32),
        DType::F32 => tiles(part, ab, y, true, &mut |t| part.level.run(Vectors::<O>(t, PhantomData))),
        DType::F64 => each(part, ab, y, O::double),
        DType::I32 => each(part, ab, y, O::int),
        _ => each(part, ab, y, O::long),
    }
}

/// y = f(a, b), element by element.
pub(super) fn each<T: Elem, U: Elem>(part: &Part<'_>, ab: [&View; 2], y: &View, f: impl Fn(T, T) -> U) {
    tiles(part, ab, y, true, &mut |tile| {
        let steps = [0, 1].map(|i| usize::from(!tile.repeats(i)));
        for r in 0..tile.rows {
            let (a, b, y) = (tile.input::<T>(0, r), tile.input::<T>(1, r), tile.output::<U>(r));
            for i in 0..tile.cols {
                // SAFETY: the tile's row has `cols` elements of each, or one of an operand that repeats.
                unsafe { y.add(i).write(f(a.add(i * steps[0]).read(), b.add(i * steps[1]).read())) };
            }
        }
    });
}

/// The gradient by x of `activation(x)`, from the gradient g by the result and the result y itself.
pub(super) const ACTIVATION_GRAD: OpDef = OpDef {
    name: "activation_grad",
    attrs: &["activation"],
    infer: |ins, _, attrs| {
        let [g, y] = operands::<2>("activation_grad", ins, FLOATS)?;
        Activation::from_number("activation_grad", attrs.int(0, -1))?;
        if g.shape != y.shape {
            let (g, y) = (g.shape, y.shape);
            return Err(Fault::Value(format!("activation_grad: expects g of the shape of y, got {g} and {y}")));
        }
        Ok(vec![*g])
    },
    in_place: Some(0),
    run: |part, ins, outs, attrs, _| {
        let Ok(activation) = Activation::from_number("activation_grad", attrs.int(0, -1)) else { return };
        let (gy, out) = ([&ins[0], &ins[1]], &outs[0]);
        match ins[0].meta.dtype {
            DType::F32 => tiles(part, gy, out, true, &mut |t| part.level.run(Gradients(t, activation))),
            _ => each(part, gy, out, |g, y| activation.grad_from_output_f64(g, y)),
        }
    },
    ..OpDef::BASE
};

struct Gradients<'a>(&'a Tile<2>, Activation);

impl Kernel for Gradients<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        match self.1 {
            Activation::Linear => rows(
                s,
                self.0,
                #[inline(always)]
                |g, y| Activation::Linear.grad_from_output(s, g, y),
            ),
            Activation::Relu => rows(
                s,
                self.0,
                #[inline(always)]
                |g, y| Activation::Relu.grad_from_output(s, g, y),
            ),
            Activation::Tanh => rows(
                s,
                self.0,
                #[inline(always)]
                |g, y| Activation::Tanh.grad_from_output(s, g, y),
            ),
            Activation::Sigmoid => rows(
                s,
                self.0,
                #[inline(always)]
                |g, y| Activation::Sigmoid.grad_from_output(s, g, y),
            ),
        }
    }
}
