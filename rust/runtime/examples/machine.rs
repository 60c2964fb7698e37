//! What this machine can do, as one line of JSON: the FMA rate of one thread and of the team, the rate of a stream of
//! four reads and three writes over arrays of a given number of parameters (Adam's traffic), of three reads and two
//! writes (momentum's), of one read and one write, and the cost of a barrier in a running job. `make bench` computes its
//! floors from it.
//!
//! `cargo run --release -p lumbre-runtime --example machine -- [threads] [parameters ...]`

use lumbre_kernels::lanes::{load, map_raw};
use lumbre_kernels::{Kernel, Lanes, Part};
use lumbre_runtime::pool;
use std::hint::black_box;
use std::time::Instant;

/// FMAs in independent chains, enough to hide the latency on every processor; returns the number of operations.
struct Fma(usize);

impl Kernel for Fma {
    type Out = f64;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f64 {
        const CHAINS: usize = 12;
        let mut acc = [s.splat(1.0); CHAINS];
        let (a, b) = (s.splat(black_box(0.999_999)), s.splat(black_box(1e-6)));
        for _ in 0..self.0 {
            for x in &mut acc {
                *x = s.fma(*x, a, b);
            }
        }
        let sum = acc.into_iter().reduce(|x, y| s.add(x, y)).unwrap_or(a);
        let mut out = [0.0f32; 16];
        // SAFETY: N ≤ 16 lanes fit.
        unsafe { s.store(out.as_mut_ptr(), sum) };
        black_box(out);
        (2 * S::N * CHAINS * self.0) as f64
    }
}

/// An optimizer's loads and stores with almost no arithmetic: reads the gradient, updates `W` arrays.
struct Stream<'a, const W: usize> {
    gradient: &'a [f32],
    updated: [&'a [f32]; W],
    from: usize,
    len: usize,
}

impl<const W: usize> Kernel for Stream<'_, W> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let at = |a: &[f32]| a[self.from..self.from + self.len].as_ptr();
        let (g, updated) = (at(self.gradient), self.updated.map(at));
        let half = s.splat(0.5);
        let mut i = 0;
        while i < self.len {
            let n = S::N.min(self.len - i);
            // SAFETY: i + n ≤ len within each array; workers' ranges are disjoint, and `updated` are the arrays that
            // this job may write.
            unsafe {
                let gi = load(s, g.add(i), n);
                for a in updated {
                    let x = s.fma(load(s, a.add(i), n), half, gi);
                    lumbre_kernels::lanes::store(s, a.add(i).cast_mut(), x, n);
                }
            }
            i += S::N;
        }
    }
}

struct Copy<'a> {
    from: &'a [f32],
    to: *mut f32,
}

impl Kernel for Copy<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        // SAFETY: `to` is as long as `from`.
        unsafe { map_raw(s, self.from.len(), self.to, |i, n| load(s, self.from.as_ptr().add(i), n)) }
    }
}

/// The best of several timings of a job, in seconds.
fn best(times: usize, workers: usize, job: &(dyn Fn(&Part<'_>) + Sync)) -> f64 {
    let timed = || {
        let start = Instant::now();
        pool::run(workers, job).expect("no kernel fails");
        start.elapsed().as_secs_f64()
    };
    (0..times).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

/// Seconds of a stream over one array of `n` that is read and `W` that are updated, warm.
fn stream<const W: usize>(threads: usize, n: usize) -> f64 {
    let arrays: Vec<Vec<f32>> = (0..=W).map(|i| vec![0.1 * i as f32; n]).collect();
    let updated = std::array::from_fn(|i| &arrays[i + 1][..]);
    best(if n > 1 << 22 { 9 } else { 200 }, threads, &|part| {
        let span = part.span(n, 1024);
        part.level.run(Stream::<W> { gradient: &arrays[0], updated, from: span.start, len: span.len() });
    })
}

fn main() {
    let mut args = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let threads = args.next().unwrap_or_else(pool::threads);
    pool::set_threads(threads).expect("a sensible number of threads");
    let sizes: Vec<usize> = args.collect();

    let rate = |workers: usize| {
        let flops = pool::level().run(Fma(1)) * 2e6 * workers as f64;
        flops
            / best(7, workers, &|part| {
                black_box(part.level.run(Fma(2_000_000)));
            })
    };
    let (one, all) = (rate(1), rate(threads));

    const ROUNDS: usize = 20_000;
    let barrier = best(5, threads, &|part| (0..ROUNDS).for_each(|_| part.barrier())) / ROUNDS as f64;

    let streams = |f: &dyn Fn(usize) -> f64| {
        let measured: Vec<String> = sizes.iter().map(|&n| format!("\"{n}\": {:e}", f(n))).collect();
        measured.join(", ")
    };
    let (adam, momentum) = (streams(&|n| stream::<3>(threads, n)), streams(&|n| stream::<2>(threads, n)));
    const COPY: usize = 8192 * 1000;
    let (from, mut to) = (vec![1.0f32; COPY], vec![0.0f32; COPY]);
    let target = to.as_mut_ptr() as usize;
    let copy = best(9, threads, &|part| {
        let span = part.span(COPY, 1024);
        let to = (target as *mut f32).wrapping_add(span.start);
        part.level.run(Copy { from: &from[span], to });
    });
    println!(
        "{{\"level\": \"{}\", \"threads\": {threads}, \"fma_one\": {one:e}, \"fma\": {all:e}, \"barrier\": {barrier:e}, \
         \"adam_stream\": {{{adam}}}, \"momentum_stream\": {{{momentum}}}, \"copy_8192x1000\": {copy:e}}}",
        pool::level().name()
    );
}
