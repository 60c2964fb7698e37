//! Operands: where a pointer becomes a slice, and nowhere else.

use crate::dtype::{DType, Elem};
use crate::gemm::Panels;
use std::fmt;
use std::ops::{Deref, Range};

/// The most axes an operand may have.
pub const MAX_RANK: usize = 8;

/// A shape: up to eight sizes, held inline. Reads as a slice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    len: u8,
    sizes: [usize; MAX_RANK],
}

impl Dims {
    /// A shape of these sizes.
    ///
    /// # Panics
    /// With more than [`MAX_RANK`] axes: the door refuses such shapes before.
    pub fn new(sizes: &[usize]) -> Dims {
        let mut d = Dims { len: sizes.len() as u8, sizes: [0; MAX_RANK] };
        d.sizes[..sizes.len()].copy_from_slice(sizes);
        d
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// The strides, in elements, of a row-major array of this shape.
    pub fn row_major(&self) -> [isize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.len as usize).rev() {
            strides[axis] = step as isize;
            step *= self.sizes[axis];
        }
        strides
    }
}

impl Deref for Dims {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.sizes[..self.len as usize]
    }
}

/// As Python prints a tuple: `(32, 10)`, `(3,)`, `()`.
impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner: Vec<String> = self.iter().map(usize::to_string).collect();
        let comma = if inner.len() == 1 { "," } else { "" };
        write!(f, "({}{comma})", inner.join(", "))
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a shape rule sees of an operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Element type.
    pub dtype: DType,
    /// Sizes.
    pub shape: Dims,
}

impl Meta {
    /// An operand of this dtype and shape.
    pub fn new(dtype: DType, shape: &[usize]) -> Meta {
        Meta { dtype, shape: Dims::new(shape) }
    }

    /// Bytes of a dense array of it.
    pub fn bytes(&self) -> usize {
        self.shape.count() * self.dtype.size()
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype.name(), self.shape)
    }
}

/// The order of the elements of a dense operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// The last axis runs fastest.
    RowMajor,
    /// A matrix in panels of so many columns ([`crate::gemm::Panels`]). Only rows that ask for it
    /// ([`crate::OpDef::orders`]) get such operands.
    Panels(usize),
}

/// An operand of a running kernel: memory, dtype, shape and strides (in elements).
#[derive(Clone, Copy)]
pub struct View {
    ptr: *mut u8,
    /// Dtype and shape.
    pub meta: Meta,
    /// Stride of each axis, in elements; 0 repeats, negative runs backwards. Those of row-major order for panels.
    pub strides: [isize; MAX_RANK],
    /// The order of the elements.
    pub order: Order,
}

// SAFETY: a view is an address with a description; who may touch the memory is settled by the contract of `View::new`.
unsafe impl Send for View {}
// SAFETY: as for Send.
unsafe impl Sync for View {}

impl View {
    /// A view of memory.
    ///
    /// # Safety
    /// For as long as the view is used, every element it reaches is valid memory, aligned for its dtype. While a
    /// kernel runs, nothing else writes what it reads (`ins`), and nothing else reads or writes what it writes
    /// (`outs`); no out overlaps another operand.
    pub unsafe fn new(ptr: *mut u8, meta: Meta, strides: [isize; MAX_RANK]) -> View {
        View { ptr, meta, strides, order: Order::RowMajor }
    }

    /// The same memory, whose elements are in this order.
    pub fn ordered(self, order: Order) -> View {
        View { order, ..self }
    }

    /// The panels of a matrix that lies in such.
    pub fn panels(&self) -> Option<Panels> {
        match (self.order, self.shape()) {
            (Order::Panels(width), &[rows, cols]) => Some(Panels { rows, cols, width }),
            _ => None,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.meta.shape.count()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        &self.meta.shape
    }

    /// Size of axis `i`, counted from the end for negative `i`.
    pub fn dim(&self, i: isize) -> usize {
        let rank = self.shape().len() as isize;
        self.shape()[(if i < 0 { i + rank } else { i }) as usize]
    }

    /// Whether the elements lie one after another, in whatever order.
    pub fn is_dense(&self) -> bool {
        let dense = self.meta.shape.row_major();
        self.is_empty() || (0..self.shape().len()).all(|i| self.shape()[i] == 1 || self.strides[i] == dense[i])
    }

    /// The first element's address. What may be done with it is what `View::new` says.
    pub fn ptr<T: Elem>(&self) -> *mut T {
        debug_assert!(self.meta.dtype.size() == size_of::<T>());
        self.ptr.cast()
    }

    /// The first element's address, whatever the dtype.
    pub fn address(&self) -> *mut u8 {
        self.ptr
    }

    /// All elements of a dense operand that this kernel reads.
    pub fn read<T: Elem>(&self) -> &[T] {
        assert!(self.is_dense() && self.meta.dtype.size() == size_of::<T>(), "a dense {:?}", self.meta);
        // SAFETY: dense and of T's size (asserted); valid, aligned and unwritten by the contract of `View::new`.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.len()) }
    }

    /// A range of the elements of a dense operand that this kernel writes.
    ///
    /// # Safety
    /// While the slice lives, no other task and no other slice covers any of the same elements.
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    pub unsafe fn write<T: Elem>(&self, range: Range<usize>) -> &mut [T] {
        assert!(self.is_dense() && self.meta.dtype.size() == size_of::<T>(), "a dense {:?}", self.meta);
        assert!(range.start <= range.end && range.end <= self.len());
        // SAFETY: in bounds, dense and of T's size (asserted); valid by the contract of `View::new`; disjoint from
        // all other slices by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr::<T>().add(range.start), range.len()) }
    }
}
