//! Arrays and cells in Python, and their memory as NumPy sees it.

use crate::dlpack;
use crate::enter::{enter, enter_briefly};
use crate::errors::to_py;
use lumbre_kernels::{DType, Dims, Fault, MAX_RANK, Meta};
use lumbre_runtime::{Array, Cell, Held, door};
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
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

/// The dtype's name as Python holds it already.
fn name_of(py: Python<'_>, dtype: DType) -> Py<PyString> {
    static NAMES: PyOnceLock<[Py<PyString>; DType::ALL.len()]> = PyOnceLock::new();
    let names = NAMES.get_or_init(py, || DType::ALL.map(|d| PyString::intern(py, d.name()).unbind()));
    names[dtype as usize].clone_ref(py)
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
    fn dtype(&self, py: Python<'_>) -> Py<PyString> {
        name_of(py, self.0.meta().dtype)
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

    /// Replaces the value by what lies in an open file from byte `start` on, in row-major order.
    #[cfg(unix)]
    fn fill(&self, py: Python<'_>, descriptor: i32, start: u64) -> PyResult<()> {
        use std::os::fd::FromRawFd;
        // SAFETY: a descriptor that the caller has open, and which is not closed here.
        let file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(descriptor) });
        enter(py, || self.0.fill(&file, start))
    }

    /// The present value as it lies, for a thread that reads it later; later updates leave it as it is.
    fn hold(&self) -> PyHeld {
        PyHeld(self.0.hold())
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
    fn dtype(&self, py: Python<'_>) -> Py<PyString> {
        name_of(py, self.0.meta().dtype)
    }
}

/// The value that a cell had when it was held.
#[pyclass(name = "Held", module = "lumbre._core", frozen)]
pub struct PyHeld(Held);

#[pymethods]
impl PyHeld {
    /// The value, in row-major order.
    fn read(&self, py: Python<'_>) -> PyResult<PyArray> {
        enter(py, || self.0.read()).map(PyArray)
    }

    /// Whether it lies in panels, so that `read` copies it.
    #[getter]
    fn in_panels(&self) -> bool {
        self.0.is_arranged()
    }

    /// Of a value in panels, a copy of the elements from place `start` of row-major order to `stop`.
    fn part(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<PyArray> {
        enter(py, || self.0.part(start, stop)).map(PyArray)
    }
}

/// An array with a shape but no values, for shape inference.
#[pyfunction]
#[pyo3(name = "dry")]
pub fn dry(shape: Vec<usize>, dtype: &str) -> PyResult<PyArray> {
    Ok(PyArray(Array::dry(checked_meta(self::dtype(dtype)?, &shape)?)))
}

/// Memory that an object lends through the buffer protocol.
pub struct Lent(Box<ffi::Py_buffer>);

// SAFETY: an address and what lies there; it is given back with the GIL held.
unsafe impl Send for Lent {}
// SAFETY: as for Send.
unsafe impl Sync for Lent {}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: filled in by `PyObject_GetBuffer`, and given back once; not after Python has ended.
        Python::try_attach(|_| unsafe { ffi::PyBuffer_Release(&raw mut *self.0) });
    }
}

impl Lent {
    /// What an object lends; the flags say what of.
    pub fn by(object: &Bound<'_, PyAny>, flags: c_int) -> PyResult<Lent> {
        let mut buffer = Box::new(ffi::Py_buffer::new());
        // SAFETY: a place to be filled in, at an address that stays the same.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *buffer, flags | ffi::PyBUF_RECORDS_RO) } < 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Lent(buffer))
    }

    /// How many bytes are lent.
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    /// The first element's address.
    pub fn ptr(&self) -> *mut u8 {
        if self.0.buf.is_null() { std::ptr::dangling_mut() } else { self.0.buf.cast() }
    }

    /// What lies there, with the strides in elements.
    fn describe(&self) -> PyResult<(Meta, [isize; MAX_RANK])> {
        let buffer = &*self.0;
        // SAFETY: a string, asked for by PyBUF_FORMAT.
        let format = unsafe { CStr::from_ptr(buffer.format) };
        let dtype = element(format, buffer.itemsize as usize)
            .ok_or_else(|| PyTypeError::new_err(format!("tensors cannot hold elements of the format {format:?}")))?;
        let (shape, bytes): (&[isize], &[isize]) = match buffer.ndim as usize {
            0 => (&[], &[]),
            // SAFETY: that many sizes and strides, asked for by PyBUF_STRIDES.
            n => unsafe {
                (std::slice::from_raw_parts(buffer.shape, n), std::slice::from_raw_parts(buffer.strides, n))
            },
        };
        let shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        let meta = checked_meta(dtype, &shape)?;
        let mut strides = [0; MAX_RANK];
        for (stride, b) in strides.iter_mut().zip(bytes) {
            if b % dtype.size() as isize != 0 {
                return Err(PyValueError::new_err("the array's strides are not whole elements: copy it first"));
            }
            *stride = b / dtype.size() as isize;
        }
        if !buffer.buf.addr().is_multiple_of(dtype.size()) {
            return Err(PyValueError::new_err("the array's memory is not aligned: copy it first"));
        }
        Ok((meta, strides))
    }
}

/// The dtype of a format of the struct module in machine byte order: a letter for the kind, whose size is known.
fn element(format: &CStr, size: usize) -> Option<DType> {
    let letter = match format.to_bytes() {
        [letter] | [b'@' | b'=', letter] => *letter,
        _ => return None,
    };
    let alike: &[DType] = match letter {
        b'?' => &[DType::Bool],
        b'b' | b'h' | b'i' | b'l' | b'q' => &[DType::I8, DType::I16, DType::I32, DType::I64],
        b'B' | b'H' | b'I' | b'L' | b'Q' => &[DType::U8, DType::U16, DType::U32, DType::U64],
        b'e' | b'f' | b'd' => &[DType::F16, DType::F32, DType::F64],
        _ => return None,
    };
    alike.iter().copied().find(|d| d.size() == size)
}

/// A copy of a C-contiguous NumPy array in machine byte order.
#[pyfunction]
pub fn from_numpy(array: &Bound<'_, PyAny>) -> PyResult<PyArray> {
    let lent = Lent::by(array, ffi::PyBUF_C_CONTIGUOUS)?;
    let (meta, _) = lent.describe()?;
    // SAFETY: that many contiguous bytes, lent until the end of this function.
    let bytes = unsafe { std::slice::from_raw_parts(lent.ptr(), meta.bytes()) };
    enter_briefly(|| Array::from_bytes(meta, bytes)).map(PyArray)
}

/// A NumPy array's own memory, any strides, without a copy: the source that batches are gathered from.
#[pyfunction]
pub fn source(array: &Bound<'_, PyAny>) -> PyResult<PyArray> {
    let lent = Lent::by(array, 0)?;
    let (meta, strides) = lent.describe()?;
    // SAFETY: NumPy describes its own memory, which stays in place while it is lent; alignment was checked.
    Ok(PyArray(unsafe { Array::foreign(lent.ptr(), meta, strides, Box::new(lent)) }))
}
