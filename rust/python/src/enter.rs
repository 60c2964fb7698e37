//! The one way from Python into long work: the GIL is released, and faults and panics become exceptions.

use crate::errors::to_py;
use lumbre_kernels::Fault;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` without the GIL.
pub fn enter<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Fault> + Send) -> PyResult<T> {
    py.detach(|| guarded(work)).map_err(to_py)
}

/// Runs work that is too short for letting go of the GIL (which takes about as long as a small kernel).
pub fn enter_briefly<T>(work: impl FnOnce() -> Result<T, Fault>) -> PyResult<T> {
    guarded(work).map_err(to_py)
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        Err(Fault::Runtime(format!("internal error, please report it: {text}")))
    })
}
