//! The rows, one file per family; `python/lumbre/ops` has a file of the same name for each.

use crate::op::OpDef;

pub mod elementwise;
pub mod loss;
pub mod matmul;
pub mod metric;
pub mod optimizer;
pub mod random;
pub mod reduce;
pub mod shape;
pub mod softmax;

/// The families' rows.
pub static FAMILIES: &[&[OpDef]] = &[
    elementwise::ROWS,
    reduce::ROWS,
    shape::ROWS,
    matmul::ROWS,
    softmax::ROWS,
    loss::ROWS,
    random::ROWS,
    optimizer::ROWS,
    metric::ROWS,
];
