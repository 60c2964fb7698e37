//! The monitor rows: what is watched in a training step without leaving it.
//!
//! Each has a clock, the number of steps so far, and does its work at every `every`-th step, from step 0; at the others it
//! returns at once. That keeps the step one recorded program, and makes what is watched as cheap as it is rare.
//! Sums have an order that the shapes alone fix.

use super::softmaxes::check_float;
use crate::CHAIN;
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::reduce::{self, LANES, Num, Sum};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::{Neg, Range, Sub};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "snapshot",
        attrs: &["every"],
        layout: Layout::Dense,
        infer: infer_snapshot,
        tasks: |ins, _, _| shares(&ins[1..]),
        orders: |ins, outs, _| orders(ins.len() - 1, ins.len() + outs.len()),
        run: run_snapshot,
        ..OpDef::BASE
    },
    OpDef {
        name: "norms_update",
        attrs: &["every", "groups"],
        layout: Layout::Dense,
        infer: infer_norms,
        scratch: |ins, outs, _, _| 3 * size_of::<f64>() * (units_of(params(ins)) + outs[0].shape[0]),
        tasks: |ins, _, _| shares(params(ins)),
        orders: |ins, _, _| orders(ins.len() / 3, ins.len()),
        run: run_norms,
        ..OpDef::BASE
    },
    OpDef {
        name: "activity_update",
        attrs: &["every", "groups", "ranges"],
        layout: Layout::Dense,
        infer: infer_activity,
        scratch: |ins, outs, _, _| size_of::<f64>() * (chunks_of(&ins[1..]) + 2 * outs[0].shape[0]),
        tasks: |ins, _, _| shares(&ins[1..]),
        run: run_activity,
        ..OpDef::BASE
    },
];

fn shares(metas: &[Meta]) -> usize {
    let total: usize = metas.iter().map(|m| m.shape.count()).sum();
    (total / (1 << 14)).max(1)
}

/// Which operands may lie in panels: behind the clock, those of the same parameter, all alike; there are `n`.
fn orders(n: usize, operands: usize) -> Vec<usize> {
    (0..operands).map(|i| if i == 0 { 0 } else { (i - 1) % n + 1 }).collect()
}

/// Whether this step is one of those that are watched.
fn due(clock: &View, attrs: &Attrs) -> bool {
    clock.read::<i64>()[0].rem_euclid(attrs.int(0, 1).max(1)) == 0
}

fn check_clock(op: &str, ins: &[Meta], attrs: &Attrs) -> Result<(), Fault> {
    if ins.first() != Some(&Meta::new(DType::I64, &[])) {
        return Err(Fault::Value(format!("{op}: `step` must be an int64 scalar, got {:?}", ins.first())));
    }
    match attrs.int(0, 1) {
        1.. => Ok(()),
        every => Err(Fault::Value(format!("{op}: `every` must be at least 1, got {every}"))),
    }
}

/// Checks that each of `count` tensors has a group, and that there are totals for it.
fn check_groups(
    op: &str,
    count: usize,
    totals: Option<&Meta>,
    columns: &[usize],
    attrs: &Attrs,
) -> Result<(), Fault> {
    let groups = attrs.ints(1);
    let fits = totals.is_some_and(|t| t.dtype == DType::F64 && !t.shape.is_empty() && t.shape[1..] == *columns);
    let Some(totals) = totals.filter(|_| fits) else {
        let inner: String = columns.iter().map(|n| format!(", {n}")).collect();
        return Err(Fault::Value(format!("{op}: totals must be float64 of shape (groups{inner}), got {totals:?}")));
    };
    let known = 0..totals.shape[0] as i64;
    if groups.len() != count || groups.iter().any(|g| !known.contains(g)) {
        return Err(Fault::Value(format!(
            "{op}: expected for each of {count} tensors the number of its group, from 0 to {}, got {groups:?}",
            totals.shape[0]
        )));
    }
    Ok(())
}

// ----------------------------------------------------------------------------------------------------------- snapshot

fn infer_snapshot(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_clock("snapshot", ins, attrs)?;
    let values = &ins[1..];
    if *values != *inouts {
        return Err(Fault::Value(format!(
            "snapshot: expected for each value a place of its shape and dtype, got {inouts:?} for {values:?}"
        )));
    }
    values.iter().try_for_each(|m| check_float("snapshot", "value", m))?;
    Ok(Vec::new())
}

fn run_snapshot(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    if !due(&ins[0], attrs) {
        return;
    }
    for (from, to) in ins[1..].iter().zip(outs) {
        let range = part.span(to.len(), LANES);
        // SAFETY: the pieces of different workers are disjoint, and so are the places.
        unsafe {
            match to.meta.dtype {
                DType::F32 => to.write::<f32>(range.clone()).copy_from_slice(&from.read()[range]),
                _ => to.write::<f64>(range.clone()).copy_from_slice(&from.read()[range]),
            }
        }
    }
}

// -------------------------------------------------------------------------------------------------------------- norms

/// The parameters among [clock, gradients.., parameters.., parameters before..]
fn params(ins: &[Meta]) -> &[Meta] {
    let n = ins.len() / 3;
    &ins[ins.len() - 2 * n..ins.len() - n]
}

fn infer_norms(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_clock("norms_update", ins, attrs)?;
    let tensors = &ins[1..];
    let n = tensors.len() / 3;
    let (grads, after) = (&tensors[..n], &tensors[n..]);
    if tensors.len() != 3 * n || grads != &after[..n] || grads != &after[n..] {
        return Err(Fault::Value(format!(
            "norms_update: expected gradients and as many parameters, now and before, of the same shapes and dtypes, \
             got {tensors:?}"
        )));
    }
    grads.iter().try_for_each(|m| check_float("norms_update", "gradient", m))?;
    check_groups("norms_update", n, inouts.first(), &[3], attrs)?;
    Ok(Vec::new())
}

/// Sums of squares of each unit, by all workers; then the first adds them up by group, and the groups' norms to the totals.
fn run_norms(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    if !due(&ins[0], attrs) {
        return;
    }
    let n = ins.len() / 3;
    let (grads, after, before) = (&ins[1..=n], &ins[n + 1..=2 * n], &ins[2 * n + 1..]);
    part.level.run(Norms { part, grads, after, before, scratch });
    part.barrier();
    if part.index != 0 {
        return;
    }
    let (units, groups) = (after.iter().map(|v| Units::of(&v.meta).count()).sum::<usize>(), outs[0].shape()[0]);
    // SAFETY: all have written theirs; the first worker alone reads them and writes the rest.
    let (sums, squares, totals) = unsafe {
        let at = 3 * units * size_of::<f64>();
        (
            scratch.slice::<f64>(0, 3 * units),
            scratch.slice::<f64>(at, 3 * groups),
            outs[0].write::<f64>(0..3 * groups),
        )
    };
    squares.fill(0.0);
    let mut next = sums.chunks_exact(3);
    for (tensor, &group) in after.iter().zip(attrs.ints(1)) {
        for sum in next.by_ref().take(Units::of(&tensor.meta).count()) {
            (0..3).for_each(|k| squares[3 * group as usize + k] += sum[k]);
        }
    }
    totals.iter_mut().zip(squares).for_each(|(total, square)| *total += square.sqrt());
}

fn units_of(tensors: &[Meta]) -> usize {
    tensors.iter().map(|m| Units::of(m).count()).sum()
}

/// A tensor as a matrix whose columns are the last axis, cut into units of [`CHAIN`] rows and [`LANES`] columns.
///
/// Each column of a unit is a chain of its own, so a sum does not depend on whether the matrix lies in panels.
struct Units {
    rows: usize,
    cols: usize,
    wide: usize, // units side by side
}

impl Units {
    fn of(m: &Meta) -> Units {
        let cols = m.shape.last().copied().unwrap_or(1);
        let rows = if m.shape.count() == 0 { 0 } else { m.shape.count() / cols };
        Units { rows, cols, wide: cols.div_ceil(LANES) }
    }

    fn count(&self) -> usize {
        self.rows.div_ceil(CHAIN) * self.wide
    }

    /// The rows and the columns of unit k.
    fn place(&self, k: usize) -> (Range<usize>, Range<usize>) {
        let cut = |i: usize, size: usize, n: usize| i * size..n.min((i + 1) * size);
        (cut(k / self.wide, CHAIN, self.rows), cut(k % self.wide, LANES, self.cols))
    }
}

struct Norms<'a> {
    part: &'a Part<'a>,
    grads: &'a [View],
    after: &'a [View],
    before: &'a [View],
    scratch: Scratch,
}

impl Kernel for Norms<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let mut first = 0;
        for (i, tensor) in self.after.iter().enumerate() {
            let units = Units::of(&tensor.meta);
            for k in self.part.span(units.count(), 1) {
                let sums = match tensor.meta.dtype {
                    DType::F32 => self.unit::<f32>(i, units.place(k)),
                    _ => self.unit::<f64>(i, units.place(k)),
                };
                // SAFETY: the workers' units are disjoint.
                unsafe { self.scratch.slice::<f64>(3 * (first + k) * size_of::<f64>(), 3).copy_from_slice(&sums) };
            }
            first += units.count();
        }
    }
}

impl Norms<'_> {
    /// Σ g², Σ before², Σ (after − before)² of one unit.
    #[inline(always)]
    fn unit<T: Term>(&self, i: usize, (rows, cols): (Range<usize>, Range<usize>)) -> [f64; 3] {
        let (g, w, b): (&[T], &[T], &[T]) = (self.grads[i].read(), self.after[i].read(), self.before[i].read());
        let mut lanes = Sums::new();
        let mut col = cols.start;
        while col < cols.end {
            let (at, stride, width) = run_of(&self.after[i], col, cols.end);
            let from = at + rows.start * stride;
            let lines = g[from..].chunks(stride).zip(w[from..].chunks(stride)).zip(b[from..].chunks(stride));
            let lines = lines.take(rows.len());
            if width == LANES {
                lanes = whole(lines);
            } else {
                for ((g, w), b) in lines {
                    for j in 0..width {
                        lanes.join(col - cols.start + j, g[j], w[j], b[j]);
                    }
                }
            }
            col += width;
        }
        let wide = |lanes: [T; LANES]| reduce::tree::<f64, Sum>(lanes.map(Into::into));
        [reduce::tree::<f64, Sum>(lanes.gradient), wide(lanes.weight), wide(lanes.change)]
    }
}

/// What norms are taken of.
trait Term: Num + Into<f64> + Sub<Output = Self> {}
impl<T: Num + Into<f64> + Sub<Output = T>> Term for T {}

/// The sums of [`LANES`] columns. A gradient's squares may be out of float32's range long before it is itself, so they
/// are summed in float64; weights and what they change by stay near 1, and their squares are summed as they are.
struct Sums<T> {
    gradient: [f64; LANES],
    weight: [T; LANES],
    change: [T; LANES],
}

impl<T: Term> Sums<T> {
    #[inline(always)]
    fn new() -> Sums<T> {
        Sums { gradient: [0.0; LANES], weight: [T::ZERO; LANES], change: [T::ZERO; LANES] }
    }

    #[inline(always)]
    fn join(&mut self, j: usize, g: T, after: T, before: T) {
        let (g, change): (f64, T) = (g.into(), after - before);
        self.gradient[j] += g * g;
        self.weight[j] = self.weight[j].plus(before.times(before));
        self.change[j] = self.change[j].plus(change.times(change));
    }
}

/// The sums of columns that lie side by side: loops of known length become vectors, kept in registers.
#[inline(always)]
fn whole<'a, T: Term>(lines: impl Iterator<Item = ((&'a [T], &'a [T]), &'a [T])>) -> Sums<T> {
    let mut lanes = Sums::new();
    for ((g, w), b) in lines {
        if let (Some(g), Some(w), Some(b)) =
            (g.first_chunk::<LANES>(), w.first_chunk::<LANES>(), b.first_chunk::<LANES>())
        {
            for j in 0..LANES {
                lanes.join(j, g[j], w[j], b[j]);
            }
        }
    }
    lanes
}

/// Where column `col` begins, how far it is from row to row, and how many columns from it on, before `end`, lie side by
/// side.
#[inline(always)]
fn run_of(matrix: &View, col: usize, end: usize) -> (usize, usize, usize) {
    match matrix.panels() {
        None => (col, matrix.shape().last().copied().unwrap_or(1), end - col),
        Some(panels) => {
            let (at, stride, beside) = panels.column(col);
            (at, stride, beside.min(end - col))
        }
    }
}

/// How many chunks of consecutive elements.
fn chunks_of(tensors: &[Meta]) -> usize {
    tensors.iter().map(|m| m.shape.count().div_ceil(CHAIN)).sum()
}

fn views_chunks(tensors: &[View]) -> usize {
    tensors.iter().map(|v| v.len().div_ceil(CHAIN)).sum()
}

/// Calls `f(i, k, range)` for each chunk of the tensors in this worker's share: k counts the chunks of all.
#[inline(always)]
fn each_chunk(part: &Part<'_>, tensors: &[View], mut f: impl FnMut(usize, usize, Range<usize>)) {
    let share = part.span(views_chunks(tensors), 1);
    let mut first = 0;
    for (i, tensor) in tensors.iter().enumerate() {
        let chunks = tensor.len().div_ceil(CHAIN);
        for k in share.start.max(first)..share.end.min(first + chunks) {
            let start = (k - first) * CHAIN;
            f(i, k, start..tensor.len().min(start + CHAIN));
        }
        first += chunks;
    }
}

// ----------------------------------------------------------------------------------------------------------- activity

fn infer_activity(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_clock("activity_update", ins, attrs)?;
    let outputs = &ins[1..];
    outputs.iter().try_for_each(|m| check_float("activity_update", "output", m))?;
    check_groups("activity_update", outputs.len(), inouts.first(), &[], attrs)?;
    let ranges = attrs.ints(2);
    if ranges.len() != inouts[0].shape[0] || ranges.iter().any(|r| !(0..=2).contains(r)) {
        return Err(Fault::Value(format!(
            "activity_update: expected for each of {} groups what is counted (0 zeros, 1 near 0 or 1, 2 near ±1), got \
             {ranges:?}",
            inouts[0].shape[0]
        )));
    }
    Ok(Vec::new())
}

fn run_activity(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    if !due(&ins[0], attrs) {
        return;
    }
    part.level.run(Activity { part, outputs: &ins[1..], groups: attrs.ints(1), ranges: attrs.ints(2), scratch });
    part.barrier();
    if part.index != 0 {
        return;
    }
    let (chunks, groups) = (views_chunks(&ins[1..]), outs[0].shape()[0]);
    // SAFETY: all have written theirs; the first worker alone reads them and writes the rest.
    let (counts, pairs, totals) = unsafe {
        let at = chunks * size_of::<f64>();
        (scratch.slice::<f64>(0, chunks), scratch.slice::<f64>(at, 2 * groups), outs[0].write::<f64>(0..groups))
    };
    pairs.fill(0.0);
    let mut next = counts.iter();
    for (output, &group) in ins[1..].iter().zip(attrs.ints(1)) {
        let pair = &mut pairs[2 * group as usize..][..2];
        pair[0] += next.by_ref().take(output.len().div_ceil(CHAIN)).sum::<f64>();
        pair[1] += output.len() as f64;
    }
    for (total, pair) in totals.iter_mut().zip(pairs.chunks_exact(2)).filter(|(_, pair)| pair[1] > 0.0) {
        *total += pair[0] / pair[1];
    }
}

struct Activity<'a> {
    part: &'a Part<'a>,
    outputs: &'a [View],
    groups: &'a [i64],
    ranges: &'a [i64],
    scratch: Scratch,
}

impl Kernel for Activity<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        each_chunk(
            self.part,
            self.outputs,
            #[inline(always)]
            |i, k, chunk| {
                let range = self.ranges[self.groups[i] as usize];
                let output = &self.outputs[i];
                let count = match output.meta.dtype {
                    DType::F32 => count(&output.read::<f32>()[chunk], range, [0.01, 0.99]),
                    _ => count(&output.read::<f64>()[chunk], range, [0.01, 0.99]),
                };
                // SAFETY: the workers' chunks are disjoint.
                unsafe { self.scratch.slice::<f64>(k * size_of::<f64>(), 1)[0] = count as f64 };
            },
        );
    }
}

/// How many values are zero, or near the ends of (0, 1) or (−1, 1): within a hundredth.
#[inline(always)]
fn count<T: Elem + PartialOrd + Default + Neg<Output = T>>(x: &[T], range: i64, [low, high]: [T; 2]) -> u32 {
    match range {
        0 => x.iter().map(|&v| u32::from(v == T::default())).sum(),
        1 => x.iter().map(|&v| u32::from(v <= low || v >= high)).sum(),
        _ => x.iter().map(|&v| u32::from(v <= -high || v >= high)).sum(),
    }
}

#[cfg(test)]
mod tests;
