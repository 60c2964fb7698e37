use crate::op::Attr;
use crate::testing::{Array, call, run, uniform};

const SHAPES: &[(usize, usize)] = &[(1, 1), (7, 10), (33, 3), (5, 16), (40, 33), (2, 5000), (0, 4)];

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| v as f64).collect()
}

fn log_softmax(x: &[f32]) -> Vec<f64> {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let log = x.iter().map(|&v| (v as f64 - max).exp()).sum::<f64>().ln();
    x.iter().map(|&v| v as f64 - max - log).collect()
}

/// Loss and gradient by the definitions.
fn reference(x: &[f32], t: &[f32], c: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut loss, mut d) = (Vec::new(), Vec::new());
    for (x, t) in x.chunks(c).zip(t.chunks(c)) {
        let log = log_softmax(x);
        let total: f64 = t.iter().map(|&t| t as f64).sum();
        loss.push(-log.iter().zip(t).map(|(l, &t)| l * t as f64).sum::<f64>());
        d.extend(log.iter().zip(t).map(|(l, &t)| l.exp() * total - t as f64));
    }
    (loss, d)
}

fn close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((*g as f64 - w).abs() <= tolerance * (1.0 + w.abs()), "{i}: {g} {w}");
    }
}

fn close64(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-12 * (1.0 + w.abs())));
}

fn one_hot(labels: &[i32], c: usize) -> Vec<f32> {
    labels.iter().flat_map(|&l| (0..c as i32).map(move |j| f32::from(j == l))).collect()
}

#[test]
fn by_labels() {
    for &(n, c) in SHAPES {
        let x = uniform(3, n * c, -8.0, 8.0);
        let labels: Vec<i32> = (0..n).map(|i| (i * 7 % c) as i32).collect();
        let long: Vec<i64> = labels.iter().map(|&l| i64::from(l)).collect();
        let (loss, d) = reference(&x, &one_hot(&labels, c), c);

        let ins = [Array::new(&[n, c], &x), Array::new(&[n], &labels)];
        let outs = call("softmax_crossentropy_sparse", &ins, &mut [], &[]).unwrap();
        close(&outs[0].to_vec(), &loss, 2e-6);
        close(&outs[1].to_vec(), &d, 1e-6);
        let alone = run("softmax_crossentropy_sparse", &ins, &[("gradient", Attr::Int(0))]);
        assert_eq!(alone.to_bytes(), outs[0].to_bytes());

        // One-hot targets give the same bits.
        let dense = [Array::new(&[n, c], &x), Array::new(&[n, c], &one_hot(&labels, c))];
        let same = call("softmax_crossentropy", &dense, &mut [], &[]).unwrap();
        assert!(
            same[0].to_vec::<f32>() == outs[0].to_vec::<f32>() && same[1].to_vec::<f32>() == outs[1].to_vec::<f32>()
        );

        let ins = [Array::new(&[n, c], &wide(&x)), Array::new(&[n], &long)];
        let outs = call("softmax_crossentropy_sparse", &ins, &mut [], &[]).unwrap();
        close64(&outs[0].to_vec(), &loss);
        close64(&outs[1].to_vec(), &d);
    }
}

#[test]
fn by_targets() {
    for &(n, c) in SHAPES {
        let (x, t) = (uniform(4, n * c, -8.0, 8.0), uniform(5, n * c, 0.0, 1.0));
        let (loss, d) = reference(&x, &t, c);
        let ins = [Array::new(&[n, c], &x), Array::new(&[n, c], &t)];
        let outs = call("softmax_crossentropy", &ins, &mut [], &[]).unwrap();
        close(&outs[0].to_vec(), &loss, 3e-6);
        close(&outs[1].to_vec(), &d, 3e-6);
        let alone = run("softmax_crossentropy", &ins, &[("gradient", Attr::Int(0))]);
        assert_eq!(alone.to_bytes(), outs[0].to_bytes());
        let outs = call("softmax_crossentropy", &ins.map(|a| widened(&a)), &mut [], &[]).unwrap();
        close64(&outs[0].to_vec(), &loss);
        close64(&outs[1].to_vec(), &d);
    }
}

fn widened(a: &Array) -> Array {
    Array::new(&a.meta().shape, &wide(&a.to_vec::<f32>()))
}

#[test]
fn labels_outside_the_classes_give_nan() {
    let x = uniform(6, 15, -1.0, 1.0);
    let ins = [Array::new(&[5, 3], &x), Array::new(&[5], &[0i64, -1, 3, i64::MIN, 2])];
    let outs = call("softmax_crossentropy_sparse", &ins, &mut [], &[]).unwrap();
    let (loss, d) = (outs[0].to_vec::<f32>(), outs[1].to_vec::<f32>());
    let picked = run("pick", &ins, &[]).to_vec::<f32>();
    for r in 0..5 {
        let bad = (1..4).contains(&r);
        assert_eq!(loss[r].is_nan(), bad);
        assert!(d[3 * r..3 * r + 3].iter().all(|v| v.is_nan() == bad));
        assert_eq!(picked[r].is_nan(), bad);
    }
    assert_eq!((picked[0], picked[4]), (x[0], x[14]));
    let none = [Array::new::<f32>(&[2, 0], &[]), Array::new(&[2], &[0i32, 0])];
    let outs = call("softmax_crossentropy_sparse", &none, &mut [], &[]).unwrap();
    assert!(outs[0].to_vec::<f32>().iter().all(|v| v.is_nan()));
}

#[test]
fn sigmoid() {
    let mut x = uniform(7, 1000, -20.0, 20.0);
    x.extend([0.0, 88.0, -88.0, 1e30, -1e30]);
    let mut t: Vec<f32> = uniform(8, 1000, 0.0, 1.0);
    t.extend([0.5, 1.0, 0.0, 1.0, 0.0]);
    let ins = [Array::new(&[1005], &x), Array::new(&[1005], &t)];
    let outs = call("sigmoid_crossentropy", &ins, &mut [], &[]).unwrap();
    let loss = |x: f64, t: f64| x.max(0.0) - x * t + (-x.abs()).exp().ln_1p();
    let d = |x: f64, t: f64| 1.0 / (1.0 + (-x).exp()) - t;
    let want = |f: &dyn Fn(f64, f64) -> f64| wide(&x).iter().zip(wide(&t)).map(|(&x, t)| f(x, t)).collect::<Vec<_>>();
    close(&outs[0].to_vec(), &want(&loss), 1e-6);
    close(&outs[1].to_vec(), &want(&d), 1e-6);
    let alone = run("sigmoid_crossentropy", &ins, &[("gradient", Attr::Int(0))]);
    assert_eq!(alone.to_bytes(), outs[0].to_bytes());
    let outs = call("sigmoid_crossentropy", &ins.map(|a| widened(&a)), &mut [], &[]).unwrap();
    close64(&outs[0].to_vec(), &want(&loss));
    close64(&outs[1].to_vec(), &want(&d));
    // Confident and right: the loss keeps its precision.
    let far = [Array::new(&[1], &[20.0f32]), Array::new(&[1], &[1.0f32])];
    let loss = run("sigmoid_crossentropy", &far, &[("gradient", Attr::Int(0))]).to_vec::<f32>()[0];
    assert!((loss - 2.061_153_6e-9).abs() < 1e-15);
}

#[test]
fn bad_operands() {
    let x = Array::new(&[2, 3], &[0.0f32; 6]);
    let fails = |name: &str, ins: &[Array], text: &str| {
        let message = call(name, ins, &mut [], &[]).err().unwrap().to_string();
        assert!(message.contains(text) && message.starts_with(name), "{message}");
    };
    fails("softmax_crossentropy_sparse", &[x.clone(), Array::new(&[3], &[0i32; 3])], "one label for each row");
    fails("softmax_crossentropy_sparse", &[x.clone(), Array::new(&[2], &[0f32; 2])], "labels must be int32 or int64");
    fails("softmax_crossentropy_sparse", std::slice::from_ref(&x), "got 1 operands");
    fails("softmax_crossentropy", &[x.clone(), Array::new(&[2, 2], &[0f32; 4])], "the targets must be float32(2, 3)");
    fails("softmax_crossentropy", &[Array::new(&[], &[0f32]), Array::new(&[], &[0f32])], "an axis of classes");
    fails("sigmoid_crossentropy", &[x, Array::new(&[2, 3], &[0f64; 6])], "the targets must be float32(2, 3)");
    fails("pick", &[Array::new(&[], &[0f32]), Array::new(&[], &[0i32])], "one label for each row");
}
