//! `lumbre._core`: arrays, cells, the door, and recorded steps, as Python sees them.

mod array;
mod call;
mod dlpack;
mod enter;
mod errors;
mod hash;
mod program;

use pyo3::prelude::*;

/// The native half of lumbre.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::array::{PyArray, PyCell, PyHeld, dry, from_numpy, source};
    #[pymodule_export]
    use super::call::{
        call, checking, isa, isa_levels, num_threads, rows, set_checking, set_dry, set_isa, set_num_threads,
    };
    #[pymodule_export]
    use super::dlpack::from_dlpack;
    #[pymodule_export]
    use super::hash::hash128;
    #[pymodule_export]
    use super::program::{
        PyProgram, PyRecording, record_input, record_start, record_stop, recording, recording_broken,
    };
}
