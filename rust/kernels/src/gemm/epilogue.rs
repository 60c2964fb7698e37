//! What happens to sums beside the product: activations of finished tiles, column sums.

use super::tile::Place;
use crate::CHAIN;
use crate::isa::Level;
use crate::lanes::{Kernel, Lanes, load, map_raw, store};
use crate::ops::elementwise::Activation;
use std::ops::Range;

/// Applies an activation to `rows` rows of `cols` floats, and adds a bias before if there is one.
///
/// # Safety
/// The rows are valid for reading and writing, by nobody else; a bias that is not null for reading `cols` floats.
pub(super) unsafe fn finish(level: Level, place: Place, size: (usize, usize), bias: *const f32, act: Activation) {
    if act != Activation::Linear || !bias.is_null() {
        level.run(Finish { place, size, bias, act });
    }
}

struct Finish {
    place: Place,
    size: (usize, usize),
    bias: *const f32,
    act: Activation,
}

impl Kernel for Finish {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        // One loop for each activation, none of which decides anything inside.
        match self.act {
            Activation::Linear => self.rows(s, Activation::Linear),
            Activation::Relu => self.rows(s, Activation::Relu),
            Activation::Tanh => self.rows(s, Activation::Tanh),
            Activation::Sigmoid => self.rows(s, Activation::Sigmoid),
        }
    }
}

impl Finish {
    #[inline(always)]
    fn rows<S: Lanes>(&self, s: S, act: Activation) {
        let (rows, cols) = self.size;
        for i in 0..rows {
            // SAFETY: `finish`'s contract.
            unsafe {
                let row = self.place.ptr.add(i * self.place.ld);
                if self.bias.is_null() {
                    map_raw(
                        s,
                        cols,
                        row,
                        #[inline(always)]
                        |j, n| act.apply(s, load(s, row.add(j), n)),
                    );
                } else {
                    let bias = self.bias;
                    map_raw(
                        s,
                        cols,
                        row,
                        #[inline(always)]
                        |j, n| act.apply(s, s.add(load(s, row.add(j), n), load(s, bias.add(j), n))),
                    );
                }
            }
        }
    }
}

/// sums[j] = Σ x[i·ld + j] over i in 0..rows, for the columns j given: the bits of a product with ones.
///
/// # Safety
/// The columns of `x` are valid for reading, those of `sums` for writing, by nobody else.
pub unsafe fn column_sums(level: Level, x: *const f32, ld: usize, rows: usize, cols: Range<usize>, sums: *mut f32) {
    level.run(ColumnSums { x, ld, rows, cols, sums });
}

struct ColumnSums {
    x: *const f32,
    ld: usize,
    rows: usize,
    cols: Range<usize>,
    sums: *mut f32,
}

impl Kernel for ColumnSums {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let mut j = self.cols.start;
        while j < self.cols.end {
            let left = self.cols.end - j;
            // SAFETY: `column_sums`'s contract; a strip never passes the last column.
            unsafe {
                if left >= 4 * S::N {
                    self.strip::<S, 4>(s, j, S::N);
                    j += 4 * S::N;
                } else {
                    self.strip::<S, 1>(s, j, left.min(S::N));
                    j += left.min(S::N);
                }
            }
        }
    }
}

impl ColumnSums {
    /// The sums of V vectors from column j on, the last with `n` lanes.
    ///
    /// # Safety
    /// As for `column_sums`.
    #[inline(always)]
    unsafe fn strip<S: Lanes, const V: usize>(&self, s: S, j: usize, n: usize) {
        let mut total = [s.splat(0.0); V];
        for start in (0..self.rows).step_by(CHAIN) {
            let mut sum = [s.splat(0.0); V];
            for i in start..self.rows.min(start + CHAIN) {
                for (v, sum) in sum.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    let x = unsafe { load(s, self.x.add(i * self.ld + j + v * S::N), n) };
                    *sum = s.add(*sum, x);
                }
            }
            for (total, sum) in total.iter_mut().zip(sum) {
                *total = if start == 0 { sum } else { s.add(*total, sum) };
            }
        }
        for (v, total) in total.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { store(s, self.sums.add(j + v * S::N), total, n) };
        }
    }
}
