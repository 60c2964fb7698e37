//! The gradient of batch normalization in training.
//!
//! With r = 1 / √(variance + ε), x̂ = r · (x − mean), and n rows that the mask keeps: dβ = Σ g and dγ = Σ g · x̂ over all rows,
//! dx = γ · r · (g − (dβ + x̂ · dγ) / n), without the second term in rows that the mask leaves out. x and g are read
//! twice: for the sums and for dx.

use super::batch::Factors;
use super::{Grid, add_blocks, check_rest, check_x, epsilon, next, row_and_column};
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, vectors};
use crate::op::{Attrs, Fault, Scratch};
use crate::ops::real::{Real, Width};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

/// Rows that are added at a time: one load and one store of an accumulator for four additions.
const TOGETHER: usize = 4;

pub(super) fn infer(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let op = "batch_normalization_grad";
    let x = check_x(op, ins)?;
    let (row, column) = row_and_column(&x);
    let mask = Meta { dtype: DType::Bool, ..row };
    check_rest(
        op,
        &ins[1..],
        &[
            (true, "the gradient", x),
            (true, "mean", column),
            (true, "variance", column),
            (attrs.flag(1, false), "gamma", column),
            (attrs.flag(2, false), "mask", mask),
        ],
    )?;
    Ok(if attrs.flag(3, true) { vec![x, column, column] } else { vec![column, column] })
}

/// Elements of scratch memory: for each block two for each column; for each column 1 / √(variance + ε) and the three
/// numbers that make dx.
fn places(grid: &Grid) -> (usize, usize) {
    let columns = 2 * grid.blocks * grid.cols;
    (columns, columns + 4 * grid.cols)
}

pub(super) fn scratch(ins: &[Meta], _: &[Meta], _: &Attrs, _: usize) -> usize {
    places(&Grid::of(&ins[0])).1 * ins[0].dtype.size()
}

pub(super) fn run<T: Width>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let grid = Grid::of(&ins[0].meta);
    let [x, g] = [ins[0].ptr::<T>().cast_const(), ins[1].ptr::<T>().cast_const()];
    let mean = ins[2].read::<T>();
    let mut rest = ins[4..].iter();
    let gamma = next(&mut rest, attrs.flag(1, false)).map(View::read::<T>);
    let mask = next(&mut rest, attrs.flag(2, false)).map(View::read::<u8>);
    let (dx, sums) = outs.split_at(outs.len() - 2);
    let (at, size) = (places(&grid).0, size_of::<T>());

    let blocks = part.span(grid.blocks, 1);
    part.level.run(Sums { grid, x, g, mean, scratch, blocks: blocks.clone() });
    part.barrier();
    let columns = part.span(grid.cols, 16);
    let count = mask.map_or(grid.rows, |mask| mask.iter().filter(|&&m| m != 0).count());
    // SAFETY: the blocks' sums were written before the barrier; the workers' columns are disjoint, also within each of
    // the four stretches.
    unsafe {
        let stretch = |i: usize| scratch.slice::<T>((at + i * grid.cols + columns.start) * size, columns.len());
        let root = stretch(0);
        let variance = &ins[3].read()[columns.clone()];
        part.level.run(Factors { variance, gamma: None, epsilon: epsilon(attrs), factor: root });
        part.level.run(Join {
            grid,
            sums: scratch.read(0, at),
            root,
            gamma: gamma.map(|gamma| &gamma[columns.clone()]),
            share: if count > 0 { 1.0 / count as f64 } else { 0.0 },
            d_gamma: sums[0].write(columns.clone()),
            d_beta: sums[1].write(columns.clone()),
            terms: [stretch(1), stretch(2), stretch(3)],
            columns,
        });
    }
    let [dx] = dx else { return };
    part.barrier();
    // SAFETY: all of it was written before the barrier.
    let terms = unsafe { scratch.read((at + grid.cols) * size, 3 * grid.cols) };
    part.level.run(Backward { x, g, dx: dx.ptr(), mean, terms, mask, rows: grid.rows_in(&blocks) });
}

/// Of each block Σ g · (x − mean) and Σ g, column by column.
struct Sums<'a, T> {
    grid: Grid,
    x: *const T,
    g: *const T,
    mean: &'a [T],
    scratch: Scratch,
    blocks: Range<usize>,
}

impl<T: Width> Kernel for Sums<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let n = self.grid.cols;
        for block in self.blocks.clone() {
            // SAFETY: one worker alone has this block.
            let sums = unsafe { self.scratch.slice::<T>(2 * block * n * size_of::<T>(), 2 * n) };
            sums.fill(T::ZERO);
            let mut rows = self.grid.rows_of(block);
            while rows.len() >= TOGETHER {
                self.add::<_, TOGETHER>(r, rows.start, sums.as_mut_ptr());
                rows.start += TOGETHER;
            }
            for row in rows {
                self.add::<_, 1>(r, row, sums.as_mut_ptr());
            }
        }
    }
}

impl<T: Width> Sums<'_, T> {
    /// Adds W rows from `row` on.
    #[inline(always)]
    fn add<R: Real<E = T>, const W: usize>(&self, r: R, row: usize, sums: *mut T) {
        let n = self.grid.cols;
        let (x, g) = (self.x.wrapping_add(row * n), self.g.wrapping_add(row * n));
        vectors(
            r.width(),
            n,
            #[inline(always)]
            |i, k| {
                // SAFETY: `mean` has n elements, `sums` twice as many, W rows of n begin at x and g, and i + k does not
                // exceed n.
                unsafe {
                    let mean = r.load(self.mean.as_ptr().add(i), k);
                    let (mut product, mut sum) = (r.load(sums.add(i), k), r.load(sums.add(n + i), k));
                    for w in 0..W {
                        let g = r.load(g.add(w * n + i), k);
                        let d = r.sub(r.load(x.add(w * n + i), k), mean);
                        product = r.fma(g, d, product);
                        sum = r.add(sum, g);
                    }
                    r.store(sums.add(i), product, k);
                    r.store(sums.add(n + i), sum, k);
                }
            },
        );
    }
}

/// Adds up the blocks' sums and makes of them what dx needs: dx = a · g − b − (x − mean) · c with a = γ · r,
/// b = a · dβ / n and c = a · r · dγ / n, as `terms` in this order.
struct Join<'a, T> {
    grid: Grid,
    sums: &'a [T],
    root: &'a [T],
    gamma: Option<&'a [T]>,
    share: f64,
    d_gamma: &'a mut [T],
    d_beta: &'a mut [T],
    terms: [&'a mut [T]; 3],
    columns: Range<usize>,
}

impl<T: Width> Kernel for Join<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let width = self.root.len();
        add_blocks(s, self.grid, self.sums, &self.columns, [&mut *self.d_gamma, &mut *self.d_beta]);
        assert!(self.gamma.is_none_or(|gamma| gamma.len() == width));
        assert!([&self.d_gamma, &self.d_beta].into_iter().chain(&self.terms).all(|x| x.len() == width));
        let share = r.of(self.share);
        let [a, b, c] = self.terms.map(|term| term.as_mut_ptr());
        let (d_gamma, d_beta) = (self.d_gamma.as_mut_ptr(), self.d_beta.as_ptr());
        vectors(
            r.width(),
            width,
            #[inline(always)]
            |i, k| {
                // SAFETY: all of them have `width` elements, and i + k does not exceed it.
                unsafe {
                    let root = r.load(self.root.as_ptr().add(i), k);
                    let factor = match self.gamma {
                        Some(gamma) => r.mul(root, r.load(gamma.as_ptr().add(i), k)),
                        None => root,
                    };
                    let product = r.mul(r.load(d_gamma.add(i), k), root);
                    let mean = r.mul(r.load(d_beta.add(i), k), share);
                    r.store(d_gamma.add(i), product, k);
                    r.store(a.add(i), factor, k);
                    r.store(b.add(i), r.mul(factor, mean), k);
                    r.store(c.add(i), r.mul(factor, r.mul(root, r.mul(product, share))), k);
                }
            },
        );
    }
}

/// dx for some rows.
struct Backward<'a, T> {
    x: *const T,
    g: *const T,
    dx: *mut T,
    mean: &'a [T],
    /// See [`Join`].
    terms: &'a [T],
    mask: Option<&'a [u8]>,
    rows: Range<usize>,
}

impl<T: Width> Kernel for Backward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let r = T::real(s);
        let n = self.mean.len();
        assert_eq!(self.terms.len(), 3 * n);
        let (mean, terms) = (self.mean.as_ptr(), self.terms.as_ptr());
        // Backwards: what was read last is still in a cache.
        for row in self.rows.clone().rev() {
            let (x, g, dx) =
                (self.x.wrapping_add(row * n), self.g.wrapping_add(row * n), self.dx.wrapping_add(row * n));
            let kept = self.mask.is_none_or(|mask| mask[row] != 0);
            vectors(
                r.width(),
                n,
                #[inline(always)]
                |i, k| {
                    // SAFETY: `mean` and the rows have n elements, `terms` thrice as many, and i + k does not exceed n.
                    unsafe {
                        let scaled = r.mul(r.load(g.add(i), k), r.load(terms.add(i), k));
                        let out = if kept {
                            let d = r.sub(r.load(x.add(i), k), r.load(mean.add(i), k));
                            let slope = r.load(terms.add(2 * n + i), k);
                            r.sub(r.sub(scaled, r.load(terms.add(n + i), k)), r.mul(d, slope))
                        } else {
                            scaled
                        };
                        r.store(dx.add(i), out, k);
                    }
                },
            );
        }
    }
}
