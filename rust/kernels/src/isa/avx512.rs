//! Sixteen lanes with masks: AVX-512 (F, VL, BW, DQ).

use crate::lanes::{Kernel, Lanes};
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(super) struct Avx512(());

/// Compiles the kernel under this level's instructions.
///
/// # Safety
/// The processor has them.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx512(()))
}

// The token is made only in `run`, whose caller has checked the processor: that makes the intrinsics below sound.
impl Lanes for Avx512 {
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;
    const N: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: __m512) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, x: __m512, n: usize) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn eq(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, m: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_mask_blend_ps(m, b, a) }
    }
    #[inline(always)]
    fn isplat(self, x: i32) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    fn to_int(self, a: __m512) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: __m512i) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn bits(self, a: __m512) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_castps_si512(a) }
    }
    #[inline(always)]
    fn from_bits(self, a: __m512i) -> __m512 {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_castsi512_ps(a) }
    }
    #[inline(always)]
    fn iadd(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn isub(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn iand(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_and_si512(a, b) }
    }
    #[inline(always)]
    fn ior(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    fn ixor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    fn ishl<const K: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_slli_epi32::<K>(a) }
    }
    #[inline(always)]
    fn isar<const K: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { _mm512_srai_epi32::<K>(a) }
    }
}
