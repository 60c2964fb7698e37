//! Where the extremes are.

use super::{NUMBERS, operand};
use crate::reduce::{Fold, Max, Min, Num, fold};
use crate::{Attrs, DType, Fault, Kernel, Lanes, Layout, Meta, OpDef, Part, Scratch, View};
use std::marker::PhantomData;
use std::ops::Range;

const ARG: OpDef = OpDef { attrs: &["axis"], layout: Layout::Dense, ..OpDef::BASE };

/// The index of the first maximum along an axis, int32; of the first NaN where there is one, as in NumPy.
pub const ARGMAX: OpDef =
    OpDef { name: "argmax", infer: |ins, _, attrs| infer("argmax", ins, attrs), run: run::<Max>, ..ARG };

/// The index of the first minimum along an axis, int32; of the first NaN where there is one, as in NumPy.
pub const ARGMIN: OpDef =
    OpDef { name: "argmin", infer: |ins, _, attrs| infer("argmin", ins, attrs), run: run::<Min>, ..ARG };

fn infer(name: &str, ins: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let x = operand(name, NUMBERS, ins)?;
    let axis = super::axis(name, x, attrs)?;
    let n = x.shape[axis];
    let others: Vec<usize> = [&x.shape[..axis], &x.shape[axis + 1..]].concat();
    let out = Meta::new(DType::I32, &others);
    if (n == 0 && out.shape.count() > 0) || n > i32::MAX as usize {
        let shape = x.shape;
        return Err(Fault::Value(format!(
            "{name}: axis {axis} of shape {shape} has no element, or too many for int32"
        )));
    }
    Ok(vec![out])
}

/// Whether a comes before b: the order that the fold looks for the first of.
trait Extreme: Fold {
    fn beats<T: Num>(a: T, b: T) -> bool;
}

impl Extreme for Max {
    #[inline(always)]
    fn beats<T: Num>(a: T, b: T) -> bool {
        a > b
    }
}

impl Extreme for Min {
    #[inline(always)]
    fn beats<T: Num>(a: T, b: T) -> bool {
        a < b
    }
}

fn run<R: Extreme>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => search::<f32, R>(part, &ins[0], &outs[0], attrs),
        DType::F64 => search::<f64, R>(part, &ins[0], &outs[0], attrs),
        DType::I32 => search::<i32, R>(part, &ins[0], &outs[0], attrs),
        _ => search::<i64, R>(part, &ins[0], &outs[0], attrs),
    }
}

fn search<T: Num, R: Extreme>(part: &Part<'_>, x: &View, out: &View, attrs: &Attrs) {
    let axis = attrs.int(0, 0) as usize;
    let (n, inner) = (x.shape()[axis], x.shape()[axis + 1..].iter().product::<usize>());
    let range = part.span(out.len(), if inner == 1 { 1 } else { 16 });
    // SAFETY: the workers' spans are disjoint.
    let found = unsafe { out.write::<i32>(range.clone()) };
    let x = x.read::<T>();
    if inner == 1 {
        part.level.run(Lines { x, n, range, found, fold: PhantomData::<R> });
    } else {
        part.level.run(Columns { x, n, inner, range, found, fold: PhantomData::<R> });
    }
}

/// Along consecutive elements: the extreme, then its first place.
struct Lines<'a, T, R> {
    x: &'a [T],
    n: usize,
    range: Range<usize>,
    found: &'a mut [i32],
    fold: PhantomData<R>,
}

impl<T: Num, R: Extreme> Kernel for Lines<'_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        for (i, found) in self.range.zip(self.found) {
            let line = &self.x[i * self.n..(i + 1) * self.n];
            *found = if self.n <= 64 { walk::<T, R>(line) } else { first(line, fold::<T, S, R>(s, line)) } as i32;
        }
    }
}

/// The first place of the extreme, element by element.
#[inline(always)]
fn walk<T: Num, R: Extreme>(line: &[T]) -> usize {
    let (mut best, mut at) = (line[0], 0);
    for (i, &v) in line.iter().enumerate() {
        if !best.is_nan() && (R::beats(v, best) || v.is_nan()) {
            (best, at) = (v, i);
        }
    }
    at
}

/// The first place of `value`, NaN being equal to NaN.
#[inline(always)]
fn first<T: Num>(line: &[T], value: T) -> usize {
    let hit = |v: T| (v == value) | (v.is_nan() & value.is_nan());
    // Whole blocks without a branch inside, so that the compiler makes vectors of them.
    let block = line.chunks(64).position(|block| block.iter().fold(false, |any, &v| any | hit(v)));
    let from = 64 * block.unwrap_or(0);
    from + line[from..].iter().position(|&v| hit(v)).unwrap_or(0)
}

/// Along any other axis: row by row, for a tile of columns at a time.
struct Columns<'a, T, R> {
    x: &'a [T],
    n: usize,
    inner: usize,
    range: Range<usize>,
    found: &'a mut [i32],
    fold: PhantomData<R>,
}

const TILE: usize = 256;

impl<T: Num, R: Extreme> Kernel for Columns<'_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let mut at = self.range.start;
        let mut rest = self.found;
        while !rest.is_empty() {
            let (outer, column) = (at / self.inner, at % self.inner);
            let len = rest.len().min(TILE).min(self.inner - column);
            let (found, after) = rest.split_at_mut(len);
            let row = |r: usize| &self.x[(outer * self.n + r) * self.inner + column..][..len];
            let mut best = [T::ZERO; TILE];
            best[..len].copy_from_slice(row(0));
            found.fill(0);
            for r in 1..self.n {
                for ((&v, best), found) in row(r).iter().zip(&mut best).zip(found.iter_mut()) {
                    let better = !best.is_nan() & (R::beats(v, *best) | v.is_nan());
                    *best = if better { v } else { *best };
                    *found = if better { r as i32 } else { *found };
                }
            }
            (rest, at) = (after, at + len);
        }
    }
}
