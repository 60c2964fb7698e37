//! The hash of memory, at the speed of memory: for files, which find out whether they are damaged.

use crate::array::Lent;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use xxhash_rust::xxh3::xxh3_128;

/// From so many bytes on other Python threads may run meanwhile.
const LONG: usize = 1 << 14;

/// The 16 bytes of XXH3-128, big endian, of contiguous memory that lends its buffer.
#[pyfunction]
pub fn hash128<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    let lent = Lent::by(data, ffi::PyBUF_SIMPLE)?;
    // SAFETY: that many contiguous bytes, lent until the end of this function. Another thread that writes to them
    // meanwhile gets the hash of neither state, as with hashlib.
    let bytes = unsafe { std::slice::from_raw_parts(lent.ptr().cast_const(), lent.len()) };
    let hash = if bytes.len() < LONG { xxh3_128(bytes) } else { py.detach(|| xxh3_128(bytes)) };
    Ok(PyBytes::new(py, &hash.to_be_bytes()))
}
