//! Matrices in panels: all rows of the first few columns, one after another, then those of the next few.
//!
//! A panel is as wide as the micro-kernel's tile, so a product reads it from one end to the other, without strides that
//! meet in the cache and without a copy. Whole panels belong to one worker for as long as a program runs, with the
//! gradients and the optimizer's slots of the same weights: what a core has once fetched stays in its cache. The last
//! panel is as wide as what is left, so a matrix needs the same memory in either order.

use super::blocking::cut;
use super::tile::family;
use crate::isa::Level;
use crate::view::View;
use std::ops::Range;

/// Columns of a panel at this level.
pub fn panel_width(level: Level) -> usize {
    let family = family(level);
    family.lanes * family.widths[family.main].vectors
}

/// A matrix in panels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panels {
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// Columns of a panel.
    pub width: usize,
}

impl Panels {
    /// Where column j begins, how far it is from row to row, and how many columns from it on lie side by side.
    #[inline(always)]
    pub fn column(&self, j: usize) -> (usize, usize, usize) {
        let into = j % self.width;
        let first = j - into;
        let width = self.width.min(self.cols - first);
        (first * self.rows + into, width, width - into)
    }

    /// Workers along the rows and along the columns: whole panels for each, unless that leaves some with much less.
    pub(super) fn grid(&self, workers: usize) -> (usize, usize) {
        let cost = |&(wr, wc): &(usize, usize)| {
            let widest = (0..wc).map(|i| cut(self.cols, wc, i, self.width).len()).max().unwrap_or(0);
            // In quarters: who shares a panel must fetch what the others have written.
            widest * if wr > 1 { 5 } else { 4 } * 64 / wr
        };
        let pairs = (1..=workers).rev().map(|wc| (workers / wc, wc));
        pairs.min_by_key(cost).unwrap_or((1, 1))
    }

    /// The rows and columns that belong to worker `index` of `workers`; they may be empty.
    pub(super) fn owned(&self, workers: usize, index: usize) -> (Range<usize>, Range<usize>) {
        let (wr, wc) = self.grid(workers);
        if index >= wr * wc {
            return (0..0, 0..0);
        }
        (cut(self.rows, wr, index % wr, 1), cut(self.cols, wc, index / wr, self.width))
    }

    /// Visits what belongs to worker `index` of `workers`, as ranges of the memory.
    #[inline(always)]
    pub fn pieces(&self, workers: usize, index: usize, mut visit: impl FnMut(Range<usize>)) {
        let (rows, cols) = self.owned(workers, index);
        if rows.is_empty() || cols.is_empty() {
        } else if rows.len() == self.rows {
            visit(cols.start * self.rows..cols.end * self.rows);
        } else {
            for j in cols.step_by(self.width) {
                let (start, width, _) = self.column(j);
                visit(start + rows.start * width..start + rows.end * width);
            }
        }
    }

    /// The elements of `src`, which are in row-major order, in panels.
    pub fn pack<T: Copy>(&self, src: &[T], dst: &mut [T]) {
        self.runs(|plain, paneled| dst[paneled].copy_from_slice(&src[plain]));
    }

    /// The elements of `src`, which are in panels, in row-major order.
    pub fn unpack<T: Copy>(&self, src: &[T], dst: &mut [T]) {
        self.runs(|plain, paneled| dst[plain].copy_from_slice(&src[paneled]));
    }

    /// Some of the elements of `src`, which are in panels: those at these places of row-major order, in that order.
    pub fn unpack_part<T: Copy>(&self, src: &[T], places: Range<usize>, dst: &mut [T]) {
        if places.is_empty() {
            return;
        }
        let rows = places.start / self.cols..places.end.div_ceil(self.cols);
        for j in (0..self.cols).step_by(self.width) {
            let (start, width, _) = self.column(j);
            for i in rows.clone() {
                let plain = i * self.cols + j;
                let (first, last) = (plain.max(places.start), (plain + width).min(places.end));
                if first < last {
                    let from = start + i * width + first - plain;
                    dst[first - places.start..last - places.start].copy_from_slice(&src[from..from + last - first]);
                }
            }
        }
    }

    /// Each row of each panel: where it lies in row-major order, and where in panels.
    fn runs(&self, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        for j in (0..self.cols).step_by(self.width) {
            let (start, width, _) = self.column(j);
            for i in 0..self.rows {
                let (plain, paneled) = (i * self.cols + j, start + i * width);
                visit(plain..plain + width, paneled..paneled + width);
            }
        }
    }
}

/// Copies a matrix of float32 from one order to another.
///
/// # Safety
/// Nothing else uses what `to` reaches.
pub unsafe fn rearrange(from: &View, to: &View) {
    let src = from.read::<f32>();
    // SAFETY: the caller's promise.
    let dst = unsafe { to.write::<f32>(0..to.len()) };
    match (from.panels(), to.panels()) {
        (None, Some(panels)) => panels.pack(src, dst),
        (Some(panels), None) => panels.unpack(src, dst),
        _ => dst.copy_from_slice(src),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::gemm::{Form, Operands, product, scratch};
    use crate::isa::{flush_denormals, restore_float_state};
    use crate::ops::elementwise::Activation;
    use crate::testing::uniform;
    use crate::{Parking, Scratch, team::Barrier, team::Part};

    #[test]
    fn parts_of_a_matrix_in_panels() {
        for (rows, cols, width) in [(5, 7, 3), (1, 16, 16), (4, 33, 16), (3, 2, 8)] {
            let plain: Vec<usize> = (0..rows * cols).collect();
            let panels = Panels { rows, cols, width };
            let mut packed = vec![0; rows * cols];
            panels.pack(&plain, &mut packed);
            for start in 0..=plain.len() {
                for end in start..=plain.len() {
                    let mut part = vec![usize::MAX; end - start];
                    panels.unpack_part(&packed, start..end, &mut part);
                    assert_eq!(part, plain[start..end], "{rows}×{cols} in panels of {width}, {start}..{end}");
                }
            }
        }
    }

    /// The product of a form, by as many workers, one after another.
    fn multiply(level: Level, form: &Form, a: &[f32], b: &[f32], workers: usize) -> Vec<f32> {
        let mut c = vec![f32::NAN; form.m * form.n];
        let bytes = scratch(form, workers);
        let mut memory = vec![f32::NAN; bytes / 4 + 16];
        let aligned = memory.as_mut_ptr().cast::<u8>();
        // SAFETY: a line more than needed.
        let scratch = unsafe { Scratch::new(aligned.add(aligned.align_offset(64)), bytes) };
        let operands = Operands {
            a: a.as_ptr(),
            b: b.as_ptr(),
            c: c.as_mut_ptr(),
            activation: Activation::Relu,
            ..Operands::PLAIN
        };
        let barrier = Barrier::new(workers, Parking { wait: |_, _| (), wake_all: |_| (), spin: |_| true });
        let state = flush_denormals();
        for index in 0..workers {
            // SAFETY: memory of the sizes that the form says; workers come one after another.
            unsafe { product(&Part::new(index, workers, level, &barrier), form, &operands, scratch) };
        }
        restore_float_state(state);
        c
    }

    #[test]
    fn panels_change_no_bit_of_a_product() {
        let sizes = [(5, 40, 7), (32, 130, 300), (100, 64, 784), (13, 1000, 50), (300, 97, 1300), (3, 70, 4200)];
        let levels = Level::ALL.into_iter().filter(|l| l.available());
        for (level, (m, n, k)) in levels.flat_map(|l| sizes.map(|s| (l, s))) {
            let (a, b) = (uniform(1, m * k, -1.0, 1.0), uniform(2, k * n, -1.0, 1.0));
            let width = panel_width(level);
            for transposed in [(false, false), (true, false), (false, true)] {
                let form = Form::new((m, n, k), 1, transposed);
                let want = multiply(level, &form, &a, &b, 1);
                let (rows, cols) = if transposed.1 { (n, k) } else { (k, n) };
                let mut paneled = vec![f32::NAN; b.len()];
                Panels { rows, cols, width }.pack(&b, &mut paneled);
                for workers in [1, 2, 3, 8] {
                    let got = multiply(level, &Form { panels: (true, false), ..form }, &a, &paneled, workers);
                    assert!(got == want, "B of {m}×{n}×{k} {transposed:?} in panels, {workers} workers, {level:?}");
                    if !transposed.1 {
                        let result = multiply(level, &Form { panels: (false, true), ..form }, &a, &b, workers);
                        let mut got = vec![f32::NAN; m * n];
                        Panels { rows: m, cols: n, width }.unpack(&result, &mut got);
                        assert!(
                            got == want,
                            "C of {m}×{n}×{k} {transposed:?} in panels, {workers} workers, {level:?}"
                        );
                    }
                }
            }
        }
    }

    const SHAPES: [(usize, usize); 6] = [(1, 33), (7, 64), (5, 100), (300, 48), (20, 1000), (3, 4)];

    #[test]
    fn packing_and_back_changes_nothing() {
        for (rows, cols) in SHAPES {
            let panels = Panels { rows, cols, width: 32 };
            let plain: Vec<u32> = (0..(rows * cols) as u32).collect();
            let (mut paneled, mut back) = (vec![0; plain.len()], vec![0; plain.len()]);
            panels.pack(&plain, &mut paneled);
            panels.unpack(&paneled, &mut back);
            assert_eq!(back, plain);
            // Element (i, j), by the definition.
            let (i, j) = (rows - 1, cols / 2);
            let (first, width) = (j / 32 * 32, 32.min(cols - j / 32 * 32));
            assert_eq!(paneled[first * rows + i * width + j % 32], plain[i * cols + j]);
        }
    }

    #[test]
    fn each_element_belongs_to_one_worker() {
        for (rows, cols) in SHAPES {
            for workers in 1..20 {
                let mut owners = vec![0; rows * cols];
                for index in 0..workers {
                    let panels = Panels { rows, cols, width: 32 };
                    panels.pieces(workers, index, |range| owners[range].iter_mut().for_each(|n| *n += 1));
                }
                assert!(owners.iter().all(|&n| n == 1), "{rows}×{cols}, {workers} workers");
            }
        }
    }
}
