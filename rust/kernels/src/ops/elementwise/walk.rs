//! How the operands of an elementwise call are walked over: the result is cut into tiles in which each operand's rows
//! either lie dense or repeat one element.

use crate::team::Part;
use crate::view::{MAX_RANK, View};

/// Elements of a chunk of an operand that has to be gathered: small enough for the stack and the first-level cache.
const CHUNK: usize = 256;

/// Cuts between workers fall on multiples of this many elements, so that no two write one cache line.
const GRAIN: usize = 64;

/// A rectangle of the result, dense in memory, and the operands' parts that belong to it.
pub(super) struct Tile<const I: usize> {
    /// Its rows.
    pub rows: usize,
    /// Elements per row.
    pub cols: usize,
    ins: [Source; I],
    out: *mut u8,
}

#[derive(Clone, Copy)]
struct Source {
    ptr: *const u8,
    row: isize,  // bytes from one row to the next
    step: isize, // elements from one element of a row to the next
    size: usize, // bytes of an element
}

impl<const I: usize> Tile<I> {
    /// The first element of operand `i` in row `r`: one element if [`Tile::repeats`], else `cols` of them.
    pub fn input<T>(&self, i: usize, r: usize) -> *const T {
        debug_assert!(self.ins[i].size == size_of::<T>());
        self.input_bytes(i, r).cast()
    }

    /// [`Tile::input`], whatever the dtype.
    pub fn input_bytes(&self, i: usize, r: usize) -> *const u8 {
        debug_assert!(r < self.rows);
        self.ins[i].ptr.wrapping_offset(self.ins[i].row * r as isize)
    }

    /// Whether operand `i` has the same element all along a row.
    pub fn repeats(&self, i: usize) -> bool {
        self.ins[i].step == 0
    }

    /// The first of the `cols` elements of the result's row `r`. It may be the memory of a dense operand.
    pub fn output<T>(&self, r: usize) -> *mut T {
        self.output_bytes(r, size_of::<T>()).cast()
    }

    /// [`Tile::output`] for elements of `size` bytes.
    pub fn output_bytes(&self, r: usize, size: usize) -> *mut u8 {
        debug_assert!(r < self.rows);
        self.out.wrapping_add(r * self.cols * size)
    }
}

/// An axis of the walk: neighbouring axes that every operand passes in equal steps are one.
#[derive(Clone, Copy)]
struct Axis<const I: usize> {
    size: usize,
    strides: [isize; I],
}

/// Calls `visit` for tiles that together cover this worker's share of the result.
///
/// With `splat`, rows of an operand may repeat one element; without, they are always dense. Other strides are gathered
/// into buffers here, so `visit` never meets them.
pub(super) fn tiles<const I: usize>(
    part: &Part<'_>,
    ins: [&View; I],
    out: &View,
    splat: bool,
    visit: &mut dyn FnMut(&Tile<I>),
) {
    let (axes, rank) = collapse(ins, out);
    let cols = axes[0].size; // axes[0] is the innermost
    let per_block = axes[1].size; // rows that every operand passes in equal steps
    let dense = |a: &isize| *a == 1 || (splat && *a == 0);
    let gather = !axes[0].strides.iter().all(dense);
    let width = out.meta.dtype.size();

    let span = part.span(out.len(), GRAIN);
    let mut at = span.start;
    while at < span.end {
        let (row, col) = (at / cols, at % cols);
        let whole = (span.end - at) / cols;
        let (rows, take) = if col == 0 && whole > 0 {
            (whole.min(per_block - row % per_block), cols)
        } else {
            (1, (cols - col).min(span.end - at))
        };
        let ins = std::array::from_fn(|i| {
            let size = ins[i].meta.dtype.size();
            let first = offset(&axes[..rank], row, col, i) * size as isize;
            Source {
                ptr: ins[i].address().wrapping_offset(first),
                row: axes[1].strides[i] * size as isize,
                step: axes[0].strides[i],
                size,
            }
        });
        let tile = Tile { rows, cols: take, ins, out: out.address().wrapping_add(at * width) };
        if gather {
            gathered(&tile, width, splat, visit)
        } else {
            visit(&tile)
        }
        at += rows * take;
    }
}

/// The result's axes, innermost first, with the operands' strides along them; at least two.
fn collapse<const I: usize>(ins: [&View; I], out: &View) -> ([Axis<I>; MAX_RANK], usize) {
    let mut axes = [Axis { size: 1, strides: [0; I] }; MAX_RANK];
    let mut rank = 0usize;
    let shape = out.shape();
    for axis in (0..shape.len()).rev().filter(|&a| shape[a] != 1) {
        let strides = std::array::from_fn(|i| {
            let missing = shape.len() - ins[i].shape().len();
            if axis < missing || ins[i].shape()[axis - missing] == 1 { 0 } else { ins[i].strides[axis - missing] }
        });
        let inner = rank.checked_sub(1).map(|last| axes[last]);
        match inner {
            Some(a) if (0..I).all(|i| strides[i] == a.strides[i] * a.size as isize) => {
                axes[rank - 1].size *= shape[axis]
            }
            _ => {
                axes[rank] = Axis { size: shape[axis], strides };
                rank += 1;
            }
        }
    }
    if rank == 0 {
        axes[0].strides = [1; I]; // one element: as good as dense
    }
    (axes, rank.max(2))
}

/// Elements from operand `i`'s first to its element at this row and column of the walk.
fn offset<const I: usize>(axes: &[Axis<I>], mut row: usize, col: usize, i: usize) -> isize {
    let mut place = col as isize * axes[0].strides[i];
    for a in &axes[1..] {
        place += (row % a.size) as isize * a.strides[i];
        row /= a.size;
    }
    place
}

/// Visits a tile whose operands have other strides: row by row, in chunks, from dense copies.
fn gathered<const I: usize>(tile: &Tile<I>, width: usize, splat: bool, visit: &mut dyn FnMut(&Tile<I>)) {
    let mut buffers = [[0u64; CHUNK]; I];
    for r in 0..tile.rows {
        for col in (0..tile.cols).step_by(CHUNK) {
            let cols = CHUNK.min(tile.cols - col);
            let ins = std::array::from_fn(|i| {
                let source = tile.ins[i];
                let skip = source.row * r as isize + source.step * (col * source.size) as isize;
                let ptr = source.ptr.wrapping_offset(skip);
                if source.step == 1 || (splat && source.step == 0) {
                    return Source { ptr, ..source };
                }
                let buffer = buffers[i].as_mut_ptr();
                // SAFETY: the operand has `cols` elements from there on, `step` apart: they are part of the view. The
                // buffer holds CHUNK elements of up to eight bytes.
                unsafe {
                    match source.size {
                        1 => copy(ptr, source.step, buffer.cast::<u8>(), cols),
                        2 => copy(ptr.cast(), source.step, buffer.cast::<u16>(), cols),
                        4 => copy(ptr.cast(), source.step, buffer.cast::<u32>(), cols),
                        _ => copy(ptr.cast(), source.step, buffer, cols),
                    }
                }
                Source { ptr: buffer.cast_const().cast(), step: 1, ..source }
            });
            let out = tile.out.wrapping_add((r * tile.cols + col) * width);
            visit(&Tile { rows: 1, cols, ins, out });
        }
    }
}

/// # Safety
/// `from` is valid for reading `n` elements `step` apart, `to` for writing `n`.
unsafe fn copy<T: Copy>(from: *const T, step: isize, to: *mut T, n: usize) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(from.offset(step * i as isize).read()) };
    }
}
