//! Columns over all rows: batch normalization (Ioffe, Szegedy 2015, "Batch normalization").
//!
//! y = γ · (x − mean) / √(variance + ε) + β, for each column. In training mean and (biased) variance are those of the rows
//! that the mask keeps, and the moving ones, if given, become momentum · old + (1 − momentum) · new.
//!
//! A block's sums are of differences from its first row K. Since K is one of the n values, Σ(x − K)² exceeds
//! Σ(x − mean)² at most n-fold, so that the subtraction that follows costs few digits; the blocks are joined as in Chan,
//! Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances". So x is read twice:
//! for its moments and to be normalized.

use super::{Grid, check_rest, check_x, epsilon, next, row_and_column};
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, vectors};
use crate::op::{Attrs, Fault, Scratch};
use crate::ops::real::{Real, Width};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

/// Rows that are added at a time: one load and one store of an accumulator for eight additions.
const TOGETHER: usize = 8;

/// y = (x − mean) · factor + shift for some rows.
struct Apply<'a, T> {
    x: *const T,
    y: *mut T, // may be the memory of x
    mean: &'a [T],
    factor: &'a [T],
    shift: Option<&'a [T]>,
    rows: Range<usize>,
}

impl<T: Width> Kernel for Apply<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let n = self.mean.len();
        assert!(self.factor.len() == n && self.shift.is_none_or(|shift| shift.len() == n));
        // Backwards: what was read last is still in a cache.
        for row in self.rows.rev() {
            let (x, y) = (self.x.wrapping_add(row * n), self.y.wrapping_add(row * n));
            vectors(
                r.width(),
                n,
                #[inline(always)]
                |i, k| {
                    // SAFETY: all of them have n elements, and i + k does not exceed it.
                    unsafe {
                        let d = r.sub(r.load(x.add(i), k), r.load(self.mean.as_ptr().add(i), k));
                        let factor = r.load(self.factor.as_ptr().add(i), k);
                        let shift = match self.shift {
                            Some(shift) => r.load(shift.as_ptr().add(i), k),
                            None => r.of(0.0),
                        };
                        r.store(y.add(i), r.fma(d, factor, shift), k);
                    }
                },
            );
        }
    }
}

/// factor = γ / √(variance + ε)
pub(super) struct Factors<'a, T> {
    pub variance: &'a [T],
    pub gamma: Option<&'a [T]>,
    pub epsilon: f64,
    pub factor: &'a mut [T],
}

impl<T: Width> Kernel for Factors<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let n = self.factor.len();
        assert!(self.variance.len() == n && self.gamma.is_none_or(|gamma| gamma.len() == n));
        let (epsilon, factor) = (r.of(self.epsilon), self.factor.as_mut_ptr());
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: all of them have n elements, and i + k does not exceed it.
                unsafe {
                    let root = r.div(r.of(1.0), r.sqrt(r.add(r.load(self.variance.as_ptr().add(i), k), epsilon)));
                    let root = match self.gamma {
                        Some(gamma) => r.mul(root, r.load(gamma.as_ptr().add(i), k)),
                        None => root,
                    };
                    r.store(factor.add(i), root, k);
                }
            },
        );
    }
}

// ------------------------------------------------------------------------------------------------ by given statistics

pub(super) fn infer(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let op = "batch_normalization";
    let x = check_x(op, ins)?;
    let (_, column) = row_and_column(&x);
    let (scale, center) = (attrs.flag(1, false), attrs.flag(2, false));
    check_rest(
        op,
        &ins[1..],
        &[(true, "mean", column), (true, "variance", column), (scale, "scale", column), (center, "offset", column)],
    )?;
    Ok(vec![x])
}

pub(super) fn scratch(ins: &[Meta], _: &[Meta], _: &Attrs, workers: usize) -> usize {
    workers * Grid::of(&ins[0]).cols * ins[0].dtype.size()
}

pub(super) fn run<T: Width>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let grid = Grid::of(&ins[0].meta);
    let mut rest = ins[3..].iter();
    let gamma = next(&mut rest, attrs.flag(1, false)).map(View::read);
    let shift = next(&mut rest, attrs.flag(2, false)).map(View::read::<T>);
    // SAFETY: a piece for each worker: to compute the factors is cheaper than to wait for another who does.
    let factor = unsafe { scratch.slice::<T>(part.index * grid.cols * size_of::<T>(), grid.cols) };
    part.level.run(Factors { variance: ins[2].read(), gamma, epsilon: epsilon(attrs), factor });
    let rows = part.span(grid.rows, (2048 / grid.cols.max(1)).max(1));
    part.level.run(Apply { x: ins[0].ptr(), y: outs[0].ptr(), mean: ins[1].read(), factor, shift, rows });
}

// ------------------------------------------------------------------------------------------ by the batch's statistics

pub(super) fn infer_training(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let op = "batch_normalization_training";
    let x = check_x(op, ins)?;
    let (row, column) = row_and_column(&x);
    let mask = Meta { dtype: DType::Bool, ..row };
    let (scale, center, masked) = (attrs.flag(1, false), attrs.flag(2, false), attrs.flag(3, false));
    check_rest(op, &ins[1..], &[(scale, "gamma", column), (center, "beta", column), (masked, "mask", mask)])?;
    if !(inouts.is_empty() || inouts == [column, column]) {
        return Err(Fault::Value(format!(
            "{op}: the moving mean and variance must both be {column:?} to fit x, got {inouts:?}"
        )));
    }
    let momentum = attrs.float(4, 0.99);
    if !momentum.is_finite() {
        return Err(Fault::Value(format!("{op}: `momentum` must be a finite number, got {momentum}")));
    }
    Ok(vec![x, column, column])
}

/// Elements of scratch memory: for each block two for each column, and how many rows count; for each column the factor.
fn places(grid: &Grid) -> (usize, usize, usize) {
    let counts = 2 * grid.blocks * grid.cols;
    let factors = counts + grid.blocks;
    (counts, factors, factors + grid.cols)
}

pub(super) fn scratch_training(ins: &[Meta], _: &[Meta], _: &Attrs, _: usize) -> usize {
    places(&Grid::of(&ins[0])).2 * ins[0].dtype.size()
}

pub(super) fn run_training<T: Width>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let grid = Grid::of(&ins[0].meta);
    let mut rest = ins[1..].iter();
    let gamma = next(&mut rest, attrs.flag(1, false)).map(View::read::<T>);
    let shift = next(&mut rest, attrs.flag(2, false)).map(View::read::<T>);
    let mask = next(&mut rest, attrs.flag(3, false)).map(View::read);
    let (moving, results) = outs.split_at(outs.len() - 3);
    let (counts, factors, _) = places(&grid);
    let size = size_of::<T>();

    let blocks = part.span(grid.blocks, 1);
    part.level.run(Moments::<T> { grid, x: ins[0].ptr(), mask, scratch, counts, blocks: blocks.clone() });
    part.barrier();
    let columns = part.span(grid.cols, 16);
    // SAFETY: the blocks' moments were written before the barrier; the workers' columns are disjoint.
    unsafe {
        let (mean, variance) = (results[1].write::<T>(columns.clone()), results[2].write::<T>(columns.clone()));
        let (moments, counts) = (scratch.read(0, counts), scratch.read(counts * size, grid.blocks));
        let rows = part.level.run(Join { grid, moments, counts, columns: columns.clone(), mean, variance });
        if rows > 0.0 && !moving.is_empty() {
            let momentum = attrs.float(4, 0.99);
            for (moving, new) in [(&moving[0], &*mean), (&moving[1], &*variance)] {
                part.level.run(Move { momentum, moving: moving.write::<T>(columns.clone()), new });
            }
        }
        let factor = scratch.slice::<T>((factors + columns.start) * size, columns.len());
        let gamma = gamma.map(|gamma| &gamma[columns]);
        part.level.run(Factors { variance, gamma, epsilon: epsilon(attrs), factor });
    }
    part.barrier();
    // SAFETY: all of it was written before the barrier.
    let factor = unsafe { scratch.read(factors * size, grid.cols) };
    let rows = grid.rows_in(&blocks);
    part.level.run(Apply { x: ins[0].ptr(), y: results[0].ptr(), mean: results[1].read(), factor, shift, rows });
}

/// Of each block the rows that count, their mean and the sum of their squared deviations from it.
struct Moments<'a, T> {
    grid: Grid,
    x: *const T,
    mask: Option<&'a [u8]>,
    scratch: Scratch,
    counts: usize,
    blocks: Range<usize>,
}

impl<T: Width> Kernel for Moments<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let (n, size) = (self.grid.cols, size_of::<T>());
        let mut kept = [0; 256]; // the most rows of a block
        for block in self.blocks.clone() {
            let mut count = 0;
            for row in self.grid.rows_of(block) {
                kept[count] = row;
                count += self.mask.is_none_or(|mask| mask[row] != 0) as usize;
            }
            // SAFETY: one worker alone has this block.
            let (moments, counts) = unsafe {
                let moments = self.scratch.slice::<T>(2 * block * n * size, 2 * n);
                (moments, self.scratch.slice::<T>((self.counts + block) * size, 1))
            };
            counts[0] = T::of(count as f64);
            if count > 0 {
                self.block(r, &kept[..count], moments);
            }
        }
    }
}

impl<T: Width> Moments<'_, T> {
    #[inline(always)]
    fn block<R: Real<E = T>>(&self, r: R, kept: &[usize], moments: &mut [T]) {
        moments.fill(T::ZERO);
        let (n, sums) = (self.grid.cols, moments.as_mut_ptr());
        let at = |row: usize| self.x.wrapping_add(row * n);
        let first = at(kept[0]);
        let (groups, rest) = kept.as_chunks::<TOGETHER>();
        groups.iter().for_each(
            #[inline(always)]
            |rows| self.add(r, first, rows.map(at), sums),
        );
        rest.iter().for_each(
            #[inline(always)]
            |&row| self.add(r, first, [at(row)], sums),
        );
        let share = r.of(1.0 / kept.len() as f64);
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: `first` has n elements, `sums` twice as many, and i + k does not exceed n.
                unsafe {
                    let (sum, squares) = (r.load(sums.add(i), k), r.load(sums.add(n + i), k));
                    let mean = r.mul(sum, share);
                    let deviation = r.max(r.of(0.0), r.sub(squares, r.mul(mean, sum))); // NaN stays
                    r.store(sums.add(i), r.add(mean, r.load(first.add(i), k)), k);
                    r.store(sums.add(n + i), deviation, k);
                }
            },
        );
    }

    /// Adds W rows' differences from the first, and the squares of these.
    #[inline(always)]
    fn add<R: Real<E = T>, const W: usize>(&self, r: R, first: *const T, rows: [*const T; W], sums: *mut T) {
        let n = self.grid.cols;
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: the rows have n elements, `sums` twice as many, and i + k does not exceed n.
                unsafe {
                    let first = r.load(first.add(i), k);
                    let (mut sum, mut squares) = (r.load(sums.add(i), k), r.load(sums.add(n + i), k));
                    for row in rows {
                        let d = r.sub(r.load(row.add(i), k), first);
                        sum = r.add(sum, d);
                        squares = r.fma(d, d, squares);
                    }
                    r.store(sums.add(i), sum, k);
                    r.store(sums.add(n + i), squares, k);
                }
            },
        );
    }
}

/// Joins the blocks' moments for some columns; returns how many rows count.
struct Join<'a, T> {
    grid: Grid,
    moments: &'a [T],
    counts: &'a [T],
    columns: Range<usize>,
    mean: &'a mut [T],
    variance: &'a mut [T],
}

impl<T: Width> Kernel for Join<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f64 {
        let r = T::real(s);
        let (cols, width) = (self.grid.cols, self.columns.len());
        self.mean.fill(T::ZERO);
        self.variance.fill(T::ZERO);
        let (mean, variance) = (self.mean.as_mut_ptr(), self.variance.as_mut_ptr());
        let mut total = 0.0;
        for (block, count) in self.counts.iter().enumerate() {
            let count = count.wide();
            if count == 0.0 {
                continue;
            }
            let (before, after) = (total, total + count);
            total = after;
            let moved = r.of(count / after);
            let spread = r.of(before / after * count);
            let means = &self.moments[2 * block * cols + self.columns.start..][..width];
            let deviations = &self.moments[(2 * block + 1) * cols + self.columns.start..][..width];
            vectors(
                r.width(),
                width,
                #[inline(always)]
                |i, k| {
                    // SAFETY: all of them have `width` elements, and i + k does not exceed it.
                    unsafe {
                        let old = r.load(mean.add(i), k);
                        let d = r.sub(r.load(means.as_ptr().add(i), k), old);
                        r.store(mean.add(i), r.fma(d, moved, old), k);
                        let sum = r.add(r.load(variance.add(i), k), r.load(deviations.as_ptr().add(i), k));
                        r.store(variance.add(i), r.fma(r.mul(d, d), spread, sum), k);
                    }
                },
            );
        }
        if total > 0.0 {
            self.variance.iter_mut().for_each(|v| *v = v.over(total as usize));
        }
        total
    }
}

/// moving = momentum · moving + (1 − momentum) · new
struct Move<'a, T> {
    momentum: f64,
    moving: &'a mut [T],
    new: &'a [T],
}

impl<T: Width> Kernel for Move<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        assert_eq!(self.moving.len(), self.new.len());
        let (old, new) = (r.of(self.momentum), r.of(1.0 - self.momentum));
        let moving = self.moving.as_mut_ptr();
        vectors(
            r.width(),
            self.new.len(),
            #[inline(always)]
            |i, k| {
                // SAFETY: both have as many elements, and i + k does not exceed it.
                unsafe {
                    let added = r.mul(r.load(self.new.as_ptr().add(i), k), new);
                    r.store(moving.add(i), r.fma(r.load(moving.add(i), k), old, added), k);
                }
            },
        );
    }
}
