//! The runtime: memory, the one door through which every kernel is called, and recorded steps. It knows nothing of
//! Python.
//!
//! [`buffer`] holds storages, arrays and cells; [`door`] calls kernels, in one of three modes; [`record`] writes a
//! step's calls down; [`plan`] decides where its intermediate values live; [`program`] plays it back on the threads
//! of [`pool`], and [`timing`] takes times if asked. Everything asked of the operating system is in [`os`].

mod bound;
pub mod buffer;
pub mod door;
mod fuse;
pub mod os;
mod pace;
pub mod plan;
pub mod pool;
pub mod program;
pub mod record;
pub mod timing;

pub use buffer::{Array, Cell, Held};
pub use program::{Feed, Program, Replayed, Request};
pub use timing::Timing;
