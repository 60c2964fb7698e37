//! Rows for themselves: layer normalization (Ba, Kiros, Hinton 2016, "Layer normalization") and, with the attribute
//! `rms`, the one by the root mean square alone (Zhang, Sennrich 2019, "Root mean square layer normalization").
//!
//! With r = 1 / √(variance + ε) and x̂ = r · (x − mean), y = γ · x̂ + β. The gradient, with h = γ · g, is
//! dx = r · (h − mean(h) − x̂ · mean(h · x̂)), dγ = Σ g · x̂ and dβ = Σ g over all rows. With `rms`, means of x and h count
//! as zero. Each row is worked on while it is in the first cache.

#![allow(clippy::needless_range_loop)] // iterators stay calls in builds without link-time optimisation

use super::{Grid, add_blocks, check_rest, check_x, epsilon, next, row_and_column};
use crate::lanes::{Kernel, Lanes, vectors};
use crate::op::{Attrs, Fault, Scratch};
use crate::ops::real::{Real, Width};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

/// Rows that are worked on side by side: one alone would wait for its own sums.
const TOGETHER: usize = 4;

pub(super) fn infer(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let op = "layer_normalization";
    let x = check_x(op, ins)?;
    let (row, column) = row_and_column(&x);
    check_rest(op, &ins[1..], &[(attrs.flag(1, false), "gamma", column), (attrs.flag(2, false), "beta", column)])?;
    Ok(vec![x, row, row])
}

pub(super) fn run<T: Width>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let grid = Grid::of(&ins[0].meta);
    let mut rest = ins[1..].iter();
    let rows = part.span(grid.rows, (2048 / grid.cols.max(1)).max(1));
    // SAFETY: the workers' rows are disjoint.
    let (mean, inverse) = unsafe { (outs[1].write(rows.clone()), outs[2].write(rows.clone())) };
    part.level.run(Forward::<T> {
        x: ins[0].ptr(),
        y: outs[0].ptr(),
        gamma: next(&mut rest, attrs.flag(1, false)).map(View::read),
        beta: next(&mut rest, attrs.flag(2, false)).map(View::read),
        mean,
        inverse,
        first: rows.start,
        cols: grid.cols,
        epsilon: epsilon(attrs),
        rms: attrs.flag(3, false),
    });
}

struct Forward<'a, T> {
    x: *const T,
    y: *mut T, // may be the memory of x
    gamma: Option<&'a [T]>,
    beta: Option<&'a [T]>,
    mean: &'a mut [T],
    inverse: &'a mut [T],
    first: usize,
    cols: usize,
    epsilon: f64,
    rms: bool,
}

impl<T: Width> Kernel for Forward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        let r = T::real(s);
        let (mut i, count) = (0, self.mean.len());
        while i + TOGETHER <= count {
            self.rows::<_, TOGETHER>(r, i);
            i += TOGETHER;
        }
        while i < count {
            self.rows::<_, 1>(r, i);
            i += 1;
        }
    }
}

impl<T: Width> Forward<'_, T> {
    /// W rows, from the i-th of this worker on.
    #[inline(always)]
    fn rows<R: Real<E = T>, const W: usize>(&mut self, r: R, i: usize) {
        let (n, start) = (self.cols, (self.first + i) * self.cols);
        let (x, y) = (self.x.wrapping_add(start), self.y.wrapping_add(start));
        let mut mean = [T::ZERO; W];
        if !self.rms {
            // SAFETY: W rows of n elements begin at x.
            mean = r.sums::<W>(
                n,
                #[inline(always)]
                |w, i, k| unsafe { r.load(x.add(w * n + i), k) },
            );
            for w in 0..W {
                mean[w] = mean[w].over(n);
            }
        }
        let squares = r.sums::<W>(
            n,
            #[inline(always)]
            |w, i, k| {
                // SAFETY: as above.
                let d = r.sub(unsafe { r.load(x.add(w * n + i), k) }, r.splat(mean[w]));
                r.mul(d, d)
            },
        );
        let mut inverse = [T::ZERO; W];
        for w in 0..W {
            inverse[w] = T::of(1.0 / (squares[w].wide() / n as f64 + self.epsilon).sqrt());
            self.mean[i + w] = mean[w];
            self.inverse[i + w] = inverse[w];
        }
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: γ and β have n elements; W rows of as many begin at x and y, and i + k does not exceed n.
                unsafe {
                    let gamma = match self.gamma {
                        Some(gamma) => r.load(gamma.as_ptr().add(i), k),
                        None => r.of(1.0),
                    };
                    let beta = match self.beta {
                        Some(beta) => r.load(beta.as_ptr().add(i), k),
                        None => r.of(0.0),
                    };
                    for w in 0..W {
                        let d = r.sub(r.load(x.add(w * n + i), k), r.splat(mean[w]));
                        let unit = r.mul(d, r.splat(inverse[w]));
                        r.store(y.add(w * n + i), r.fma(unit, gamma, beta), k);
                    }
                }
            },
        );
    }
}

pub(super) fn infer_grad(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let op = "layer_normalization_grad";
    let x = check_x(op, ins)?;
    let (row, column) = row_and_column(&x);
    let scale = attrs.flag(0, false);
    check_rest(
        op,
        &ins[1..],
        &[(true, "the gradient", x), (true, "mean", row), (true, "inverse", row), (scale, "gamma", column)],
    )?;
    let mut outs = if attrs.flag(2, true) { vec![x] } else { vec![] };
    outs.extend([column, column].into_iter().filter(|_| attrs.flag(3, true)));
    Ok(outs)
}

pub(super) fn scratch_grad(ins: &[Meta], _: &[Meta], attrs: &Attrs, _: usize) -> usize {
    let grid = Grid::of(&ins[0]);
    if attrs.flag(3, true) { 2 * grid.blocks * grid.cols * ins[0].dtype.size() } else { 0 }
}

pub(super) fn run_grad<T: Width>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let grid = Grid::of(&ins[0].meta);
    let (with_dx, with_sums) = (attrs.flag(2, true), attrs.flag(3, true));
    part.level.run(Backward::<T> {
        grid,
        x: ins[0].ptr(),
        g: ins[1].ptr(),
        mean: ins[2].read(),
        inverse: ins[3].read(),
        gamma: next(&mut ins[4..].iter(), attrs.flag(0, false)).map(View::read),
        dx: with_dx.then(|| outs[0].ptr()),
        sums: with_sums.then_some(scratch),
        rms: attrs.flag(1, false),
        blocks: part.span(grid.blocks, 1),
    });
    if with_sums {
        part.barrier();
        let columns = part.span(grid.cols, 16);
        // SAFETY: the workers' columns are disjoint; the blocks' sums were written before the barrier.
        let (d_gamma, d_beta, sums) = unsafe {
            let outs = &outs[with_dx as usize..];
            (
                outs[0].write(columns.clone()),
                outs[1].write(columns.clone()),
                scratch.read(0, 2 * grid.blocks * grid.cols),
            )
        };
        part.level.run(Join::<T> { grid, sums, columns, d_gamma, d_beta });
    }
}

struct Backward<'a, T> {
    grid: Grid,
    x: *const T,
    g: *const T,
    mean: &'a [T],
    inverse: &'a [T],
    gamma: Option<&'a [T]>,
    dx: Option<*mut T>,
    /// Where each block's Σ g · x̂ and Σ g go, column by column.
    sums: Option<Scratch>,
    rms: bool,
    blocks: Range<usize>,
}

impl<T: Width> Kernel for Backward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let cols = self.grid.cols;
        for block in self.blocks.clone() {
            let sums = match &self.sums {
                Some(memory) => {
                    // SAFETY: one worker alone has this block.
                    let sums = unsafe { memory.slice::<T>(2 * block * cols * size_of::<T>(), 2 * cols) };
                    sums.fill(T::ZERO);
                    sums.as_mut_ptr()
                }
                None => std::ptr::null_mut(),
            };
            let mut rows = self.grid.rows_of(block);
            while rows.len() >= TOGETHER {
                self.rows::<_, TOGETHER>(r, rows.start, sums);
                rows.start += TOGETHER;
            }
            for row in rows {
                self.rows::<_, 1>(r, row, sums);
            }
        }
    }
}

impl<T: Width> Backward<'_, T> {
    /// γ from column i on, or ones.
    ///
    /// # Safety
    /// i + k does not exceed the number of columns.
    #[inline(always)]
    unsafe fn gamma<R: Real<E = T>>(&self, r: R, i: usize, k: usize) -> R::V {
        match self.gamma {
            // SAFETY: γ has as many elements as there are columns.
            Some(gamma) => unsafe { r.load(gamma.as_ptr().add(i), k) },
            None => r.of(1.0),
        }
    }

    /// W rows from `row` on. `sums` is null or has the two sums of each column.
    #[inline(always)]
    fn rows<R: Real<E = T>, const W: usize>(&self, r: R, row: usize, sums: *mut T) {
        let n = self.grid.cols;
        let (x, g) = (self.x.wrapping_add(row * n), self.g.wrapping_add(row * n));
        let (mut mean, mut inverse) = ([T::ZERO; W], [T::ZERO; W]);
        mean.copy_from_slice(&self.mean[row..row + W]);
        inverse.copy_from_slice(&self.inverse[row..row + W]);
        // dx = inverse · h + shift + (x − mean) · slope
        let (mut shift, mut slope) = ([T::ZERO; W], [T::ZERO; W]);
        if self.dx.is_some() {
            for w in 0..W {
                // SAFETY: γ has n elements, and W rows of as many begin at x and g.
                let [h, hx] = r.sums::<2>(
                    n,
                    #[inline(always)]
                    |which, i, k| unsafe {
                        let h = r.mul(r.load(g.add(w * n + i), k), self.gamma(r, i, k));
                        let d = r.sub(r.load(x.add(w * n + i), k), r.splat(mean[w]));
                        if which == 0 { h } else { r.mul(h, d) }
                    },
                );
                let root = inverse[w].wide();
                shift[w] = if self.rms { T::ZERO } else { T::of(-root * h.wide() / n as f64) };
                slope[w] = T::of(-root * root * root * hx.wide() / n as f64);
            }
        }
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: γ has n elements, `sums` twice as many unless it is null, and W rows of n begin at x, g and dx.
                unsafe {
                    let gamma = self.gamma(r, i, k);
                    let mut acc = [r.of(0.0); 2];
                    if !sums.is_null() {
                        acc = [r.load(sums.add(i), k), r.load(sums.add(n + i), k)];
                    }
                    for w in 0..W {
                        let g = r.load(g.add(w * n + i), k);
                        let d = r.sub(r.load(x.add(w * n + i), k), r.splat(mean[w]));
                        let root = r.splat(inverse[w]);
                        acc = [r.fma(g, r.mul(d, root), acc[0]), r.add(acc[1], g)];
                        if let Some(dx) = self.dx {
                            let h = r.fma(r.mul(g, gamma), root, r.splat(shift[w]));
                            r.store(dx.add((row + w) * n + i), r.fma(d, r.splat(slope[w]), h), k);
                        }
                    }
                    if !sums.is_null() {
                        r.store(sums.add(i), acc[0], k);
                        r.store(sums.add(n + i), acc[1], k);
                    }
                }
            },
        );
    }
}

/// Adds up the blocks' sums, left to right.
struct Join<'a, T> {
    grid: Grid,
    sums: &'a [T],
    columns: Range<usize>,
    d_gamma: &'a mut [T],
    d_beta: &'a mut [T],
}

impl<T: Width> Kernel for Join<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        add_blocks(s, self.grid, self.sums, &self.columns, [self.d_gamma, self.d_beta]);
    }
}
