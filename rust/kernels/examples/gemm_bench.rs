//! Speed of the matrix products: GFLOP/s, and the share of the measured rate of FMAs, for one and two threads.
//!
//! `cargo run --release --example gemm_bench [level] [filter]`

use lumbre_kernels::gemm::{Form, Operands, product, scratch};
use lumbre_kernels::isa::flush_denormals;
use lumbre_kernels::ops::elementwise::Activation;
use lumbre_kernels::{Barrier, Kernel, Lanes, Level, Parking, Part, Scratch};
use std::hint::black_box;
use std::time::Instant;

/// Twelve independent chains of FMAs.
struct Peak(u64);

impl Kernel for Peak {
    type Out = f32;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        let mut acc = std::array::from_fn::<_, 12, _>(|i| s.splat(black_box(i as f32)));
        let (x, y) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        for _ in 0..self.0 {
            for a in &mut acc {
                *a = s.fma(*a, x, y);
            }
        }
        let mut sums = [0.0f32; 16];
        for a in acc {
            // SAFETY: at most 16 lanes.
            unsafe { s.store(sums.as_mut_ptr(), a) };
            black_box(sums);
        }
        black_box(sums)[0]
    }
}

/// Runs `body(worker)` on each thread `reps` times, all together, and returns seconds a call, the best of five.
fn time(threads: usize, reps: usize, body: impl Fn(&Part<'_>) + Sync, level: Level) -> f64 {
    let parking = Parking { wait: |_, _| {}, wake_all: |_| {}, spin: |_| true };
    let barrier = Barrier::new(threads, parking);
    let run = |index: usize| {
        flush_denormals();
        let part = if threads == 1 { Part::solo(level) } else { Part::new(index, threads, level, &barrier) };
        let mut best = f64::INFINITY;
        for _ in 0..15 {
            part.barrier();
            let start = Instant::now();
            for _ in 0..reps {
                body(&part);
                part.barrier();
            }
            best = best.min(start.elapsed().as_secs_f64() / reps as f64);
        }
        best
    };
    std::thread::scope(|s| {
        let others: Vec<_> = (1..threads)
            .map(|i| {
                s.spawn({
                    let run = &run;
                    move || run(i)
                })
            })
            .collect();
        let own = run(0);
        others.into_iter().for_each(|t| drop(t.join()));
        own
    })
}

fn peak(level: Level, lanes: f64, threads: usize) -> f64 {
    let n = 200_000;
    let seconds = time(
        threads,
        1,
        |_| {
            black_box(level.run(Peak(n)));
        },
        level,
    );
    n as f64 * 12.0 * lanes * 2.0 * threads as f64 / seconds / 1e9
}

fn aligned(n: usize) -> Vec<f32> {
    // Values do not matter; memory that has been written does.
    (0..n).map(|i| ((i * 7919) % 1013) as f32 / 1013.0 - 0.5).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let level = args.first().and_then(|a| Level::from_name(a)).unwrap_or_else(Level::best);
    let filter = args.get(1).cloned().unwrap_or_default();
    let lanes = match level {
        Level::Avx512 => 16.0,
        Level::Avx2 => 8.0,
        Level::Neon => 4.0,
        Level::Scalar => 1.0,
    };
    let shapes = [
        (2048, 2048, 2048),
        (32, 784, 128),
        (128, 784, 256),
        (768, 128, 512),
        (64, 64, 64),
        (128, 784, 512),
        (128, 512, 512),
        (784, 128, 512),
        (512, 128, 512),
        (784, 32, 128),
        (32, 128, 64),
        (32, 64, 10),
        (1024, 256, 4096),
        (256, 4096, 4096),
    ];
    for threads in [1, 2] {
        let top = peak(level, lanes, threads);
        println!("{} {threads} thread(s), peak {top:.0} GFLOP/s", level.name());
        println!("{:>16}  {:>14} {:>14} {:>14}", "m x k x n", "NN", "TN", "NT");
        for (m, k, n) in shapes {
            let name = format!("{m}x{k}x{n}");
            if !name.contains(&filter) {
                continue;
            }
            let (a, b) = (aligned(m * k + 32), aligned(k * n + 32));
            let mut c = aligned(m * n + 32);
            let al = |p: *const f32| p.wrapping_add(p.align_offset(64));
            let cp = al(c.as_mut_ptr()) as usize;
            let (ap, bp) = (al(a.as_ptr()) as usize, al(b.as_ptr()) as usize);
            let mut line = format!("{name:>16} ");
            for transposed in [(false, false), (true, false), (false, true)] {
                let form = Form::new((m, n, k), 1, transposed);
                let bytes = scratch(&form, threads);
                let mut memory = vec![0f32; bytes / 4 + 32];
                // SAFETY: aligned, large enough.
                let s = unsafe { Scratch::new(al(memory.as_mut_ptr()) as *mut u8, bytes) };
                let flop = 2.0 * (m * n * k) as f64;
                let reps = ((4e8 / flop) as usize).clamp(1, 20000);
                let body = |part: &Part<'_>| {
                    let ops = Operands {
                        a: ap as *const f32,
                        b: bp as *const f32,
                        c: cp as *mut f32,
                        offsets: &|_| (0, 0),
                        bias: std::ptr::null(),
                        activation: Activation::Linear,
                    };
                    // SAFETY: operands as the form says.
                    unsafe { product(part, &form, &ops, s) };
                };
                let g = flop / time(threads, reps, body, level) / 1e9;
                line += &format!("  {g:6.0} ({:3.0} %)", 100.0 * g / top);
            }
            println!("{line}");
            black_box(&mut c);
        }
    }
}
