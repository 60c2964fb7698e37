//! One worker or the whole team? Which is faster depends on the step, on what moving data between cores costs here, and
//! on who else wants the cores now, so a program finds out as it runs: it tries both, keeps to the faster one and looks
//! again from time to time. Results are the same either way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Calls between two looks at the other way: at 50 ms a call, about once a second.
const LOOK_EVERY: u32 = 20;

/// The other way must be this much faster to be taken, so that noise does not change it to and fro.
const MARGIN: f64 = 0.95;

/// What a program knows of its pace.
#[derive(Default)]
pub struct Pace {
    calls: AtomicU32,
    /// Seconds a step took last, alone and as a team, as the bits of an f64; 0: not yet known.
    alone: AtomicU64,
    team: AtomicU64,
}

impl Pace {
    /// Whether the next call is to be made by the team.
    pub fn as_team(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let [alone, team] = [&self.alone, &self.team].map(|t| f64::from_bits(t.load(Ordering::Relaxed)));
        if team == 0.0 || alone == 0.0 {
            return team == 0.0;
        }
        let team_is_better = team <= alone / MARGIN;
        team_is_better != (call % LOOK_EVERY == LOOK_EVERY - 1)
    }

    /// Notes how long a call's steps took.
    pub fn note(&self, as_team: bool, time: Duration, steps: usize) {
        if steps > 0 {
            let place = if as_team { &self.team } else { &self.alone };
            place.store((time.as_secs_f64() / steps as f64).to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_the_faster_way_and_looks_again() {
        let pace = Pace::default();
        let mut team = 0;
        for _ in 0..100 {
            let as_team = pace.as_team();
            team += u32::from(as_team);
            pace.note(as_team, Duration::from_micros(if as_team { 300 } else { 200 }), 1);
        }
        assert!((1..=7).contains(&team), "{team}");
        for _ in 0..100 {
            let as_team = pace.as_team();
            team += u32::from(as_team);
            pace.note(as_team, Duration::from_micros(if as_team { 100 } else { 200 }), 1);
        }
        assert!(team > 70, "{team}");
    }
}
