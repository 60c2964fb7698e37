//! Eight lanes: AVX2 with FMA.

use crate::lanes::{Kernel, Lanes};
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Compiles the kernel under this level's instructions.
///
/// # Safety
/// The processor has them.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx2(()))
}

// The token is made only in `run`, whose caller has checked the processor: that makes the intrinsics below sound.
impl Lanes for Avx2 {
    type F = __m256;
    type I = __m256i;
    type M = __m256;
    const N: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: __m256) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm256_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm256_maskload_ps(p, mask(n)) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, x: __m256, n: usize) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe {
            let mut lanes = [0.0f32; 8]; // vmaskmovps stores are slow on Zen (42 micro-ops)
            _mm256_storeu_ps(lanes.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
        }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn lt(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn eq(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, m: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_blendv_ps(b, a, m) }
    }
    #[inline(always)]
    fn isplat(self, x: i32) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    fn to_int(self, a: __m256) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: __m256i) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn bits(self, a: __m256) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_castps_si256(a) }
    }
    #[inline(always)]
    fn from_bits(self, a: __m256i) -> __m256 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_castsi256_ps(a) }
    }
    #[inline(always)]
    fn iadd(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn isub(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn iand(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    fn ior(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    fn ixor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    fn ishl<const K: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(K as i32)) }
    }
    #[inline(always)]
    fn isar<const K: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(K as i32)) }
    }
}

/// All ones in the first `n` of eight lanes.
#[inline(always)]
fn mask(n: usize) -> __m256i {
    const EDGE: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(n <= 8);
    // SAFETY: eight integers from 8 - n on lie within EDGE; called with the token's instructions only.
    unsafe { _mm256_loadu_si256(EDGE.as_ptr().add(8 - n).cast()) }
}
