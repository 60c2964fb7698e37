use crate::op::Attr;
use crate::rng::Philox;
use crate::testing::{Array, call, run, uniform};
use crate::{DType, Meta};

fn state(key: i64, counter: i64) -> Array {
    Array::new(&[2], &[key, counter])
}

fn draw(name: &str, n: usize, a: f64, b: f64, dtype: DType) -> Array {
    let names = if name.contains("normal") { ["mean", "stddev"] } else { ["low", "high"] };
    let number = |x: f64| if name == "random_int" { Attr::Int(x as i64) } else { Attr::Float(x) };
    let attrs = [
        ("shape", Attr::Ints(vec![n as i64])),
        (names[0], number(a)),
        (names[1], number(b)),
        ("dtype", Attr::Int(dtype as i64)),
    ];
    run(name, &[state(7, 11)], &attrs)
}

fn floats(name: &str, n: usize, a: f64, b: f64, dtype: DType) -> Vec<f64> {
    let drawn = draw(name, n, a, b, dtype);
    match dtype {
        DType::F32 => drawn.to_vec::<f32>().iter().map(|&v| v as f64).collect(),
        _ => drawn.to_vec(),
    }
}

fn moments(x: &[f64]) -> [f64; 4] {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let central = |k: i32| x.iter().map(|v| (v - mean).powi(k)).sum::<f64>() / n;
    let variance = central(2);
    [mean, variance, central(3) / variance.powf(1.5), central(4) / variance.powi(2)]
}

/// The largest distance between the empirical distribution and `cdf` (Kolmogorov and Smirnov), times √n.
fn distance(mut x: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    x.iter().enumerate().map(|(i, &v)| (cdf(v) - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max) * n.sqrt()
}

const FLOATS: [DType; 2] = [DType::F32, DType::F64];
const N: usize = 100_003;

/// A distance beyond this has a probability of 1e-4; the draws are fixed, so the test does not flicker.
const FAR: f64 = 2.23;

#[test]
fn uniform_numbers() {
    for dtype in FLOATS {
        let x = floats("random_uniform", N, -2.0, 3.0, dtype);
        assert!(x.iter().all(|&v| (-2.0..3.0).contains(&v)));
        assert!(distance(x, |v| (v + 2.0) / 5.0) < FAR);
        assert!(floats("random_uniform", 100, 1.5, 1.5, dtype).iter().all(|&v| v == 1.5));
    }
    // Elements take the words in their order, 24 bits of each.
    let words = Philox::new(7, 11).group(1);
    let x = draw("random_uniform", 200, 0.0, 1.0, DType::F32).to_vec::<f32>();
    assert_eq!(x[64 + 35], (words[2][3] >> 8) as f32 / 16_777_216.0);
}

#[test]
fn normal_numbers() {
    for dtype in FLOATS {
        let x = floats("random_normal", N, 0.0, 1.0, dtype);
        let [mean, variance, skew, kurtosis] = moments(&x);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.015 && skew.abs() < 0.03);
        assert!((kurtosis - 3.0).abs() < 0.06, "{kurtosis}");
        let pairs = x.chunks_exact(32).flat_map(|c| (0..16).map(|i| c[i] * c[16 + i]));
        assert!((pairs.sum::<f64>() / (N as f64 / 2.0)).abs() < 0.01, "the members of a pair are not independent");
        let scaled = floats("random_normal", N, 5.0, 0.5, dtype);
        assert!(scaled.iter().zip(&x).all(|(s, x)| (s - (5.0 + 0.5 * x)).abs() < 1e-6));
        assert!(distance(x, |v| 0.5 * (1.0 + libm::erf(v / 2f64.sqrt()))) < FAR);
    }
}

#[test]
fn truncated_numbers() {
    let within = libm::erf(2f64.sqrt());
    assert!((within - super::distributions::WITHIN).abs() < 1e-15);
    for dtype in FLOATS {
        let x = floats("random_truncated_normal", N, 0.0, 1.0, dtype);
        assert!(x.iter().all(|v| v.abs() <= 2.0));
        assert!(distance(x, |v| 0.5 + 0.5 * libm::erf(v / 2f64.sqrt()) / within) < FAR);
    }
}

#[test]
fn whole_numbers() {
    let x = draw("random_int", N, -3.0, 4.0, DType::I32).to_vec::<i32>();
    let counts: Vec<usize> = (-3..4).map(|v| x.iter().filter(|&&x| x == v).count()).collect();
    assert_eq!(counts.iter().sum::<usize>(), N);
    let chi2: f64 = counts.iter().map(|&c| (c as f64 - N as f64 / 7.0).powi(2) / (N as f64 / 7.0)).sum();
    assert!(chi2 < 30.0, "{chi2}"); // six degrees of freedom
    let wide = draw("random_int", 1000, i64::MIN as f64, i64::MAX as f64, DType::I64).to_vec::<i64>();
    assert!(wide.iter().any(|&v| v < -(1 << 62)) && wide.iter().any(|&v| v > 1 << 62));
}

/// Draws of a row with constant parameters.
fn tried(name: &str, parameters: &[f64], attrs: &[(&str, Attr)]) -> Vec<f64> {
    let mut ins = vec![state(7, 11)];
    ins.extend(parameters.iter().map(|&p| Array::new(&[N], &vec![p; N])));
    run(name, &ins, attrs).to_vec()
}

#[test]
fn gamma_numbers() {
    // Where alpha is a whole number, the distribution is a finite sum; at one half, that of a squared normal number.
    let erlang = |k: i32| {
        move |x: f64| 1.0 - (0..k).fold((0.0, 1.0), |(s, t), i| (s + t, t * x / f64::from(i + 1))).0 * (-x).exp()
    };
    assert!(distance(tried("random_gamma", &[1.0], &[]), erlang(1)) < FAR);
    assert!(distance(tried("random_gamma", &[4.0], &[]), erlang(4)) < FAR);
    assert!(distance(tried("random_gamma", &[30.0], &[]), erlang(30)) < FAR);
    assert!(distance(tried("random_gamma", &[0.5], &[]), |x| libm::erf(x.sqrt())) < FAR);
    // The logarithm stays finite where the number is 0.
    let logs = tried("random_gamma", &[1e-4], &[("log", Attr::Int(1))]);
    assert!(logs.iter().all(|v| v.is_finite()));
    let small = tried("random_gamma", &[1e-4], &[]);
    assert!(small.iter().filter(|&&v| v == 0.0).count() > N / 2);
    // Kernels flush denormals to zero: here one of two factors, the other one of which is below e³.
    let near = |log: f64, v: f64| (libm::exp(log) - v).abs() <= 2e-13 * v || v == 0.0 && log < -705.0;
    assert!(logs.iter().zip(&small).all(|(&log, &v)| near(log, v)));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(tried("random_gamma", &[bad], &[]).iter().all(|v| v.is_nan()));
    }
}

#[test]
fn binomial_numbers() {
    for (n, p) in [(9.0, 0.5), (40.0, 0.1), (40.0, 0.9), (60.0, 0.4), (60.0, 0.6), (1000.0, 0.5), (1000.0, 0.02)] {
        let x = tried("random_binomial", &[n, p], &[]);
        let log_factorial = |k: f64| libm::lgamma(k + 1.0);
        let mut chi2 = 0.0;
        let mut classes = 0.0f64;
        let mut counts = vec![0.0; n as usize + 1];
        x.iter().for_each(|&k| counts[k as usize] += 1.0);
        for (k, seen) in counts.iter().enumerate() {
            let k = k as f64;
            let log =
                log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * p.ln() + (n - k) * (1.0 - p).ln();
            let expected = log.exp() * N as f64;
            if expected > 5.0 {
                chi2 += (seen - expected).powi(2) / expected;
                classes += 1.0;
            }
        }
        assert!(chi2 < classes + 4.0 * (2.0 * classes).sqrt(), "n {n}, p {p}: {chi2} for {classes} classes");
    }
    for (n, p, want) in [(0.0, 0.5, 0.0), (50.0, 0.0, 0.0), (50.0, 1.0, 50.0)] {
        assert!(tried("random_binomial", &[n, p], &[]).iter().all(|&v| v == want));
    }
    for (n, p) in [(-1.0, 0.5), (f64::NAN, 0.5), (5.0, 1.5), (5.0, f64::NAN), (f64::INFINITY, 0.5)] {
        assert!(tried("random_binomial", &[n, p], &[]).iter().all(|v| v.is_nan()));
    }
}

#[test]
fn permutations() {
    for n in [0usize, 1, 2, 31, 32, 33, 1000] {
        let mut p = run("random_permutation", &[state(1, 2)], &[("n", Attr::Int(n as i64))]).to_vec::<i64>();
        assert!(n < 31 || p.iter().enumerate().any(|(i, &v)| i as i64 != v));
        p.sort_unstable();
        assert!(p.into_iter().eq(0..n as i64));
    }
    // Every order of three is as likely as another.
    let mut counts = [0; 6];
    for counter in 0..6000 {
        let ins = [state(3, counter)];
        let attrs = [("n", Attr::Int(3))];
        let p =
            crate::testing::call_with("random_permutation", &ins, &mut [], &attrs, 1, crate::Level::Scalar).unwrap();
        let p = p[0].to_vec::<i64>();
        counts[(2 * p[0] + i64::from(p[1] > p[2])) as usize] += 1;
    }
    assert!(counts.iter().all(|&c: &i32| (c - 1000).abs() < 120), "{counts:?}");
}

fn dropout(x: &[f32], rate: f64, state: &Array) -> Vec<Array> {
    let ins = [Array::new(&[x.len()], x), state.clone()];
    call("dropout", &ins, &mut [], &[("rate", Attr::Float(rate))]).unwrap()
}

#[test]
fn dropout_keeps_the_share_it_should() {
    let x = uniform(1, N, 0.5, 1.0);
    for rate in [0.2, 0.5, 0.9] {
        let outs = dropout(&x, rate, &state(7, 11));
        let y = outs[0].to_vec::<f32>();
        let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / N as f64;
        assert!((dropped - rate).abs() < 4.0 * (rate * (1.0 - rate) / N as f64).sqrt());
        let scale = (65536.0 / (65536.0 - (rate * 65536.0).round())) as f32;
        assert!(x.iter().zip(&y).all(|(x, &y)| y == 0.0 || y == x * scale));
        assert_eq!(outs[1].to_vec::<i64>(), [7, 11]);
        // The gradient meets the same choice.
        let again = dropout(&vec![1.0; N], rate, &outs[1])[0].to_vec::<f32>();
        assert!(again.iter().zip(&y).all(|(a, y)| (*a == 0.0) == (*y == 0.0)));
        let wide: Vec<f64> = x.iter().map(|&v| v as f64).collect();
        let ins = [Array::new(&[N], &wide), state(7, 11)];
        let outs = call("dropout", &ins, &mut [], &[("rate", Attr::Float(rate))]).unwrap();
        assert!(outs[0].to_vec::<f64>().iter().zip(&y).all(|(a, y)| (a - *y as f64).abs() < 1e-6));
    }
}

#[test]
fn dropout_at_the_ends() {
    let x = [1.0, f32::NAN, f32::INFINITY, -0.5];
    let same = dropout(&x, 0.0, &state(1, 2))[0].to_vec::<f32>();
    assert!(same[0] == 1.0 && same[1].is_nan() && same[2] == f32::INFINITY && same[3] == -0.5);
    assert_eq!(dropout(&x, 1.0, &state(1, 2))[0].to_vec::<f32>(), [0.0; 4]);
    assert_eq!(dropout(&[], 0.5, &state(1, 2))[1].to_vec::<i64>(), [1, 2]);
    // Elements take the halves of the words in their order.
    let words = Philox::new(7, 11).group(0);
    let y = dropout(&[1.0; 128], 0.5, &state(7, 11))[0].to_vec::<f32>();
    assert_eq!(y[32 + 3] != 0.0, words[1][3] & 0xffff >= 0x8000);
    assert_eq!(y[32 + 16 + 3] != 0.0, words[1][3] >> 16 >= 0x8000);
}

#[test]
fn other_states_draw_other_numbers() {
    let attrs = [("shape", Attr::Ints(vec![2, 3]))];
    let first = run("random_uniform", &[state(1, 0)], &attrs);
    assert_eq!(first.meta(), Meta::new(DType::F32, &[2, 3]));
    let mut cell = [state(1, 0)];
    call("rng_advance", &[], &mut cell, &[]).unwrap();
    assert_eq!(cell[0].to_vec::<i64>(), [1, 1]);
    call("rng_advance", &[], &mut cell, &[("n", Attr::Int(5))]).unwrap();
    assert_eq!(cell[0].to_vec::<i64>(), [1, 6]);
    for other in [state(1, 1), state(2, 0), state(-1, 0), state(1, -1)] {
        assert_ne!(run("random_uniform", &[other], &attrs).to_bytes(), first.to_bytes());
    }
}

#[test]
fn bad_operands() {
    let fails = |name: &str, ins: &[Array], attrs: &[(&str, Attr)], text: &str| {
        let message = call(name, ins, &mut [], attrs).err().unwrap().to_string();
        assert!(message.starts_with(name) && message.contains(text), "{message}");
    };
    let s = || [state(0, 0)];
    fails("random_uniform", &[], &[], "must be int64(2,): key and counter; got nothing");
    fails("random_uniform", &s(), &[("shape", Attr::Ints(vec![-1]))], "none negative");
    fails("random_uniform", &s(), &[("shape", Attr::Ints(vec![1 << 40, 1 << 40]))], "fits in memory");
    fails("random_uniform", &s(), &[("shape", Attr::Ints(vec![1; 9]))], "at most 8 sizes");
    fails(
        "random_uniform",
        &s(),
        &[("dtype", Attr::Int(DType::I32 as i64))],
        "must be float32 or float64, got int32",
    );
    fails("random_uniform", &s(), &[("dtype", Attr::Int(99))], "got an unknown dtype");
    fails("random_uniform", &s(), &[("low", Attr::Float(2.0))], "`minval` not above `maxval`; got 2 and 1");
    fails("random_normal", &s(), &[("mean", Attr::Float(f64::NAN))], "must be finite numbers, got NaN and 1");
    fails("random_int", &s(), &[("high", Attr::Int(0))], "`minval` must be below `maxval`");
    fails("random_int", &s(), &[("high", Attr::Int(1 << 40))], "must fit int32");
    fails("random_permutation", &s(), &[], "`n` must not be negative");
    let x = Array::new(&[2], &[1.0f32, 2.0]);
    fails("dropout", &[x.clone(), state(0, 0)], &[("rate", Attr::Float(1.5))], "must lie in [0, 1], got 1.5");
    fails("dropout", &[x.clone(), x.clone()], &[("rate", Attr::Float(0.5))], "the generator's state must be");
    fails("random_gamma", &[state(0, 0), x.clone()], &[], "expected `alpha` as float64 of one shape");
    fails("random_binomial", &s(), &[], "expected `counts` and `probabilities` as float64");
    fails("dropout", &[x], &[("rate", Attr::Float(0.5))], "got 1 operands");
}
