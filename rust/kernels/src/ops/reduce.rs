//! The reduce rows: folds over any set of axes, positions of extremes, running sums.
//!
//! The trailing reduced axes count as one: they are folded first, as consecutive elements in row-major order; what is
//! left is folded row by row ([`crate::reduce`] has both orders). Attribute `axes` names each reduced axis once;
//! the results lack them.

use crate::reduce::{Fold, LANES, Max, Min, Num, Prod, Sum, fold_rows, tree};
use crate::{Attrs, CHAIN, DType, Elem, Fault, Kernel, Lanes, Meta, OpDef, Part, Scratch, View};
use std::marker::PhantomData;
use std::ops::Range;

use super::shapes::walk::Axes;

mod arg;
mod scan;

const FOLD: OpDef =
    OpDef { attrs: &["axes"], scratch: scratch_bytes, flops: |ins, _, _| ins[0].shape.count() as u64, ..OpDef::BASE };

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef { name: "sum", infer: |ins, _, at| infer("sum", NUMBERS, true, ins, at), run: run_fold::<Sum>, ..FOLD },
    OpDef { name: "prod", infer: |ins, _, at| infer("prod", NUMBERS, true, ins, at), run: run_fold::<Prod>, ..FOLD },
    OpDef { name: "max", infer: |ins, _, at| infer("max", NUMBERS, false, ins, at), run: run_fold::<Max>, ..FOLD },
    OpDef { name: "min", infer: |ins, _, at| infer("min", NUMBERS, false, ins, at), run: run_fold::<Min>, ..FOLD },
    OpDef { name: "mean", infer: |ins, _, at| infer("mean", FLOATS, true, ins, at), run: run_mean, ..FOLD },
    OpDef { name: "any", infer: |ins, _, at| infer("any", BOOL, true, ins, at), run: run_truth::<Max>, ..FOLD },
    OpDef { name: "all", infer: |ins, _, at| infer("all", BOOL, true, ins, at), run: run_truth::<Min>, ..FOLD },
    arg::ARGMAX,
    arg::ARGMIN,
    scan::CUMSUM,
    scan::CUMPROD,
];

const NUMBERS: &[DType] = &[DType::F32, DType::F64, DType::I32, DType::I64];
const FLOATS: &[DType] = &[DType::F32, DType::F64];
const BOOL: &[DType] = &[DType::Bool];

/// The one operand of a row that takes these dtypes.
fn operand<'a>(name: &str, dtypes: &[DType], ins: &'a [Meta]) -> Result<&'a Meta, Fault> {
    let [x] = ins else { return Err(Fault::Type(format!("{name}: takes one operand, got {}", ins.len()))) };
    if !dtypes.contains(&x.dtype) {
        let names: Vec<_> = dtypes.iter().map(|d| d.name()).collect();
        let got = x.dtype.name();
        return Err(Fault::Type(format!("{name}: takes {}, got {got}; cast it first", names.join(", "))));
    }
    Ok(x)
}

/// Attribute 0, an axis of `x`.
fn axis(name: &str, x: &Meta, attrs: &Attrs) -> Result<usize, Fault> {
    let (axis, rank) = (attrs.int(0, 0), x.shape.len());
    match usize::try_from(axis) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(Fault::Index(format!("{name}: axis {axis} is out of range for rank {rank}"))),
    }
}

fn infer(name: &str, dtypes: &[DType], empty: bool, ins: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let x = operand(name, dtypes, ins)?;
    let (axes, rank) = (attrs.ints(0), x.shape.len());
    for (i, &axis) in axes.iter().enumerate() {
        if !(0..rank as i64).contains(&axis) {
            return Err(Fault::Index(format!("{name}: axis {axis} is out of range for rank {rank}")));
        }
        if axes[..i].contains(&axis) {
            return Err(Fault::Value(format!("{name}: axis {axis} is given twice")));
        }
    }
    let sizes = Sizes::new(x, attrs);
    if !empty && sizes.rows * sizes.tail == 0 && sizes.kept > 0 {
        let shape = x.shape;
        return Err(Fault::Value(format!("{name}: of no elements (shape {shape}, axes {axes:?}) there is none")));
    }
    let kept = (0..rank).filter(|&i| !is_reduced(axes, i)).map(|i| x.shape[i]);
    Ok(vec![Meta::new(x.dtype, &kept.collect::<Vec<_>>())])
}

fn is_reduced(axes: &[i64], axis: usize) -> bool {
    axes.contains(&(axis as i64))
}

/// How many elements there are of each kind.
struct Sizes {
    kept: usize,
    /// Of the reduced axes that a kept one follows.
    rows: usize,
    /// Of the trailing reduced axes.
    tail: usize,
}

impl Sizes {
    fn new(x: &Meta, attrs: &Attrs) -> Sizes {
        let mut sizes = Sizes { kept: 1, rows: 1, tail: 1 };
        let axes = attrs.ints(0);
        let mut trailing = true;
        for i in (0..x.shape.len()).rev() {
            let reduced = is_reduced(axes, i);
            trailing &= reduced;
            let kind = match (reduced, trailing) {
                (_, true) => &mut sizes.tail,
                (true, _) => &mut sizes.rows,
                (false, _) => &mut sizes.kept,
            };
            *kind *= x.shape[i];
        }
        sizes
    }

    /// Elements of the folds of the trailing axes, where rows are to be folded afterwards.
    fn between(&self) -> usize {
        if self.tail > 1 && self.rows > 1 { self.kept * self.rows } else { 0 }
    }

    /// The most folds of single blocks that are kept at a time.
    fn partial(&self) -> usize {
        let blocks = |n: usize| if n > CHAIN { n.div_ceil(CHAIN) } else { 0 };
        (self.kept * self.rows * blocks(self.tail)).max(self.kept * blocks(self.rows))
    }
}

fn scratch_bytes(ins: &[Meta], _: &[Meta], attrs: &Attrs, _: usize) -> usize {
    let (sizes, size) = (Sizes::new(&ins[0], attrs), ins[0].dtype.size());
    (sizes.between() * size).next_multiple_of(64) + sizes.partial() * size
}

/// Scratch memory for folds of single blocks.
#[derive(Clone, Copy)]
struct Partial {
    scratch: Scratch,
    at: usize,
}

impl Partial {
    fn place(&self) -> Place<'static> {
        Place::Scratch(self.scratch, self.at)
    }

    /// Joins them: `out[i]`, for each of `count` flat places i = (o, c), is the fold of the elements (o, .., c) over the
    /// middle one of three axes, `blocks` long; the last one has `columns`.
    fn merge<T: Num, R: Fold>(&self, part: &Part<'_>, count: usize, blocks: usize, columns: usize, out: Place<'_>) {
        part.barrier();
        let mine = part.span(count, 16);
        // SAFETY: all of the folds were written before the barrier, and nobody writes them any more.
        let folds = unsafe { self.scratch.read::<T>(self.at, count * blocks) };
        // SAFETY: the workers' spans are disjoint.
        for (i, out) in mine.clone().zip(unsafe { out.slice::<T>(mine) }) {
            let first = i / columns * blocks * columns + i % columns;
            let rest = (1..blocks).map(|b| folds[first + b * columns]);
            *out = rest.fold(folds[first], |acc, v| R::join(acc, v));
        }
    }
}

/// Memory that the workers write disjoint parts of.
#[derive(Clone, Copy)]
enum Place<'a> {
    Result(&'a View),
    Scratch(Scratch, usize),
}

impl Place<'_> {
    /// # Safety
    /// While the slice lives, no other task and no other slice covers the same elements.
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    unsafe fn slice<T: Elem>(&self, range: Range<usize>) -> &mut [T] {
        // SAFETY: this function's contract is the callees'.
        unsafe {
            match self {
                Place::Result(view) => view.write(range),
                Place::Scratch(scratch, at) => scratch.slice(at + range.start * size_of::<T>(), range.len()),
            }
        }
    }
}

fn run_fold<R: Fold>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => reduce::<f32, R>(part, &ins[0], &outs[0], attrs, scratch),
        DType::F64 => reduce::<f64, R>(part, &ins[0], &outs[0], attrs, scratch),
        DType::I32 => reduce::<i32, R>(part, &ins[0], &outs[0], attrs, scratch),
        DType::I64 => reduce::<i64, R>(part, &ins[0], &outs[0], attrs, scratch),
        _ => reduce::<u8, R>(part, &ins[0], &outs[0], attrs, scratch),
    }
}

fn run_mean(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    run_fold::<Sum>(part, ins, outs, attrs, scratch);
    let sizes = Sizes::new(&ins[0].meta, attrs);
    match ins[0].meta.dtype {
        DType::F32 => finish::<f32>(part, &outs[0], |sum| sum.over(sizes.rows * sizes.tail)),
        _ => finish::<f64>(part, &outs[0], |sum| sum.over(sizes.rows * sizes.tail)),
    }
}

/// Whether any (the greatest) or all (the least) of the bytes are true.
fn run_truth<R: Fold>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    run_fold::<R>(part, ins, outs, attrs, scratch);
    finish::<u8>(part, &outs[0], |byte| (byte != 0) as u8);
}

/// Replaces each result by its `f`.
fn finish<T: Num>(part: &Part<'_>, out: &View, f: impl Fn(T) -> T) {
    part.barrier();
    // SAFETY: the workers' spans are disjoint, and the results were written before the barrier.
    let out = unsafe { out.write::<T>(part.span(out.len(), 16)) };
    out.iter_mut().for_each(|v| *v = f(*v));
}

fn reduce<T: Num, R: Fold>(part: &Part<'_>, x: &View, out: &View, attrs: &Attrs, scratch: Scratch) {
    let sizes = Sizes::new(&x.meta, attrs);
    if x.is_empty() {
        // SAFETY: the workers' spans are disjoint.
        unsafe { out.write::<T>(part.span(out.len(), 16)) }.fill(R::start());
        return;
    }
    let (mut kept, mut rows, mut tail) = (Axes::new(), Axes::new(), Axes::new());
    let rank = x.shape().len();
    let trailing = (0..rank).rev().take_while(|&i| is_reduced(attrs.ints(0), i)).count();
    for i in 0..rank {
        let kind = match is_reduced(attrs.ints(0), i) {
            true if i >= rank - trailing => &mut tail,
            true => &mut rows,
            false => &mut kept,
        };
        kind.push(x.shape()[i], [x.strides[i]]);
    }
    let partial = Partial { scratch, at: (sizes.between() * size_of::<T>()).next_multiple_of(64) };
    let result = Place::Result(out);
    if sizes.tail == 1 {
        return fold_columns::<T, R>(part, x.ptr(), kept, rows, partial, result);
    }
    let mut all = Axes::new(); // rows outside: their folds are then rows of `kept` consecutive elements
    [rows, kept].iter().for_each(|axes| (0..axes.rank()).for_each(|i| all.push(axes.axis(i).0, axes.axis(i).1)));
    if sizes.rows == 1 {
        return fold_tails::<T, R>(part, x.ptr(), &all, &tail, partial, result);
    }
    fold_tails::<T, R>(part, x.ptr(), &all, &tail, partial, Place::Scratch(scratch, 0));
    part.barrier();
    // SAFETY: all of it is written, and nobody writes it any more.
    let folds = unsafe { scratch.read::<T>(0, sizes.between()) };
    let rows = Axes::of(&[sizes.rows], [&[sizes.kept as isize]]);
    let kept = Axes::of(&[sizes.kept], [&[1]]);
    fold_columns::<T, R>(part, folds.as_ptr(), kept, rows, partial, result);
}

/// Folds the trailing axes: out[i] for the i-th place of `all`, via the folds of its chunks if there are several.
fn fold_tails<T: Num, R: Fold>(
    part: &Part<'_>,
    x: *const T,
    all: &Axes<1>,
    tail: &Axes<1>,
    partial: Partial,
    out: Place<'_>,
) {
    let chunks = tail.count().div_ceil(CHAIN);
    let items = part.span(all.count() * chunks, 1);
    let folds = if chunks > 1 { partial.place() } else { out };
    // SAFETY: the workers' spans are disjoint.
    let folds = unsafe { folds.slice(items.clone()) };
    part.level.run(Tails { x, all, tail, items, folds, fold: PhantomData::<R> });
    if chunks > 1 {
        partial.merge::<T, R>(part, all.count(), chunks, 1, out);
    }
}

/// Rows of strided operands that are read together.
const TOGETHER: usize = 16;

struct Tails<'a, T, R> {
    x: *const T,
    all: &'a Axes<1>,
    tail: &'a Axes<1>,
    /// Which of the (place of `all`, chunk) pairs to fold, and where to.
    items: Range<usize>,
    folds: &'a mut [T],
    fold: PhantomData<R>,
}

impl<T: Num, R: Fold> Kernel for Tails<'_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let n = self.tail.count();
        let chunks = n.div_ceil(CHAIN);
        let dense = self.tail.rank() == 1 && self.tail.axis(0).1 == [1];
        let (mut walk, mut at) = (self.all.walk(self.items.start / chunks), [0]);
        let mut next = |item: usize| {
            let from = item % chunks * CHAIN;
            if from == 0 || item == self.items.start {
                at = walk.step();
            }
            (at[0], from, CHAIN.min(n - from))
        };
        let items = self.items.clone();
        if dense {
            for (items, folds) in items.clone().step_by(4).zip(self.folds.chunks_mut(4)) {
                let mut four: [&[T]; 4] = [&[]; 4];
                for (k, piece) in four[..folds.len()].iter_mut().enumerate() {
                    let (at, from, len) = next(items + k);
                    // SAFETY: the chunk lies in the operand, dense.
                    *piece = unsafe { std::slice::from_raw_parts(self.x.offset(at + from as isize), len) };
                }
                if four.iter().all(|piece| piece.len() == four[0].len()) {
                    folds.copy_from_slice(&T::chunks::<S, R, 4>(s, four));
                } else {
                    folds.iter_mut().zip(four).for_each(|(fold, x)| [*fold] = T::chunks::<S, R, 1>(s, [x]));
                }
            }
            return;
        }
        // Chunks of several places together: where those are what lies together, a cache line serves all.
        let together = if chunks == 1 { TOGETHER } else { 1 };
        for (first, folds) in items.step_by(together).zip(self.folds.chunks_mut(together)) {
            let (mut places, mut chunk) = ([0; TOGETHER], (0, 0));
            for (k, place) in places[..folds.len()].iter_mut().enumerate() {
                let (at, from, len) = next(first + k);
                (*place, chunk) = (at, (from, len));
            }
            let mut acc = [[R::start::<T>(); LANES]; TOGETHER];
            let mut walk = self.tail.walk(chunk.0);
            for i in (0..chunk.1).step_by(LANES) {
                let n = LANES.min(chunk.1 - i);
                let mut buffer = [[T::ZERO; LANES]; TOGETHER];
                for e in 0..n {
                    let [step] = walk.step();
                    let rows = buffer.iter_mut().zip(&places[..folds.len()]);
                    // SAFETY: places of the operand.
                    rows.for_each(|(row, &at)| row[e] = unsafe { *self.x.offset(at + step) });
                }
                let rows = acc.iter_mut().zip(&buffer).take(folds.len());
                rows.for_each(|(acc, row)| T::rows::<S, R, 1>(s, &mut acc[..n], [&row[..n]]));
            }
            folds.iter_mut().zip(acc).for_each(|(fold, acc)| *fold = tree::<T, R>(acc));
        }
    }
}

/// Columns of strided operands that are copied at a time.
const STRIDED_TILE: usize = 64;

/// Folds rows: out[i] for the i-th place of `kept`, via the folds of its blocks if there are several.
fn fold_columns<T: Num, R: Fold>(
    part: &Part<'_>,
    x: *const T,
    mut kept: Axes<1>,
    rows: Axes<1>,
    partial: Partial,
    out: Place<'_>,
) {
    let count = kept.count();
    let (columns, [stride]) = kept.pop();
    let blocks = rows.count().div_ceil(CHAIN);
    let groups = kept.count() * blocks;
    // Columns are shared among the workers where there is too little else to share.
    let share = if groups >= 2 * part.count { columns } else { columns.div_ceil(part.count).next_multiple_of(16) };
    let tile = share.min(if stride == 1 || columns == 1 { 1024 } else { STRIDED_TILE });
    let items = part.span(groups * columns.div_ceil(tile), 1);
    let folds = if blocks > 1 { partial.place() } else { out };
    part.level.run(Columns { x, kept, rows, columns, stride, tile, items, folds, kinds: PhantomData::<(T, R)> });
    if blocks > 1 {
        partial.merge::<T, R>(part, count, blocks, columns, out);
    }
}

struct Columns<'a, T, R> {
    x: *const T,
    kept: Axes<1>,
    rows: Axes<1>,
    columns: usize,
    stride: isize,
    tile: usize,
    /// Which of the (place of `kept`, block of rows, tile of columns) triples to fold.
    items: Range<usize>,
    /// Where to: an array (kept, blocks, columns).
    folds: Place<'a>,
    kinds: PhantomData<(T, R)>,
}

impl<T: Num, R: Fold> Kernel for Columns<'_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let rows = self.rows.count();
        let (blocks, tiles) = (rows.div_ceil(CHAIN), self.columns.div_ceil(self.tile));
        for item in self.items.clone() {
            let (group, first) = (item / tiles, item % tiles * self.tile);
            let len = self.tile.min(self.columns - first);
            let from = group % blocks * CHAIN;
            let block = from..rows.min(from + CHAIN);
            let at = self.kept.at(group / blocks)[0] + first as isize * self.stride;
            let start = group * self.columns + first;
            // SAFETY: items write disjoint tiles, and each is some worker's.
            let folds = unsafe { self.folds.slice::<T>(start..start + len) };
            folds.fill(R::start());
            let mut walk = self.rows.walk(from);
            if self.stride == 1 || len == 1 {
                fold_rows::<T, S, R>(
                    s,
                    folds,
                    block,
                    // SAFETY: a piece of a row of the operand, dense.
                    #[inline(always)]
                    |_| unsafe { std::slice::from_raw_parts(self.x.offset(at + walk.step()[0]), len) },
                );
                continue;
            }
            for r in block.clone().step_by(TOGETHER) {
                let mut buffer = [[T::ZERO; STRIDED_TILE]; TOGETHER];
                let mut places = [0; TOGETHER];
                let places = &mut places[..TOGETHER.min(block.end - r)];
                places.iter_mut().for_each(|place| *place = at + walk.step()[0]);
                for j in 0..len {
                    let rows = buffer.iter_mut().zip(&*places);
                    // SAFETY: places of the operand.
                    rows.for_each(|(row, &at)| row[j] = unsafe { *self.x.offset(at + j as isize * self.stride) });
                }
                fold_rows::<T, S, R>(s, folds, 0..places.len(), |k| &buffer[k][..len]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
