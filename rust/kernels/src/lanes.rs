//! The vector vocabulary: kernel bodies are written once against [`Lanes`] and instantiated per CPU level.
//!
//! A value of a `Lanes` type is a token: it exists only where the processor has the level's instructions, so its
//! arithmetic methods are safe. Each method is one exactly rounded IEEE operation (or a bit operation), so a body gives
//! the same bits on every level.

use crate::isa::Level;

/// Vectors of `N` float32 lanes of one CPU level.
///
/// NaN: `min` and `max` return the second operand if either is NaN; comparisons with NaN are false.
#[allow(clippy::wrong_self_convention)] // `self` is the token, not what is converted
pub trait Lanes: Copy + 'static {
    /// float32 lanes.
    type F: Copy;
    /// int32 lanes.
    type I: Copy;
    /// One truth value per lane.
    type M: Copy;
    /// Lanes per vector; divides 16.
    const N: usize;

    /// The same value in each lane.
    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `p` is valid for reading N floats; no alignment is needed.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// # Safety
    /// `p` is valid for writing N floats.
    unsafe fn store(self, p: *mut f32, x: Self::F);
    /// The first `n` < N lanes from memory, zero in the others.
    /// # Safety
    /// `p` is valid for reading `n` floats.
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::F;
    /// Writes the first `n` < N lanes.
    /// # Safety
    /// `p` is valid for writing `n` floats.
    unsafe fn store_part(self, p: *mut f32, x: Self::F, n: usize);

    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b + c, rounded once
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// √a
    fn sqrt(self, a: Self::F) -> Self::F;
    /// a < b ? a : b; a denormal comes out as a zero of its sign
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// a > b ? a : b; a denormal comes out as a zero of its sign
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// a < b
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// a ≤ b
    fn le(self, a: Self::F, b: Self::F) -> Self::M;
    /// a = b
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    /// m ? a : b
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The same integer in each lane.
    fn isplat(self, x: i32) -> Self::I;
    /// The nearest integer, ties to even. Only for |a| < 2³¹.
    fn to_int(self, a: Self::F) -> Self::I;
    /// The integer as a float.
    fn to_float(self, a: Self::I) -> Self::F;
    /// The bits of a float.
    fn bits(self, a: Self::F) -> Self::I;
    /// The float of these bits.
    fn from_bits(self, a: Self::I) -> Self::F;
    /// a + b, wrapping
    fn iadd(self, a: Self::I, b: Self::I) -> Self::I;
    /// a − b, wrapping
    fn isub(self, a: Self::I, b: Self::I) -> Self::I;
    /// a & b
    fn iand(self, a: Self::I, b: Self::I) -> Self::I;
    /// a | b
    fn ior(self, a: Self::I, b: Self::I) -> Self::I;
    /// a ^ b
    fn ixor(self, a: Self::I, b: Self::I) -> Self::I;
    /// a << K
    fn ishl<const K: u32>(self, a: Self::I) -> Self::I;
    /// a >> K, filling with the sign
    fn isar<const K: u32>(self, a: Self::I) -> Self::I;

    /// |a|
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        self.from_bits(self.iand(self.bits(a), self.isplat(0x7fff_ffff)))
    }
    /// −a
    #[inline(always)]
    fn neg(self, a: Self::F) -> Self::F {
        self.from_bits(self.ixor(self.bits(a), self.isplat(i32::MIN)))
    }
    /// The magnitude of `a` with the sign of `s`.
    #[inline(always)]
    fn copysign(self, a: Self::F, s: Self::F) -> Self::F {
        let sign = self.isplat(i32::MIN);
        self.from_bits(self.ior(self.bits(self.abs(a)), self.iand(self.bits(s), sign)))
    }
}

/// A piece of work written once for all levels: `run` is compiled anew under each level's instructions.
/// Implementations mark `run`, and what it calls with the token, `#[inline(always)]`, closures too: a closure that is
/// not inlined is compiled without the level's instructions, and a call per instruction is fifty times slower.
pub trait Kernel {
    /// What it returns.
    type Out;
    /// Does the work.
    fn run<S: Lanes>(self, s: S) -> Self::Out;
}

impl Level {
    /// Runs the kernel with this level's instructions.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Out {
        crate::isa::run(self, kernel)
    }
}

/// y[i] = f(x[i]) over slices, the tail in a partial vector.
#[inline(always)]
pub fn map1<S: Lanes>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::F) -> S::F) {
    assert_eq!(x.len(), y.len());
    // SAFETY: x and y have y.len() elements each.
    unsafe {
        map_raw(
            s,
            y.len(),
            y.as_mut_ptr(),
            #[inline(always)]
            |i, n| f(load(s, x.as_ptr().add(i), n)),
        )
    }
}

/// y[i] = f(a[i], b[i]) over slices.
#[inline(always)]
pub fn map2<S: Lanes>(s: S, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(S::F, S::F) -> S::F) {
    assert!(a.len() == y.len() && b.len() == y.len());
    // SAFETY: all three have y.len() elements.
    unsafe {
        map_raw(
            s,
            y.len(),
            y.as_mut_ptr(),
            #[inline(always)]
            |i, n| f(load(s, a.as_ptr().add(i), n), load(s, b.as_ptr().add(i), n)),
        )
    }
}

/// `n` = N lanes or fewer from memory.
///
/// # Safety
/// `p` is valid for reading `n` floats.
#[inline(always)]
pub unsafe fn load<S: Lanes>(s: S, p: *const f32, n: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { if n == S::N { s.load(p) } else { s.load_part(p, n) } }
}

/// `n` = N lanes or fewer to memory.
///
/// # Safety
/// `p` is valid for writing `n` floats.
#[inline(always)]
pub unsafe fn store<S: Lanes>(s: S, p: *mut f32, x: S::F, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if n == S::N { s.store(p, x) } else { s.store_part(p, x, n) } }
}

/// Calls `f(i, n)` for each vector of `len` elements; n is the width but for the last.
#[inline(always)]
pub fn vectors(width: usize, len: usize, mut f: impl FnMut(usize, usize)) {
    let full = len - len % width;
    let mut i = 0;
    while i < full {
        f(i, width);
        i += width;
    }
    if i < len {
        f(i, len - i);
    }
}

/// y[i..i+n] = f(i, n) for each vector of `y`; n = N but for the last.
///
/// # Safety
/// `y` is valid for writing `len` floats (it may be what `f` reads at the same place).
#[inline(always)]
pub unsafe fn map_raw<S: Lanes>(s: S, len: usize, y: *mut f32, f: impl Fn(usize, usize) -> S::F) {
    let full = len - len % S::N;
    let mut i = 0;
    while i < full {
        // SAFETY: i + N <= len.
        unsafe { s.store(y.add(i), f(i, S::N)) };
        i += S::N;
    }
    if i < len {
        // SAFETY: i + (len - i) = len.
        unsafe { s.store_part(y.add(i), f(i, len - i), len - i) };
    }
}
