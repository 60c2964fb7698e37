//! Making a batch: rows picked from the caller's array, converted and checked on the way.

use super::index::Indices;
use super::walk::Axes;
use super::{by_size, dtype_of, operands, result};
use crate::ops::elementwise::cast::{bf16_to_f32, f16_to_f32};
use crate::{Attrs, DType, Elem, Fault, Kernel, Lanes, Meta, OpDef, Part, Scratch, View};
use std::marker::PhantomData;

/// y[j] = x[rows[j]], converted to attribute `dtype` (x's own dtype, or a number's). The second result, one int64, is
/// the first j whose row is out of range (it is left zero) or, with attribute `check`, holds NaN or infinity after the
/// conversion, or an integer beyond ±2²⁴, which float32 may not have; −1 if there is none.
pub const GATHER_ROWS: OpDef = OpDef {
    name: "gather_rows",
    attrs: &["dtype", "check"],
    infer,
    scratch: |_, _, _, workers| workers * size_of::<i64>(),
    run,
    ..OpDef::BASE
};

/// Up to here float32 has every integer.
const EXACT: u64 = 1 << 24;

const TARGETS: &[DType] = &[DType::F32, DType::F64, DType::I32, DType::I64];

fn infer(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x, rows] = operands("gather_rows", ins)?;
    if rows.dtype != DType::I64 || rows.shape.len() != 1 || x.shape.is_empty() {
        return Err(Fault::Value(format!(
            "gather_rows: takes an array of rows and a vector of int64 row numbers, got {x:?} and {rows:?}"
        )));
    }
    let dtype =
        if attrs.int(0, -1) == x.dtype as i64 { x.dtype } else { dtype_of("gather_rows", attrs, 0, TARGETS)? };
    let mut results = result("gather_rows", dtype, &[&*rows.shape, &x.shape[1..]].concat())?;
    results.push(Meta::new(DType::I64, &[1]));
    Ok(results)
}

fn run(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let job = Job { part, x: &ins[0], indices: Indices::new(&ins[1]), y: &outs[0], check: attrs.flag(1, false) };
    // What is acceptable, by a number that grows with a value's magnitude: the bits of a float without its sign, in
    // which NaN is beyond infinity, or an integer's magnitude.
    let (f32_bits, f64_bits) = (|v: f32| v.to_bits() & 0x7fff_ffff, |v: f64| v.to_bits() & (u64::MAX >> 1));
    let (f32_max, f64_max) = (f32::MAX.to_bits(), f64::MAX.to_bits());
    let first = match (ins[0].meta.dtype, outs[0].meta.dtype) {
        (DType::F32, DType::F32) => job.run(|v: f32| v, f32_bits, f32_max),
        (DType::F64, DType::F64) => job.run(|v: f64| v, f64_bits, f64_max),
        (DType::F16, DType::F16) => job.run(|v: u16| v, |v| v & 0x7fff, 0x7bff),
        (DType::BF16, DType::BF16) => job.run(|v: u16| v, |v| v & 0x7fff, 0x7f7f),
        (DType::I32, DType::I32) => job.run(|v: i32| v, |v| v.unsigned_abs(), EXACT as u32),
        (DType::I64, DType::I64) => job.run(|v: i64| v, |v| v.unsigned_abs(), EXACT),
        (DType::U32, DType::U32) => job.run(|v: u32| v, |v| v, EXACT as u32),
        (DType::U64, DType::U64) => job.run(|v: u64| v, |v| v, EXACT),
        (a, b) if a == b => by_size!(a, T => job.run(|v: T| v, |_| 0u8, 0)),
        (from, DType::F32) => convert!(job, from, f32, f32_bits, f32_max),
        (from, DType::F64) => convert!(job, from, f64, f64_bits, f64_max),
        (from, DType::I32) => convert!(job, from, i32, |_| 0u8, 0),
        (from, _) => convert!(job, from, i64, |_| 0u8, 0),
    };
    // SAFETY: each worker has a slot of its own.
    let slot = unsafe { scratch.slice(part.index * size_of::<i64>(), 1) };
    slot[0] = first.map_or(i64::MAX, |j| j as i64);
    part.barrier();
    if part.index == 0 {
        // SAFETY: written before the barrier; only this worker writes the status.
        let (firsts, status) = unsafe { (scratch.read::<i64>(0, part.count), outs[1].write::<i64>(0..1)) };
        status[0] = firsts.iter().copied().min().filter(|&j| j < i64::MAX).unwrap_or(-1);
    }
}

/// Runs the job for the source dtype `$from`: numbers as Rust's `as` converts them (a float's fraction is cut off, what
/// is out of range becomes the nearest end), bool as 0 or 1.
macro_rules! convert {
    ($job:ident, $from:ident, $to:ty, $measure:expr, $limit:expr) => {
        match $from {
            DType::Bool => $job.run(|v: u8| (v != 0) as u8 as $to, $measure, $limit),
            DType::I8 => $job.run(|v: i8| v as $to, $measure, $limit),
            DType::U8 => $job.run(|v: u8| v as $to, $measure, $limit),
            DType::I16 => $job.run(|v: i16| v as $to, $measure, $limit),
            DType::U16 => $job.run(|v: u16| v as $to, $measure, $limit),
            DType::I32 => $job.run(|v: i32| v as $to, $measure, $limit),
            DType::U32 => $job.run(|v: u32| v as $to, $measure, $limit),
            DType::I64 => $job.run(|v: i64| v as $to, $measure, $limit),
            DType::U64 => $job.run(|v: u64| v as $to, $measure, $limit),
            DType::F16 => $job.run(|v: u16| f16_to_f32(v) as $to, $measure, $limit),
            DType::BF16 => $job.run(|v: u16| bf16_to_f32(v) as $to, $measure, $limit),
            DType::F32 => $job.run(|v: f32| v as $to, $measure, $limit),
            DType::F64 => $job.run(|v: f64| v as $to, $measure, $limit),
        }
    };
}
use convert;

struct Job<'a> {
    part: &'a Part<'a>,
    x: &'a View,
    indices: Indices<'a>,
    y: &'a View,
    check: bool,
}

impl Job<'_> {
    /// Makes this worker's rows; the first of them that is out of range or has a value whose measure is above the limit.
    fn run<A: Elem, B: Elem + Default, M: Ord + Copy + Default>(
        &self,
        convert: impl Fn(A) -> B,
        measure: impl Fn(B) -> M,
        limit: M,
    ) -> Option<usize> {
        let kinds = PhantomData::<(A, B)>;
        self.part.level.run(Rows { job: self, convert, measure, limit, kinds })
    }
}

struct Rows<'a, A, B, F, G, M> {
    job: &'a Job<'a>,
    convert: F,
    measure: G,
    limit: M,
    kinds: PhantomData<(A, B)>,
}

impl<A, B, F, G, M> Kernel for Rows<'_, A, B, F, G, M>
where
    A: Elem,
    B: Elem + Default,
    F: Fn(A) -> B,
    G: Fn(B) -> M,
    M: Ord + Copy + Default,
{
    type Out = Option<usize>;

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) -> Option<usize> {
        let Job { part, x, indices, y, check } = self.job;
        let inner = Axes::of(&x.shape()[1..], [&x.strides[1..]]);
        let count = inner.count();
        let dense = inner.rank() == 0 || (inner.rank() == 1 && inner.axis(0).1 == [1]);
        let mut first = None;
        for j in part.span(indices.len(), 1) {
            // SAFETY: rows are disjoint, and each is one worker's.
            let row = unsafe { y.write::<B>(j * count..(j + 1) * count) };
            let Some(place) = usize::try_from(indices.get(j)).ok().filter(|&place| place < x.shape()[0]) else {
                row.fill(B::default());
                first = first.or(Some(j));
                continue;
            };
            let from = x.ptr::<A>().cast_const().wrapping_offset(place as isize * x.strides[0]);
            // The greatest measure of the row, without a branch inside, so that the compiler makes vectors of it.
            let mut greatest = M::default();
            if dense {
                // SAFETY: the row of the operand.
                let from = unsafe { std::slice::from_raw_parts(from, count) };
                if *check {
                    row.iter_mut().zip(from).for_each(|(v, &u)| {
                        *v = (self.convert)(u);
                        greatest = greatest.max((self.measure)(*v));
                    });
                } else {
                    row.iter_mut().zip(from).for_each(|(v, &u)| *v = (self.convert)(u));
                }
            } else {
                let mut walk = inner.walk(0);
                row.iter_mut().for_each(|v| {
                    // SAFETY: places of that row.
                    *v = (self.convert)(unsafe { *from.offset(walk.step()[0]) });
                    greatest = greatest.max((self.measure)(*v));
                });
            }
            if *check && greatest > self.limit {
                first = first.or(Some(j));
            }
        }
        first
    }
}
