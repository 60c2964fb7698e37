//! The one door through which every kernel is called.
//!
//! It has three modes. *Run* does the call. *Record* does it and writes it down (see `record`). *Dry* applies the
//! shape rule only. The mode belongs to the thread.

use crate::buffer::{Array, Cell, State, Storage};
use crate::pool;
use crate::record::Recording;
use lumbre_kernels::{Attrs, Fault, Layout, MAX_RANK, Meta, OpDef, Order, Part, Scratch, View, row};
use std::cell::{Cell as Flag, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLockWriteGuard};

thread_local! {
    static DRY: Flag<bool> = const { Flag::new(false) };
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Option<Arc<Storage>>> = const { RefCell::new(None) };
}

static CHECKING: AtomicBool = AtomicBool::new(false);

/// Switches the dry mode of this thread; returns what it was.
pub fn set_dry(dry: bool) -> bool {
    DRY.replace(dry)
}

/// Whether this thread only infers shapes.
pub fn is_dry() -> bool {
    DRY.get()
}

/// Switches checking for all threads: results are filled with NaN before a kernel writes them, and fenced with
/// sentinels that must survive.
pub fn set_checking(on: bool) {
    CHECKING.store(on, Ordering::Relaxed);
}

/// Whether checking is on.
pub fn checking() -> bool {
    CHECKING.load(Ordering::Relaxed)
}

/// Starts recording this thread's calls.
pub fn record() -> Result<(), Fault> {
    RECORDING.with_borrow_mut(|r| match r {
        Some(_) => Err(Fault::Runtime("this thread is already recording; captured functions do not nest".into())),
        None => {
            *r = Some(Recording::new());
            Ok(())
        }
    })
}

/// Ends recording and returns what was recorded.
pub fn take_recording() -> Option<Recording> {
    RECORDING.with_borrow_mut(Option::take)
}

/// Does something with this thread's recording, if there is one.
pub fn with_recording(f: impl FnOnce(&mut Recording)) {
    RECORDING.with_borrow_mut(|r| {
        if let Some(r) = r {
            f(r);
        }
    });
}

/// To be called before values of an array are read outside the kernels: a dry array has none, and a recorded step
/// must not depend on them.
pub fn before_reading(array: &Array) -> Result<(), Fault> {
    if array.is_dry() {
        return Err(Fault::Value(format!(
            "the value of a symbolic tensor of shape {} was asked for: while a model is being built there are shapes \
             but no values",
            array.meta.shape
        )));
    }
    with_recording(|r| r.value_read(array));
    Ok(())
}

/// Calls a kernel.
///
/// `inouts` are updated in place, each a new version of its cell; an operand among `ins` that was read from one of
/// them keeps the old version.
pub fn call(op: &'static OpDef, ins: &[&Array], inouts: &[Arc<Cell>], attrs: Attrs) -> Result<Vec<Array>, Fault> {
    for (i, cell) in inouts.iter().enumerate() {
        if inouts[..i].iter().any(|other| Arc::ptr_eq(other, cell)) {
            return Err(Fault::Value(format!("{}: the same variable is to be updated twice in one call", op.name)));
        }
    }
    let in_metas: Vec<Meta> = ins.iter().map(|a| a.meta).collect();
    let cell_metas: Vec<Meta> = inouts.iter().map(|c| c.meta()).collect();
    let out_metas = (op.infer)(&in_metas, &cell_metas, &attrs)?;
    if is_dry() || ins.iter().any(|a| a.is_dry()) {
        return Ok(out_metas.into_iter().map(Array::dry).collect());
    }
    if op.layout == Layout::Dense && ins.iter().any(|a| !a.is_dense()) {
        let dense: Vec<Array> = ins.iter().map(|a| densely(a)).collect::<Result<_, _>>()?;
        return call(op, &dense.iter().collect::<Vec<_>>(), inouts, attrs);
    }

    let allocate = if checking() { allocate_fenced } else { Array::allocate };
    let results: Vec<Array> = out_metas.iter().map(|m| allocate(*m)).collect::<Result<_, _>>()?;
    let mut states = lock_in_order(inouts);
    for state in &mut states {
        state.arrange(Order::RowMajor)?;
        state.unshare()?;
    }
    let written = states.iter().map(|s| &s.array).chain(&results);
    let views: Vec<View> = ins.iter().copied().chain(written).map(Array::view).collect();
    let (reads, writes) = views.split_at(ins.len());
    let metas = if inouts.is_empty() { out_metas } else { writes.iter().map(|v| v.meta).collect() };
    // While checking, whatever can be shared is.
    let workers = pool::workers_for((op.tasks)(&in_metas, &metas, &attrs), checking());
    with_scratch((op.scratch)(&in_metas, &metas, &attrs, workers), |scratch| {
        pool::run_call(workers, &|part: &Part<'_>| (op.run)(part, reads, writes, &attrs, scratch))
    })?;
    for state in &mut states {
        state.version += 1;
    }
    drop(states);
    results.iter().try_for_each(|r| check_fences(op.name, r))?;
    with_recording(|r| r.add(op, attrs, ins, inouts, &results));
    Ok(results)
}

/// The array itself if it is dense, else a dense copy.
pub fn densely(array: &Array) -> Result<Array, Fault> {
    if array.is_dense() {
        return Ok(array.clone());
    }
    let copy = row("copy").ok_or_else(|| Fault::Runtime("the copy row is missing".into()))?;
    Ok(call(copy, &[array], &[], Attrs::default())?.swap_remove(0))
}

/// The array at the start of a storage of its own (while checking, results lie between fences).
pub(crate) fn unfenced(array: &Array) -> Result<Array, Fault> {
    if array.offset == 0 { Ok(array.clone()) } else { Array::from_bytes(array.meta, array.bytes()) }
}

/// The cells' write locks, taken in the order of the cells' ids so that two callers cannot wait for each other, and
/// returned in the order of the cells.
pub(crate) fn lock_in_order(cells: &[Arc<Cell>]) -> Vec<RwLockWriteGuard<'_, State>> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|&i| cells[i].id());
    let mut guards: Vec<Option<RwLockWriteGuard<'_, State>>> = cells.iter().map(|_| None).collect();
    for i in order {
        guards[i] = Some(cells[i].lock_write());
    }
    guards.into_iter().flatten().collect()
}

/// This thread's scratch memory, grown to `bytes`.
fn with_scratch<R>(bytes: usize, f: impl FnOnce(Scratch) -> Result<R, Fault>) -> Result<R, Fault> {
    if bytes == 0 {
        return f(Scratch::none());
    }
    let held = SCRATCH.with_borrow_mut(|s| match s {
        Some(storage) if storage.bytes() >= bytes => Ok(storage.clone()),
        _ => {
            let storage = Storage::allocate(bytes)?;
            *s = Some(storage.clone());
            Ok::<_, Fault>(storage)
        }
    })?;
    // SAFETY: this thread's own memory, aligned by `allocate`, held for the call; kernels do not call the door.
    f(unsafe { Scratch::new(held.ptr(), held.bytes()) })
}

const FENCE: usize = 64;
const SENTINEL: u8 = 0xa5;

/// A result to be, full of NaN and between fences: what `call` makes while checking.
fn allocate_fenced(meta: Meta) -> Result<Array, Fault> {
    let bytes = meta.bytes();
    let storage = Storage::allocate(bytes + 2 * FENCE)?;
    // SAFETY: three ranges within the memory just allocated. All ones is NaN in every floating-point format.
    unsafe {
        std::ptr::write_bytes(storage.ptr(), SENTINEL, FENCE);
        std::ptr::write_bytes(storage.ptr().add(FENCE), 0xff, bytes);
        std::ptr::write_bytes(storage.ptr().add(FENCE + bytes), SENTINEL, FENCE);
    }
    Ok(Array { offset: FENCE, ..Array::whole(storage, meta) })
}

/// Refuses a result whose fences, if it has some, have been written to.
fn check_fences(op: &str, result: &Array) -> Result<(), Fault> {
    if result.offset == 0 {
        return Ok(());
    }
    let (bytes, base) = (result.meta.bytes(), result.storage.ptr());
    // SAFETY: the two fences lie within the allocation that `allocate_fenced` made.
    let fences = unsafe {
        [std::slice::from_raw_parts(base, FENCE), std::slice::from_raw_parts(base.add(FENCE + bytes), FENCE)]
    };
    if fences.concat().iter().any(|&b| b != SENTINEL) {
        return Err(Fault::Runtime(format!("{op}: the kernel wrote outside its result")));
    }
    Ok(())
}

/// Refuses a value with too many axes.
pub(crate) fn check_result_rank(rank: usize) -> Result<(), Fault> {
    if rank > MAX_RANK {
        return Err(Fault::Value(format!("outputs of a captured step have at most {} axes", MAX_RANK - 1)));
    }
    Ok(())
}
