//! The row that describes an op: what the door, the recorder and the tests know of it.

use crate::team::Part;
use crate::view::{Meta, View};
use std::fmt;

/// What is wrong with a call. The binding turns each kind into the Python exception of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value or a shape is not acceptable.
    Value(String),
    /// A dtype or a type is not acceptable.
    Type(String),
    /// An index lies outside.
    Index(String),
    /// Memory cannot be had.
    Memory(String),
    /// The call comes at the wrong time.
    Runtime(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Fault::Value(s) | Fault::Type(s) | Fault::Index(s) | Fault::Memory(s) | Fault::Runtime(s)) = self;
        f.write_str(s)
    }
}

impl std::error::Error for Fault {}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// Not given.
    None,
    /// A whole number, a bool (0 or 1), a dtype (its discriminant) or a choice.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Several whole numbers.
    Ints(Vec<i64>),
}

/// The attributes of a call, in the order of the row's names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attrs(pub Vec<Attr>);

impl Attrs {
    /// Attribute `i` as a whole number, or the default.
    pub fn int(&self, i: usize, default: i64) -> i64 {
        match self.0.get(i) {
            Some(Attr::Int(v)) => *v,
            Some(Attr::Float(v)) => *v as i64,
            _ => default,
        }
    }

    /// Attribute `i` as a real number, or the default.
    pub fn float(&self, i: usize, default: f64) -> f64 {
        match self.0.get(i) {
            Some(Attr::Float(v)) => *v,
            Some(Attr::Int(v)) => *v as f64,
            _ => default,
        }
    }

    /// Attribute `i` as a flag, or the default.
    pub fn flag(&self, i: usize, default: bool) -> bool {
        self.int(i, default as i64) != 0
    }

    /// Attribute `i` as a list; empty if not given.
    pub fn ints(&self, i: usize) -> &[i64] {
        match self.0.get(i) {
            Some(Attr::Ints(v)) => v,
            _ => &[],
        }
    }
}

/// Memory for a call's intermediate values, shared by its workers.
#[derive(Clone, Copy)]
pub struct Scratch {
    ptr: *mut u8,
    bytes: usize,
}

// SAFETY: an address and a length; `slice` says who may touch what.
unsafe impl Send for Scratch {}
// SAFETY: as for Send.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// Scratch memory for one call.
    ///
    /// # Safety
    /// `ptr` is aligned to 64 bytes and valid for `bytes` bytes while the call runs, and nothing else uses it.
    pub unsafe fn new(ptr: *mut u8, bytes: usize) -> Scratch {
        Scratch { ptr, bytes }
    }

    /// No scratch memory.
    pub fn none() -> Scratch {
        Scratch { ptr: std::ptr::dangling_mut::<u64>().cast(), bytes: 0 }
    }

    /// `len` elements from byte `offset` on. Their values are whatever was there.
    ///
    /// # Safety
    /// While the slice lives, no other task and no other slice covers the same bytes. T is plain numbers.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice<T: crate::dtype::Elem>(&self, offset: usize, len: usize) -> &mut [T] {
        assert!(offset.is_multiple_of(size_of::<T>()) && offset + len * size_of::<T>() <= self.bytes);
        // SAFETY: in bounds and aligned (asserted, and 64-byte base); exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(offset).cast(), len) }
    }

    /// `len` elements from byte `offset` on, to be read by several workers.
    ///
    /// # Safety
    /// All of them are written before (by others: before a barrier), and while the slice lives no task writes them.
    pub unsafe fn read<T: crate::dtype::Elem>(&self, offset: usize, len: usize) -> &[T] {
        assert!(offset.is_multiple_of(size_of::<T>()) && offset + len * size_of::<T>() <= self.bytes);
        // SAFETY: in bounds and aligned (asserted, and 64-byte base); written and unchanging by this function's contract.
        unsafe { std::slice::from_raw_parts(self.ptr.add(offset).cast(), len) }
    }
}

/// Whether operands must be dense row-major; the door copies where a row wants dense and gets something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Every operand is dense.
    Dense,
    /// Operands that are read may have any strides; those that are written are dense.
    Strided,
}

/// A row's shape rule.
pub type Infer = fn(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault>;

/// One op. `ins` holds the operands that are read, `outs` those that are written: first the ones updated in place,
/// then the results.
pub struct OpDef {
    /// The row's name.
    pub name: &'static str,
    /// The attributes' names, in order.
    pub attrs: &'static [&'static str],
    /// What the operands must look like.
    pub layout: Layout,
    /// Checks dtypes, shapes and attributes and gives the results' metas. `ins` are the operands that are read,
    /// `inouts` those updated in place.
    pub infer: Infer,
    /// Bytes of scratch memory for a team of this size.
    pub scratch: fn(ins: &[Meta], outs: &[Meta], attrs: &Attrs, workers: usize) -> usize,
    /// How many workers can be kept busy: 1 for a call too small to share.
    pub tasks: fn(ins: &[Meta], outs: &[Meta], attrs: &Attrs) -> usize,
    /// Floating-point operations of a call, for profiles and benches (0: counted by its bytes).
    pub flops: fn(ins: &[Meta], outs: &[Meta], attrs: &Attrs) -> u64,
    /// For each operand, first those that are read, then those that are written: 0 if it must be in row-major order,
    /// else a number; matrices with the same number may be in panels, all of them or none. Short lists end in zeros.
    pub orders: fn(ins: &[Meta], outs: &[Meta], attrs: &Attrs) -> Vec<usize>,
    /// Input whose memory the first result may take over, when the input is not needed afterwards and has its size.
    pub in_place: Option<usize>,
    /// Does one worker's share. Called once by each worker.
    pub run: fn(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch),
}

impl OpDef {
    /// What most rows share: no attributes, strided operands, no scratch, a task per 16,384 elements of the largest
    /// operand (some 4 µs of work).
    pub const BASE: OpDef = OpDef {
        name: "",
        attrs: &[],
        layout: Layout::Strided,
        infer: |_, _, _| Ok(Vec::new()),
        scratch: |_, _, _, _| 0,
        tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 14),
        flops: |_, _, _| 0,
        orders: |_, _, _| Vec::new(),
        in_place: None,
        run: |_, _, _, _, _| {},
    };
}

/// One task per `grain` elements of the largest operand.
pub fn tasks_by_elements(ins: &[Meta], outs: &[Meta], grain: usize) -> usize {
    let largest = ins.iter().chain(outs).map(|m| m.shape.count()).max().unwrap_or(0);
    (largest / grain).max(1)
}
