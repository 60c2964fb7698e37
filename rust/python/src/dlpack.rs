//! DLPack: tensors to and from other libraries without a copy (<https://dmlc.github.io/dlpack/latest/>).

use crate::array::{PyArray, checked_meta};
use crate::errors::to_py;
use lumbre_kernels::{DType, MAX_RANK};
use lumbre_runtime::{Array, door};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{CStr, c_char, c_void};

// The structures below are DLPack's, version 0.x (unversioned), as dlpack.h lays them out.

#[repr(C)]
#[derive(Clone, Copy)]
struct DLDevice {
    device_type: i32,
    device_id: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct DLDataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct DLTensor {
    data: *mut c_void,
    device: DLDevice,
    ndim: i32,
    dtype: DLDataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct DLManagedTensor {
    tensor: DLTensor,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DLManagedTensor)>,
}

/// The CPU's device type, kDLCPU.
pub const CPU: i32 = 1;
const NAME: &CStr = c"dltensor";
const USED: &CStr = c"used_dltensor";

/// The code of a dtype: kDLInt 0, kDLUInt 1, kDLFloat 2, kDLBfloat 4, kDLBool 6.
fn to_dl(dtype: DType) -> DLDataType {
    let code = match dtype {
        DType::Bool => 6,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => 0,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => 1,
        DType::F16 | DType::F32 | DType::F64 => 2,
        DType::BF16 => 4,
    };
    DLDataType { code, bits: (dtype.size() * 8) as u8, lanes: 1 }
}

fn from_dl(dtype: DLDataType) -> Option<DType> {
    DType::ALL.into_iter().find(|&d| {
        let t = to_dl(d);
        (t.code, t.bits, 1) == (dtype.code, dtype.bits, dtype.lanes)
    })
}

/// What an exported tensor refers to.
struct Export {
    managed: DLManagedTensor,
    shape: Vec<i64>,
    strides: Vec<i64>,
    #[allow(dead_code)] // keeps the memory
    array: Array,
}

unsafe extern "C" fn delete(managed: *mut DLManagedTensor) {
    // SAFETY: `manager` is the box that `__dlpack__` leaked; the consumer calls this once.
    drop(unsafe { Box::from_raw((*managed).manager.cast::<Export>()) });
}

/// Frees a tensor that no consumer took.
unsafe extern "C" fn drop_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: called by Python with the capsule that `__dlpack__` made; consumers rename it when they take it.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) == 1 {
            let managed = ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()).cast::<DLManagedTensor>();
            delete(managed);
        }
    }
}

/// A capsule of the array's memory, which the consumer must not write.
pub fn export(py: Python<'_>, array: &Array, copy: bool) -> PyResult<Py<PyAny>> {
    door::before_reading(array).map_err(to_py)?;
    let array = if copy {
        Array::from_bytes(array.meta(), door::densely(array).map_err(to_py)?.bytes()).map_err(to_py)?
    } else {
        array.clone()
    };
    let managed = DLManagedTensor {
        tensor: DLTensor {
            data: array.ptr().cast(),
            device: DLDevice { device_type: CPU, device_id: 0 },
            ndim: array.meta().shape.len() as i32,
            dtype: to_dl(array.meta().dtype),
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        },
        manager: std::ptr::null_mut(),
        deleter: Some(delete),
    };
    let shape = array.meta().shape.iter().map(|&n| n as i64).collect();
    let strides = array.strides().iter().map(|&s| s as i64).collect();
    let export = Box::into_raw(Box::new(Export { managed, shape, strides, array }));
    // SAFETY: `export` was just leaked and is ours until the capsule is made; its vectors do not move any more.
    // The capsule takes it over, or it is freed here.
    unsafe {
        (*export).managed.tensor.shape = (*export).shape.as_mut_ptr();
        (*export).managed.tensor.strides = (*export).strides.as_mut_ptr();
        (*export).managed.manager = export.cast();
        let managed: *mut DLManagedTensor = &raw mut (*export).managed;
        let capsule = ffi::PyCapsule_New(managed.cast(), NAME.as_ptr(), Some(drop_capsule));
        if capsule.is_null() {
            drop(Box::from_raw(export));
        }
        Bound::from_owned_ptr_or_err(py, capsule).map(Bound::unbind)
    }
}

/// Another library's tensor, taken over.
struct Imported(*mut DLManagedTensor);

// SAFETY: the producer's deleter may be called from any thread that holds the GIL, which `Drop` sees to.
unsafe impl Send for Imported {}
// SAFETY: only dropped.
unsafe impl Sync for Imported {}

impl Drop for Imported {
    fn drop(&mut self) {
        Python::attach(|_| {
            // SAFETY: we own the tensor; its deleter is called once.
            unsafe {
                if let Some(deleter) = (*self.0).deleter {
                    deleter(self.0);
                }
            }
        });
    }
}

/// An array that shares the memory of another library's CPU tensor.
#[pyfunction]
pub fn from_dlpack(tensor: &Bound<'_, PyAny>) -> PyResult<PyArray> {
    let py = tensor.py();
    let device: (i32, i32) = tensor.call_method0("__dlpack_device__")?.extract()?;
    if device.0 != CPU {
        return Err(PyBufferError::new_err("the tensor is not in the CPU's memory: move it there first"));
    }
    let capsule = tensor.call_method("__dlpack__", PyTuple::empty(py), Some(&PyDict::new(py)))?;
    let expected: *const c_char = NAME.as_ptr();
    // SAFETY: a capsule of that name holds a DLManagedTensor, which renaming the capsule makes ours.
    let imported = unsafe {
        if ffi::PyCapsule_IsValid(capsule.as_ptr(), expected) != 1 {
            return Err(PyTypeError::new_err("__dlpack__ did not return an unused DLPack capsule"));
        }
        let managed = ffi::PyCapsule_GetPointer(capsule.as_ptr(), expected).cast::<DLManagedTensor>();
        ffi::PyCapsule_SetName(capsule.as_ptr(), USED.as_ptr());
        Imported(managed)
    };
    // SAFETY: the producer's description of its own memory, valid until the deleter is called.
    let (t, shape) = unsafe {
        let t = &(*imported.0).tensor;
        let ndim = t.ndim as usize;
        let shape = if ndim == 0 { &[] } else { std::slice::from_raw_parts(t.shape, ndim) };
        (t, shape)
    };
    let dtype = from_dl(t.dtype).ok_or_else(|| {
        PyTypeError::new_err(format!("DLPack type code {} with {} bits is not supported", t.dtype.code, t.dtype.bits))
    })?;
    let shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
    let meta = checked_meta(dtype, &shape)?;
    let mut strides = meta.shape.row_major();
    if !t.strides.is_null() {
        let ndim = shape.len().min(MAX_RANK);
        // SAFETY: as for the shape.
        let given = unsafe { std::slice::from_raw_parts(t.strides, ndim) };
        for (stride, &g) in strides.iter_mut().zip(given) {
            *stride = g as isize;
        }
    }
    let ptr = t.data.cast::<u8>().wrapping_add(t.byte_offset as usize);
    if !ptr.addr().is_multiple_of(dtype.size()) {
        return Err(PyBufferError::new_err("the tensor's memory is not aligned: copy it first"));
    }
    // SAFETY: the producer vouches for the memory while `imported` lives; alignment was checked.
    Ok(PyArray(unsafe { Array::foreign(ptr, meta, strides, Box::new(imported)) }))
}
