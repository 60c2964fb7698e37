//! Copying between any two layouts.

use super::walk::Axes;
use crate::{Elem, Part};

/// Side of the square tiles in which axes are exchanged: a cache line of float32.
const TILE: usize = 16;

/// dst = src along `axes` (operand 0 is written, 1 is read); each worker copies its share.
///
/// # Safety
/// Every place is valid memory; no two places of `dst` are the same, and none is read or written by anything else.
pub unsafe fn copy_along<T: Elem>(part: &Part<'_>, dst: *mut T, src: *const T, mut axes: Axes<2>) {
    if axes.count() == 0 {
        return;
    }
    let (n, [d, s]) = axes.pop();
    let unit = (0..axes.rank()).find(|&i| axes.axis(i).1[1] == 1 && axes.axis(i).0 >= TILE / 2);
    if let (1, Some(other)) = (d, unit)
        && s.abs() > 1
        && n >= TILE / 2
    {
        // SAFETY: the same places.
        return unsafe { exchange(part, dst, src, axes, other, (n, s)) };
    }
    // The outer axes are shared among the workers, or each line where those are short.
    let wide = axes.count() < 4 * part.count && n >= 64 * part.count;
    let lines = if wide { 0..axes.count() } else { part.span(axes.count(), 1) };
    let within = if wide { part.span(n, 64) } else { 0..n };
    let mut walk = axes.walk(lines.start);
    for _ in lines {
        let [to, from] = walk.step();
        let start = within.start as isize;
        // SAFETY: a line of the places, of which each worker takes its part.
        unsafe { line(dst.offset(to + start * d), src.offset(from + start * s), within.len(), [d, s]) };
    }
}

/// Copies `n` elements with these strides.
#[inline]
unsafe fn line<T: Elem>(dst: *mut T, src: *const T, n: usize, [d, s]: [isize; 2]) {
    // SAFETY: the caller's promise, in each branch.
    unsafe {
        match (d, s) {
            _ if n == 0 => {}
            (1, 1) if n >= 16 => dst.copy_from_nonoverlapping(src, n),
            (1, 0) => std::slice::from_raw_parts_mut(dst, n).fill(*src),
            (1, _) => (0..n as isize).for_each(|i| *dst.offset(i) = *src.offset(i * s)),
            _ => (0..n as isize).for_each(|i| *dst.offset(i * d) = *src.offset(i * s)),
        }
    }
}

/// Copies where the axis that lies together in `src` is `other` and in `dst` the last one (`n` places, `s` apart in
/// `src`): tile by tile, so that every cache line is fetched once.
///
/// # Safety
/// As for [`copy_along`].
unsafe fn exchange<T: Elem>(
    part: &Part<'_>,
    dst: *mut T,
    src: *const T,
    mut axes: Axes<2>,
    other: usize,
    (n, s): (usize, isize),
) {
    let (m, [d, _]) = axes.remove(other);
    let (down, across) = (m.div_ceil(TILE), n.div_ceil(TILE));
    for item in part.span(axes.count() * down * across, 1) {
        let (i, j) = (item / across % down * TILE, item % across * TILE);
        let (rows, columns) = (TILE.min(m - i), TILE.min(n - j));
        let [to, from] = axes.at(item / across / down);
        // SAFETY: the tile's places are some of the axes'; tiles are disjoint.
        unsafe {
            let to = dst.offset(to + i as isize * d + j as isize);
            let from = src.offset(from + i as isize + j as isize * s);
            // The tile by way of memory of its own: rows a power of two apart would evict one another.
            let mut tile = [[*from; TILE]; TILE];
            for (c, tile) in tile[..columns].iter_mut().enumerate() {
                tile.as_mut_ptr().copy_from_nonoverlapping(from.offset(c as isize * s), rows);
            }
            for (r, to) in (0..rows).map(|r| (r, to.offset(r as isize * d))) {
                if columns == TILE {
                    (0..TILE).for_each(|c| *to.add(c) = tile[c][r]); // the length is known: no loop
                } else {
                    (0..columns).for_each(|c| *to.add(c) = tile[c][r]);
                }
            }
        }
    }
}
