//! The normalization rows, over the last axis: of each row for itself (layer normalization and its kin), or of each
//! column over all rows (batch normalization).
//!
//! A sum over rows is taken in [`Grid`] blocks, each one chain from its first row to its last; the blocks are joined
//! left to right. The shape alone fixes the blocks, and they are what workers share: each reads its rows from memory
//! once, and who takes which does not show in the bits.

use super::softmaxes::check_float;
use crate::dtype::DType;
use crate::lanes::Lanes;
use crate::op::{Attrs, Fault, Layout, OpDef, tasks_by_elements};
use crate::ops::real::Width;
use crate::reduce::{Sum, fold_rows};
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

/// Adds up the blocks' sums, of which each block has two for each column, left to right: those of some columns.
#[inline(always)]
fn add_blocks<T: Width, S: Lanes>(s: S, grid: Grid, sums: &[T], columns: &Range<usize>, totals: [&mut [T]; 2]) {
    for (which, total) in totals.into_iter().enumerate() {
        total.fill(T::ZERO);
        let row = |block: usize| &sums[(2 * block + which) * grid.cols..][columns.clone()];
        fold_rows::<T, S, Sum>(s, total, 0..grid.blocks, row);
    }
}

#[cfg(test)]
mod tests;
