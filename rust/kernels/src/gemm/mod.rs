//! Matrix products of float32: C = activation(A·B + bias), with either factor transposed, alone or in batches.
//!
//! The structure is that of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication", ACM TOMS 34(3),
//! 2008): a micro-kernel that keeps a tile of C in registers ([`tile`]), blocks of A and B that stay in the caches
//! ([`blocking`]), and copies of them in the order in which they are read where that pays ([`pack`]). Sums over k follow
//! the arithmetic contract of the crate whatever the blocks are: a chain that is cut into blocks goes on from C.

mod blocking;
mod driver;
mod epilogue;
mod pack;
mod panels;
mod tile;
mod transpose;

pub use blocking::Form;
pub use driver::{Operands, product, scratch, share};
pub use epilogue::column_sums;
pub use panels::{Panels, panel_width, rearrange};
