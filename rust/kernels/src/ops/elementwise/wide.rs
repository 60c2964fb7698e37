//! Rows of one operand that are computed in float64 by the `libm` crate, and rounded: their results are the same on
//! every platform.

use super::unary::each;
use super::{FLOATS, operands};
use crate::dtype::DType;
use crate::op::{Attrs, Fault, OpDef, Scratch, tasks_by_elements};
use crate::team::Part;
use crate::view::{Meta, View};

/// A function of one number.
pub(super) trait Wide {
    /// The row's name.
    const NAME: &'static str;
    /// Its value.
    fn at(x: f64) -> f64;
}

/// The row of a function.
pub(super) const fn row<O: Wide>() -> OpDef {
    OpDef {
        name: O::NAME,
        infer: infer::<O>,
        tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 10), // some 10 ns per element
        in_place: Some(0),
        run: run::<O>,
        ..OpDef::BASE
    }
}

fn infer<O: Wide>(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    Ok(vec![operands::<1>(O::NAME, ins, FLOATS)?[0]])
}

fn run<O: Wide>(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => each(part, &ins[0], &outs[0], |x: f32| O::at(x.into()) as f32),
        _ => each(part, &ins[0], &outs[0], O::at),
    }
}

macro_rules! wide {
    ($($name:literal $op:ident $f:path;)*) => { $(
        pub(super) struct $op;
        impl Wide for $op {
            const NAME: &'static str = $name;
            fn at(x: f64) -> f64 {
                $f(x)
            }
        }
    )* };
}

wide! {
    "log1p" Log1p libm::log1p;
    "log2" Log2 libm::log2;
    "log10" Log10 libm::log10;
    "sin" Sin libm::sin;
    "cos" Cos libm::cos;
    "tan" Tan libm::tan;
    "arcsin" Arcsin libm::asin;
    "arccos" Arccos libm::acos;
    "arctan" Arctan libm::atan;
    "sinh" Sinh libm::sinh;
    "cosh" Cosh libm::cosh;
    "arcsinh" Arcsinh libm::asinh;
    "arccosh" Arccosh libm::acosh;
    "arctanh" Arctanh libm::atanh;
}
