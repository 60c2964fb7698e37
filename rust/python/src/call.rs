//! The door, and the process-wide settings.

use crate::array::{PyArray, PyCell, dtype};
use crate::enter::{enter, enter_briefly};
use crate::errors::to_py;
use lumbre_kernels::{Attr, Attrs, Level, OpDef};
use lumbre_runtime::{Array, door, pool};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
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
///     ins: The operands that are read.
///     inouts: The cells that are updated in place.
///     attrs: The row's attributes.
///
/// Returns:
///     The results.
#[pyfunction]
#[pyo3(signature = (name, ins, inouts=None, **attrs))]
pub fn call(
    py: Python<'_>,
    name: &str,
    ins: Vec<PyRef<'_, PyArray>>,
    inouts: Option<Vec<PyRef<'_, PyCell>>>,
    attrs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Vec<PyArray>> {
    let op = *ROWS.get(name).ok_or_else(|| PyKeyError::new_err(format!("there is no kernel named '{name}'")))?;
    let attrs = parse(op, attrs)?;
    let ins: Vec<Array> = ins.iter().map(|a| a.0.clone()).collect();
    let inouts: Vec<_> = inouts.unwrap_or_default().iter().map(|c| c.0.clone()).collect();
    let long = ins.iter().map(Array::meta).chain(inouts.iter().map(|c| c.meta())).any(|m| m.shape.count() >= LONG);
    let work = || door::call(op, &ins, &inouts, attrs);
    let results = if long { enter(py, work)? } else { enter_briefly(work)? };
    Ok(results.into_iter().map(PyArray).collect())
}

fn parse(op: &OpDef, given: Option<&Bound<'_, PyDict>>) -> PyResult<Attrs> {
    let Some(given) = given else {
        return Ok(Attrs(vec![Attr::None; op.attrs.len()]));
    };
    let mut used = 0;
    let mut values = Vec::with_capacity(op.attrs.len());
    for name in op.attrs {
        let value = given.get_item(name)?;
        used += value.is_some() as usize;
        values.push(value.map_or(Ok(Attr::None), |v| attr(&v))?);
    }
    if used != given.len() {
        return Err(PyTypeError::new_err(format!(
            "kernel {} takes the attributes {:?}, got {}",
            op.name,
            op.attrs,
            given.keys().repr()?
        )));
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
