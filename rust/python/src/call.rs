//! The door, and the process-wide settings.

use crate::array::{PyArray, PyCell, dtype};
use crate::enter::{enter, enter_briefly};
use crate::errors::to_py;
use lumbre_kernels::{Attr, Attrs, Level, OpDef};
use lumbre_runtime::{Array, door, pool};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyTuple};
use std::collections::HashMap;
use std::sync::LazyLock;

static ROWS: LazyLock<HashMap<&'static str, &'static OpDef>> =
    LazyLock::new(|| lumbre_kernels::rows().map(|op| (op.name, op)).collect());

/// Elements from which a call releases the GIL: some 10 µs of work.
const LONG: usize = 1 << 15;

/// Calls a kernel.
///
/// Args:
///     name: The row's name.
///     ins: The operands that are read: arrays, or tensors, whose `_a` is one.
///     inouts: The cells that are updated in place.
///     attrs: The row's attributes.
///
/// Returns:
///     The result; a tuple where the row has several or none.
#[pyfunction]
#[pyo3(signature = (name, ins, inouts=None, attrs=None))]
pub fn call<'py>(
    py: Python<'py>,
    name: &str,
    ins: &Bound<'py, PyTuple>,
    inouts: Option<&Bound<'py, PyTuple>>,
    attrs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = *ROWS.get(name).ok_or_else(|| PyKeyError::new_err(format!("there is no kernel named '{name}'")))?;
    let attrs = parse(op, attrs)?;
    let held = ins.iter_borrowed().map(array_of).collect::<PyResult<Vec<_>>>()?;
    let ins: Vec<&Array> = held.iter().map(|a| &a.get().0).collect();
    let inouts = match inouts {
        Some(cells) => {
            cells.iter_borrowed().map(|c| Ok(c.cast::<PyCell>()?.get().0.clone())).collect::<PyResult<_>>()?
        }
        None => Vec::new(),
    };
    let long = ins.iter().map(|a| a.meta()).chain(inouts.iter().map(|c| c.meta())).any(|m| m.shape.count() >= LONG);
    let work = || door::call(op, &ins, &inouts, attrs);
    let mut results = if long { enter(py, work)? } else { enter_briefly(work)? };
    match results.pop() {
        Some(only) if results.is_empty() => Ok(Bound::new(py, PyArray(only))?.into_any()),
        last => Ok(PyTuple::new(py, results.into_iter().chain(last).map(PyArray).collect::<Vec<_>>())?.into_any()),
    }
}

fn array_of<'py>(operand: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyArray>> {
    match operand.cast::<PyArray>() {
        Ok(array) => Ok(array.to_owned()),
        Err(_) => Ok(operand.getattr(intern!(operand.py(), "_a"))?.cast_into()?),
    }
}

fn parse(op: &OpDef, given: Option<&Bound<'_, PyDict>>) -> PyResult<Attrs> {
    let mut values = vec![Attr::None; op.attrs.len()];
    for (name, value) in given.into_iter().flatten() {
        let place = op.attrs.iter().position(|a| name.extract::<&str>().is_ok_and(|n| n == *a)).ok_or_else(|| {
            PyTypeError::new_err(format!("kernel {} takes the attributes {:?}, got {name}", op.name, op.attrs))
        })?;
        values[place] = attr(&value)?;
    }
    Ok(Attrs(values))
}

fn attr(value: &Bound<'_, PyAny>) -> PyResult<Attr> {
    Ok(if value.is_none() {
        Attr::None
    } else if value.is_instance_of::<PyBool>() {
        Attr::Int(value.is_truthy()? as i64)
    } else if value.is_instance_of::<PyInt>() {
        Attr::Int(value.extract()?)
    } else if value.is_instance_of::<PyFloat>() {
        Attr::Float(value.extract()?)
    } else if value.is_instance_of::<PyString>() {
        Attr::Int(dtype(value.extract()?)? as i64)
    } else {
        Attr::Ints(value.extract()?)
    })
}

/// The names of all kernel rows.
#[pyfunction]
pub fn rows() -> Vec<&'static str> {
    lumbre_kernels::rows().map(|op| op.name).collect()
}

/// Switches this thread's dry mode, in which shapes are inferred and nothing is computed; returns what it was.
#[pyfunction]
pub fn set_dry(dry: bool) -> bool {
    door::set_dry(dry)
}

/// Switches checking: results are filled with NaN beforehand, and fenced.
#[pyfunction]
pub fn set_checking(on: bool) {
    door::set_checking(on);
}

/// Whether checking is on.
#[pyfunction]
pub fn checking() -> bool {
    door::checking()
}

/// The CPU level in use.
#[pyfunction]
pub fn isa() -> &'static str {
    pool::level().name()
}

/// The CPU levels that this processor has, slowest first.
#[pyfunction]
pub fn isa_levels() -> Vec<&'static str> {
    Level::ALL.iter().filter(|l| l.available()).map(|l| l.name()).collect()
}

/// Forces a CPU level.
#[pyfunction]
pub fn set_isa(name: &str) -> PyResult<()> {
    pool::set_level(name).map_err(to_py)
}

/// The number of threads that kernels use.
#[pyfunction]
pub fn num_threads() -> usize {
    pool::threads()
}

/// Sets the number of threads that kernels use.
#[pyfunction]
pub fn set_num_threads(n: usize) -> PyResult<()> {
    pool::set_threads(n).map_err(to_py)
}
