//! Arrays and cells in Python, and their memory as NumPy sees it.

use crate::dlpack;
use crate::enter::enter_briefly;
use crate::errors::to_py;
use lumbre_kernels::{DType, Dims, Fault, MAX_RANK, Meta};
use lumbre_runtime::{Array, Cell, door};
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyTuple};
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;

/// An n-dimensional array. Its values never change; operations make new arrays or views.
#[pyclass(name = "Array", module = "lumbre._core", frozen)]
pub struct PyArray(pub Array);

/// A place that holds an array, for state that training updates.
#[pyclass(name = "Cell", module = "lumbre._core", frozen)]
pub struct PyCell(pub Arc<Cell>);

/// The dtype of that name.
pub fn dtype(name: &str) -> PyResult<DType> {
    DType::from_name(name).ok_or_else(|| {
        let all: Vec<_> = DType::ALL.iter().map(|d| d.name()).collect();
        PyTypeError::new_err(format!("unknown dtype '{name}': expected one of {}", all.join(", ")))
    })
}

/// The axes' sizes, refused if there are too many.
pub fn checked_meta(dtype: DType, shape: &[usize]) -> PyResult<Meta> {
    if shape.len() > MAX_RANK {
        return Err(PyValueError::new_err(format!("tensors have at most {MAX_RANK} axes, got {}", shape.len())));
    }
    let bytes = shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d)).filter(|&n| n <= isize::MAX as usize);
    if bytes.is_none() {
        return Err(to_py(Fault::Memory(format!("a tensor of shape {} is too large", Dims::new(shape)))));
    }
    Ok(Meta::new(dtype, shape))
}

#[pymethods]
impl PyArray {
    /// The sizes of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.meta().shape.iter())
    }

    /// The dtype's name.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.0.meta().dtype.name()
    }

    /// The number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.0.meta().shape.count()
    }

    /// The id of the storage, never used twice.
    #[getter]
    fn id(&self) -> u64 {
        self.0.id()
    }

    /// Whether it has a shape but no values.
    #[getter]
    fn is_dry(&self) -> bool {
        self.0.is_dry()
    }

    /// Whether the elements lie one after another in row-major order.
    #[getter]
    fn is_dense(&self) -> bool {
        self.0.is_dense()
    }

    /// The same elements in another shape of the same size.
    fn reshape(&self, shape: Vec<usize>) -> PyResult<PyArray> {
        enter_briefly(|| door::densely(&self.0)?.reshape(&shape)).map(PyArray)
    }

    /// The axes in another order (a view).
    fn permute(&self, axes: Vec<usize>) -> PyResult<PyArray> {
        enter_briefly(|| self.0.permute(&axes)).map(PyArray)
    }

    /// Along each axis `counts` elements from `starts` in steps of `steps` (a view).
    fn slice(&self, starts: Vec<usize>, counts: Vec<usize>, steps: Vec<isize>) -> PyResult<PyArray> {
        enter_briefly(|| self.0.slice(&starts, &counts, &steps)).map(PyArray)
    }

    /// The elements repeated to a larger shape by NumPy's rule (a view).
    fn broadcast(&self, shape: Vec<usize>) -> PyResult<PyArray> {
        enter_briefly(|| self.0.broadcast(&shape)).map(PyArray)
    }

    /// A DLPack capsule of the array's memory, which the consumer must not write.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__(
        &self,
        py: Python<'_>,
        stream: Option<Bound<'_, PyAny>>,
        max_version: Option<Bound<'_, PyAny>>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Py<PyAny>> {
        let _ = max_version; // the unversioned form is what every consumer understands
        if stream.is_some() || dl_device.is_some_and(|d| d.0 != dlpack::CPU) {
            return Err(PyBufferError::new_err("lumbre's tensors live in the CPU's memory, without streams"));
        }
        dlpack::export(py, &self.0, copy == Some(true))
    }

    /// (1, 0): the CPU.
    fn __dlpack_device__(&self) -> (i32, i32) {
        (dlpack::CPU, 0)
    }

    // SAFETY: fills in the request or leaves `obj` null and raises, as the buffer protocol asks.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer to fill in"));
        }
        let array = slf.get().0.clone();
        let format = buffer_format(array.meta().dtype)?;
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("tensors are read-only: copy with .numpy() to get a writable array"));
        }
        let strided = flags & ffi::PyBUF_STRIDES == ffi::PyBUF_STRIDES;
        if !strided && !array.is_dense() {
            return Err(PyBufferError::new_err("this view of a tensor is not contiguous"));
        }
        door::before_reading(&array).map_err(to_py)?;
        let item = array.meta().dtype.size();
        let export = Box::new(Export {
            shape: array.meta().shape.iter().map(|&n| n as isize).collect(),
            strides: array.strides().iter().map(|&s| s * item as isize).collect(),
            array,
        });
        // SAFETY: `view` is a Py_buffer to fill in (checked not null). Shape and strides live in `export`, which
        // `__releasebuffer__` frees; the memory lives as long as `export` holds the array.
        unsafe {
            let v = &mut *view;
            v.buf = export.array.ptr().cast();
            v.len = export.array.meta().bytes() as isize;
            v.itemsize = item as isize;
            v.readonly = 1;
            v.ndim = export.shape.len() as c_int;
            v.format = if flags & ffi::PyBUF_FORMAT == ffi::PyBUF_FORMAT {
                format.as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            };
            v.shape = export.shape.as_ptr().cast_mut();
            v.strides = if strided { export.strides.as_ptr().cast_mut() } else { std::ptr::null_mut() };
            v.suboffsets = std::ptr::null_mut();
            v.internal = Box::into_raw(export).cast::<c_void>();
            v.obj = slf.into_ptr();
        }
        Ok(())
    }

    // SAFETY: frees what `__getbuffer__` made.
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `internal` is the box that `__getbuffer__` leaked for this very view, and this is called once.
        drop(unsafe { Box::from_raw((*view).internal.cast::<Export>()) });
    }
}

/// What an exported buffer refers to.
struct Export {
    shape: Vec<isize>,
    strides: Vec<isize>,
    array: Array,
}

/// The struct-module format of a dtype.
fn buffer_format(dtype: DType) -> PyResult<&'static CStr> {
    Ok(match dtype {
        DType::Bool => c"?",
        DType::I8 => c"b",
        DType::U8 => c"B",
        DType::I16 => c"h",
        DType::U16 => c"H",
        DType::I32 => c"i",
        DType::U32 => c"I",
        DType::I64 => c"q",
        DType::U64 => c"Q",
        DType::F16 => c"e",
        DType::F32 => c"f",
        DType::F64 => c"d",
        DType::BF16 => return Err(PyBufferError::new_err("NumPy has no bfloat16: cast to float32 first")),
    })
}

#[pymethods]
impl PyCell {
    /// A cell that holds a copy of the array.
    #[new]
    fn new(array: PyRef<'_, PyArray>) -> PyResult<PyCell> {
        enter_briefly(|| Cell::new(door::densely(&array.0)?)).map(PyCell)
    }

    /// The present value, which later updates leave as it is.
    fn read(&self) -> PyResult<PyArray> {
        enter_briefly(|| self.0.read()).map(PyArray)
    }

    /// The number of updates so far.
    #[getter]
    fn version(&self) -> u64 {
        self.0.version()
    }

    /// The sizes of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.meta().shape.iter())
    }

    /// The dtype's name.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.0.meta().dtype.name()
    }
}

/// An array with a shape but no values, for shape inference.
#[pyfunction]
#[pyo3(name = "dry")]
pub fn dry(shape: Vec<usize>, dtype: &str) -> PyResult<PyArray> {
    Ok(PyArray(Array::dry(checked_meta(self::dtype(dtype)?, &shape)?)))
}

/// What NumPy says of an array's memory.
struct Interface {
    ptr: usize,
    meta: Meta,
    strides: [isize; MAX_RANK],
}

fn interface(array: &Bound<'_, PyAny>) -> PyResult<Interface> {
    let dtype = dtype(array.getattr("dtype")?.getattr("name")?.extract()?)?;
    let shape: Vec<usize> = array.getattr("shape")?.extract()?;
    let bytes: Vec<isize> = array.getattr("strides")?.extract()?;
    let ptr: usize = array.getattr("ctypes")?.getattr("data")?.extract()?;
    let meta = checked_meta(dtype, &shape)?;
    let mut strides = [0; MAX_RANK];
    for (stride, b) in strides.iter_mut().zip(bytes) {
        if b % dtype.size() as isize != 0 {
            return Err(PyValueError::new_err("the array's strides are not whole elements: copy it first"));
        }
        *stride = b / dtype.size() as isize;
    }
    if !ptr.is_multiple_of(dtype.size()) {
        return Err(PyValueError::new_err("the array's memory is not aligned: copy it first"));
    }
    Ok(Interface { ptr, meta, strides })
}

/// A copy of a C-contiguous NumPy array in machine byte order.
#[pyfunction]
pub fn from_numpy(array: &Bound<'_, PyAny>) -> PyResult<PyArray> {
    let seen = interface(array)?;
    if !array.getattr("flags")?.getattr("c_contiguous")?.is_truthy()? {
        return Err(PyValueError::new_err("from_numpy takes a C-contiguous array"));
    }
    // SAFETY: NumPy vouches for that many contiguous bytes, and the GIL and the reference keep them.
    let bytes = unsafe { std::slice::from_raw_parts(nonnull(seen.ptr), seen.meta.bytes()) };
    enter_briefly(|| Array::from_bytes(seen.meta, bytes)).map(PyArray)
}

fn nonnull(ptr: usize) -> *const u8 {
    if ptr == 0 { std::ptr::dangling() } else { ptr as *const u8 }
}

/// A NumPy array's own memory, any strides, without a copy: the source that batches are gathered from.
#[pyfunction]
pub fn source(array: &Bound<'_, PyAny>) -> PyResult<PyArray> {
    let seen = interface(array)?;
    // The memoryview keeps the memory in place: an exported array refuses to be resized.
    let keep: Py<PyMemoryView> = PyMemoryView::from(array)?.unbind();
    // SAFETY: NumPy describes its own memory, kept by the memoryview; alignment was checked.
    Ok(PyArray(unsafe { Array::foreign(nonnull(seen.ptr).cast_mut(), seen.meta, seen.strides, Box::new(keep)) }))
}
