//! The rows, one file per family; `python/lumbre/ops` has a file of the same name for each.

use crate::op::OpDef;

pub mod elementwise;
pub mod loss;
pub mod metric;
pub mod monitor;
pub mod normalization;
pub mod optimizer;
pub mod products;
pub mod random;
mod real;
pub mod reduce;
pub mod shapes;
pub mod softmaxes;

/// The families' rows.
pub static FAMILIES: &[&[OpDef]] = &[
    elementwise::ROWS,
    reduce::ROWS,
    shapes::ROWS,
    products::ROWS,
    softmaxes::ROWS,
    normalization::ROWS,
    loss::ROWS,
    random::ROWS,
    optimizer::ROWS,
    optimizer::rules::ROWS,
    optimizer::moments::ROWS,
    optimizer::norms::ROWS,
    optimizer::factored::ROWS,
    metric::ROWS,
    monitor::ROWS,
];
