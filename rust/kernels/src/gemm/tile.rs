//! The micro-kernel: a tile of C in registers, one outer product per k.
//!
//! A row-major family: `MR` values of A are broadcast, `NV` vectors of B are loaded, MR·NV accumulators take one FMA
//! each. A is read through two strides, so A and Aᵀ are the same to it; rows of B are contiguous. (The shape is that of
//! BLIS's row-preferring kernels: Van Zee, van de Geijn, "BLIS", ACM TOMS 41(3), 2015.)

use crate::isa::Level;
use crate::lanes::{Kernel, Lanes};

/// Where a tile begins, and how far its rows are apart.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The tile's first element.
    pub ptr: *mut f32,
    /// Elements from one row to the next.
    pub ld: usize,
}

/// One call of the micro-kernel: C tile = from + A·B over `k`, finished as the last fields say.
pub(super) struct Tile {
    pub k: usize,
    pub a: *const f32,
    /// Elements of A from one row of C to the next, and from one k to the next.
    pub a_row: isize,
    pub a_step: isize,
    pub b: *const f32,
    pub b_step: isize,
    /// Where the sum so far stands; null: zero.
    pub from: *const f32,
    pub from_ld: usize,
    pub to: Place,
    /// Whether the finished sum is added to what `to` holds.
    pub merge: bool,
    /// Added to each row at the end, unless null.
    pub bias: *const f32,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Results count, times `scale`, where this is positive, and are zero elsewhere; null: they all stay.
    pub gate: *const f32,
    pub gate_ld: usize,
    pub scale: f32,
    /// Valid lanes of the last vector; fewer than all only in the functions for edges.
    pub lanes: usize,
    /// Where the functions that copy put the rows of B, one after another.
    pub copy: *mut f32,
    /// Elements from each row of B to one that is fetched into the cache meanwhile.
    pub ahead: isize,
    /// Where the next tile's results will go, to be fetched meanwhile; null: nothing.
    pub next: *const f32,
}

/// Which function of a height and width: for whole vectors; with a partial last one; for whole vectors, leaving a copy of
/// the panel of B, which costs the first tile of a panel next to nothing and spares the others the stride.
pub(super) const WHOLE: usize = 0;
pub(super) const EDGE: usize = 1;
pub(super) const COPY: usize = 2;

/// Computes one tile.
///
/// # Safety
/// The pointers of the `Tile` reach all elements of a tile of the function's height and width, `to` alone; the
/// processor has the level's instructions.
pub(super) type TileFn = unsafe fn(&Tile);

struct Micro<'a, const N: usize, const MR: usize, const NV: usize, const MODE: usize>(&'a Tile);

impl<const N: usize, const MR: usize, const NV: usize, const MODE: usize> Kernel for Micro<'_, N, MR, NV, MODE> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        if S::N != N || (N == 1 && MODE == EDGE) {
            return; // not a tile of this level: nothing is compiled for it
        }
        let t = self.0;
        // SAFETY: `TileFn`'s contract.
        unsafe {
            let mut acc = [[s.splat(0.0); NV]; MR];
            if !t.next.is_null() {
                for i in 0..MR {
                    fetch::<NV, N>(t.next.wrapping_add(i * t.to.ld));
                }
            }
            if !t.from.is_null() {
                each::<MR, NV, MODE>(t.lanes, |i, j, n| acc[i][j] = load(s, t.from.add(i * t.from_ld + j * N), n));
            }
            accumulate::<S, N, MR, NV, MODE>(s, t, &mut acc);
            let at = |i: usize, j: usize| t.to.ptr.add(i * t.to.ld + j * N);
            if t.merge {
                each::<MR, NV, MODE>(t.lanes, |i, j, n| acc[i][j] = s.add(load(s, at(i, j), n), acc[i][j]));
            }
            if !t.bias.is_null() {
                let mut bias = [s.splat(0.0); NV];
                each::<1, NV, MODE>(t.lanes, |_, j, n| bias[j] = load(s, t.bias.add(j * N), n));
                each::<MR, NV, MODE>(t.lanes, |i, j, _| acc[i][j] = s.add(acc[i][j], bias[j]));
            }
            if t.relu {
                each::<MR, NV, MODE>(t.lanes, |i, j, _| acc[i][j] = s.max(s.splat(0.0), acc[i][j]));
            }
            if !t.gate.is_null() {
                let (zero, scale) = (s.splat(0.0), s.splat(t.scale));
                each::<MR, NV, MODE>(t.lanes, |i, j, n| {
                    let gate = load(s, t.gate.add(i * t.gate_ld + j * N), n);
                    acc[i][j] = s.select(s.lt(zero, gate), s.mul(acc[i][j], scale), zero);
                });
            }
            each::<MR, NV, MODE>(t.lanes, |i, j, n| store(s, at(i, j), acc[i][j], n));
        }
    }
}

/// Calls `f(row, vector, lanes)` for each vector of the tile; lanes is `None` for whole vectors.
#[inline(always)]
fn each<const MR: usize, const NV: usize, const MODE: usize>(
    lanes: usize,
    mut f: impl FnMut(usize, usize, Option<usize>),
) {
    for i in 0..MR {
        for j in 0..NV {
            f(i, j, (MODE == EDGE && j == NV - 1).then_some(lanes));
        }
    }
}

/// # Safety
/// `p` is valid for reading `lanes` floats.
#[inline(always)]
unsafe fn load<S: Lanes>(s: S, p: *const f32, lanes: Option<usize>) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { lanes.map_or_else(|| s.load(p), |n| s.load_part(p, n)) }
}

/// # Safety
/// `p` is valid for writing `lanes` floats.
#[inline(always)]
unsafe fn store<S: Lanes>(s: S, p: *mut f32, x: S::F, lanes: Option<usize>) {
    // SAFETY: the caller's promise.
    unsafe { lanes.map_or_else(|| s.store(p, x), |n| s.store_part(p, x, n)) }
}

/// The loop over k.
///
/// # Safety
/// As for [`TileFn`].
#[inline(always)]
unsafe fn accumulate<S: Lanes, const N: usize, const MR: usize, const NV: usize, const MODE: usize>(
    s: S,
    t: &Tile,
    acc: &mut [[S::F; NV]; MR],
) {
    // One pointer per three rows, as x86 addresses reach three rows from it (+0, +4·row, +8·row): a single pointer moved
    // from row to row would be a chain of additions as long as the FMAs take, one per row would not fit the registers.
    let mut heads = [t.a; 5];
    for (g, head) in heads.iter_mut().enumerate() {
        *head = t.a.wrapping_offset(3 * g as isize * t.a_row);
    }
    let (mut b, mut copy) = (t.b, t.copy);
    for _ in 0..t.k {
        // SAFETY: the caller's promise.
        unsafe {
            let mut row = [s.splat(0.0); NV];
            each::<1, NV, MODE>(t.lanes, |_, j, n| row[j] = load(s, b.add(j * S::N), n));
            fetch::<NV, N>(b.wrapping_offset(t.ahead));
            if MODE == COPY {
                each::<1, NV, MODE>(t.lanes, |_, j, n| store(s, copy.add(j * S::N), row[j], n));
                copy = copy.add(NV * S::N);
            }
            macro_rules! rows {
                ($($head:literal: $($i:literal)*;)*) => { $(
                    if 3 * $head < MR {
                        $( if $i < MR {
                            let x = s.splat(*heads[$head].offset(($i % 3) * t.a_row));
                            for j in 0..NV {
                                acc[$i][j] = s.fma(x, row[j], acc[$i][j]);
                            }
                        } )*
                        heads[$head] = opaque(heads[$head].wrapping_offset(t.a_step));
                    }
                )* };
            }
            rows!(0: 0 1 2; 1: 3 4 5; 2: 6 7 8; 3: 9 10 11; 4: 12 13;);
        }
        b = b.wrapping_offset(t.b_step);
    }
}

/// Asks for the NV·N floats from here on to be brought into the cache.
#[inline(always)]
fn fetch<const NV: usize, const N: usize>(p: *const f32) {
    for line in 0..(NV * N * size_of::<f32>()).div_ceil(64) {
        let p = p.wrapping_add(16 * line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint; any address is allowed.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(p.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a hint; any address is allowed.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) p, options(nostack, preserves_flags, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = p;
    }
}

/// The pointer, with what the compiler knows of its origin forgotten.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // nothing is read or written: there is no instruction
pub(super) fn opaque(mut p: *const f32) -> *const f32 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) p, options(pure, nomem, nostack, preserves_flags));
    }
    p
}

/// Tiles of one width.
pub(super) struct Width {
    /// Vectors across.
    pub vectors: usize,
    /// The functions for 1, 2, … rows, by mode.
    pub tiles: &'static [[TileFn; 3]],
}

/// The tiles of a level, and the largest blocks along k, m and n.
pub(super) struct Family {
    /// Lanes of a vector.
    pub lanes: usize,
    /// Widths, widest first; the wider, the fewer rows.
    pub widths: &'static [Width],
    /// The width for large products; those before it are for few rows, where a taller tile would leave registers idle.
    pub main: usize,
    /// Terms of a block; and where a large B is read where it lies, far from the processor and row by row.
    pub kc: usize,
    pub kc_far: usize,
    /// Columns of a block.
    pub nc: usize,
    /// Floats of A and of B that stay in the cache while they are read again and again.
    pub a_floats: usize,
    pub b_floats: usize,
}

impl Family {
    /// The width to begin with for an m×n result.
    pub fn choose(&self, m: usize, n: usize) -> usize {
        let fits = |&i: &usize| i >= self.main || m <= self.widths[i].tiles.len();
        self.narrow(n, (0..self.widths.len()).find(fits).unwrap_or(self.main))
    }

    /// From width `first` on, the first that n columns reach the last vector of.
    pub fn narrow(&self, n: usize, first: usize) -> usize {
        let reaches = |&i: &usize| (self.widths[i].vectors - 1) * self.lanes < n;
        (first..self.widths.len()).find(reaches).unwrap_or(self.widths.len() - 1)
    }
}

/// The tiles of this level.
pub(super) fn family(level: Level) -> &'static Family {
    match level {
        Level::Scalar => &SCALAR,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => &AVX2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => &AVX512,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => &NEON,
        #[allow(unreachable_patterns)] // levels of other processors run as the scalar one
        _ => &SCALAR,
    }
}

/// # Safety
/// As for [`TileFn`].
unsafe fn micro<const L: usize, const N: usize, const MR: usize, const NV: usize, const MODE: usize>(t: &Tile) {
    Level::ALL[L].run(Micro::<N, MR, NV, MODE>(t));
}

/// The functions of one width: level (its place in `Level::ALL`), lanes, vectors, heights.
macro_rules! width {
    ($level:literal, $lanes:literal, $vectors:literal: $($rows:literal)*) => {
        Width {
            vectors: $vectors,
            tiles: &[$([
                micro::<$level, $lanes, $rows, $vectors, WHOLE>,
                micro::<$level, $lanes, $rows, $vectors, EDGE>,
                micro::<$level, $lanes, $rows, $vectors, COPY>,
            ]),*],
        }
    };
}

static SCALAR: Family = Family {
    lanes: 1,
    widths: &[width!(0, 1, 4: 1 2 3 4), width!(0, 1, 1: 1 2 3 4)],
    main: 0,
    kc: 256,
    kc_far: 256,
    nc: 256,
    a_floats: 1 << 14,
    b_floats: 1 << 16,
};

/// 32 registers of 4 lanes.
#[cfg(target_arch = "aarch64")]
static NEON: Family = Family {
    lanes: 4,
    widths: &[width!(1, 4, 4: 1 2 3 4 5 6), width!(1, 4, 2: 1 2 3 4 5 6 7 8), width!(1, 4, 1: 1 2 3 4 5 6 7 8)],
    main: 0,
    kc: 256,
    kc_far: 256,
    nc: 512,
    a_floats: 1 << 16,
    b_floats: 1 << 16,
};

/// 16 registers of 8 lanes.
#[cfg(target_arch = "x86_64")]
static AVX2: Family = Family {
    lanes: 8,
    widths: &[
        width!(2, 8, 4: 1 2),
        width!(2, 8, 3: 1 2 3),
        width!(2, 8, 2: 1 2 3 4 5 6),
        width!(2, 8, 1: 1 2 3 4 5 6 7 8 9 10 11 12),
    ],
    main: 2,
    kc: 384,
    kc_far: 256,
    nc: 352,
    a_floats: 1 << 16,
    b_floats: 1 << 17,
};

/// 32 registers of 16 lanes.
#[cfg(target_arch = "x86_64")]
static AVX512: Family = Family {
    lanes: 16,
    widths: &[
        width!(3, 16, 4: 1 2 3 4 5 6),
        width!(3, 16, 2: 1 2 3 4 5 6 7 8 9 10 11 12),
        width!(3, 16, 1: 1 2 3 4 5 6 7 8 9 10 11 12),
    ],
    main: 1,
    kc: 688,
    kc_far: 256,
    nc: 352,
    a_floats: 1 << 17,
    b_floats: 1 << 18,
};
