//! How long the calls of a program take, for profiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The times of a program's calls, added up over the steps of any number of replays. All are the first worker's.
pub struct Timing {
    /// Nanoseconds of each call: at work, and before that at the barrier.
    calls: Vec<[AtomicU64; 2]>,
    between: AtomicU64,
    steps: AtomicU64,
    team_steps: AtomicU64,
}

/// What a `Timing` has seen.
pub struct Times {
    /// Steps made.
    pub steps: u64,
    /// Of these, by the team; the others were made by one worker.
    pub team_steps: u64,
    /// Between the last call of a step and the first of the next: barriers, kept outputs, gathering the batch.
    pub between: Duration,
    /// For each call the time at work, and that before it at the barrier.
    pub calls: Vec<[Duration; 2]>,
}

impl Timing {
    /// Of a program with so many calls.
    pub fn new(calls: usize) -> Timing {
        let [between, steps, team_steps] = [const { AtomicU64::new(0) }; 3];
        Timing { calls: (0..calls).map(|_| [const { AtomicU64::new(0) }; 2]).collect(), between, steps, team_steps }
    }

    /// What it has seen so far.
    pub fn read(&self) -> Times {
        let time = |t: &AtomicU64| Duration::from_nanos(t.load(Ordering::Relaxed));
        Times {
            steps: self.steps.load(Ordering::Relaxed),
            team_steps: self.team_steps.load(Ordering::Relaxed),
            between: time(&self.between),
            calls: self.calls.iter().map(|c| c.each_ref().map(time)).collect(),
        }
    }

    pub(crate) fn note(&self, steps: usize, as_team: bool) {
        self.steps.fetch_add(steps as u64, Ordering::Relaxed);
        self.team_steps.fetch_add(if as_team { steps as u64 } else { 0 }, Ordering::Relaxed);
    }
}

/// Takes the times, on the first worker, if anybody wants them.
pub(crate) struct Clock<'a>(Option<(&'a Timing, Instant)>);

impl<'a> Clock<'a> {
    pub(crate) fn new(timing: Option<&'a Timing>, worker: usize) -> Clock<'a> {
        Clock(timing.filter(|_| worker == 0).map(|t| (t, Instant::now())))
    }

    /// Call `i` is about to begin.
    pub(crate) fn waited(&mut self, i: usize) {
        self.lap(|t| &t.calls[i][1]);
    }

    /// Call `i` has ended.
    pub(crate) fn worked(&mut self, i: usize) {
        self.lap(|t| &t.calls[i][0]);
    }

    /// The batch is there.
    pub(crate) fn gathered(&mut self) {
        self.lap(|t| &t.between);
    }

    /// Adds the time since the last lap.
    fn lap(&mut self, place: impl FnOnce(&'a Timing) -> &'a AtomicU64) {
        if let Some((timing, last)) = &mut self.0 {
            let now = Instant::now();
            place(timing).fetch_add((now - *last).as_nanos() as u64, Ordering::Relaxed);
            *last = now;
        }
    }
}
