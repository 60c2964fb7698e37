//! Every call of the operating system, each with a portable fallback.

use std::alloc::{self, Layout};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Alignment of every buffer: a cache line, and the widest vector.
pub const ALIGN: usize = 64;

/// From this size on, buffers start on a huge page's boundary and ask for huge pages.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// How a buffer is aligned, and what is asked of the allocator for it: room to move to the boundary, and before that
/// the address that came from the allocator. (To ask it for more than its usual alignment is slow, and what it gave is
/// seldom used again before glibc 2.38, its bug 14581: a program that makes one model after another grew with each.)
fn layout(bytes: usize) -> Option<(usize, Layout)> {
    let align = if bytes >= HUGE { HUGE_PAGE } else { ALIGN };
    let layout = Layout::from_size_align(bytes.checked_add(align)?, align_of::<usize>().max(16)).ok()?;
    Some((align, layout))
}

/// Memory for `bytes` bytes, aligned to [`ALIGN`], its content undefined; None if the system has none.
pub fn allocate(bytes: usize) -> Option<*mut u8> {
    let (align, layout) = layout(bytes)?;
    // SAFETY: the layout's size is not zero.
    let start = unsafe { alloc::alloc(layout) };
    if start.is_null() {
        return None;
    }
    // SAFETY: at most `align` bytes on, and at least 16, since `start` and `align` are multiples of 16.
    let ptr = unsafe { start.add(align - start.addr() % align) };
    // SAFETY: see above: there is room for an address before `ptr`, and `ptr` is aligned for it.
    unsafe { ptr.cast::<*mut u8>().sub(1).write(start) };
    #[cfg(target_os = "linux")]
    if bytes >= HUGE {
        // Advice only: a failure changes nothing.
        // SAFETY: the range was just allocated.
        unsafe { libc::madvise(ptr.cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    Some(ptr)
}

/// Gives memory back.
///
/// # Safety
/// `ptr` came from [`allocate`] with the same `bytes` and is not used any more.
pub unsafe fn free(ptr: *mut u8, bytes: usize) {
    if let Some((_, layout)) = layout(bytes) {
        // SAFETY: `allocate` wrote the address before `ptr`; the same layout as there; the caller's promise.
        unsafe { alloc::dealloc(ptr.cast::<*mut u8>().sub(1).read(), layout) }
    }
}

/// Sleeps while the word has this value; may wake early.
pub fn wait_while(word: &AtomicU32, value: u32) {
    #[cfg(target_os = "linux")]
    // SAFETY: FUTEX_WAIT reads a word that outlives the call; no timeout.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            std::ptr::null::<libc::timespec>(),
        );
    }
    #[cfg(not(target_os = "linux"))]
    if word.load(Ordering::SeqCst) == value {
        // Short enough to go unnoticed beside a step, long enough to leave the core to others.
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Wakes all who sleep on the word.
pub fn wake_all(word: &AtomicU32) {
    #[cfg(target_os = "linux")]
    // SAFETY: FUTEX_WAKE only uses the address.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = word;
}

static SPINS: AtomicU32 = AtomicU32::new(0);

/// Yields after spinning, before a wait sleeps: some 50 µs on an idle machine.
const YIELDS: u32 = 100;

/// Waits a little; false when it is time to sleep. A wait spins for some 2 µs, then yields, so that another process that
/// wants the core gets it at once, and sleeps only after that: to wake a sleeper takes 5 µs on some machines and 40 µs on
/// others (a virtual machine's idle core), far more than the workers of a step usually wait for each other.
pub fn spin(calls: u32) -> bool {
    let spins = SPINS.load(Ordering::Relaxed);
    if calls < spins {
        for _ in 0..8 {
            std::hint::spin_loop();
        }
    } else {
        std::thread::yield_now();
    }
    calls < spins + YIELDS
}

/// Measures the pause instruction, whose length differs tenfold between processors. Done when the pool starts.
pub fn calibrate_spin() {
    const ROUNDS: u32 = 1000;
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        std::hint::spin_loop();
    }
    let per_call = start.elapsed().max(Duration::from_nanos(1)) * 8 / ROUNDS;
    let calls = Duration::from_micros(2).as_nanos() / per_call.as_nanos().max(1);
    SPINS.store((calls as u32).clamp(1, 1000), Ordering::Relaxed);
}

/// How many threads this process may keep busy: its affinity and its container's quota count, rounded down.
pub fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Calls `hook` in every child that this process forks.
pub fn on_fork(hook: extern "C" fn()) {
    #[cfg(unix)]
    // SAFETY: registers a function that lives as long as the process.
    unsafe {
        libc::pthread_atfork(None, None, Some(unsafe_hook(hook)));
    }
    #[cfg(not(unix))]
    let _ = hook;
}

#[cfg(unix)]
fn unsafe_hook(hook: extern "C" fn()) -> unsafe extern "C" fn() {
    hook
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_their_own() {
        let sizes = [0, 1, 7, 8, 63, 64, 65, 1000, 4096, 100_000, HUGE - 1, HUGE, HUGE + 1];
        let made: Vec<*mut u8> = sizes.iter().map(|&n| allocate(n).unwrap()).collect();
        for (i, (&n, &ptr)) in sizes.iter().zip(&made).enumerate() {
            assert_eq!(ptr.addr() % ALIGN, 0, "{n}");
            // SAFETY: n bytes just allocated.
            unsafe { ptr.write_bytes(i as u8, n) };
        }
        for (i, (&n, &ptr)) in sizes.iter().zip(&made).enumerate() {
            // SAFETY: as above, written before and freed once.
            unsafe {
                assert!(std::slice::from_raw_parts(ptr, n).iter().all(|&b| b == i as u8), "{n}");
                free(ptr, n);
            }
        }
    }
}
