use super::power;
use super::walk::Numbers;
use crate::op::Attr;
use crate::testing::{Array, call, uniform};

/// Sizes around the grain of the cuts, one empty.
const SIZES: &[usize] = &[10, 1024, 0, 1, 5000, 33];

fn arrays(seed: u64, low: f32, high: f32) -> Vec<Array> {
    SIZES.iter().zip(seed..).map(|(&n, seed)| Array::new(&[n], &uniform(seed, n, low, high))).collect()
}

fn widened(arrays: &[Array]) -> Vec<Array> {
    let wide = |a: &Array| a.to_vec::<f32>().iter().map(|&v| v as f64).collect::<Vec<_>>();
    arrays.iter().map(|a| Array::new(&a.meta().shape, &wide(a))).collect()
}

fn flat(arrays: &[Array]) -> Vec<f64> {
    arrays.iter().flat_map(|a| a.to_vec::<f64>()).collect()
}

/// Runs a row in float32 and float64 and checks both against `step(g, operands)` for each element.
fn check(name: &str, scalars: &[Array], kinds: usize, attrs: &[(&str, Attr)], step: impl Fn(f64, &mut [f64])) {
    let grads = arrays(100, -1.0, 1.0);
    let before: Vec<Array> = (0..kinds).flat_map(|k| arrays(200 + 10 * k as u64, 0.0, 1.0)).collect();

    let (g, total) = (flat(&widened(&grads)), SIZES.iter().sum::<usize>());
    let mut want = flat(&widened(&before));
    for i in 0..total {
        let mut operands: Vec<f64> = (0..kinds).map(|k| want[k * total + i]).collect();
        step(g[i], &mut operands);
        (0..kinds).for_each(|k| want[k * total + i] = operands[k]);
    }
    let close = |got: &[f64], tolerance: f64| {
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            assert!((g - w).abs() <= tolerance * (1.0 + w.abs()), "{name} {i}: {g} {w}");
        }
    };

    let mut inouts = before.clone();
    call(name, &[scalars, &grads].concat(), &mut inouts, attrs).unwrap();
    close(&flat(&widened(&inouts)), 5e-7);
    let mut inouts = widened(&before);
    call(name, &[scalars, &widened(&grads)].concat(), &mut inouts, attrs).unwrap();
    close(&flat(&inouts), 1e-8); // the rate is float32
}

#[test]
fn sgd() {
    let rate = [Array::new(&[], &[0.01f32]), Array::new(&[], &[0i64])];
    check("sgd", &rate, 1, &[("momentum", Attr::Float(0.0))], |g, o| o[0] -= 0.01 * g);
    for nesterov in [false, true] {
        let attrs = [("momentum", Attr::Float(0.9)), ("nesterov", Attr::Int(nesterov as i64))];
        check("sgd", &rate, 2, &attrs, |g, o| {
            o[1] = 0.9 * o[1] - 0.01 * g;
            o[0] += if nesterov { 0.9 * o[1] - 0.01 * g } else { o[1] };
        });
    }
}

fn betas(amsgrad: bool) -> [(&'static str, Attr); 4] {
    [
        ("beta_1", Attr::Float(0.9)),
        ("beta_2", Attr::Float(0.999)),
        ("epsilon", Attr::Float(1e-7)),
        ("amsgrad", Attr::Int(amsgrad as i64)),
    ]
}

#[test]
fn adam() {
    for iterations in [0i64, 1, 999] {
        for amsgrad in [false, true] {
            let scalars = [Array::new(&[], &[0.001f32]), Array::new(&[], &[iterations])];
            let t = iterations as i32 + 1;
            let alpha = 0.001 * (1.0 - 0.999f64.powi(t)).sqrt() / (1.0 - 0.9f64.powi(t));
            check("adam", &scalars, 3 + amsgrad as usize, &betas(amsgrad), |g, o| {
                o[1] += (g - o[1]) * (1.0 - 0.9);
                o[2] += (g * g - o[2]) * (1.0 - 0.999);
                let mut v = o[2];
                if amsgrad {
                    o[3] = o[3].max(o[2]);
                    v = o[3];
                }
                o[0] -= alpha * o[1] / (v.sqrt() + 1e-7);
            });
        }
    }
}

#[test]
fn powers() {
    for (x, n) in [(0.9, 0u64), (0.9, 1), (0.999, 12_345), (0.0, 3)] {
        assert!((power(x, n) - x.powf(n as f64)).abs() < 1e-14);
    }
    assert_eq!(power(0.999, u64::MAX), 0.0);
    // float32's 0.999 is 0.99900001287, so α of the first step is 6e-6 larger than it would be in float64.
    let alpha = |t, single| Numbers { rate: 0.001, t, scalars: &[], single }.alpha(0.9, 0.999);
    assert_eq!(alpha(1, true), f64::from(0.001 * (1.0f32 - 0.999f32).sqrt() / (1.0f32 - 0.9f32)));
    let exact = 0.001 * (1.0 - 0.999f64.powi(1000)).sqrt() / (1.0 - 0.9f64.powi(1000));
    assert!((alpha(1000, true) / exact - 1.0).abs() < 2e-5);
    assert!((alpha(1000, false) / exact - 1.0).abs() < 1e-12);
}

#[test]
fn increments() {
    let mut cells = [Array::new(&[], &[41i64])];
    call("increment", &[], &mut cells, &[]).unwrap();
    assert_eq!(cells[0].to_vec::<i64>(), [42]);
    let mut cells = [Array::new(&[], &[1.5f32])];
    call("increment", &[], &mut cells, &[("by", Attr::Float(-0.25))]).unwrap();
    assert_eq!(cells[0].to_vec::<f32>(), [1.25]);
    let mut cells = [Array::new(&[2], &[1i64, 2])];
    assert!(call("increment", &[], &mut cells, &[]).err().unwrap().to_string().contains("scalar, got int64(2,)"));
}

#[test]
fn bad_operands() {
    let (rate, step) = (Array::new(&[], &[0.1f32]), Array::new(&[], &[0i64]));
    let p = || Array::new(&[2], &[1.0f32, 2.0]);
    let fails = |name: &str, ins: &[Array], inouts: &mut [Array], attrs: &[(&str, Attr)], text: &str| {
        let message = call(name, ins, inouts, attrs).err().unwrap().to_string();
        assert!(message.starts_with(name) && message.contains(text), "{message}");
    };
    let still = [("momentum", Attr::Float(0.0))];
    let text = "`learning_rate` must be a float32 or float64 scalar, got float32(2,)";
    fails("sgd", &[p(), p()], &mut [p()], &still, text);
    fails("sgd", &[], &mut [], &still, "got nothing");
    let text = "1 to read (gradient) and 1 to update (the parameter), got 1 and 2";
    fails("sgd", &[rate.clone(), step.clone(), p()], &mut [p(), p()], &still, text);
    let short = Array::new(&[1], &[1.0f32]);
    let text = "the gradient of parameter 0 must be float32(2,)";
    fails("sgd", &[rate.clone(), step.clone(), short], &mut [p()], &still, text);
    let fast = [("momentum", Attr::Float(1.5))];
    fails("sgd", &[rate.clone(), step.clone(), p()], &mut [p(), p()], &fast, "must lie in [0, 1], got 1.5");
    fails("adam", &[rate.clone(), rate.clone()], &mut [], &betas(false), "`iterations` must be a int64 scalar");
    fails("adam", &[rate.clone(), step.clone()], &mut [], &[], "`beta_1` must lie in [0, 1), got NaN");
    let double = Array::new(&[2], &[1.0f64, 2.0]);
    let mut inouts = [p(), p(), double];
    fails(
        "adam",
        &[rate, step, p()],
        &mut inouts,
        &betas(false),
        "the second moment of parameter 0 must be float32(2,)",
    );
}
