use crate::DType;
use crate::op::Attr;
use crate::testing::{Array, call, uniform};

/// Narrow and wide rows, few and many of them, ends of vectors, chunks and blocks.
const SHAPES: &[[usize; 2]] = &[[1, 1], [7, 3], [33, 16], [4, 33], [300, 20], [3, 5000], [20_000, 2], [0, 4], [3, 0]];

const EPSILON: f64 = 1e-3;

fn flag(name: &str, on: bool) -> (&str, Attr) {
    (name, Attr::Int(on as i64))
}

fn epsilon() -> (&'static str, Attr) {
    ("epsilon", Attr::Float(EPSILON))
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// Runs a row in float32 and in float64, and checks both; `check` gets the results in float64 and a tolerance.
fn both(
    name: &str,
    ins: &[(&[usize], &[f32])],
    mask: Option<&[bool]>,
    attrs: &[(&str, Attr)],
    check: impl Fn(&[Vec<f64>], f64),
) {
    let mask = mask.map(|mask| Array::bools(&[mask.len()], mask));
    let single: Vec<Array> = ins.iter().map(|(shape, x)| Array::new(shape, x)).chain(mask.clone()).collect();
    let results = call(name, &single, &mut [], attrs).unwrap();
    check(&results.iter().map(|r| wide(&r.to_vec())).collect::<Vec<_>>(), 2e-5);
    let double: Vec<Array> = ins.iter().map(|(shape, x)| Array::new(shape, &wide(x))).chain(mask).collect();
    let results = call(name, &double, &mut [], attrs).unwrap();
    check(&results.iter().map(|r| r.to_vec()).collect::<Vec<_>>(), 1e-11);
}

fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{what} {i}: {g} {w}");
    }
}

/// Mean and variance of some of the values.
fn moments(x: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = x.clone().count().max(1) as f64;
    let mean = x.clone().sum::<f64>() / n;
    (mean, x.map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

#[test]
fn rows_and_their_gradients() {
    for &[rows, n] in SHAPES {
        let (x, g) = (uniform(1, rows * n, -1.0, 3.0), uniform(2, rows * n, -1.0, 1.0));
        let (gamma, beta) = (uniform(3, n, -1.0, 1.0), uniform(4, n, -1.0, 1.0));
        for rms in [false, true] {
            let mut want = [vec![], vec![], vec![]];
            let mut grads = [vec![], vec![0.0; n], vec![0.0; n]];
            for (x, g) in x.chunks(n.max(1)).zip(g.chunks(n.max(1))).take(if n == 0 { 0 } else { rows }) {
                let (x, g) = (wide(x), wide(g));
                let (mean, variance) = moments(x.iter().copied());
                let (mean, square) = if rms { (0.0, variance + mean * mean) } else { (mean, variance) };
                let r = 1.0 / (square + EPSILON).sqrt();
                let unit: Vec<f64> = x.iter().map(|x| (x - mean) * r).collect();
                let h: Vec<f64> = (0..n).map(|i| g[i] * f64::from(gamma[i])).collect();
                let a = if rms { 0.0 } else { h.iter().sum::<f64>() / n as f64 };
                let b = (0..n).map(|i| h[i] * unit[i]).sum::<f64>() / n as f64;
                want[0].extend((0..n).map(|i| unit[i] * f64::from(gamma[i]) + f64::from(beta[i])));
                want[1].push(mean);
                want[2].push(r);
                grads[0].extend((0..n).map(|i| r * (h[i] - a - unit[i] * b)));
                for i in 0..n {
                    grads[1][i] += g[i] * unit[i];
                    grads[2][i] += g[i];
                }
            }
            let shape: &[usize] = &[rows, n];
            let attrs = [flag("scale", true), flag("center", true), flag("rms", rms), epsilon()];
            let operands: [(&[usize], &[f32]); 3] = [(shape, &x), (&[n], &gamma), (&[n], &beta)];
            both("layer_normalization", &operands, None, &attrs, |got, tolerance| {
                close("y", &got[0], &want[0], tolerance);
                if n > 0 {
                    close("mean", &got[1], &want[1], tolerance);
                    close("inverse", &got[2], &want[2], tolerance);
                }
            });
            if n == 0 {
                continue;
            }
            let rounded = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let (mean, inverse) = (rounded(&want[1]), rounded(&want[2]));
            let operands: [(&[usize], &[f32]); 5] =
                [(shape, &x), (shape, &g), (&[rows], &mean), (&[rows], &inverse), (&[n], &gamma)];
            for (dx, sums) in [(true, true), (true, false), (false, true)] {
                let attrs = [flag("scale", true), flag("rms", rms), flag("dx", dx), flag("sums", sums)];
                let expected: Vec<&Vec<f64>> = match (dx, sums) {
                    (true, true) => grads.iter().collect(),
                    (true, false) => vec![&grads[0]],
                    _ => grads[1..].iter().collect(),
                };
                both("layer_normalization_grad", &operands, None, &attrs, |got, tolerance| {
                    assert_eq!(got.len(), expected.len());
                    // Mean and inverse were rounded to float32.
                    got.iter().zip(&expected).for_each(|(g, w)| close("gradient", g, w, tolerance.max(1e-5)));
                });
            }
        }
    }
}

#[test]
fn columns_and_their_gradients() {
    for &[rows, n] in SHAPES {
        let (x, g) = (uniform(1, rows * n, -1.0, 3.0), uniform(2, rows * n, -1.0, 1.0));
        let (gamma, beta) = (uniform(3, n, -1.0, 1.0), uniform(4, n, -1.0, 1.0));
        for masked in [false, true] {
            let mask: Vec<bool> = (0..rows).map(|r| !masked || r % 3 == 1 || (70..140).contains(&r)).collect();
            let kept = mask.iter().filter(|m| **m).count().max(1) as f64;
            let at = |v: &[f32], r: usize, c: usize| f64::from(v[r * n + c]);
            let mut want = [vec![0.0; rows * n], vec![], vec![]];
            let mut grads = [vec![0.0; rows * n], vec![], vec![]];
            for c in 0..n {
                let (mean, variance) = moments((0..rows).filter(|&r| mask[r]).map(|r| at(&x, r, c)));
                let root = 1.0 / (variance + EPSILON).sqrt();
                let unit = |r: usize| (at(&x, r, c) - mean) * root;
                let d_gamma: f64 = (0..rows).map(|r| at(&g, r, c) * unit(r)).sum();
                let d_beta: f64 = (0..rows).map(|r| at(&g, r, c)).sum();
                for r in 0..rows {
                    want[0][r * n + c] = unit(r) * f64::from(gamma[c]) + f64::from(beta[c]);
                    let common = if mask[r] { (d_beta + unit(r) * d_gamma) / kept } else { 0.0 };
                    grads[0][r * n + c] = f64::from(gamma[c]) * root * (at(&g, r, c) - common);
                }
                want[1].push(mean);
                want[2].push(variance);
                grads[1].push(d_gamma);
                grads[2].push(d_beta);
            }
            let shape: &[usize] = &[rows, n];
            let mask = masked.then_some(&mask[..]);
            let attrs = [flag("scale", true), flag("center", true), flag("masked", masked), epsilon()];
            let operands: [(&[usize], &[f32]); 3] = [(shape, &x), (&[n], &gamma), (&[n], &beta)];
            both("batch_normalization_training", &operands, mask, &attrs, |got, tolerance| {
                got.iter().zip(&want).for_each(|(g, w)| close("training", g, w, tolerance));
            });
            let rounded = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let (mean, variance) = (rounded(&want[1]), rounded(&want[2]));
            let operands: [(&[usize], &[f32]); 5] =
                [(shape, &x), (&[n], &mean), (&[n], &variance), (&[n], &gamma), (&[n], &beta)];
            let attrs = [flag("scale", true), flag("center", true), epsilon()];
            both("batch_normalization", &operands, None, &attrs, |got, tolerance| {
                close("given", &got[0], &want[0], tolerance.max(1e-5)); // the statistics were rounded
            });
            let operands: [(&[usize], &[f32]); 5] =
                [(shape, &x), (shape, &g), (&[n], &mean), (&[n], &variance), (&[n], &gamma)];
            for dx in [true, false] {
                let attrs = [flag("scale", true), flag("masked", masked), flag("dx", dx), epsilon()];
                both("batch_normalization_grad", &operands, mask, &attrs, |got, tolerance| {
                    let want = &grads[!dx as usize..];
                    assert_eq!(got.len(), want.len());
                    got.iter().zip(want).for_each(|(g, w)| close("gradient", g, w, tolerance.max(1e-5)));
                });
            }
        }
    }
}

#[test]
fn moving_statistics() {
    let x = Array::new(&[50, 5], &uniform(1, 250, 0.0, 4.0));
    let plain = call("batch_normalization_training", std::slice::from_ref(&x), &mut [], &[]).unwrap();
    let mut moving = [Array::new(&[5], &[1.0f32; 5]), Array::new(&[5], &[2.0f32; 5])];
    let attrs = [("momentum", Attr::Float(0.75))];
    let updating = call("batch_normalization_training", std::slice::from_ref(&x), &mut moving, &attrs).unwrap();
    assert_eq!(plain[0].to_vec::<f32>(), updating[0].to_vec::<f32>());
    for (moving, (old, new)) in moving.iter().zip([1.0, 2.0].into_iter().zip(&plain[1..])) {
        let want: Vec<f64> = new.to_vec::<f32>().iter().map(|&v| 0.75 * old + 0.25 * f64::from(v)).collect();
        close("moving", &wide(&moving.to_vec()), &want, 1e-6);
    }
    let nothing = [x, Array::bools(&[50], &[false; 50])];
    let mut moving = [Array::new(&[5], &[1.0f32; 5]), Array::new(&[5], &[2.0f32; 5])];
    call("batch_normalization_training", &nothing, &mut moving, &[flag("masked", true)]).unwrap();
    assert_eq!((moving[0].to_vec::<f32>(), moving[1].to_vec::<f32>()), (vec![1.0; 5], vec![2.0; 5]));
}

/// A first row far from the others costs some digits and no more; NaN stays where it is.
#[test]
fn outliers() {
    let mut x = uniform(1, 400, 0.0, 1.0);
    x[0] = 1e4;
    x[7] = f32::NAN;
    let out = call("batch_normalization_training", &[Array::new(&[100, 4], &x)], &mut [], &[]).unwrap();
    let (mean, variance) = (out[1].to_vec::<f32>(), out[2].to_vec::<f32>());
    let exact = moments(x.iter().step_by(4).map(|&v| f64::from(v)));
    close("mean", &[f64::from(mean[0])], &[exact.0], 1e-5);
    close("variance", &[f64::from(variance[0])], &[exact.1], 1e-5);
    assert!(mean[3].is_nan() && variance[3].is_nan());
    assert!(mean[..3].iter().chain(&variance[..3]).all(|v| v.is_finite()));
}

#[test]
fn bad_operands() {
    let message = |name: &str, ins: &[Array], attrs: &[(&str, Attr)]| {
        call(name, ins, &mut [], attrs).err().unwrap_or_else(|| panic!("{name} takes it")).to_string()
    };
    let x = Array::new(&[2, 3], &[1.0f32; 6]);
    let short = Array::new(&[2], &[1.0f32; 2]);
    for name in ["layer_normalization", "batch_normalization_training"] {
        assert!(message(name, &[Array::new(&[], &[1.0f32])], &[]).contains("an axis to work over"));
        assert!(
            message(name, &[Array::new(&[2], &[1i32, 2])], &[]).contains("must be float32 or float64, got int32")
        );
        assert!(message(name, &[], &[]).contains("expected x, got no operands"));
        let text = message(name, &[x.clone(), short.clone()], &[flag("scale", true)]);
        assert!(text.contains("`gamma` must be float32(3,) to fit x, got float32(2,)"), "{text}");
        assert!(message(name, &[x.clone(), short.clone()], &[]).contains("expected x and [], got 2 operands"));
    }
    let mask = [x.clone(), Array::filled(crate::Meta::new(DType::Bool, &[3]))];
    let text = message("batch_normalization_training", &mask, &[flag("masked", true)]);
    assert!(text.contains("`mask` must be bool(2,) to fit x, got bool(3,)"), "{text}");
    let mut moving = [short.clone(), short];
    let wrong = call("batch_normalization_training", std::slice::from_ref(&x), &mut moving, &[]).err().unwrap();
    assert!(wrong.to_string().contains("must both be float32(3,) to fit x"));
    let text = message("batch_normalization", std::slice::from_ref(&x), &[]);
    assert!(text.contains("expected x and [mean, variance], got 1 operands"), "{text}");
}
