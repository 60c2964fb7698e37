//! Transposed copies, a square of vectors at a time.

use crate::isa::Level;
use crate::lanes::{Kernel, Lanes};

/// dst[j·dst_ld + i] = src[i·src_ld + j] for i in 0..rows, j in 0..cols.
pub(super) struct Transpose {
    pub src: *const f32,
    pub src_ld: usize,
    pub rows: usize,
    pub cols: usize,
    pub dst: *mut f32,
    pub dst_ld: usize,
    /// Whether what follows each row of the result, up to a vector's length, may be overwritten; rows are written in
    /// ascending order, so that in a dense result only what follows the last one is lost.
    pub spill: bool,
}

impl Transpose {
    /// Does it.
    ///
    /// # Safety
    /// `src` is valid for reading, `dst` for writing, all that the fields say; nothing else uses what is written.
    pub unsafe fn run(self, level: Level) {
        level.run(self);
    }
}

impl Kernel for Transpose {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let t = self;
        let (full_rows, full_cols) = (t.rows - t.rows % S::N, t.cols - t.cols % S::N);
        let squares = if t.spill { t.rows.div_ceil(S::N) * S::N } else { full_rows };
        for j in (0..full_cols).step_by(S::N) {
            // From the last square to the first: what one spills, the next overwrites.
            for i in (0..squares).step_by(S::N).rev() {
                // SAFETY: rows from i on exist, and are not read past the last; j + N <= cols.
                unsafe {
                    let (src, dst) = (t.src.add(i * t.src_ld + j), t.dst.add(j * t.dst_ld + i));
                    if i < full_rows {
                        square(s, |r| src.add(r * t.src_ld), dst, t.dst_ld);
                    } else {
                        let last = t.rows - 1 - i;
                        square(s, |r| src.add(r.min(last) * t.src_ld), dst, t.dst_ld);
                    }
                }
            }
            // SAFETY: i < rows, j < cols.
            unsafe { t.plain(squares, j..j + S::N) };
        }
        // SAFETY: i < rows, j < cols.
        unsafe { t.plain(0, full_cols..t.cols) };
    }
}

impl Transpose {
    /// One by one: the rows from `first` on, these columns.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn plain(&self, first: usize, cols: std::ops::Range<usize>) {
        for j in cols {
            for i in first..self.rows {
                // SAFETY: the caller's promise.
                unsafe { *self.dst.add(j * self.dst_ld + i) = *self.src.add(i * self.src_ld + j) };
            }
        }
    }
}

/// dst[c·ld + r] = row(r)[c] for r and c in 0..N.
///
/// # Safety
/// Each row is valid for reading N floats, `dst` for writing N rows of them.
#[inline(always)]
unsafe fn square<S: Lanes>(_: S, row: impl Fn(usize) -> *const f32, dst: *mut f32, ld: usize) {
    // SAFETY: the caller's promise; N says which level's token this is, so the processor has its instructions.
    unsafe {
        match S::N {
            #[cfg(target_arch = "x86_64")]
            16 => x86::square16(row, dst, ld),
            #[cfg(target_arch = "x86_64")]
            8 => x86::square8(row, dst, ld),
            #[cfg(target_arch = "aarch64")]
            4 => arm::square4(row, dst, ld),
            n => {
                for c in 0..n {
                    for r in 0..n {
                        *dst.add(c * ld + r) = *row(r).add(c);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Four columns at a time: a vector's 128-bit lanes hold four columns of rows i, i + 4, i + 8, i + 12, so that a
    /// transposition within lanes gives whole columns.
    ///
    /// # Safety
    /// As for `square`, of 16.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn square16(row: impl Fn(usize) -> *const f32, dst: *mut f32, ld: usize) {
        for c in (0..16).step_by(4) {
            // SAFETY: 4 of 16 floats.
            let gather = |i: usize| unsafe {
                let z = _mm512_castps128_ps512(_mm_loadu_ps(row(i).add(c)));
                let z = _mm512_insertf32x4::<1>(z, _mm_loadu_ps(row(i + 4).add(c)));
                let z = _mm512_insertf32x4::<2>(z, _mm_loadu_ps(row(i + 8).add(c)));
                _mm512_insertf32x4::<3>(z, _mm_loadu_ps(row(i + 12).add(c)))
            };
            let z = [gather(0), gather(1), gather(2), gather(3)];
            let (a, b) = (_mm512_unpacklo_ps(z[0], z[1]), _mm512_unpackhi_ps(z[0], z[1]));
            let (d, e) = (_mm512_unpacklo_ps(z[2], z[3]), _mm512_unpackhi_ps(z[2], z[3]));
            let pairs = [(a, d), (b, e)];
            for (i, (x, y)) in pairs.into_iter().enumerate() {
                let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
                // SAFETY: the caller's promise.
                unsafe {
                    let at = dst.add((c + 2 * i) * ld);
                    _mm512_storeu_ps(at, _mm512_castpd_ps(_mm512_unpacklo_pd(x, y)));
                    _mm512_storeu_ps(at.add(ld), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
                }
            }
        }
    }

    /// As `square16`, with two lanes of 128 bits.
    ///
    /// # Safety
    /// As for `square`, of 8.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn square8(row: impl Fn(usize) -> *const f32, dst: *mut f32, ld: usize) {
        for c in (0..8).step_by(4) {
            // SAFETY: 4 of 8 floats.
            let gather = |i: usize| unsafe {
                let y = _mm256_castps128_ps256(_mm_loadu_ps(row(i).add(c)));
                _mm256_insertf128_ps::<1>(y, _mm_loadu_ps(row(i + 4).add(c)))
            };
            let y = [gather(0), gather(1), gather(2), gather(3)];
            let (a, b) = (_mm256_unpacklo_ps(y[0], y[1]), _mm256_unpackhi_ps(y[0], y[1]));
            let (d, e) = (_mm256_unpacklo_ps(y[2], y[3]), _mm256_unpackhi_ps(y[2], y[3]));
            let pairs = [(a, d), (b, e)];
            for (i, (x, y)) in pairs.into_iter().enumerate() {
                let (x, y) = (_mm256_castps_pd(x), _mm256_castps_pd(y));
                // SAFETY: the caller's promise.
                unsafe {
                    let at = dst.add((c + 2 * i) * ld);
                    _mm256_storeu_ps(at, _mm256_castpd_ps(_mm256_unpacklo_pd(x, y)));
                    _mm256_storeu_ps(at.add(ld), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
                }
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
    pub unsafe fn square4(row: impl Fn(usize) -> *const f32, dst: *mut f32, ld: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (p, q) =
                (vtrnq_f32(vld1q_f32(row(0)), vld1q_f32(row(1))), vtrnq_f32(vld1q_f32(row(2)), vld1q_f32(row(3))));
            let (a, b, c, d) = (p.0, p.1, q.0, q.1);
            vst1q_f32(dst, vcombine_f32(vget_low_f32(a), vget_low_f32(c)));
            vst1q_f32(dst.add(ld), vcombine_f32(vget_low_f32(b), vget_low_f32(d)));
            vst1q_f32(dst.add(2 * ld), vcombine_f32(vget_high_f32(a), vget_high_f32(c)));
            vst1q_f32(dst.add(3 * ld), vcombine_f32(vget_high_f32(b), vget_high_f32(d)));
        }
    }
}
