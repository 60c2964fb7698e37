//! CPU levels: which instructions the kernels may use, chosen at run time.

use crate::lanes::Kernel;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

/// A set of vector instructions. Levels differ in speed only, never in results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Level {
    /// Plain Rust: the reference, on every processor.
    Scalar,
    /// 8 lanes with FMA (x86-64).
    Avx2,
    /// 16 lanes with masks (x86-64).
    Avx512,
    /// 4 lanes (arm64).
    Neon,
}

impl Level {
    /// All levels, fastest last.
    pub const ALL: [Level; 4] = [Level::Scalar, Level::Neon, Level::Avx2, Level::Avx512];

    /// The name that `LUMBRE_ISA` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Neon => "neon",
        }
    }

    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.name() == name)
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && Level::Avx2.available()
            }
            #[cfg(target_arch = "aarch64")]
            Level::Neon => true, // part of every arm64 that Rust's standard library runs on
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The fastest level of this processor.
    pub fn best() -> Level {
        Level::ALL.into_iter().rev().find(|l| l.available()).unwrap_or(Level::Scalar)
    }
}

/// Runs a kernel under a level; on a processor without it, under the scalar one.
#[inline]
pub(crate) fn run<K: Kernel>(level: Level, kernel: K) -> K::Out {
    match level {
        // SAFETY: `Part`s are made with levels that `available()` has confirmed; the runtime and the tests go
        // through `Level::best` or check it.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { neon::run(kernel) },
        _ => kernel.run(scalar::Scalar),
    }
}

/// Makes the processor treat denormal floats as zero, in and out, on this thread; returns the previous state for
/// [`restore_float_state`]. Without it, decaying optimizer moments make training half as fast.
#[inline]
pub fn flush_denormals() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut state = 0u32;
        // SAFETY: stores MXCSR to a local; SSE is part of x86-64.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut state, options(nostack, preserves_flags)) };
        restore_float_state(u64::from(state | 0x8040)); // FTZ (bit 15) and DAZ (bit 6), Intel SDM vol. 1, 10.2.3
        u64::from(state)
    }
    #[cfg(target_arch = "aarch64")]
    {
        let state: u64;
        // SAFETY: reads FPCR.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) state, options(nomem, nostack, preserves_flags)) };
        restore_float_state(state | 1 << 24); // FZ, Arm ARM, FPCR
        state
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
}

/// Gives the thread back the floating-point state that [`flush_denormals`] returned.
#[inline]
pub fn restore_float_state(state: u64) {
    #[cfg(target_arch = "x86_64")]
    {
        let state = state as u32;
        // SAFETY: loads a state that was read on this thread, with two defined bits added.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &state, options(nostack, preserves_flags, readonly)) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("msr fpcr, {}", in(reg) state, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = state;
}
