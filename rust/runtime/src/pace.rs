//! One worker or the whole team? Which is faster depends on the step, on what moving data between cores costs here, and
//! on who else wants the cores now, so a program finds out as it runs: it tries both, keeps to the faster one and looks
//! again from time to time. Calls outside a program cannot be compared with each other; they do without the team for a
//! while after it came late. Results are the same either way.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Calls between two looks at the other way: at 50 ms a call, about once a second.
const LOOK_EVERY: u32 = 20;

/// Whether the call of this number, from 0, looks at the other way: the fourth, eighth and sixteenth too, since the
/// first times of either are those of cold caches.
fn looks(call: u32) -> bool {
    if call < LOOK_EVERY - 1 { (call + 1).is_power_of_two() } else { call % LOOK_EVERY == LOOK_EVERY - 1 }
}

/// The other way must be this much faster to be taken, so that noise does not change it to and fro.
const MARGIN: f64 = 0.95;

/// A look costs at least one slow step: there must have been so many times as much work since the last one.
const WORK_PER_LOOK: f64 = 100.0;

/// How a call is to be made.
#[derive(Clone, Copy)]
pub struct Way {
    /// By the whole team.
    pub as_team: bool,
    /// To find out how fast it is: for a shorter time than usual, since it may be many times slower.
    pub trial: bool,
}

/// What a program knows of its pace.
#[derive(Default)]
pub struct Pace {
    calls: AtomicU32,
    /// Seconds a step took last, alone and as a team, as the bits of an f64; 0: not yet known.
    alone: AtomicU64,
    team: AtomicU64,
    /// Seconds of work since the last look, likewise.
    since: AtomicU64,
}

impl Pace {
    /// How the next call is to be made.
    pub fn next(&self) -> Way {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let [alone, team] = [&self.alone, &self.team].map(|t| f64::from_bits(t.load(Ordering::Relaxed)));
        if team == 0.0 || alone == 0.0 {
            return Way { as_team: team == 0.0, trial: true };
        }
        // The first looks correct the times of cold caches and may cost what they want.
        let since = f64::from_bits(self.since.load(Ordering::Relaxed));
        let trial = looks(call) && (call < LOOK_EVERY || since >= WORK_PER_LOOK * (team - alone).abs());
        Way { as_team: (team <= alone / MARGIN) != trial, trial }
    }

    /// Notes how long a call's steps took.
    pub fn note(&self, way: Way, time: Duration, steps: usize) {
        let seconds = time.as_secs_f64();
        if steps > 0 {
            let place = if way.as_team { &self.team } else { &self.alone };
            place.store((seconds / steps as f64).to_bits(), Ordering::Relaxed);
        }
        let since = if way.trial { 0.0 } else { f64::from_bits(self.since.load(Ordering::Relaxed)) + seconds };
        self.since.store(since.to_bits(), Ordering::Relaxed);
    }
}

/// Whether calls outside a program use the team. Where other processes want the cores, or there are more workers than
/// cores, the system may let a worker wait for milliseconds, in which its call, and a hundred others, would be done.
pub struct Patience {
    /// When the team may be tried again, and how long calls did without it last, in nanoseconds.
    until: AtomicU64,
    pause: AtomicU64,
}

/// To wait less than this is nothing to worry about: waking an idle core of a virtual machine takes 40 µs.
const LATE: Duration = Duration::from_micros(200);
const FIRST_PAUSE: u64 = 10_000_000;
const LONGEST_PAUSE: u64 = 1_000_000_000;

impl Patience {
    /// With the team allowed.
    pub const fn new() -> Patience {
        Patience { until: AtomicU64::new(0), pause: AtomicU64::new(0) }
    }

    /// Whether the next call is to be made by the team.
    pub fn allows_team(&self) -> bool {
        self.until.load(Ordering::Relaxed) <= now()
    }

    /// Notes for how long the caller of a team waited for the others, and how long the whole call took.
    pub fn note(&self, waited: Duration, total: Duration) {
        let pause = self.pause.load(Ordering::Relaxed);
        if waited > LATE && waited * 4 > total * 3 {
            let pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.pause.store(pause, Ordering::Relaxed);
            self.until.store(now() + pause, Ordering::Relaxed);
        } else if pause > 0 {
            self.pause.store(pause / 2, Ordering::Relaxed);
        }
    }
}

/// Nanoseconds since this was called first.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of some calls are made by the team, if a step takes it `team` µs and one worker `alone`; the very first
    /// takes `cold`.
    fn by_team(pace: &Pace, calls: usize, (alone, team, cold): (u64, u64, u64), steps: usize) -> usize {
        let mut count = 0;
        for call in 0..calls {
            let way = pace.next();
            count += usize::from(way.as_team);
            let step = match way.as_team {
                true if call == 0 => cold,
                true => team,
                false => alone,
            };
            pace.note(way, Duration::from_micros(step * steps as u64), steps);
        }
        count
    }

    #[test]
    fn keeps_to_the_faster_way_and_looks_again() {
        let pace = Pace::default();
        assert!((1..=9).contains(&by_team(&pace, 100, (200, 300, 300), 50)));
        assert!(by_team(&pace, 100, (200, 100, 100), 50) > 70);
    }

    #[test]
    fn a_cold_first_time_does_not_keep_the_team_away() {
        assert!(by_team(&Pace::default(), 16, (200, 100, 900), 1) >= 12);
    }

    #[test]
    fn looks_cost_little_where_a_call_is_a_single_long_step() {
        let pace = Pace::default();
        by_team(&pace, 20, (200_000, 100_000, 100_000), 1);
        assert!(by_team(&pace, 1000, (200_000, 100_000, 100_000), 1) >= 988);
    }

    #[test]
    fn late_workers_are_left_alone_longer_each_time() {
        let (ms, patience) = (Duration::from_millis, Patience::new());
        patience.note(ms(1), ms(3)); // worked more than it waited
        patience.note(Duration::from_micros(190), Duration::from_micros(200)); // too short to count
        assert!(patience.allows_team());
        for pause in [10, 20, 40] {
            patience.note(ms(4), ms(5));
            assert!(!patience.allows_team());
            assert_eq!(patience.pause.load(Ordering::Relaxed), ms(pause).as_nanos() as u64);
        }
        patience.note(ms(0), ms(5));
        assert_eq!(patience.pause.load(Ordering::Relaxed), ms(20).as_nanos() as u64);
        std::thread::sleep(ms(45));
        assert!(patience.allows_team());
    }
}
