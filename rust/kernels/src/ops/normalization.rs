//! The normalization rows, over the last axis: of each row for itself (layer normalization and its kin), or of each
//! column over all rows (batch normalization).
//!
//! A sum over rows is taken in [`Grid`] blocks, each one chain from its first row to its last; the blocks are joined
//! left to right. The shape alone fixes the blocks, and they are what workers share: each reads its rows from memory
//! once, and who takes which does not show in the bits.

use super::softmaxes::{check_float, sum_each};
use crate::dtype::DType;
use crate::lanes::{self, Lanes};
use crate::op::{Attrs, Fault, Layout, OpDef, tasks_by_elements};
use crate::reduce::{self, Num, Sum};
use crate::view::{Meta, View};
use std::ops::Range;

mod batch;
mod grad;
mod layer;

/// A row's body for the dtype of the first operand.
macro_rules! typed {
    ($module:ident::$body:ident) => {
        |part, ins, outs, attrs, scratch| match ins[0].meta.dtype {
            DType::F32 => $module::$body::<f32>(part, ins, outs, attrs, scratch),
            _ => $module::$body::<f64>(part, ins, outs, attrs, scratch),
        }
    };
}

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "layer_normalization",
        attrs: &["epsilon", "scale", "center", "rms"],
        infer: layer::infer,
        in_place: Some(0),
        run: typed!(layer::run),
        ..ROW
    },
    OpDef {
        name: "layer_normalization_grad",
        attrs: &["scale", "rms", "dx", "sums"],
        infer: layer::infer_grad,
        scratch: layer::scratch_grad,
        run: typed!(layer::run_grad),
        ..ROW
    },
    OpDef {
        name: "batch_normalization",
        attrs: &["epsilon", "scale", "center"],
        infer: batch::infer,
        scratch: batch::scratch,
        in_place: Some(0),
        run: typed!(batch::run),
        ..ROW
    },
    OpDef {
        name: "batch_normalization_training",
        attrs: &["epsilon", "scale", "center", "masked", "momentum"],
        infer: batch::infer_training,
        scratch: batch::scratch_training,
        run: typed!(batch::run_training),
        ..ROW
    },
    OpDef {
        name: "batch_normalization_grad",
        attrs: &["epsilon", "scale", "masked", "dx"],
        infer: grad::infer,
        scratch: grad::scratch,
        run: typed!(grad::run),
        ..ROW
    },
];

const ROW: OpDef =
    OpDef { layout: Layout::Dense, tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 14), ..OpDef::BASE };

/// Attribute 0 of the rows that have it: what is added to a variance.
fn epsilon(attrs: &Attrs) -> f64 {
    attrs.float(0, 1e-3)
}

/// x, a float with a last axis.
fn check_x(op: &str, ins: &[Meta]) -> Result<Meta, Fault> {
    let Some(x) = ins.first() else {
        return Err(Fault::Value(format!("{op}: expected x, got no operands")));
    };
    check_float(op, "x", x)?;
    if x.shape.is_empty() {
        return Err(Fault::Value(format!("{op}: x must have an axis to work over, got a scalar")));
    }
    Ok(*x)
}

/// What stands once for each row of `x`, and once for each column.
fn row_and_column(x: &Meta) -> (Meta, Meta) {
    let (cols, before) = x.shape.split_last().expect("`check_x` asks for an axis");
    (Meta::new(x.dtype, before), Meta::new(x.dtype, &[*cols]))
}

/// Checks the operands after x; of those expected, the ones that a flag says are given.
fn check_rest(op: &str, got: &[Meta], expected: &[(bool, &str, Meta)]) -> Result<(), Fault> {
    let expected: Vec<_> = expected.iter().filter(|e| e.0).collect();
    if got.len() != expected.len() {
        let names: Vec<_> = expected.iter().map(|e| e.1).collect();
        let names = names.join(", ");
        return Err(Fault::Value(format!("{op}: expected x and [{names}], got {} operands", got.len() + 1)));
    }
    for (got, (_, name, want)) in got.iter().zip(expected) {
        if got != want {
            return Err(Fault::Value(format!("{op}: `{name}` must be {want:?} to fit x, got {got:?}")));
        }
    }
    Ok(())
}

/// The next operand if it is given.
fn next<'a>(rest: &mut std::slice::Iter<'a, View>, given: bool) -> Option<&'a View> {
    if given { rest.next() } else { None }
}

/// Rows and columns, and the blocks of rows that are summed for themselves.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    cols: usize,
    block: usize,
    blocks: usize,
}

impl Grid {
    /// Some 64 blocks, but of no fewer rows than make joining them cheap, nor of more than keep their sums exact.
    fn of(x: &Meta) -> Grid {
        let (cols, before) = x.shape.split_last().expect("`infer` asks for an axis");
        let rows = before.iter().product::<usize>();
        let block = (rows / 64).next_multiple_of(32).clamp(32, 256);
        Grid { rows, cols: *cols, block, blocks: rows.div_ceil(block) }
    }

    /// The rows of a block.
    fn rows_of(&self, block: usize) -> Range<usize> {
        block * self.block..self.rows.min((block + 1) * self.block)
    }

    /// The rows of several blocks.
    fn rows_in(&self, blocks: &Range<usize>) -> Range<usize> {
        (blocks.start * self.block).min(self.rows)..(blocks.end * self.block).min(self.rows)
    }
}

/// Calls `f(i, n)` for each vector of a range; n is the width but for the last.
#[inline(always)]
fn vectors(width: usize, range: Range<usize>, mut f: impl FnMut(usize, usize)) {
    let mut i = range.start;
    while i + width <= range.end {
        f(i, width);
        i += width;
    }
    if i < range.end {
        f(i, range.end - i);
    }
}

/// float32, in vectors, and float64, one by one.
trait Real: Num {
    /// Several of them.
    type V<S: Lanes>: Copy;
    /// How many.
    fn width<S: Lanes>() -> usize;
    /// # Safety
    /// `p` is valid for reading `n` elements.
    unsafe fn load<S: Lanes>(s: S, p: *const Self, n: usize) -> Self::V<S>;
    /// # Safety
    /// `p` is valid for writing `n` elements.
    unsafe fn store<S: Lanes>(s: S, p: *mut Self, x: Self::V<S>, n: usize);
    /// The same in each place.
    fn splat<S: Lanes>(s: S, x: Self) -> Self::V<S>;
    /// a + b
    fn add<S: Lanes>(s: S, a: Self::V<S>, b: Self::V<S>) -> Self::V<S>;
    /// a − b
    fn sub<S: Lanes>(s: S, a: Self::V<S>, b: Self::V<S>) -> Self::V<S>;
    /// a · b
    fn mul<S: Lanes>(s: S, a: Self::V<S>, b: Self::V<S>) -> Self::V<S>;
    /// a · b + c; rounded once for float32.
    fn fma<S: Lanes>(s: S, a: Self::V<S>, b: Self::V<S>, c: Self::V<S>) -> Self::V<S>;
    /// 1 / √(a + b)
    fn inverse_root<S: Lanes>(s: S, a: Self::V<S>, b: Self::V<S>) -> Self::V<S>;
    /// 0 where a < 0, else a.
    fn not_negative<S: Lanes>(s: S, a: Self::V<S>) -> Self::V<S>;
    /// The sums of `len` values each, in the order of [`reduce`]: `f(w, i, n)` gives values i..i + n of sum w.
    fn sums<S: Lanes, const W: usize>(
        s: S,
        len: usize,
        f: impl FnMut(usize, usize, usize) -> Self::V<S>,
    ) -> [Self; W];
    /// The nearest one.
    fn of(x: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
}

impl Real for f32 {
    type V<S: Lanes> = S::F;
    #[inline(always)]
    fn width<S: Lanes>() -> usize {
        S::N
    }
    #[inline(always)]
    unsafe fn load<S: Lanes>(s: S, p: *const f32, n: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { lanes::load(s, p, n) }
    }
    #[inline(always)]
    unsafe fn store<S: Lanes>(s: S, p: *mut f32, x: S::F, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { lanes::store(s, p, x, n) }
    }
    #[inline(always)]
    fn splat<S: Lanes>(s: S, x: f32) -> S::F {
        s.splat(x)
    }
    #[inline(always)]
    fn add<S: Lanes>(s: S, a: S::F, b: S::F) -> S::F {
        s.add(a, b)
    }
    #[inline(always)]
    fn sub<S: Lanes>(s: S, a: S::F, b: S::F) -> S::F {
        s.sub(a, b)
    }
    #[inline(always)]
    fn mul<S: Lanes>(s: S, a: S::F, b: S::F) -> S::F {
        s.mul(a, b)
    }
    #[inline(always)]
    fn fma<S: Lanes>(s: S, a: S::F, b: S::F, c: S::F) -> S::F {
        s.fma(a, b, c)
    }
    #[inline(always)]
    fn inverse_root<S: Lanes>(s: S, a: S::F, b: S::F) -> S::F {
        s.div(s.splat(1.0), s.sqrt(s.add(a, b)))
    }
    #[inline(always)]
    fn not_negative<S: Lanes>(s: S, a: S::F) -> S::F {
        s.select(s.lt(a, s.splat(0.0)), s.splat(0.0), a)
    }
    #[inline(always)]
    fn sums<S: Lanes, const W: usize>(s: S, len: usize, f: impl FnMut(usize, usize, usize) -> S::F) -> [f32; W] {
        reduce::folds_with::<S, Sum, W>(s, len, f)
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

impl Real for f64 {
    type V<S: Lanes> = f64;
    #[inline(always)]
    fn width<S: Lanes>() -> usize {
        1
    }
    #[inline(always)]
    unsafe fn load<S: Lanes>(_: S, p: *const f64, _: usize) -> f64 {
        // SAFETY: the caller's promise, for n = 1.
        unsafe { *p }
    }
    #[inline(always)]
    unsafe fn store<S: Lanes>(_: S, p: *mut f64, x: f64, _: usize) {
        // SAFETY: the caller's promise, for n = 1.
        unsafe { *p = x }
    }
    #[inline(always)]
    fn splat<S: Lanes>(_: S, x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn add<S: Lanes>(_: S, a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn sub<S: Lanes>(_: S, a: f64, b: f64) -> f64 {
        a - b
    }
    #[inline(always)]
    fn mul<S: Lanes>(_: S, a: f64, b: f64) -> f64 {
        a * b
    }
    #[inline(always)]
    fn fma<S: Lanes>(_: S, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    #[inline(always)]
    fn inverse_root<S: Lanes>(_: S, a: f64, b: f64) -> f64 {
        1.0 / (a + b).sqrt()
    }
    #[inline(always)]
    fn not_negative<S: Lanes>(_: S, a: f64) -> f64 {
        if a < 0.0 { 0.0 } else { a }
    }
    #[inline(always)]
    fn sums<S: Lanes, const W: usize>(_: S, len: usize, mut f: impl FnMut(usize, usize, usize) -> f64) -> [f64; W] {
        std::array::from_fn(|w| sum_each(len, |i| f(w, i, 1)))
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

#[cfg(test)]
mod tests;
