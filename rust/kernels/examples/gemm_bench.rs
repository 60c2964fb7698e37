//! Speed of the matrix products: GFLOP/s and the share of the measured rate of FMAs, on one thread and on two.
//!
//! `cargo run --release -p lumbre-kernels --example gemm_bench [level] [part of a shape's name]`

use lumbre_kernels::gemm::{Form, Operands, product, scratch};
use lumbre_kernels::isa::flush_denormals;
use lumbre_kernels::{Barrier, Kernel, Lanes, Level, Parking, Part, Scratch};
use std::hint::black_box;
use std::time::Instant;

/// m, k, n: a large square, then what small and middle-sized dense networks need, forward and backward.
const SHAPES: [(usize, usize, usize); 14] = [
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

/// A name; whether A and B are transposed; whether B and C lie in panels.
type Kind = (&'static str, (bool, bool), (bool, bool));

/// A and B as they are, A transposed, B transposed; then the same with the weights (B, C, B) in panels.
const FORMS: [Kind; 6] = [
    ("NN", (false, false), (false, false)),
    ("TN", (true, false), (false, false)),
    ("NT", (false, true), (false, false)),
    ("NN panels", (false, false), (true, false)),
    ("TN panels", (true, false), (false, true)),
    ("NT panels", (false, true), (true, false)),
];

/// Twelve independent chains of FMAs, as many times as it says.
struct Peak(u64);

const CHAINS: usize = 12;

impl Kernel for Peak {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let mut chains: [S::F; CHAINS] = std::array::from_fn(|i| s.splat(black_box(i as f32)));
        let (x, y) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        for _ in 0..self.0 {
            for c in &mut chains {
                *c = s.fma(*c, x, y);
            }
        }
        for c in chains {
            let mut lanes = [0.0f32; 16];
            // SAFETY: at most 16 lanes.
            unsafe { s.store(lanes.as_mut_ptr(), c) };
            black_box(lanes);
        }
    }
}

struct Lane;

impl Kernel for Lane {
    type Out = usize;

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) -> usize {
        S::N
    }
}

/// Seconds that `body` takes on so many threads at once: the best of 15 runs of `reps` calls with a barrier after each.
fn time(level: Level, threads: usize, reps: usize, body: impl Fn(&Part<'_>) + Sync) -> f64 {
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
        for index in 1..threads {
            let run = &run;
            s.spawn(move || run(index));
        }
        run(0)
    })
}

/// GFLOP/s of nothing but FMAs.
fn peak(level: Level, threads: usize) -> f64 {
    let n = 200_000;
    let seconds = time(level, threads, 1, |_| level.run(Peak(n)));
    (n as usize * CHAINS * 2 * level.run(Lane) * threads) as f64 / seconds / 1e9
}

/// Floats that begin on a cache line.
struct Floats(Vec<f32>);

impl Floats {
    fn new(n: usize) -> Floats {
        Floats((0..n + 16).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect())
    }

    fn ptr(&mut self) -> *mut f32 {
        let p = self.0.as_mut_ptr();
        p.wrapping_add(p.align_offset(64))
    }
}

/// GFLOP/s of an m×k by k×n product.
fn speed(level: Level, threads: usize, (m, k, n): (usize, usize, usize), form: usize) -> f64 {
    let (_, transposed, panels) = FORMS[form];
    let (mut a, mut b, mut c) = (Floats::new(m * k), Floats::new(k * n), Floats::new(m * n));
    let form = Form { panels, ..Form::new((m, n, k), 1, transposed) };
    let bytes = scratch(&form, threads);
    let mut memory = Floats::new(bytes / size_of::<f32>());
    // SAFETY: aligned to a cache line and as large as it says.
    let scratch = unsafe { Scratch::new(memory.ptr().cast(), bytes) };
    let (a, b, c) = (a.ptr() as usize, b.ptr() as usize, c.ptr() as usize); // addresses, which threads may share
    let flop = 2.0 * (m * n * k) as f64;
    let reps = (4e8 / flop).clamp(1.0, 20_000.0) as usize;
    let seconds = time(level, threads, reps, |part| {
        let operands = Operands { a: a as *const f32, b: b as *const f32, c: c as *mut f32, ..Operands::PLAIN };
        // SAFETY: the operands have the form's sizes.
        unsafe { product(part, &form, &operands, scratch) };
    });
    flop / seconds / 1e9
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let named = args.first().and_then(|name| Level::from_name(name));
    let level = named.filter(|l| l.available()).unwrap_or_else(Level::best);
    let wanted = args.get(usize::from(named.is_some())).cloned().unwrap_or_default();
    for threads in [1, 2] {
        let top = peak(level, threads);
        println!("{}, {threads} thread(s), FMA peak {top:.0} GFLOP/s", level.name());
        println!("{:>16}{}", "m x k x n", FORMS.map(|(name, ..)| format!("{name:>16}")).concat());
        for shape in SHAPES {
            let name = format!("{}x{}x{}", shape.0, shape.1, shape.2);
            if name.contains(&wanted) {
                let speeds: [f64; FORMS.len()] = std::array::from_fn(|form| speed(level, threads, shape, form));
                let columns = speeds.map(|s| format!("{s:>8.0} ({:>3.0} %)", 100.0 * s / top));
                println!("{name:>16}{}", columns.concat());
            }
        }
    }
}
