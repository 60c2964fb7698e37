//! How work is split: every worker of a team calls the same `run` with its own [`Part`].

use crate::isa::Level;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How a worker waits at a barrier once it has spun for a while. The runtime supplies the system's way.
#[derive(Clone, Copy)]
pub struct Parking {
    /// Blocks while the word has this value (may wake early).
    pub wait: fn(&AtomicU32, u32),
    /// Wakes all who wait on the word.
    pub wake_all: fn(&AtomicU32),
    /// Spins a little; false when it is time to park. The argument counts the calls in this wait.
    pub spin: fn(u32) -> bool,
}

/// A barrier for a fixed number of workers: the last to arrive opens the next epoch.
pub struct Barrier {
    count: u32,
    // On cache lines of their own: arrivals write one, waiters read the other.
    arrived: Line<AtomicU32>,
    epoch: Line<AtomicU32>,
    parked: Line<AtomicU32>,
    poisoned: AtomicBool,
    /// Nanoseconds that worker 0 has waited, but for the first spin of each wait.
    waited: AtomicU64,
    parking: Parking,
}

#[repr(align(128))]
struct Line<T>(T);

impl Barrier {
    /// A barrier for `count` workers.
    pub fn new(count: usize, parking: Parking) -> Barrier {
        Barrier {
            count: count as u32,
            arrived: Line(AtomicU32::new(0)),
            epoch: Line(AtomicU32::new(0)),
            parked: Line(AtomicU32::new(0)),
            poisoned: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            parking,
        }
    }

    /// Frees all who wait, now and later, by a panic: called for a worker that will never arrive.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
        self.epoch.0.fetch_add(1, Ordering::SeqCst);
        (self.parking.wake_all)(&self.epoch.0);
    }

    /// For how long worker 0 has waited for others since the last call of this.
    pub fn take_waited(&self) -> Duration {
        Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed))
    }

    /// Returns when all workers have called it; what each wrote before is visible to all after.
    ///
    /// # Panics
    /// If the barrier is poisoned.
    pub fn wait(&self, worker: usize) {
        if self.count == 1 {
            return;
        }
        let epoch = self.epoch.0.load(Ordering::Relaxed);
        // Poison comes with a new epoch: who arrives before it sees that, who arrives after it sees this.
        assert!(!self.poisoned.load(Ordering::SeqCst), "another worker of the team failed");
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            self.arrived.0.store(0, Ordering::Relaxed);
            // SeqCst pairs with the waiter's increment of `parked` and second look at `epoch`: one of us sees the other.
            self.epoch.0.store(epoch.wrapping_add(1), Ordering::SeqCst);
            if self.parked.0.load(Ordering::SeqCst) > 0 {
                (self.parking.wake_all)(&self.epoch.0);
            }
            return;
        }
        self.await_epoch(epoch, worker);
        assert!(!self.poisoned.load(Ordering::SeqCst), "another worker of the team failed");
    }

    /// Returns when the epoch is over.
    fn await_epoch(&self, epoch: u32, worker: usize) {
        let mut spins = 0;
        let mut since = None;
        while self.epoch.0.load(Ordering::Acquire) == epoch {
            if (self.parking.spin)(spins) {
                spins += 1;
            } else {
                self.parked.0.fetch_add(1, Ordering::SeqCst);
                while self.epoch.0.load(Ordering::SeqCst) == epoch {
                    (self.parking.wait)(&self.epoch.0, epoch);
                }
                self.parked.0.fetch_sub(1, Ordering::SeqCst);
            }
            if worker == 0 && since.is_none() {
                since = Some(Instant::now());
            }
        }
        if let Some(since) = since {
            self.waited.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }
}

/// One worker's share of a kernel call.
pub struct Part<'a> {
    /// Which worker this is, from 0.
    pub index: usize,
    /// How many workers run this call.
    pub count: usize,
    /// The CPU level whose kernels are to be used.
    pub level: Level,
    barrier: Option<&'a Barrier>,
}

impl<'a> Part<'a> {
    /// Worker `index` of a team that meets at `barrier`.
    pub fn new(index: usize, count: usize, level: Level, barrier: &'a Barrier) -> Part<'a> {
        Part { index, count, level, barrier: Some(barrier) }
    }

    /// The only worker.
    pub fn solo(level: Level) -> Part<'static> {
        Part { index: 0, count: 1, level, barrier: None }
    }

    /// Waits for all workers of this call. Every one of them must call it equally often.
    pub fn barrier(&self) {
        if let (true, Some(b)) = (self.count > 1, self.barrier) {
            b.wait(self.index);
        }
    }

    /// This worker's contiguous share of `n` items, cut at multiples of `grain` only. Together the workers' shares
    /// cover `0..n` once. Results must not depend on where the cuts fall.
    pub fn span(&self, n: usize, grain: usize) -> Range<usize> {
        let blocks = n.div_ceil(grain);
        let cut = |i: usize| (blocks * i / self.count * grain).min(n);
        cut(self.index)..cut(self.index + 1)
    }
}
