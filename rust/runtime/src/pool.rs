//! The threads: one team that enters a job together and meets at barriers.
//!
//! The pool is built at the first job that can use it. A job is a function that every worker calls with its
//! [`Part`]; the caller is worker 0. While one Python thread has the team, others do their jobs alone. After a fork
//! the child starts with no team and builds its own.

use crate::os;
use crate::pace::Patience;
use lumbre_kernels::{Barrier, Fault, Level, Parking, Part, isa};
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

const PARKING: Parking = Parking { wait: os::wait_while, wake_all: os::wake_all, spin: os::spin };

/// What every worker calls.
type Job<'a> = &'a (dyn Fn(&Part<'_>) + Sync);

struct Shared {
    barrier: Barrier,
    count: usize,
    /// Bumped when a job is ready.
    epoch: AtomicU32,
    parked: AtomicU32,
    job: UnsafeCell<Option<(Job<'static>, Level)>>,
    failed: AtomicBool,
    /// Shares of jobs that threads other than the caller have done.
    finished: AtomicU32,
    stop: AtomicBool,
}

// SAFETY: `job` is written by the thread that holds the team before it bumps `epoch`, and read by the workers after
// they see the bump; the caller waits for all of them before it lets go of the job.
unsafe impl Sync for Shared {}
// SAFETY: as for Sync.
unsafe impl Send for Shared {}

/// The team; leaked on purpose in a forked child, where its threads do not exist.
struct Pool {
    shared: Arc<Shared>,
    busy: AtomicBool,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
static THREADS: AtomicUsize = AtomicUsize::new(0); // 0: not yet asked for
static LEVEL: AtomicU8 = AtomicU8::new(u8::MAX);

/// The number of threads that jobs use: `LUMBRE_NUM_THREADS`, else the usable cores.
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let asked = std::env::var("LUMBRE_NUM_THREADS").ok().and_then(|v| v.trim().parse().ok());
            let n = asked.filter(|n| (1..=MAX_THREADS).contains(n)).unwrap_or_else(os::usable_cores);
            THREADS.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

/// More threads than this are refused: a mistyped number would otherwise exhaust the system.
pub const MAX_THREADS: usize = 1024;

/// Sets the number of threads for the jobs to come.
pub fn set_threads(n: usize) -> Result<(), Fault> {
    if !(1..=MAX_THREADS).contains(&n) {
        return Err(Fault::Value(format!("the number of threads must be from 1 to {MAX_THREADS}, got {n}")));
    }
    THREADS.store(n, Ordering::Relaxed);
    Ok(())
}

/// The CPU level in use: the one that `LUMBRE_ISA` names if this processor has it, else the best.
pub fn level() -> Level {
    match Level::ALL.get(LEVEL.load(Ordering::Relaxed) as usize) {
        Some(level) => *level,
        None => {
            let named = std::env::var("LUMBRE_ISA").ok().and_then(|v| Level::from_name(v.trim()));
            let level = named.filter(|l| l.available()).unwrap_or_else(Level::best);
            store_level(level);
            level
        }
    }
}

/// Forces a CPU level.
pub fn set_level(name: &str) -> Result<(), Fault> {
    let level = Level::from_name(name).filter(|l| l.available()).ok_or_else(|| {
        let have: Vec<_> = Level::ALL.iter().filter(|l| l.available()).map(|l| l.name()).collect();
        Fault::Value(format!("this processor's CPU levels are {}, got '{name}'", have.join(", ")))
    })?;
    store_level(level);
    Ok(())
}

fn store_level(level: Level) {
    let index = Level::ALL.iter().position(|l| *l == level).unwrap_or(0);
    LEVEL.store(index as u8, Ordering::Relaxed);
}

extern "C" fn forget_pool() {
    POOL.store(std::ptr::null_mut(), Ordering::SeqCst);
}

/// Tasks for which a call wakes a team that sleeps: that takes 5 to 40 µs, and a task 1 to 4 µs.
const WORTH_WAKING: usize = 16;

/// How many workers a single call of so many tasks is to have: all if they are awake, worth waking, or wanted `anyway`.
pub fn workers_for(tasks: usize, anyway: bool) -> usize {
    // SAFETY: pools that were published are never freed.
    let pool = unsafe { POOL.load(Ordering::Acquire).as_ref() };
    let awake = pool.is_some_and(|p| p.shared.parked.load(Ordering::Relaxed) == 0);
    if tasks >= if awake || anyway { 2 } else { WORTH_WAKING } { threads() } else { 1 }
}

/// Runs the job on a team of `workers`, or on this thread alone if that is one or the team is busy. Denormals are
/// flushed while it runs. An error means that a kernel panicked.
pub fn run(workers: usize, job: Job<'_>) -> Result<(), Fault> {
    run_noted(workers, job, |_, _| ())
}

/// [`run`] for one call of a kernel: not on the team while its workers are known to come late.
pub fn run_call(workers: usize, job: Job<'_>) -> Result<(), Fault> {
    static PATIENCE: Patience = Patience::new();
    let workers = if workers > 1 && PATIENCE.allows_team() { workers } else { 1 };
    run_noted(workers, job, |waited, total| PATIENCE.note(waited, total))
}

/// [`run`]; where it was the team, `note` is told for how long this thread waited for the others, and how long it all
/// took.
fn run_noted(workers: usize, job: Job<'_>, note: impl Fn(Duration, Duration)) -> Result<(), Fault> {
    let level = level();
    let state = isa::flush_denormals();
    let done = match claim(workers) {
        Some(team) => {
            let start = Instant::now();
            let done = team.run(level, job);
            note(team.0.shared.barrier.take_waited(), start.elapsed());
            done
        }
        None => catch_unwind(AssertUnwindSafe(|| job(&Part::solo(level)))).is_ok(),
    };
    isa::restore_float_state(state);
    if done {
        Ok(())
    } else {
        Err(Fault::Runtime("a kernel failed; this is a bug in lumbre, please report it".into()))
    }
}

/// A team of `count` that nobody else uses now.
fn claim(count: usize) -> Option<Claimed> {
    if count < 2 {
        return None;
    }
    let current = POOL.load(Ordering::Acquire);
    // SAFETY: pools that were published are leaked, never freed while somebody may look at them (see `retire`).
    if let Some(pool) = unsafe { current.as_ref() } {
        if pool.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        if pool.shared.count == count && !pool.shared.failed.load(Ordering::Relaxed) {
            return Some(Claimed(pool));
        }
        pool.retire();
    }
    let fresh = Pool::start(count)?;
    // On a race the loser's team is retired and the loser works alone.
    match POOL.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just leaked by `start`, and claimed from birth.
        Ok(_) => Some(Claimed(unsafe { &*fresh })),
        Err(_) => {
            // SAFETY: as above.
            unsafe { &*fresh }.retire();
            None
        }
    }
}

struct Claimed(&'static Pool);

impl Drop for Claimed {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Claimed {
    fn run(&self, level: Level, job: Job<'_>) -> bool {
        let shared = &self.0.shared;
        // SAFETY: erases the lifetime; all workers are done with the job when this function returns. The team is
        // claimed, so nobody else writes the cell, and the workers read it only after the bump below.
        unsafe { *shared.job.get() = Some((std::mem::transmute::<Job<'_>, Job<'static>>(job), level)) };
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        if shared.parked.load(Ordering::SeqCst) > 0 {
            os::wake_all(&shared.epoch);
        }
        let done = shared.work(0, job, level);
        if !done {
            // Some worker may still be inside the job, which must not go away under it.
            let all = shared.epoch.load(Ordering::SeqCst).wrapping_mul(shared.count as u32 - 1);
            while shared.finished.load(Ordering::SeqCst) != all {
                std::thread::yield_now();
            }
        }
        done
    }
}

impl Pool {
    /// Starts the workers; None if the system refuses a thread.
    fn start(count: usize) -> Option<*mut Pool> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            os::calibrate_spin();
            os::on_fork(forget_pool);
        });
        let shared = Arc::new(Shared {
            barrier: Barrier::new(count, PARKING),
            count,
            epoch: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            job: UnsafeCell::new(None),
            failed: AtomicBool::new(false),
            finished: AtomicU32::new(0),
            stop: AtomicBool::new(false),
        });
        for index in 1..count {
            let mine = shared.clone();
            let worker = std::thread::Builder::new().name(format!("lumbre-{index}")).spawn(move || mine.serve(index));
            if worker.is_err() {
                shared.shut_down();
                return None;
            }
        }
        Some(Box::into_raw(Box::new(Pool { shared, busy: AtomicBool::new(true) })))
    }

    /// Ends the workers. The pool itself, some hundred bytes, stays: another thread may be looking at its flag.
    fn retire(&self) {
        self.shared.shut_down();
    }
}

impl Shared {
    fn shut_down(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        os::wake_all(&self.epoch);
    }

    /// A worker's life: wait for a job, do it.
    fn serve(&self, index: usize) {
        isa::flush_denormals();
        let mut seen = 0;
        loop {
            self.await_job(seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            seen = seen.wrapping_add(1);
            // SAFETY: the epoch was bumped after the job was written, and the job lives until all workers are done.
            if let Some((job, level)) = unsafe { *self.job.get() } {
                self.work(index, job, level);
                self.finished.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn await_job(&self, seen: u32) {
        let mut spins = 0;
        while self.epoch.load(Ordering::Acquire) == seen {
            if os::spin(spins) {
                spins += 1;
                continue;
            }
            self.parked.fetch_add(1, Ordering::SeqCst);
            while self.epoch.load(Ordering::SeqCst) == seen {
                os::wait_while(&self.epoch, seen);
            }
            self.parked.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// One worker's share of a job, and the meeting at its end. False if any worker panicked.
    fn work(&self, index: usize, job: Job<'_>, level: Level) -> bool {
        let part = Part::new(index, self.count, level, &self.barrier);
        let result = catch_unwind(AssertUnwindSafe(|| job(&part)));
        if result.is_err() {
            self.failed.store(true, Ordering::SeqCst);
            self.barrier.poison();
        }
        // A poisoned barrier lets everybody through by a panic.
        let met = catch_unwind(AssertUnwindSafe(|| self.barrier.wait(index)));
        result.is_ok() && met.is_ok() && !self.failed.load(Ordering::SeqCst)
    }
}
