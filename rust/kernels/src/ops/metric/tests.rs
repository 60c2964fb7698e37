use crate::op::Attr;
use crate::testing::{Array, call, run, uniform};

fn update(ins: &[Array], total: f64, count: f64) -> (f64, f64) {
    let mut state = [Array::new(&[], &[total]), Array::new(&[], &[count])];
    call("mean_update", ins, &mut state, &[]).unwrap();
    (state[0].to_vec::<f64>()[0], state[1].to_vec::<f64>()[0])
}

#[test]
fn means() {
    for n in [0usize, 1, 15, 4096, 10_000] {
        let (v, w) = (uniform(1, n, -1.0, 1.0), uniform(2, n, 0.0, 2.0));
        let sum: f64 = v.iter().map(|&v| v as f64).sum();
        let (total, count) = update(&[Array::new(&[n], &v)], 3.0, 4.0);
        assert!((total - 3.0 - sum).abs() < 1e-10 && count == 4.0 + n as f64);

        let weighted: f64 = v.iter().zip(&w).map(|(&v, &w)| v as f64 * w as f64).sum();
        let weights: f64 = w.iter().map(|&w| w as f64).sum();
        let (total, count) = update(&[Array::new(&[n], &v), Array::new(&[n], &w)], 0.0, 0.0);
        assert!((total - weighted).abs() < 1e-10 && (count - weights).abs() < 1e-10);
    }
}

#[test]
fn weights_of_samples() {
    let (n, k) = (3000, 3);
    let (v, w) = (uniform(3, n * k, -1.0, 1.0), uniform(4, n, 0.0, 2.0));
    let want: f64 = (0..n * k).map(|i| v[i] as f64 * w[i / k] as f64).sum();
    let weights: f64 = w.iter().map(|&w| 3.0 * w as f64).sum();
    for shape in [&[n][..], &[n, 1]] {
        let (total, count) = update(&[Array::new(&[n, k], &v), Array::new(shape, &w)], 0.0, 0.0);
        assert!((total - want).abs() < 1e-9 && (count - weights).abs() < 1e-9);
    }
    let (total, count) = update(&[Array::new(&[2], &[1.0f64, 2.0]), Array::new(&[], &[0.5f64])], 0.0, 0.0);
    assert_eq!((total, count), (1.5, 1.0));
}

const SCORES: [f32; 15] = [0.1, 0.7, 0.2, 0.5, 0.5, 0.0, -1.0, -3.0, -2.0, f32::NAN, 9.0, 1.0, 1.0, 2.0, f32::NAN];

#[test]
fn accuracy_by_labels() {
    let scores = Array::new(&[5, 3], &SCORES);
    let want = [1.0, 1.0, 0.0, 1.0, 1.0];
    let (narrow, long) = (Array::new(&[5], &[1i32, 0, 2, 0, 2]), Array::new(&[5], &[1i64, 0, 2, 0, 2]));
    for labels in [narrow, long, Array::new(&[5], &[1.0f32, 0.0, 2.0, 0.0, 2.0])] {
        let hits = run("sparse_categorical_accuracy", &[labels, scores.clone()], &[]);
        assert_eq!(hits.to_vec::<f32>(), want);
    }
    let outside = Array::new(&[5], &[-1i32, 3, 7, i32::MIN, i32::MAX]);
    assert_eq!(run("sparse_categorical_accuracy", &[outside, scores], &[]).to_vec::<f32>(), [0.0; 5]);
    let none = [Array::new(&[2], &[0i32, 0]), Array::new::<f32>(&[2, 0], &[])];
    assert_eq!(run("sparse_categorical_accuracy", &none, &[]).to_vec::<f32>(), [0.0; 2]);
}

#[test]
fn the_first_greatest_wins_in_long_rows() {
    let mut x = uniform(5, 3000, 0.0, 1.0);
    (x[700], x[701], x[1999]) = (2.0, 2.0, 2.0);
    let labels = Array::new(&[2], &[700i32, 499]);
    let hits = run("sparse_categorical_accuracy", &[labels, Array::new(&[2, 1500], &x)], &[]);
    assert_eq!(hits.to_vec::<f32>(), [1.0, 1.0]);
}

#[test]
fn accuracy_by_targets() {
    let targets: Vec<f32> = [0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0].map(|v| v as f32).into();
    let ins = [Array::new(&[5, 3], &targets), Array::new(&[5, 3], &SCORES)];
    assert_eq!(run("categorical_accuracy", &ins, &[]).to_vec::<f32>(), [1.0, 1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn accuracy_of_decisions() {
    let (t, p) = ([1.0f32, 0.0, 1.0, 0.0, 1.0], [0.6f32, 0.5, 0.5, f32::NAN, 0.4]);
    let ins = [Array::new(&[5], &t), Array::new(&[5], &p)];
    assert_eq!(run("binary_accuracy", &ins, &[]).to_vec::<f32>(), [1.0, 1.0, 0.0, 1.0, 0.0]);
    let lower = run("binary_accuracy", &ins, &[("threshold", Attr::Float(0.3))]);
    assert_eq!(lower.to_vec::<f32>(), [1.0, 0.0, 1.0, 1.0, 1.0]);
}

/// `counts` of shape `shape`, from zero.
fn counted(name: &str, ins: &[Array], shape: &[usize], attrs: &[(&str, Attr)]) -> Vec<f64> {
    let mut state = [Array::new(shape, &vec![0.0f64; shape.iter().product()])];
    call(name, ins, &mut state, attrs).unwrap();
    state[0].to_vec::<f64>()
}

#[test]
fn counts_by_thresholds() {
    let (t, p) = ([1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0], [0.6f32, 0.5, 0.5, f32::NAN, 0.9, 0.7]);
    let ins = |thresholds: &[f32]| {
        [Array::new(&[3, 2], &t), Array::new(&[3, 2], &p), Array::new(&[thresholds.len()], thresholds)]
    };
    assert_eq!(counted("threshold_counts", &ins(&[0.5]), &[2, 2], &[]), [2.0, 1.0, 1.0, 2.0]);
    // (truth, label, bucket): the targets are all of the first label here.
    let each = counted("threshold_counts", &ins(&[0.5, 0.8]), &[2, 2, 3], &[]);
    assert_eq!(each, [0.0, 0.0, 0.0, 2.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    // Equal to a threshold is not above it, searched for or reckoned.
    let even = [("even", Attr::Int(1))];
    let thresholds = [0.0, 0.25, 0.5, 0.75, 1.0];
    let searched = counted("threshold_counts", &ins(&thresholds), &[2, 6], &[]);
    assert_eq!(searched, counted("threshold_counts", &ins(&thresholds), &[2, 6], &even));
    assert_eq!(searched, [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    let soft = counted("threshold_counts", &ins(&[0.5]), &[2, 2], &[("soft", Attr::Int(1))]);
    assert_eq!(soft, [2.0, 1.0, 1.0, 2.0]);
}

#[test]
fn weighted_counts_of_many() {
    let (rows, labels) = (30_000, 3);
    let n = rows * labels;
    let (t, p, w) = (uniform(1, n, 0.0, 1.0), uniform(2, n, -0.2, 1.2), uniform(3, rows, 0.0, 2.0));
    let t: Vec<f32> = t.iter().map(|v| v.round()).collect();
    let thresholds: Vec<f32> = (0..40).map(|i| i as f32 / 40.0).collect();
    let ins = [
        Array::new(&[rows, labels], &t),
        Array::new(&[rows, labels], &p),
        Array::new(&[40], &thresholds),
        Array::new(&[rows], &w),
    ];
    let mut want = vec![0.0; 2 * labels * 41];
    for i in 0..n {
        let bucket = thresholds.iter().filter(|&&at| p[i] > at).count();
        want[(t[i] as usize * labels + i % labels) * 41 + bucket] += w[i / labels] as f64;
    }
    let got = counted("threshold_counts", &ins, &[2, labels, 41], &[]);
    assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-9));
}

#[test]
fn counts_of_the_greatest() {
    let scores = Array::new(&[5, 3], &SCORES);
    let targets = Array::new(&[5, 3], &[0f32, 1., 0., 1., 0., 0., 0., 0., 1., 1., 0., 0., 0., 1., 0.]);
    // Ties are all chosen, rows with NaN choose nothing.
    let counts = counted("greatest_counts", &[targets.clone(), scores], &[2, 2], &[]);
    assert_eq!(counts, [8.0, 2.0, 3.0, 2.0]);
    let nothing = Array::new(&[5, 3], &[0f32; 15]);
    assert_eq!(counted("greatest_counts", &[targets, nothing], &[2, 2], &[]), [10.0, 0.0, 5.0, 0.0]);
}

#[test]
fn counts_of_pairs() {
    let (t, p) = ([0.0f32, 1.0, 1.9, -0.5, -1.0, 2.0, f32::NAN], [0.0f32, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let ins = [Array::new(&[7], &t), Array::new(&[7], &p)];
    assert_eq!(counted("confusion_counts", &ins, &[2, 2], &[]), [1.0, 1.0, 1.0, 1.0]);
    let without = counted("confusion_counts", &ins, &[2, 2], &[("ignored", Attr::Int(0))]);
    assert_eq!(without, [0.0, 0.0, 1.0, 1.0]);
    let outside = [Array::new(&[2], &[i64::MAX, i64::MIN]), Array::new(&[2], &[0i64, 0])];
    assert_eq!(counted("confusion_counts", &outside, &[2, 2], &[]), [0.0; 4]);
}

#[test]
fn the_k_greatest() {
    let scores = Array::new(&[5, 3], &SCORES);
    let k = |k| [("k", Attr::Int(k)), ("fill", Attr::Float(-9.0))];
    let targets = Array::new(&[5], &[2i32, 1, 0, 1, 7]);
    let hits = run("in_top_k", &[targets, scores.clone()], &[("k", Attr::Int(2))]);
    assert_eq!(hits.to_bytes(), [1, 1, 1, 1, 0]); // a row's NaN is one of its two greatest
    let kept = run("only_top_k", &[scores], &k(2)).to_vec::<f32>();
    assert_eq!(kept[..9], [-9.0, 0.7, 0.2, 0.5, 0.5, -9.0, -1.0, -9.0, -2.0]);
    let ties = run("only_top_k", &[Array::new(&[1, 4], &[1f64; 4])], &k(3));
    assert_eq!(ties.to_vec::<f64>(), [1.0, 1.0, 1.0, -9.0]);
}

#[test]
fn bad_operands() {
    let fails = |name: &str, ins: &[Array], inouts: &mut [Array], text: &str| {
        let message = call(name, ins, inouts, &[]).err().unwrap().to_string();
        assert!(message.starts_with(name) && message.contains(text), "{message}");
    };
    let state = || [Array::new(&[], &[0.0f64]), Array::new(&[], &[0.0f64])];
    let x = Array::new(&[2, 3], &[0.0f32; 6]);
    fails("mean_update", std::slice::from_ref(&x), &mut [], "must be float64 scalars");
    fails("mean_update", &[], &mut state(), "expected values");
    fails(
        "mean_update",
        &[x.clone(), Array::new(&[3], &[0f32; 3])],
        &mut state(),
        "got weights (3,) for values (2, 3)",
    );
    fails("mean_update", &[x.clone(), Array::new(&[2], &[0f64; 2])], &mut state(), "must be float32");
    fails(
        "sparse_categorical_accuracy",
        &[Array::new(&[3], &[0i32; 3]), x.clone()],
        &mut [],
        "one label for each row",
    );
    fails(
        "categorical_accuracy",
        &[Array::new(&[2], &[0f32; 2]), x.clone()],
        &mut [],
        "y_true must be float32(2, 3)",
    );
    fails("binary_accuracy", &[Array::new(&[2, 3], &[0i32; 6]), x.clone()], &mut [], "y_true must be float32(2, 3)");
    let counts = || [Array::new(&[2, 2], &[0f64; 4])];
    let none = Array::new::<f32>(&[0], &[]);
    fails("threshold_counts", &[x.clone(), x.clone(), none], &mut counts(), "must be a vector of float32");
    fails("greatest_counts", std::slice::from_ref(&x), &mut counts(), "expected y_true, y_pred");
    fails("confusion_counts", &[x.clone(), x.clone()], &mut [x.clone()], "a square matrix of float64");
    fails("in_top_k", &[x.clone(), x.clone()], &mut [], "targets must be int32 or int64");
    fails("only_top_k", &[Array::new(&[2, 0], &[0f32; 0])], &mut [], "from 1 to the number of classes, 0");
}
