//! One lane, plain Rust: the reference level.

use crate::lanes::Lanes;

#[derive(Clone, Copy)]
pub(super) struct Scalar;

/// Denormals as zeros of their sign, whatever instruction the compiler makes of a minimum or a maximum.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

impl Lanes for Scalar {
    type F = f32;
    type I = i32;
    type M = bool;
    const N: usize = 1;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { p.read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, x: f32) {
        // SAFETY: the caller's promise.
        unsafe { p.write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_part(self, _: *const f32, _: usize) -> f32 {
        0.0
    }
    #[inline(always)]
    unsafe fn store_part(self, _: *mut f32, _: f32, _: usize) {}

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        flushed(if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        flushed(if a > b { a } else { b })
    }
    #[inline(always)]
    fn lt(self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn le(self, a: f32, b: f32) -> bool {
        a <= b
    }
    #[inline(always)]
    fn eq(self, a: f32, b: f32) -> bool {
        a == b
    }
    #[inline(always)]
    fn select(self, m: bool, a: f32, b: f32) -> f32 {
        if m { a } else { b }
    }

    #[inline(always)]
    fn isplat(self, x: i32) -> i32 {
        x
    }
    #[inline(always)]
    fn to_int(self, a: f32) -> i32 {
        a.round_ties_even() as i32
    }
    #[inline(always)]
    fn to_float(self, a: i32) -> f32 {
        a as f32
    }
    #[inline(always)]
    fn bits(self, a: f32) -> i32 {
        a.to_bits() as i32
    }
    #[inline(always)]
    fn from_bits(self, a: i32) -> f32 {
        f32::from_bits(a as u32)
    }
    #[inline(always)]
    fn iadd(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn isub(self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn iand(self, a: i32, b: i32) -> i32 {
        a & b
    }
    #[inline(always)]
    fn ior(self, a: i32, b: i32) -> i32 {
        a | b
    }
    #[inline(always)]
    fn ixor(self, a: i32, b: i32) -> i32 {
        a ^ b
    }
    #[inline(always)]
    fn ishl<const K: u32>(self, a: i32) -> i32 {
        a << K
    }
    #[inline(always)]
    fn isar<const K: u32>(self, a: i32) -> i32 {
        a >> K
    }
}
