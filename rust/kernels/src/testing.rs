//! Runs a row as the door does, for the tests of every family: outputs full of NaN and fenced, teams of several
//! workers on threads of their own, every level of this processor.

use crate::dtype::{DType, Elem};
use crate::isa::{Level, flush_denormals, restore_float_state};
use crate::op::{Attr, Attrs, Fault, Layout, OpDef, Scratch};
use crate::team::{Barrier, Parking, Part};
use crate::view::{Dims, MAX_RANK, Meta, View};

/// Words of fence on either side of an array's memory, and what they hold.
const FENCE: usize = 8;
const SENTINEL: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// An operand that owns its memory.
#[derive(Clone)]
pub struct Array {
    memory: Vec<u64>,
    bytes: usize,
    meta: Meta,
    strides: [isize; MAX_RANK],
    offset: usize, // of the first element, in elements
}

impl Array {
    /// A dense array of these values. `T` is `u8` for bool and `u16` for the half-width floats: see [`Array::cast_as`].
    pub fn new<T: Elem>(shape: &[usize], values: &[T]) -> Array {
        let mut a = Array::filled(Meta::new(T::DTYPE, shape));
        assert_eq!(a.meta.shape.count(), values.len(), "values for shape {shape:?}");
        // SAFETY: the memory between the fences holds values.len() elements of T.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), a.base_mut::<T>(), values.len()) };
        a
    }

    /// A dense array of truth values.
    pub fn bools(shape: &[usize], values: &[bool]) -> Array {
        Array::new::<u8>(shape, &values.iter().map(|&b| b as u8).collect::<Vec<_>>()).cast_as(DType::Bool)
    }

    /// A dense array whose bytes are all ones: NaN where the dtype has it.
    pub fn filled(meta: Meta) -> Array {
        let words = meta.bytes().div_ceil(8);
        let mut memory = vec![SENTINEL; words + 2 * FENCE];
        memory[FENCE..FENCE + words].fill(u64::MAX);
        Array { memory, bytes: meta.bytes(), meta, strides: meta.shape.row_major(), offset: 0 }
    }

    /// The same bytes under another dtype of the same size.
    pub fn cast_as(mut self, dtype: DType) -> Array {
        assert_eq!(dtype.size(), self.meta.dtype.size());
        self.meta.dtype = dtype;
        self
    }

    /// A view of the same memory: shape, strides and first element as given.
    pub fn strided(mut self, shape: &[usize], strides: &[isize], offset: usize) -> Array {
        let elements = (self.bytes / self.meta.dtype.size()) as isize;
        let reach = |sign: isize| -> isize {
            (0..shape.len()).map(|i| (shape[i] as isize - 1) * strides[i]).filter(|s| s * sign > 0).sum()
        };
        let first = offset as isize;
        assert!(shape.contains(&0) || (first + reach(-1) >= 0 && first + reach(1) < elements), "out of bounds");
        self.meta.shape = Dims::new(shape);
        self.strides = [0; MAX_RANK];
        self.strides[..shape.len()].copy_from_slice(strides);
        self.offset = offset;
        self
    }

    /// The axes in reverse order, as a view.
    pub fn transposed(self) -> Array {
        let rank = self.meta.shape.len();
        let shape: Vec<usize> = self.meta.shape.iter().rev().copied().collect();
        let strides: Vec<isize> = self.strides[..rank].iter().rev().copied().collect();
        let offset = self.offset;
        self.strided(&shape, &strides, offset)
    }

    /// Dtype and shape.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The elements in row-major order.
    pub fn to_vec<T: Elem>(&self) -> Vec<T> {
        assert_eq!(size_of::<T>(), self.meta.dtype.size(), "{:?}", self.meta);
        let shape = &self.meta.shape;
        let at = |mut flat: usize| {
            let mut place = self.offset as isize;
            for axis in (0..shape.len()).rev() {
                place += (flat % shape[axis]) as isize * self.strides[axis];
                flat /= shape[axis];
            }
            // SAFETY: `strided` checked the bounds of every element.
            unsafe { self.base::<T>().offset(place).read() }
        };
        (0..shape.count()).map(at).collect()
    }

    /// The elements' bytes in row-major order.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self.meta.dtype.size() {
            1 => self.to_vec::<u8>(),
            2 => self.to_vec::<u16>().iter().flat_map(|v| v.to_ne_bytes()).collect(),
            4 => self.to_vec::<u32>().iter().flat_map(|v| v.to_ne_bytes()).collect(),
            _ => self.to_vec::<u64>().iter().flat_map(|v| v.to_ne_bytes()).collect(),
        }
    }

    /// The same elements, dense.
    pub fn dense(&self) -> Array {
        let mut a = Array::filled(self.meta);
        let bytes = self.to_bytes();
        // SAFETY: the memory between the fences holds as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), a.base_mut::<u8>(), bytes.len()) };
        a
    }

    fn base<T>(&self) -> *const T {
        self.memory[FENCE..].as_ptr().cast()
    }

    fn base_mut<T>(&mut self) -> *mut T {
        self.memory[FENCE..].as_mut_ptr().cast()
    }

    /// As an operand that is read.
    fn input(&self) -> View {
        let first = self.offset * self.meta.dtype.size();
        // SAFETY: the array outlives the call, is only read meanwhile, and `strided` checked the bounds.
        unsafe { View::new(self.base::<u8>().add(first).cast_mut(), self.meta, self.strides) }
    }

    /// As an operand that is written.
    fn output(&mut self) -> View {
        assert_eq!(self.offset, 0, "operands that are written are dense");
        // SAFETY: the array outlives the call and is borrowed for it alone.
        unsafe { View::new(self.base_mut(), self.meta, self.strides) }
    }

    fn check_fences(&self, name: &str) {
        let end = FENCE + self.bytes.div_ceil(8);
        let whole = self.memory[..FENCE].iter().chain(&self.memory[end..]).all(|&w| w == SENTINEL);
        assert!(whole, "{name} wrote outside of {:?}", self.meta);
        let last = &self.memory[FENCE..end];
        let tail = self.bytes % 8;
        if tail != 0 {
            let spare = last[last.len() - 1] >> (8 * tail);
            assert_eq!(spare, u64::MAX >> (8 * tail), "{name} wrote past the end of {:?}", self.meta);
        }
    }
}

/// The attributes of a row, given by name.
fn attributes(op: &OpDef, given: &[(&str, Attr)]) -> Attrs {
    for (name, _) in given {
        assert!(op.attrs.contains(name), "{} has no attribute {name}", op.name);
    }
    let find = |name: &&str| given.iter().find(|(n, _)| n == name).map_or(Attr::None, |(_, v)| v.clone());
    Attrs(op.attrs.iter().map(find).collect())
}

/// Calls a row with `workers` workers (whatever its `tasks` says) under `level`.
///
/// `inouts` are updated in place. Results start full of NaN, scratch memory full of ones.
pub fn call_with(
    name: &str,
    ins: &[Array],
    inouts: &mut [Array],
    attrs: &[(&str, Attr)],
    workers: usize,
    level: Level,
) -> Result<Vec<Array>, Fault> {
    let op = crate::row(name).unwrap_or_else(|| panic!("no row {name}"));
    let attrs = attributes(op, attrs);
    let copies: Vec<Array>;
    let ins = if op.layout == Layout::Dense {
        copies = ins.iter().map(Array::dense).collect();
        &copies
    } else {
        ins
    };
    let in_metas: Vec<Meta> = ins.iter().map(Array::meta).collect();
    let inout_metas: Vec<Meta> = inouts.iter().map(|a| a.meta()).collect();
    let result_metas = (op.infer)(&in_metas, &inout_metas, &attrs)?;
    let mut results: Vec<Array> = result_metas.iter().map(|&m| Array::filled(m)).collect();

    let out_metas: Vec<Meta> = inout_metas.iter().chain(&result_metas).copied().collect();
    let bytes = (op.scratch)(&in_metas, &out_metas, &attrs, workers);
    assert!((op.tasks)(&in_metas, &out_metas, &attrs) >= 1, "{name}: no tasks");
    let mut memory = vec![u64::MAX; bytes.div_ceil(8) + 8];
    let aligned = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: eight words more than needed: the address stays inside.
    let scratch = unsafe { Scratch::new(aligned.add(aligned.align_offset(64)), bytes) };

    let in_views: Vec<View> = ins.iter().map(Array::input).collect();
    let out_views: Vec<View> = inouts.iter_mut().chain(&mut results).map(Array::output).collect();
    team(op, &in_views, &out_views, &attrs, scratch, workers, level);
    inouts.iter().chain(&results).for_each(|a| a.check_fences(name));
    Ok(results)
}

fn team(op: &OpDef, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch, workers: usize, level: Level) {
    assert!(level.available(), "{level:?} is not of this processor");
    let flushed = |part: &Part<'_>| {
        let state = flush_denormals();
        (op.run)(part, ins, outs, attrs, scratch);
        restore_float_state(state);
    };
    if workers == 1 {
        return flushed(&Part::solo(level));
    }
    let parking = Parking { wait: |_, _| std::thread::yield_now(), wake_all: |_| {}, spin: |n| n < 100 };
    let barrier = Barrier::new(workers, parking);
    std::thread::scope(|s| {
        for index in 0..workers {
            let (barrier, flushed) = (&barrier, &flushed);
            s.spawn(move || flushed(&Part::new(index, workers, level, barrier)));
        }
    });
}

/// Calls a row under every level of this processor with 1, 2 and 3 workers, checks that all give the same bits, and
/// returns the results. `inouts` end as the first call leaves them.
pub fn call(name: &str, ins: &[Array], inouts: &mut [Array], attrs: &[(&str, Attr)]) -> Result<Vec<Array>, Fault> {
    let before = inouts.to_vec();
    let results = call_with(name, ins, inouts, attrs, 1, Level::Scalar)?;
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        for workers in 1..=3 {
            let mut again = before.clone();
            let others = call_with(name, ins, &mut again, attrs, workers, level)?;
            for (i, (a, b)) in inouts.iter().chain(&results).zip(again.iter().chain(&others)).enumerate() {
                assert!(
                    a.to_bytes() == b.to_bytes(),
                    "{name}: output {i} ({:?}) differs with {workers} workers at {}",
                    a.meta(),
                    level.name()
                );
            }
        }
    }
    Ok(results)
}

/// `call` for a row that reads operands and has one result.
pub fn run(name: &str, ins: &[Array], attrs: &[(&str, Attr)]) -> Array {
    let mut results = call(name, ins, &mut [], attrs).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(results.len(), 1, "{name} has one result");
    results.remove(0)
}

/// Pseudo-random floats in [low, high), the same for the same seed.
pub fn uniform(seed: u64, n: usize, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        // xorshift64* (Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators, scrambled")
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..n).map(|_| low + (high - low) * next()).collect()
}

/// How far a float is from the true value, in units in the last place of the true value rounded.
///
/// Values below the smallest normal count as zero, and the sign of a zero counts.
pub fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() == want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got == 0.0 && want.abs() < f64::from(f32::MIN_POSITIVE) {
        return if got.is_sign_negative() == want.is_sign_negative() { 0.0 } else { f64::INFINITY };
    }
    if got.is_infinite() || rounded.is_infinite() {
        return if got == rounded { 0.0 } else { f64::INFINITY };
    }
    let exponent = (rounded.abs().max(f32::MIN_POSITIVE).to_bits() >> 23) as i32 - 127;
    (f64::from(got) - want).abs() / 2f64.powi(exponent - 23)
}
