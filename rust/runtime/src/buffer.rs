//! Memory: storages that are never mistaken for one another, arrays that look into them, and cells that hold state.

use crate::{os, pool};
use lumbre_kernels::{DType, Dims, Fault, MAX_RANK, Meta, Order, View};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An id that no storage or cell had before.
pub(crate) fn fresh_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

enum Owner {
    Heap,
    /// Somebody else's memory, kept alive by this.
    Foreign(#[allow(dead_code)] Box<dyn Any + Send + Sync>),
    /// No memory: a symbolic value.
    Dry,
}

/// A block of memory with an id that is never used twice.
pub struct Storage {
    id: u64,
    ptr: *mut u8,
    bytes: usize,
    owner: Owner,
}

// SAFETY: an address; who reads and writes when is settled by the door (kernels) and by the cells' locks.
unsafe impl Send for Storage {}
// SAFETY: as for Send.
unsafe impl Sync for Storage {}

impl Storage {
    /// New memory, its content undefined.
    pub fn allocate(bytes: usize) -> Result<Arc<Storage>, Fault> {
        let ptr = os::allocate(bytes)
            .ok_or_else(|| Fault::Memory(format!("{bytes} bytes of memory for a tensor cannot be had")))?;
        Ok(Arc::new(Storage { id: fresh_id(), ptr, bytes, owner: Owner::Heap }))
    }

    fn dry() -> Arc<Storage> {
        let ptr = std::ptr::null_mut();
        Arc::new(Storage { id: fresh_id(), ptr, bytes: 0, owner: Owner::Dry })
    }

    /// The id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has no memory.
    pub fn is_dry(&self) -> bool {
        matches!(self.owner, Owner::Dry)
    }

    pub(crate) fn ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// Its bytes. Only for storages that nothing writes any more: those of finished arrays.
    pub(crate) fn content(&self) -> &[u8] {
        if self.is_dry() {
            return &[];
        }
        // SAFETY: `bytes` bytes are valid while the storage lives; finished arrays are not written.
        unsafe { std::slice::from_raw_parts(self.ptr, self.bytes) }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Owner::Heap = self.owner {
            // SAFETY: allocated with this size by `allocate`; the last reference is gone.
            unsafe { os::free(self.ptr, self.bytes) }
        }
    }
}

/// A view into a storage: dtype, shape, strides, and where its first element is.
#[derive(Clone)]
pub struct Array {
    pub(crate) storage: Arc<Storage>,
    pub(crate) offset: usize, // in bytes
    pub(crate) meta: Meta,
    pub(crate) strides: [isize; MAX_RANK], // in elements
    /// Where it was read from a cell: that cell, and the version it held.
    pub(crate) source: Option<(Arc<Cell>, u64)>,
}

impl Array {
    /// A new dense array, its content undefined.
    pub fn allocate(meta: Meta) -> Result<Array, Fault> {
        Ok(Array::whole(Storage::allocate(meta.bytes())?, meta))
    }

    /// A dense array at the start of a storage, which must be large enough.
    pub(crate) fn whole(storage: Arc<Storage>, meta: Meta) -> Array {
        Array { storage, offset: 0, meta, strides: meta.shape.row_major(), source: None }
    }

    /// A dense array with these bytes.
    pub fn from_bytes(meta: Meta, bytes: &[u8]) -> Result<Array, Fault> {
        assert_eq!(bytes.len(), meta.bytes());
        let array = Array::allocate(meta)?;
        // SAFETY: freshly allocated with that many bytes, known to nobody else.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), array.storage.ptr, bytes.len()) };
        Ok(array)
    }

    /// A dense array of these elements.
    pub fn from_slice<T: lumbre_kernels::Elem>(shape: &[usize], values: &[T]) -> Result<Array, Fault> {
        // SAFETY: plain numbers, read as the bytes they are.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
        Array::from_bytes(Meta::new(T::DTYPE, shape), bytes)
    }

    /// An array over somebody else's memory.
    ///
    /// # Safety
    /// While `owner` lives, every element that the shape and the strides (in elements) reach from `ptr` is valid for
    /// reading and aligned.
    pub unsafe fn foreign(
        ptr: *mut u8,
        meta: Meta,
        strides: [isize; MAX_RANK],
        owner: Box<dyn Any + Send + Sync>,
    ) -> Array {
        let storage = Storage { id: fresh_id(), ptr, bytes: meta.bytes(), owner: Owner::Foreign(owner) };
        Array { storage: Arc::new(storage), offset: 0, meta, strides, source: None }
    }

    /// An array without memory, for shape inference.
    pub fn dry(meta: Meta) -> Array {
        Array::whole(Storage::dry(), meta)
    }

    /// Whether it has no memory.
    pub fn is_dry(&self) -> bool {
        self.storage.is_dry()
    }

    /// Dtype and shape.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Strides in elements, one per axis.
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.meta.shape.len()]
    }

    /// The storage's id.
    pub fn id(&self) -> u64 {
        self.storage.id
    }

    /// The address of the first element; null for a dry one.
    pub fn ptr(&self) -> *mut u8 {
        self.storage.ptr.wrapping_add(self.offset)
    }

    /// Whether the elements lie one after another.
    pub fn is_dense(&self) -> bool {
        self.view().is_dense()
    }

    /// The operand that a kernel gets.
    pub(crate) fn view(&self) -> View {
        // SAFETY: the storage lives as long as the call that uses the view (the door holds the array); the door and
        // the cells' locks keep writers apart.
        unsafe { View::new(self.ptr(), self.meta, self.strides) }
    }

    /// The bytes of a dense array.
    pub fn bytes(&self) -> &[u8] {
        assert!(self.is_dense() && !self.is_dry());
        // SAFETY: dense, and valid while `self` holds the storage. Kernels write only arrays that nobody else has
        // seen yet, and cells un-share what somebody else holds.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.meta.bytes()) }
    }

    /// The elements of a dense array of T's dtype.
    pub fn elements<T: lumbre_kernels::Elem>(&self) -> &[T] {
        assert!(self.meta.dtype == T::DTYPE);
        let bytes = self.bytes();
        // SAFETY: dense elements of T (asserted), aligned as every array is.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }

    fn with(&self, offset: isize, shape: &[usize], strides: &[isize]) -> Array {
        let mut all = [0; MAX_RANK];
        all[..strides.len()].copy_from_slice(strides);
        Array {
            storage: self.storage.clone(),
            offset: self.offset.wrapping_add_signed(offset * self.meta.dtype.size() as isize),
            meta: Meta::new(self.meta.dtype, shape),
            strides: all,
            source: self.source.clone(),
        }
    }

    /// The same elements in another shape of the same size; only of a dense array.
    pub fn reshape(&self, shape: &[usize]) -> Result<Array, Fault> {
        check_rank("reshape", shape.len())?;
        let dims = Dims::new(shape);
        if dims.count() != self.meta.shape.count() {
            return Err(Fault::Value(format!(
                "reshape: a tensor of shape {} has {} elements and cannot get the shape {dims}, which has {}",
                self.meta.shape,
                self.meta.shape.count(),
                dims.count()
            )));
        }
        assert!(self.is_dense(), "the caller copies first");
        Ok(self.with(0, shape, &dims.row_major()[..shape.len()]))
    }

    /// The axes in another order.
    pub fn permute(&self, axes: &[usize]) -> Result<Array, Fault> {
        let rank = self.meta.shape.len();
        let mut seen = [false; MAX_RANK];
        let valid = axes.len() == rank && axes.iter().all(|&a| a < rank && !std::mem::replace(&mut seen[a], true));
        if !valid {
            return Err(Fault::Value(format!(
                "transpose: axes must be a permutation of the {rank} axes of shape {}, got {axes:?}",
                self.meta.shape
            )));
        }
        let shape: Vec<usize> = axes.iter().map(|&a| self.meta.shape[a]).collect();
        let strides: Vec<isize> = axes.iter().map(|&a| self.strides[a]).collect();
        Ok(self.with(0, &shape, &strides))
    }

    /// Along each axis `count` elements from `start` in steps of `step`.
    pub fn slice(&self, starts: &[usize], counts: &[usize], steps: &[isize]) -> Result<Array, Fault> {
        let rank = self.meta.shape.len();
        let inside = |i: usize| {
            let (n, last) = (self.meta.shape[i] as isize, counts[i] as isize - 1);
            let end = starts[i] as isize + last * steps[i];
            counts[i] == 0 || ((starts[i] as isize) < n && (0..n).contains(&end))
        };
        if [starts.len(), counts.len(), steps.len()] != [rank; 3] || !(0..rank).all(inside) {
            return Err(Fault::Index(format!(
                "slice: starts {starts:?}, counts {counts:?} and steps {steps:?} leave the shape {}",
                self.meta.shape
            )));
        }
        let empty = counts.contains(&0);
        let offset = if empty { 0 } else { (0..rank).map(|i| starts[i] as isize * self.strides[i]).sum() };
        let strides: Vec<isize> = (0..rank).map(|i| self.strides[i] * steps[i]).collect();
        Ok(self.with(offset, counts, &strides))
    }

    /// The elements repeated to a larger shape, by NumPy's rule.
    pub fn broadcast(&self, shape: &[usize]) -> Result<Array, Fault> {
        check_rank("broadcast_to", shape.len())?;
        let from = &self.meta.shape;
        let lead = shape.len().wrapping_sub(from.len());
        let fits = shape.len() >= from.len() && (0..from.len()).all(|i| from[i] == shape[lead + i] || from[i] == 1);
        if !fits {
            let to = Dims::new(shape);
            return Err(Fault::Value(format!("broadcast_to: a tensor of shape {from} cannot be repeated to {to}")));
        }
        if shape.iter().try_fold(self.meta.dtype.size(), |n, &d| n.checked_mul(d)).is_none() {
            let to = Dims::new(shape);
            return Err(Fault::Memory(format!("broadcast_to: a tensor of shape {to} has too many elements")));
        }
        let stride = |i: usize| if i < lead || from[i - lead] == 1 { 0 } else { self.strides[i - lead] };
        let strides: Vec<isize> = (0..shape.len()).map(stride).collect();
        Ok(self.with(0, shape, &strides))
    }
}

fn check_rank(op: &str, rank: usize) -> Result<(), Fault> {
    if rank > MAX_RANK {
        return Err(Fault::Value(format!("{op}: tensors have at most {MAX_RANK} axes, got {rank}")));
    }
    Ok(())
}

/// What a cell holds.
pub struct State {
    /// The value: see `order`.
    pub(crate) array: Array,
    pub(crate) version: u64,
    /// The order of the value's elements. A program keeps weights in panels while it runs and leaves them so;
    /// [`State::arrange`] comes before any other use of the value.
    order: Order,
    /// Steps since the value was brought into panels, and how often they were too few to be worth it.
    steps: usize,
    strikes: u32,
}

/// A place that holds a storage, for the state of training: parameters, optimizer slots, metrics, counters.
///
/// Updating it makes a new version, in place only if nothing else holds the old one.
pub struct Cell {
    id: u64,
    meta: Meta,
    state: RwLock<State>,
}

impl Cell {
    /// A cell that holds a dense array (which it takes a copy of, if anything else holds it).
    pub fn new(array: Array) -> Result<Arc<Cell>, Fault> {
        let mut state = State { array, version: 0, order: Order::RowMajor, steps: 0, strikes: 0 };
        state.array.source = None;
        state.unshare()?;
        Ok(Arc::new(Cell { id: fresh_id(), meta: state.array.meta, state: RwLock::new(state) }))
    }

    /// The id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Dtype and shape; they never change.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The number of updates so far.
    pub fn version(&self) -> u64 {
        self.lock_read().version
    }

    /// The present value. It stays as it is when the cell is updated.
    pub fn read(self: &Arc<Cell>) -> Result<Array, Fault> {
        loop {
            let state = self.lock_read();
            if state.order == Order::RowMajor {
                return Ok(Array { source: Some((self.clone(), state.version)), ..state.array.clone() });
            }
            drop(state);
            self.lock_write().arrange(Order::RowMajor)?;
        }
    }

    /// Replaces the value by bytes of a file, in row-major order, from byte `start` of it on; the team reads.
    /// Who holds the value as it was keeps it. After an error the value is neither the old one nor the new one.
    #[cfg(unix)]
    pub fn fill(&self, file: &std::fs::File, start: u64) -> Result<(), Fault> {
        use std::os::unix::fs::FileExt;
        let size = self.meta.bytes();
        let mut state = self.lock_write();
        state.arrange(Order::RowMajor)?;
        state.unshare()?;
        state.version += 1;
        let failed = Mutex::new(None);
        let storage = &state.array.storage;
        pool::run(if size < MUCH { 1 } else { pool::threads() }, &|part| {
            let piece = size.div_ceil(part.count).next_multiple_of(4096);
            let first = size.min(part.index * piece);
            let count = piece.min(size - first);
            // SAFETY: pieces that do not overlap, within the bytes of a storage that is the cell's alone, and locked.
            let into = unsafe { std::slice::from_raw_parts_mut(storage.ptr.add(first), count) };
            if let Err(error) = file.read_exact_at(into, start + first as u64) {
                *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
            }
        })?;
        match failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(error) => Err(Fault::Runtime(format!("the file could not be read: {error}"))),
            None => Ok(()),
        }
    }

    /// The present value as it lies, whatever its order: this takes no time. It stays as it is when the cell is updated.
    pub fn hold(&self) -> Held {
        let state = self.lock_read();
        Held { array: Array { source: None, ..state.array.clone() }, order: state.order }
    }

    // A panic while a lock is held leaves numbers that may be half updated but no broken structure.
    pub(crate) fn lock_read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn lock_write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|e| e.into_inner())
    }
}

/// The value that a cell had, in the order in which it lay there.
pub struct Held {
    array: Array,
    order: Order,
}

impl Held {
    /// The value in row-major order; a new array where it lay otherwise.
    pub fn read(&self) -> Result<Array, Fault> {
        if self.order == Order::RowMajor {
            Ok(self.array.clone())
        } else {
            rearranged(&self.array, self.order, Order::RowMajor)
        }
    }

    /// Whether the value lies otherwise than in row-major order, so that `read` copies it.
    pub fn is_arranged(&self) -> bool {
        self.order != Order::RowMajor
    }

    /// A new array with the elements from place `start` of row-major order to `stop`, where the value lies in panels.
    pub fn part(&self, start: usize, stop: usize) -> Result<Array, Fault> {
        let view = self.array.view().ordered(self.order);
        let panels = match view.panels() {
            Some(panels) if start <= stop && stop <= view.len() => panels,
            _ => return Err(Fault::Value(format!("elements {start} to {stop} of a value that has no such part"))),
        };
        let to = Array::allocate(Meta::new(DType::F32, &[stop - start]))?;
        let target = to.view();
        // SAFETY: a storage that is known to nobody else.
        let dst = unsafe { target.write::<f32>(0..target.len()) };
        panels.unpack_part(view.read::<f32>(), start..stop, dst);
        Ok(to)
    }
}

/// A new array with the elements of another one in another order; one of the two is row-major.
fn rearranged(array: &Array, order: Order, next: Order) -> Result<Array, Fault> {
    let to = Array::allocate(array.meta)?;
    // SAFETY: two storages, of which the new one is known to nobody else.
    unsafe { lumbre_kernels::gemm::rearrange(&array.view().ordered(order), &to.view().ordered(next)) };
    Ok(to)
}

/// From so many bytes on the team copies. One worker takes about 1 ms for them.
const MUCH: usize = 4 << 20;

/// A new array with the same bytes as a dense one.
fn duplicate(array: &Array) -> Result<Array, Fault> {
    let to = Array::allocate(array.meta)?;
    let bytes = array.meta.bytes();
    let workers = if bytes < MUCH { 1 } else { pool::threads() };
    pool::run(workers, &|part| {
        let piece = bytes.div_ceil(part.count).next_multiple_of(4096);
        let start = bytes.min(part.index * piece);
        let from = &array.bytes()[start..bytes.min(start + piece)];
        // SAFETY: pieces that do not overlap, of an array that is as long and known to nobody else.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.storage.ptr.add(start), from.len()) };
    })?;
    Ok(to)
}

/// Changes between panels and row-major order cost about as much as a few steps.
const FEW_STEPS: usize = 16;

/// So often too few steps, and the value stays in row-major order until there are many at once.
const STRIKES: u32 = 4;

impl State {
    /// Moves the value to a storage of its own, if anything else holds the present one.
    pub(crate) fn unshare(&mut self) -> Result<(), Fault> {
        let mine = Arc::strong_count(&self.array.storage) == 1 && matches!(self.array.storage.owner, Owner::Heap);
        if self.array.is_dry() || (mine && self.array.offset == 0 && self.array.is_dense()) {
            return Ok(());
        }
        assert!(self.array.is_dense(), "cells hold dense arrays");
        self.array = duplicate(&self.array)?;
        Ok(())
    }

    /// Brings the elements of the value into another order. Who holds the old value keeps it as it was.
    pub(crate) fn arrange(&mut self, order: Order) -> Result<(), Fault> {
        if self.order == order {
            return Ok(());
        }
        // From panels to panels of another width by way of row-major order.
        for next in [Order::RowMajor, order] {
            if self.order != next {
                (self.array, self.order) = (rearranged(&self.array, self.order, next)?, next);
            }
        }
        if order == Order::RowMajor && self.steps < FEW_STEPS {
            self.strikes += 1;
        }
        self.steps = 0;
        Ok(())
    }

    /// Whether panels would be asked back before they have paid.
    pub(crate) fn is_restless(&self) -> bool {
        self.strikes >= STRIKES
    }

    /// Notes that a program has made so many steps with the value.
    pub(crate) fn note_steps(&mut self, steps: usize) {
        self.steps = self.steps.saturating_add(steps);
        if steps >= FEW_STEPS {
            self.strikes = 0;
        }
    }
}

/// A zero-filled array.
pub fn zeros(meta: Meta) -> Result<Array, Fault> {
    let array = Array::allocate(meta)?;
    // SAFETY: freshly allocated with that many bytes; all-zero bytes are zero in every dtype.
    unsafe { std::ptr::write_bytes(array.storage.ptr, 0, meta.bytes()) };
    Ok(array)
}

/// A 0-d array.
pub fn scalar<T: lumbre_kernels::Elem>(value: T) -> Result<Array, Fault> {
    Array::from_slice(&[], &[value])
}
