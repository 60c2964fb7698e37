//! Transposed copies, a square of vectors at a time.

use crate::isa::Level;
use crate::lanes::{Kernel, Lanes};
use std::ops::Range;

/// dst[j·dst_ld + i] = src[i·src_ld + j] for i in 0..rows, j in 0..cols.
pub(super) struct Transpose {
    pub src: *const f32,
    pub src_ld: usize,
    pub rows: usize,
    pub cols: usize,
    pub dst: *mut f32,
    pub dst_ld: usize,
}

impl Transpose {
    /// Does it.
    ///
    /// # Safety
    /// `src` is valid for reading, `dst` for writing, all that the fields say; nothing else uses what is written.
    pub unsafe fn run(self, level: Level) {
        level.run(self);
    }

    /// The square, of as many rows as it has columns, that begins at (i, j): where it is read, where it is written.
    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> (*const f32, *mut f32) {
        (self.src.wrapping_add(i * self.src_ld + j), self.dst.wrapping_add(j * self.dst_ld + i))
    }

    /// Squares of SIDE that fit into `rows` and `cols`; returns what is left of both.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn squares<const SIDE: usize>(&self, rows: Range<usize>, cols: Range<usize>) -> (usize, usize) {
        let (last_row, last_col) = (rows.end - rows.len() % SIDE, cols.end - cols.len() % SIDE);
        for i in (rows.start..last_row).step_by(SIDE) {
            for j in (cols.start..last_col).step_by(SIDE) {
                let (src, dst) = self.at(i, j);
                // SAFETY: the square lies inside.
                unsafe { square::<SIDE>(src, self.src_ld, dst, self.dst_ld) };
            }
        }
        (last_row, last_col)
    }

    /// All of it in squares of SIDE, the edges in squares of 4 and one by one.
    ///
    /// # Safety
    /// As for `run`; squares of SIDE need the level's instructions.
    #[inline(always)]
    unsafe fn blocks<const SIDE: usize>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            let (row, col) = self.squares::<SIDE>(0..self.rows, 0..self.cols);
            for (rows, cols) in [(row..self.rows, 0..self.cols), (0..row, col..self.cols)] {
                let (row, col) = self.squares::<4>(rows.clone(), cols.clone());
                self.single(row..rows.end, cols.clone());
                self.single(rows.start..row, col..cols.end);
            }
        }
    }

    /// One by one.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn single(&self, rows: Range<usize>, cols: Range<usize>) {
        for j in cols {
            for i in rows.clone() {
                let (src, dst) = self.at(i, j);
                // SAFETY: the caller's promise.
                unsafe { *dst = *src };
            }
        }
    }
}

impl Kernel for Transpose {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        // SAFETY: the contract of `Transpose::run`. The number of lanes says whose token the argument is, and with it
        // which instructions the processor has.
        unsafe {
            match S::N {
                #[cfg(target_arch = "x86_64")]
                16 => self.blocks::<16>(),
                #[cfg(target_arch = "x86_64")]
                8 => self.blocks::<8>(),
                _ => self.blocks::<4>(),
            }
        }
    }
}

/// dst[c·dst_ld + r] = src[r·src_ld + c] for r and c in 0..SIDE.
///
/// # Safety
/// `src` is valid for reading SIDE rows of SIDE floats, `dst` for writing them; a SIDE of 16 needs AVX-512, one of 8
/// AVX2.
#[inline(always)]
unsafe fn square<const SIDE: usize>(src: *const f32, src_ld: usize, dst: *mut f32, dst_ld: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match SIDE {
            #[cfg(target_arch = "x86_64")]
            16 => x86::square16(src, src_ld, dst, dst_ld),
            #[cfg(target_arch = "x86_64")]
            8 => x86::square8(src, src_ld, dst, dst_ld),
            #[cfg(target_arch = "x86_64")]
            4 => x86::square4(src, src_ld, dst, dst_ld),
            #[cfg(target_arch = "aarch64")]
            4 => arm::square4(src, src_ld, dst, dst_ld),
            side => {
                for c in 0..side {
                    for r in 0..side {
                        *dst.add(c * dst_ld + r) = *src.add(r * src_ld + c);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::tile::opaque;
    use std::arch::x86_64::*;

    /// Four columns at a time: a vector's 128-bit lanes hold four columns of rows i, i + 4, i + 8, i + 12, so that a
    /// transposition within lanes gives whole columns.
    ///
    /// # Safety
    /// As for `square`.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn square16(src: *const f32, src_ld: usize, dst: *mut f32, dst_ld: usize) {
        // Opaque, since sixteen addresses known to be related would be kept in as many places.
        let heads = [0, 4, 8, 12].map(|r| opaque(src.wrapping_add(r * src_ld)));
        for c in (0..16).step_by(4) {
            // SAFETY: four of the sixteen floats of each row.
            let gather = |i: usize| unsafe {
                let part = |head: usize| _mm_loadu_ps(heads[head].add(i * src_ld + c));
                let z = _mm512_castps128_ps512(part(0));
                let z = _mm512_mask_broadcast_f32x4(z, 0x00f0, part(1));
                let z = _mm512_mask_broadcast_f32x4(z, 0x0f00, part(2));
                _mm512_mask_broadcast_f32x4(z, 0xf000, part(3))
            };
            let z = [gather(0), gather(1), gather(2), gather(3)];
            let low = (_mm512_unpacklo_ps(z[0], z[1]), _mm512_unpacklo_ps(z[2], z[3]));
            let high = (_mm512_unpackhi_ps(z[0], z[1]), _mm512_unpackhi_ps(z[2], z[3]));
            for (pair, (x, y)) in [low, high].into_iter().enumerate() {
                let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
                // SAFETY: two of the sixteen rows.
                unsafe {
                    let to = dst.add((c + 2 * pair) * dst_ld);
                    _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(x, y)));
                    _mm512_storeu_ps(to.add(dst_ld), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
                }
            }
        }
    }

    /// As `square16`, with two lanes of 128 bits.
    ///
    /// # Safety
    /// As for `square`.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn square8(src: *const f32, src_ld: usize, dst: *mut f32, dst_ld: usize) {
        let heads = [0, 4].map(|r| opaque(src.wrapping_add(r * src_ld)));
        for c in (0..8).step_by(4) {
            // SAFETY: four of the eight floats of each row.
            let gather = |i: usize| unsafe {
                let part = |head: usize| _mm_loadu_ps(heads[head].add(i * src_ld + c));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(part(0)), part(1))
            };
            let y = [gather(0), gather(1), gather(2), gather(3)];
            let low = (_mm256_unpacklo_ps(y[0], y[1]), _mm256_unpacklo_ps(y[2], y[3]));
            let high = (_mm256_unpackhi_ps(y[0], y[1]), _mm256_unpackhi_ps(y[2], y[3]));
            for (pair, (x, y)) in [low, high].into_iter().enumerate() {
                let (x, y) = (_mm256_castps_pd(x), _mm256_castps_pd(y));
                // SAFETY: two of the eight rows.
                unsafe {
                    let to = dst.add((c + 2 * pair) * dst_ld);
                    _mm256_storeu_ps(to, _mm256_castpd_ps(_mm256_unpacklo_pd(x, y)));
                    _mm256_storeu_ps(to.add(dst_ld), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
                }
            }
        }
    }

    /// With the instructions that every x86-64 has.
    ///
    /// # Safety
    /// As for `square`.
    #[inline(always)]
    pub unsafe fn square4(src: *const f32, src_ld: usize, dst: *mut f32, dst_ld: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut rows = [0, 1, 2, 3].map(|r| _mm_loadu_ps(src.add(r * src_ld)));
            let [a, b, c, d] = &mut rows;
            _MM_TRANSPOSE4_PS(a, b, c, d);
            for (c, row) in rows.into_iter().enumerate() {
                _mm_storeu_ps(dst.add(c * dst_ld), row);
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    /// # Safety
    /// As for `square`, of 4.
    #[target_feature(enable = "neon")]
    #[inline]
    pub unsafe fn square4(src: *const f32, src_ld: usize, dst: *mut f32, dst_ld: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: usize| vld1q_f32(src.add(r * src_ld));
            let (p, q) = (vtrnq_f32(row(0), row(1)), vtrnq_f32(row(2), row(3)));
            let (a, b, c, d) = (p.0, p.1, q.0, q.1);
            vst1q_f32(dst, vcombine_f32(vget_low_f32(a), vget_low_f32(c)));
            vst1q_f32(dst.add(dst_ld), vcombine_f32(vget_low_f32(b), vget_low_f32(d)));
            vst1q_f32(dst.add(2 * dst_ld), vcombine_f32(vget_high_f32(a), vget_high_f32(c)));
            vst1q_f32(dst.add(3 * dst_ld), vcombine_f32(vget_high_f32(b), vget_high_f32(d)));
        }
    }
}
