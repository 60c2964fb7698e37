//! Faults as Python exceptions.

use lumbre_kernels::Fault;
use pyo3::PyErr;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};

/// The exception of the fault's kind, with its text.
pub fn to_py(fault: Fault) -> PyErr {
    match fault {
        Fault::Value(text) => PyValueError::new_err(text),
        Fault::Type(text) => PyTypeError::new_err(text),
        Fault::Index(text) => PyIndexError::new_err(text),
        Fault::Memory(text) => PyMemoryError::new_err(text),
        Fault::Runtime(text) => PyRuntimeError::new_err(text),
    }
}
