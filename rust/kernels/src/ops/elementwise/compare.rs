//! Rows whose result is bool: comparisons, tests, logic.

use super::walk::{Tile, tiles};
use super::{FLOATS, binary, broadcast, operands, unary};
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, OpDef, Scratch};
use crate::team::Part;
use crate::view::{Meta, View};
use std::marker::PhantomData;

const COMPARED: &[DType] = &[DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool];

/// A comparison of two numbers. With NaN, all are false but `not_equal`.
pub(super) trait Compare {
    /// The row's name.
    const NAME: &'static str;
    /// Its value.
    fn holds<T: PartialOrd>(a: T, b: T) -> bool;
}

macro_rules! compare {
    ($($name:literal $op:ident $sign:tt;)*) => { $(
        pub(super) struct $op;
        impl Compare for $op {
            const NAME: &'static str = $name;
            #[inline(always)]
            fn holds<T: PartialOrd>(a: T, b: T) -> bool {
                a $sign b
            }
        }
    )* };
}

compare! {
    "equal" Equal ==;
    "not_equal" NotEqual !=;
    "less" Less <;
    "less_equal" LessEqual <=;
    "greater" Greater >;
    "greater_equal" GreaterEqual >=;
}

/// The row of a comparison.
pub(super) const fn row<O: Compare>() -> OpDef {
    OpDef {
        name: O::NAME,
        infer: |ins, _, _| {
            operands::<2>(O::NAME, ins, COMPARED)?;
            Ok(vec![Meta { dtype: DType::Bool, shape: broadcast(O::NAME, ins)? }])
        },
        run: run::<O>,
        ..OpDef::BASE
    }
}

/// The comparison as plain code, which the compiler turns into this level's vectors.
struct Vectors<'a, O, T>(&'a Tile<2>, PhantomData<(O, T)>);

impl<O: Compare, T: Elem + PartialOrd> Kernel for Vectors<'_, O, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let tile = self.0;
        for r in 0..tile.rows {
            let (a, b, y) = (tile.input::<T>(0, r), tile.input::<T>(1, r), tile.output::<u8>(r));
            // SAFETY: the tile's row has `cols` elements of each, or one of an operand that repeats.
            unsafe {
                match (tile.repeats(0), tile.repeats(1)) {
                    (false, false) => fill(
                        y,
                        tile.cols,
                        #[inline(always)]
                        |i| O::holds(a.add(i).read(), b.add(i).read()),
                    ),
                    (false, true) => {
                        let b = b.read();
                        fill(
                            y,
                            tile.cols,
                            #[inline(always)]
                            |i| O::holds(a.add(i).read(), b),
                        );
                    }
                    (true, false) => {
                        let a = a.read();
                        fill(
                            y,
                            tile.cols,
                            #[inline(always)]
                            |i| O::holds(a, b.add(i).read()),
                        );
                    }
                    (true, true) => {
                        let holds = O::holds(a.read(), b.read());
                        fill(
                            y,
                            tile.cols,
                            #[inline(always)]
                            |_| holds,
                        );
                    }
                }
            }
        }
    }
}

/// # Safety
/// `y` is valid for writing `n` bytes.
#[inline(always)]
unsafe fn fill(y: *mut u8, n: usize, f: impl Fn(usize) -> bool) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { y.add(i).write(f(i) as u8) };
    }
}

fn run<O: Compare>(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let (ab, y) = ([&ins[0], &ins[1]], &outs[0]);
    match ins[0].meta.dtype {
        DType::F32 => tiles(part, ab, y, true, &mut |t| part.level.run(Vectors::<O, f32>(t, PhantomData))),
        DType::F64 => tiles(part, ab, y, true, &mut |t| part.level.run(Vectors::<O, f64>(t, PhantomData))),
        DType::I32 => tiles(part, ab, y, true, &mut |t| part.level.run(Vectors::<O, i32>(t, PhantomData))),
        DType::I64 => tiles(part, ab, y, true, &mut |t| part.level.run(Vectors::<O, i64>(t, PhantomData))),
        _ => binary::each(part, ab, y, |a: u8, b: u8| O::holds(a != 0, b != 0) as u8),
    }
}

/// The row of a function of two truth values.
const fn logic(name: &'static str, infer: InferFn, run: RunFn) -> OpDef {
    OpDef { name, infer, run, in_place: Some(0), ..OpDef::BASE }
}

type InferFn = fn(&[Meta], &[Meta], &Attrs) -> Result<Vec<Meta>, crate::op::Fault>;
type RunFn = fn(&Part<'_>, &[View], &[View], &Attrs, Scratch);

macro_rules! logic {
    ($($row:ident $name:literal |$a:ident, $b:ident| $value:expr;)*) => { $(
        pub(super) const $row: OpDef = logic(
            $name,
            |ins, _, _| {
                operands::<2>($name, ins, &[DType::Bool])?;
                Ok(vec![Meta { dtype: DType::Bool, shape: broadcast($name, ins)? }])
            },
            |part, ins, outs, _, _| {
                binary::each(part, [&ins[0], &ins[1]], &outs[0], |a: u8, b: u8| {
                    let ($a, $b) = (a != 0, b != 0);
                    $value as u8
                });
            },
        );
    )* };
}

logic! {
    LOGICAL_AND "logical_and" |a, b| a & b;
    LOGICAL_OR "logical_or" |a, b| a | b;
    LOGICAL_XOR "logical_xor" |a, b| a ^ b;
}

pub(super) const LOGICAL_NOT: OpDef = logic(
    "logical_not",
    |ins, _, _| Ok(vec![operands::<1>("logical_not", ins, &[DType::Bool])?[0]]),
    |part, ins, outs, _, _| unary::each(part, &ins[0], &outs[0], |x: u8| (x == 0) as u8),
);

macro_rules! test {
    ($($row:ident $name:literal $method:ident;)*) => { $(
        pub(super) const $row: OpDef = OpDef {
            name: $name,
            infer: |ins, _, _| {
                let [x] = operands::<1>($name, ins, FLOATS)?;
                Ok(vec![Meta { dtype: DType::Bool, shape: x.shape }])
            },
            run: |part, ins, outs, _, _| match ins[0].meta.dtype {
                DType::F32 => unary::each(part, &ins[0], &outs[0], |x: f32| x.$method() as u8),
                _ => unary::each(part, &ins[0], &outs[0], |x: f64| x.$method() as u8),
            },
            ..OpDef::BASE
        };
    )* };
}

test! {
    ISNAN "isnan" is_nan;
    ISINF "isinf" is_infinite;
    ISFINITE "isfinite" is_finite;
}
