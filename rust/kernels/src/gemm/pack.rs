//! Copies of blocks in the order in which the micro-kernel reads them.

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

/// dst[i·width + j] = block(i, j) for `rows` rows of `width` elements, for a block whose rows or whose columns lie
/// element by element.
///
/// # Safety
/// The block is valid for reading, `dst` for writing rows·width floats and one vector more, which nothing else uses.
pub(super) unsafe fn pack(level: Level, block: Block, rows: usize, width: usize, dst: *mut f32) {
    if block.col == 1 {
        level.run(CopyRows { src: block.ptr, src_ld: block.row, rows, width, dst });
    } else {
        debug_assert_eq!(block.row, 1);
        let t =
            Transpose { src: block.ptr, src_ld: block.col, rows: width, cols: rows, dst, dst_ld: width, spill: true };
        // SAFETY: the caller's promise.
        unsafe { t.run(level) };
    }
}

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
        for i in 0..self.rows {
            // SAFETY: `pack`'s contract. A partial vector is written whole: the next row overwrites what is too much.
            unsafe {
                let (src, dst) = (self.src.add(i * self.src_ld), self.dst.add(i * self.width));
                for j in (0..full).step_by(S::N) {
                    s.store(dst.add(j), s.load(src.add(j)));
                }
                if full < self.width {
                    s.store(dst.add(full), s.load_part(src.add(full), self.width - full));
                }
            }
        }
    }
}
