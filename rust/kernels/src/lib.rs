//! Kernels for training neural networks: views in, views out. No graph, no Python, no allocation, no thread spawning.
//!
//! # The arithmetic contract
//!
//! Results have the same bits on every CPU level, for every number of workers, and whether a call is made alone or
//! replayed. What fixes them:
//!
//! * An element of a product starts at +0 and is one chain of fused multiply-adds over k in ascending order; for
//!   k > [`CHAIN`] there is one such chain per block of [`CHAIN`] consecutive k, merged left to right by addition.
//!   Bias is added after, then the activation is applied. A column sum is the same function as a product with ones.
//! * A reduction that keeps the last axis adds rows in ascending order, in blocks of [`CHAIN`] like a product. One that
//!   consumes the last axis uses [`reduce::LANES`] = 16 accumulators in chunks of [`CHAIN`] and a fixed tree
//!   ([`reduce`]). A mixed one does the last axis first. Normalization sums rows in shorter blocks, which the shape alone
//!   fixes, too ([`ops::normalization`]).
//! * exp, log, tanh, erf and their relatives are one polynomial each, evaluated in one order of FMAs ([`math`]), or
//!   computed in float64 by the `libm` crate and rounded. No reciprocal estimates, no contraction by the compiler.
//! * Denormals count as zero, in and out: every worker runs with them flushed ([`isa::flush_denormals`]).
//! * Random numbers are a function of a key and a counter ([`rng`]), never of who draws them.
//!
//! Tile and block sizes, packing, and which worker does which tile may differ: they do not change the order of additions.

pub mod dtype;
pub mod gemm;
pub mod isa;
pub mod lanes;
pub mod math;
pub mod op;
pub mod ops;
pub mod reduce;
pub mod rng;
pub mod team;
#[cfg(test)]
mod testing;
pub mod view;

pub use dtype::{DType, Elem};
pub use isa::Level;
pub use lanes::{Kernel, Lanes};
pub use op::{Attr, Attrs, Fault, Layout, OpDef, Scratch};
pub use team::{Barrier, Parking, Part};
pub use view::{Dims, MAX_RANK, Meta, Order, View};

/// Length of the blocks into which long sums are cut; see the contract.
pub const CHAIN: usize = 4096;

/// Every row, by family.
pub fn rows() -> impl Iterator<Item = &'static OpDef> {
    ops::FAMILIES.iter().flat_map(|family| family.iter())
}

/// The row of that name.
pub fn row(name: &str) -> Option<&'static OpDef> {
    rows().find(|op| op.name == name)
}
