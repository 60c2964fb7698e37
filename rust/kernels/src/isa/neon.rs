//! Four lanes: NEON.

use crate::lanes::{Kernel, Lanes};
use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub(super) struct Neon(());

/// Compiles the kernel under this level's instructions.
///
/// # Safety
/// The processor has them.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Neon(()))
}

/// Denormals as zeros of their sign: what x86's minimum and maximum make of them, and a comparison here does not.
#[inline(always)]
fn flushed(x: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is part of every arm64 that this module is compiled for.
    unsafe {
        let bits = vreinterpretq_u32_f32(x);
        let normal = vtstq_u32(bits, vdupq_n_u32(0x7f80_0000)); // an exponent that is not zero
        vreinterpretq_f32_u32(vandq_u32(bits, vorrq_u32(normal, vdupq_n_u32(0x8000_0000))))
    }
}

// The token is made only in `run`, whose caller has checked the processor: that makes the intrinsics below sound.
impl Lanes for Neon {
    type F = float32x4_t;
    type I = int32x4_t;
    type M = uint32x4_t;
    const N: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: float32x4_t) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe { vst1q_f32(p, x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe {
            let mut lanes = [0.0f32; 4];
            std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, x: float32x4_t, n: usize) {
        // SAFETY: the token shows that the processor has the instruction; the caller vouches for the memory.
        unsafe {
            let mut lanes = [0.0f32; 4];
            vst1q_f32(lanes.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
        }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        flushed(unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        flushed(unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }
    #[inline(always)]
    fn lt(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vcltq_f32(a, b) }
    }
    #[inline(always)]
    fn le(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vcleq_f32(a, b) }
    }
    #[inline(always)]
    fn eq(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vceqq_f32(a, b) }
    }
    #[inline(always)]
    fn select(self, m: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vbslq_f32(m, a, b) }
    }
    #[inline(always)]
    fn isplat(self, x: i32) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vdupq_n_s32(x) }
    }
    #[inline(always)]
    fn to_int(self, a: float32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vcvtnq_s32_f32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: int32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vcvtq_f32_s32(a) }
    }
    #[inline(always)]
    fn bits(self, a: float32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vreinterpretq_s32_f32(a) }
    }
    #[inline(always)]
    fn from_bits(self, a: int32x4_t) -> float32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vreinterpretq_f32_s32(a) }
    }
    #[inline(always)]
    fn iadd(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vaddq_s32(a, b) }
    }
    #[inline(always)]
    fn isub(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vsubq_s32(a, b) }
    }
    #[inline(always)]
    fn iand(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vandq_s32(a, b) }
    }
    #[inline(always)]
    fn ior(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vorrq_s32(a, b) }
    }
    #[inline(always)]
    fn ixor(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { veorq_s32(a, b) }
    }
    #[inline(always)]
    fn ishl<const K: u32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vshlq_s32(a, vdupq_n_s32(K as i32)) }
    }
    #[inline(always)]
    fn isar<const K: u32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token shows that the processor has the instruction.
        unsafe { vshlq_s32(a, vdupq_n_s32(-(K as i32))) }
    }
}
