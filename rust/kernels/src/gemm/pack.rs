//! Copies of blocks in the order in which the micro-kernel reads them.

use super::blocking::Heights;
use super::panels::Panels;
use super::transpose::Transpose;
use crate::isa::Level;
use crate::lanes::{Kernel, Lanes};

/// A block of a matrix in memory: element (i, j) lies at ptr + i·row + j·col.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub ptr: *const f32,
    pub row: usize,
    pub col: usize,
}

impl Block {
    /// The block that begins at element (i, j).
    pub fn at(self, i: usize, j: usize) -> Block {
        Block { ptr: self.ptr.wrapping_add(i * self.row + j * self.col), ..self }
    }

    /// The block that begins so many elements further on.
    pub fn shift(self, elements: usize) -> Block {
        Block { ptr: self.ptr.wrapping_add(elements), ..self }
    }

    /// The same elements, rows for columns.
    pub fn transposed(self) -> Block {
        Block { row: self.col, col: self.row, ..self }
    }
}

/// Where a factor or the result is.
#[derive(Clone, Copy)]
pub(super) enum Matrix {
    /// In rows and columns.
    Strides(Block),
    /// In panels, from element (row, col) of them on; or the transpose of what lies in panels.
    Panels { ptr: *const f32, panels: Panels, row: usize, col: usize, transposed: bool },
}

impl Matrix {
    /// The part that begins at element (i, j).
    pub fn at(self, i: usize, j: usize) -> Matrix {
        match self {
            Matrix::Strides(block) => Matrix::Strides(block.at(i, j)),
            Matrix::Panels { ptr, panels, row, col, transposed } => {
                let (i, j) = if transposed { (j, i) } else { (i, j) };
                Matrix::Panels { ptr, panels, row: row + i, col: col + j, transposed }
            }
        }
    }

    /// The first element, and elements from one row to the next of columns that lie in one panel; not of a transpose.
    pub fn strip(self) -> (*const f32, usize) {
        match self {
            Matrix::Strides(block) => (block.ptr, block.row),
            Matrix::Panels { ptr, panels, row, col, .. } => {
                let (start, width, _) = panels.column(col);
                (ptr.wrapping_add(start + row * width), width)
            }
        }
    }
}

/// Panels of A as high as the tiles, one after another; each has the tile's elements of one term after those of another.
/// The elements of a term lie one after another in memory.
///
/// # Safety
/// All rows of `heights` and `terms` columns of `a` are valid for reading, `dst` for writing as many floats; nothing else
/// uses it.
pub(super) unsafe fn pack_a(level: Level, a: Block, terms: usize, heights: Heights, dst: *mut f32) {
    debug_assert_eq!(a.row, 1);
    // Some terms of all tiles, then the next, so that lines of the cache that tiles share are read once.
    const SOME: usize = 32;
    for p in (0..terms).step_by(SOME) {
        for (i, height) in heights.tiles() {
            let (src, dst) = (a.at(i, p).ptr, dst.wrapping_add(i * terms + p * height));
            level.run(CopyRows { src, src_ld: a.col, rows: SOME.min(terms - p), width: height, dst });
        }
    }
}

/// A panel of a transposed B: `width` elements of one term after those of another.
///
/// # Safety
/// `terms` rows and `width` columns of `b` are valid for reading, `dst` for writing as many floats; nothing else uses it.
pub(super) unsafe fn pack_b(level: Level, b: Matrix, terms: usize, width: usize, dst: *mut f32) {
    match b {
        Matrix::Strides(b) => {
            debug_assert_eq!(b.row, 1);
            let t = Transpose { src: b.ptr, src_ld: b.col, rows: width, cols: terms, dst, dst_ld: width };
            // SAFETY: the caller's promise.
            unsafe { t.run(level) };
        }
        Matrix::Panels { ptr, panels, row, col, .. } => {
            let mut done = 0;
            while done < terms {
                let (start, src_ld, beside) = panels.column(col + done);
                let cols = beside.min(terms - done);
                let src = ptr.wrapping_add(start + row * src_ld);
                let dst = dst.wrapping_add(done * width);
                // SAFETY: the caller's promise, for the columns that lie in one panel.
                unsafe { Transpose { src, src_ld, rows: width, cols, dst, dst_ld: width }.run(level) };
                done += cols;
            }
        }
    }
}

/// dst[i·width + j] = src[i·src_ld + j].
struct CopyRows {
    src: *const f32,
    src_ld: usize,
    rows: usize,
    width: usize,
    dst: *mut f32,
}

impl Kernel for CopyRows {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let full = self.width - self.width % S::N;
        let rest = self.width - full;
        // Partial vectors are written whole, while the rows below, which come later, take what is too much.
        let whole = if rest > 0 { self.rows.saturating_sub(S::N.div_ceil(self.width)) } else { 0 };
        for i in 0..self.rows {
            let (src, dst) = (self.src.wrapping_add(i * self.src_ld), self.dst.wrapping_add(i * self.width));
            // SAFETY: the contracts of the functions above.
            unsafe {
                if i < whole {
                    s.store(dst.add(full), s.load_part(src.add(full), rest));
                } else if rest > 0 {
                    s.store_part(dst.add(full), s.load_part(src.add(full), rest), rest);
                }
            }
        }
        for j in (0..full).step_by(S::N) {
            for i in 0..self.rows {
                // SAFETY: as above.
                unsafe { s.store(self.dst.add(i * self.width + j), s.load(self.src.add(i * self.src_ld + j))) };
            }
        }
    }
}
