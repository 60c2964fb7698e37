use crate::op::Attr;
use crate::testing::{Array, call, uniform};

/// Sizes around a chunk and a group of lanes, one empty.
const SIZES: &[usize] = &[10, 4096, 0, 1, 9000, 33];
const GROUPS: &[i64] = &[0, 0, 1, 1, 2, 0];

fn tensors(seed: u64) -> Vec<Array> {
    SIZES.iter().zip(seed..).map(|(&n, seed)| Array::new(&[n], &uniform(seed, n, -2.0, 2.0))).collect()
}

fn clock(step: i64) -> Vec<Array> {
    vec![Array::new(&[], &[step])]
}

fn attrs(every: i64, groups: &[i64]) -> Vec<(&'static str, Attr)> {
    vec![("every", Attr::Int(every)), ("groups", Attr::Ints(groups.to_vec()))]
}

fn squares(a: &[Array], b: Option<&[Array]>, group: i64) -> f64 {
    let of = |i: usize| {
        let a = a[i].to_vec::<f32>();
        let b = b.map_or(vec![0.0; a.len()], |b| b[i].to_vec::<f32>());
        a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
    };
    (0..SIZES.len()).filter(|&i| GROUPS[i] == group).map(of).sum::<f64>().sqrt()
}

#[test]
fn norms() {
    let (grads, after, before) = (tensors(1), tensors(11), tensors(21));
    let mut totals = [Array::new(&[3, 3], &[1.0f64; 9])];
    for step in [0, 1, 2, 3] {
        let ins = [clock(step), grads.clone(), after.clone(), before.clone()].concat();
        call("norms_update", &ins, &mut totals, &attrs(3, GROUPS)).unwrap(); // at steps 0 and 3
    }
    let got = totals[0].to_vec::<f64>();
    for g in 0..3 {
        let group = g as i64;
        let want =
            [squares(&grads, None, group), squares(&before, None, group), squares(&after, Some(&before), group)];
        for k in 0..3 {
            let tolerance = if k == 0 { 1e-12 } else { 1e-6 }; // weights and changes are summed in float32
            let off = got[3 * g + k] - 1.0 - 2.0 * want[k];
            assert!(off.abs() < tolerance * (1.0 + want[k]), "group {g}: {got:?} {want:?}");
        }
    }
}

#[test]
fn what_is_too_small_for_a_square_in_float32_counts() {
    let tiny = [Array::new(&[2], &[3e-30f32, 4e-30])];
    let mut totals = [Array::new(&[1, 3], &[0.0f64; 3])];
    let ins = [&clock(0)[..], &tiny, &tiny, &tiny].concat();
    call("norms_update", &ins, &mut totals, &attrs(1, &[0])).unwrap();
    assert!((totals[0].to_vec::<f64>()[0] / 5e-30 - 1.0).abs() < 1e-6);
}

#[test]
fn snapshots() {
    let values = tensors(31);
    let mut copies: Vec<Array> = tensors(41);
    let old: Vec<Vec<f32>> = copies.iter().map(Array::to_vec).collect();
    call("snapshot", &[clock(5), values.clone()].concat(), &mut copies, &attrs(2, &[])[..1]).unwrap();
    assert!(copies.iter().zip(&old).all(|(c, o)| c.to_vec::<f32>() == *o));
    call("snapshot", &[clock(6), values.clone()].concat(), &mut copies, &attrs(2, &[])[..1]).unwrap();
    assert!(copies.iter().zip(&values).all(|(c, v)| c.to_vec::<f32>() == v.to_vec::<f32>()));
}

#[test]
fn activity() {
    let outputs = [
        Array::new(&[2, 2], &[0.0f32, -0.0, 1.0, f32::NAN]),
        Array::new(&[4], &[0.01f32, 0.5, 0.995, 0.02]),
        Array::new(&[4], &[-0.995f32, 0.0, 0.5, 0.985]),
        Array::new(&[6], &[0.0f64, 0.0, 0.0, 0.0, 2.0, 3.0]),
    ];
    let mut totals = [Array::new(&[4], &[0.0f64; 4])];
    let attrs = [attrs(1, &[0, 1, 2, 0]), vec![("ranges", Attr::Ints(vec![0, 1, 2, 0]))]].concat();
    call("activity_update", &[&clock(7)[..], &outputs].concat(), &mut totals, &attrs).unwrap();
    assert_eq!(totals[0].to_vec::<f64>(), [0.6, 0.5, 0.25, 0.0]);
}
