use crate::isa::{Level, flush_denormals, restore_float_state};
use crate::testing::{Array, call, call_with, run, uniform};
use crate::{Attr, CHAIN, Fault};

fn flags(trans_a: bool, trans_b: bool) -> [(&'static str, Attr); 2] {
    [("trans_a", Attr::Int(trans_a as i64)), ("trans_b", Attr::Int(trans_b as i64))]
}

/// Element (i, j) of a product as the contract says, from rows of A and columns of B.
fn element(k: usize, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
    let chain = |start: usize| (start..k.min(start + CHAIN)).fold(0.0f32, |sum, p| a(p).mul_add(b(p), sum));
    (0..k).step_by(CHAIN).map(chain).reduce(|total, sum| total + sum).unwrap_or(0.0)
}

fn naive(a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize), (ta, tb): (bool, bool)) -> Vec<f32> {
    let at = |i: usize, p: usize| if ta { a[p * m + i] } else { a[i * k + p] };
    let bt = |p: usize, j: usize| if tb { b[j * k + p] } else { b[p * n + j] };
    (0..m * n).map(|x| element(k, |p| at(x / n, p), |p| bt(p, x % n))).collect()
}

/// A and B of random numbers, as the flags want them.
fn factors((m, n, k): (usize, usize, usize), (ta, tb): (bool, bool)) -> (Array, Array) {
    let (a, b) = (uniform(1, m * k, -1.0, 1.0), uniform(2, k * n, -1.0, 1.0));
    let a_shape = if ta { [k, m] } else { [m, k] };
    let b_shape = if tb { [n, k] } else { [k, n] };
    (Array::new(&a_shape, &a), Array::new(&b_shape, &b))
}

const FORMS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

#[test]
fn products_are_chains_of_fused_multiply_adds() {
    let sizes = [
        (1, 1, 1),
        (1, 10, 7),
        (2, 33, 5),
        (3, 24, 9),
        (4, 17, 31),
        (5, 1, 64),
        (6, 64, 16),
        (7, 100, 13),
        (13, 31, 40),
        (23, 50, 70),
        (32, 10, 64),
        (33, 65, 100),
        (64, 64, 64),
        (12, 300, 33),
        (97, 3, 50),
        (0, 4, 5),
        (4, 0, 5),
        (4, 5, 0),
    ];
    for size in sizes {
        for form in FORMS {
            let (a, b) = factors(size, form);
            let want = naive(&a.to_vec(), &b.to_vec(), size, form);
            let got = run("matmul", &[a, b], &flags(form.0, form.1)).to_vec::<f32>();
            assert_eq!(got, want, "{size:?} {form:?}");
        }
    }
}

#[test]
fn long_sums_are_merged_chains() {
    for size in [(3, 5, CHAIN), (5, 20, CHAIN + 1), (14, 35, 2 * CHAIN + 300)] {
        for form in FORMS {
            let (a, b) = factors(size, form);
            let want = naive(&a.to_vec(), &b.to_vec(), size, form);
            let got = run("matmul", &[a, b], &flags(form.0, form.1)).to_vec::<f32>();
            assert_eq!(got, want, "{size:?} {form:?}");
        }
    }
}

/// Sizes at which blocks are cut in every direction and copies are made; compared with the definition in places.
#[test]
fn blocks_and_copies_change_no_bit() {
    for size in [(300, 1100, 520), (40, 700, 784), (520, 260, 512), (310, 300, CHAIN + 700)] {
        let (m, n, k) = size;
        for form in FORMS {
            let (a, b) = factors(size, form);
            let (av, bv) = (a.to_vec::<f32>(), b.to_vec::<f32>());
            for level in Level::ALL.into_iter().filter(|&l| l.available() && l != Level::Scalar) {
                for workers in 1..=3 {
                    let ins = [a.clone(), b.clone()];
                    let out = call_with("matmul", &ins, &mut [], &flags(form.0, form.1), workers, level).unwrap();
                    let got = out[0].to_vec::<f32>();
                    for x in (0..m * n).step_by(997) {
                        let (i, j) = (x / n, x % n);
                        let at = |p: usize| av[if form.0 { p * m + i } else { i * k + p }];
                        let bt = |p: usize| bv[if form.1 { j * k + p } else { p * n + j }];
                        assert_eq!(got[x], element(k, at, bt), "{size:?} {form:?} {level:?} {workers} at {i}, {j}");
                    }
                }
            }
        }
    }
}

#[test]
fn leading_axes_broadcast() {
    let shapes: [(&[usize], &[usize], &[usize]); 6] = [
        (&[3, 4, 5], &[3, 5, 6], &[3, 4, 6]),
        (&[3, 4, 5], &[5, 6], &[3, 4, 6]),
        (&[4, 5], &[3, 5, 6], &[3, 4, 6]),
        (&[2, 1, 4, 5], &[3, 5, 6], &[2, 3, 4, 6]),
        (&[2, 3, 4, 5], &[2, 1, 5, 6], &[2, 3, 4, 6]),
        (&[0, 4, 5], &[1, 5, 6], &[0, 4, 6]),
    ];
    for (a_shape, b_shape, shape) in shapes {
        let count = |s: &[usize]| s.iter().product::<usize>();
        let (av, bv) = (uniform(3, count(a_shape), -1.0, 1.0), uniform(4, count(b_shape), -1.0, 1.0));
        let got = run("matmul", &[Array::new(a_shape, &av), Array::new(b_shape, &bv)], &[]);
        assert_eq!(&got.meta().shape[..], shape);
        let mut want = Vec::new();
        for i in 0..count(&shape[..shape.len() - 2]) {
            let offset = |s: &[usize], size: usize| {
                let (mut rest, mut step, mut at) = (i, size, 0);
                for axis in (0..shape.len() - 2).rev() {
                    let own = (axis + s.len()).checked_sub(shape.len()).map_or(1, |x| s[x]);
                    at += if own == 1 { 0 } else { rest % shape[axis] * step };
                    (rest, step) = (rest / shape[axis], step * own);
                }
                at..at + size
            };
            want.extend(naive(&av[offset(a_shape, 20)], &bv[offset(b_shape, 30)], (4, 6, 5), (false, false)));
        }
        assert_eq!(got.to_vec::<f32>(), want, "{a_shape:?} {b_shape:?}");
    }
}

#[test]
fn other_dtypes_follow_the_same_order() {
    for (m, n, k) in [(0, 3, 2), (3, 0, 2), (3, 5, 0)] {
        for (ta, tb) in FORMS {
            let (a_shape, b_shape) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
            let ins = [Array::new(&a_shape, &vec![1f64; m * k]), Array::new(&b_shape, &vec![1f64; k * n])];
            assert_eq!(run("matmul", &ins, &flags(ta, tb)).to_vec::<f64>(), vec![0.0; m * n]);
        }
    }
    let (m, n, k) = (5, 70, CHAIN + 30);
    let (a, b) = (uniform(5, m * k, -9.0, 9.0), uniform(6, k * n, -9.0, 9.0));
    let wide = |v: &[f32]| v.iter().map(|&x| x as f64).collect::<Vec<_>>();
    for (ta, tb) in FORMS {
        let (a_shape, b_shape) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
        let at = |x: usize, p: usize| if ta { p * m + x / n } else { x / n * k + p };
        let bt = |x: usize, p: usize| if tb { x % n * k + p } else { p * n + x % n };
        let (af, bf) = (wide(&a), wide(&b));
        let got = run("matmul", &[Array::new(&a_shape, &af), Array::new(&b_shape, &bf)], &flags(ta, tb));
        let chain = |x: usize, start: usize| {
            (start..k.min(start + CHAIN)).fold(0.0, |sum, p| af[at(x, p)].mul_add(bf[bt(x, p)], sum))
        };
        let want: Vec<f64> = (0..m * n).map(|x| chain(x, 0) + chain(x, CHAIN)).collect();
        assert_eq!(got.to_vec::<f64>(), want);

        let (ai, bi): (Vec<i64>, Vec<i64>) =
            (a.iter().map(|&x| x as i64).collect(), b.iter().map(|&x| x as i64).collect());
        let want: Vec<i64> = (0..m * n).map(|x| (0..k).map(|p| ai[at(x, p)] * bi[bt(x, p)]).sum()).collect();
        let got = run("matmul", &[Array::new(&a_shape, &ai), Array::new(&b_shape, &bi)], &flags(ta, tb));
        assert_eq!(got.to_vec::<i64>(), want);
        let narrow = |v: &[i64]| v.iter().map(|&x| x as i32).collect::<Vec<_>>();
        let ins = [Array::new(&a_shape, &narrow(&ai)), Array::new(&b_shape, &narrow(&bi))];
        assert_eq!(run("matmul", &ins, &flags(ta, tb)).to_vec::<i32>(), narrow(&want));
    }
}

#[test]
fn linear_is_product_then_bias_then_activation() {
    for (m, n, k) in [(1, 1, 1), (7, 37, 20), (32, 128, 60), (130, 10, 33), (3, 40, 0), (0, 3, 2)] {
        let (x, w) = factors((m, n, k), (false, false));
        let bias = uniform(7, n, -1.0, 1.0);
        let plain = run("matmul", &[x.clone(), w.clone()], &[]).to_vec::<f32>();
        let sums: Vec<f32> = plain.iter().enumerate().map(|(i, s)| s + bias[i % n.max(1)]).collect();
        let with = |code: i64, bias: Option<&[f32]>| {
            let mut ins = vec![x.clone(), w.clone()];
            ins.extend(bias.map(|b| Array::new(&[n], b)));
            run("linear", &ins, &[("activation", Attr::Int(code))]).to_vec::<f32>()
        };
        assert_eq!(with(0, None), plain);
        assert_eq!(with(0, Some(&bias)), sums);
        let relu = |v: &[f32]| v.iter().map(|&s| if s > 0.0 { s } else { 0.0 }).collect::<Vec<_>>();
        assert_eq!(with(1, None), relu(&plain));
        assert_eq!(with(1, Some(&bias)), relu(&sums));
        for (code, f) in [(2, f64::tanh as fn(f64) -> f64), (3, |s| 1.0 / (1.0 + (-s).exp()))] {
            for (got, &sum) in with(code, Some(&bias)).iter().zip(&sums) {
                assert!((f64::from(*got) - f(sum.into())).abs() < 3e-7, "activation {code} of {sum} is {got}");
            }
        }
    }
}

#[test]
fn weight_gradients_are_product_and_column_sums() {
    for (rows, k, n) in [(1, 1, 1), (32, 70, 33), (50, 10, 200), (CHAIN + 9, 3, 17), (0, 3, 5), (4, 0, 6), (4, 3, 0)]
    {
        let (x, dz) = (uniform(8, rows * k, -1.0, 1.0), uniform(9, rows * n, -1.0, 1.0));
        let ins = [Array::new(&[rows, k], &x), Array::new(&[rows, n], &dz)];
        let outs = call("linear_grad_weights", &ins, &mut [], &[]).unwrap();
        let product = run("matmul", &ins, &flags(true, false));
        assert_eq!(outs[0].to_vec::<f32>(), product.to_vec::<f32>());
        let ones = Array::new(&[1, rows], &vec![1.0f32; rows]);
        let sums = run("matmul", &[ones, ins[1].clone()], &[]);
        assert_eq!(outs[1].to_vec::<f32>(), sums.to_vec::<f32>(), "{rows} {k} {n}");
        let cube = [
            ins[0].clone().strided(&[1, rows, k], &[0, k as isize, 1], 0),
            ins[1].clone().strided(&[1, rows, n], &[0, n as isize, 1], 0),
        ];
        let again = call("linear_grad_weights", &cube, &mut [], &[]).unwrap();
        assert_eq!(again[0].to_vec::<f32>(), outs[0].to_vec::<f32>());
    }
}

#[test]
fn denormals_and_non_finite_values_pass_as_in_the_definition() {
    let mut a = uniform(10, 20 * 40, -1.0, 1.0);
    let b = uniform(11, 40 * 30, -1.0, 1.0);
    (a[5], a[45], a[90], a[130]) = (f32::INFINITY, f32::NAN, 1e-40, -0.0);
    let state = flush_denormals();
    let want = naive(&a, &b, (20, 30, 40), (false, false));
    restore_float_state(state);
    let got = run("matmul", &[Array::new(&[20, 40], &a), Array::new(&[40, 30], &b)], &[]).to_vec::<f32>();
    assert!(got.iter().zip(&want).all(|(x, y)| x == y || (x.is_nan() && y.is_nan())));
}

#[test]
fn wrong_operands_are_refused() {
    let zeros = |shape: &[usize]| Array::new(shape, &vec![0f32; shape.iter().product()]);
    let fault = |name: &str, ins: &[Array]| call_with(name, ins, &mut [], &[], 1, Level::Scalar).err().unwrap();
    let says = |f: Fault, text: &str| assert!(matches!(&f, Fault::Value(s) if s.contains(text)), "{f:?}");
    says(fault("matmul", &[zeros(&[3, 4]), zeros(&[5, 6])]), "they are 4 and 5: got shapes (3, 4) and (5, 6)");
    says(fault("matmul", &[zeros(&[2, 3, 4]), zeros(&[3, 4, 6])]), "do not broadcast");
    says(fault("matmul", &[zeros(&[4]), zeros(&[4, 6])]), "at least 2 axes");
    says(fault("linear", &[zeros(&[3, 4]), zeros(&[5, 6])]), "the last axis of x must be 5");
    says(fault("linear", &[zeros(&[3, 4]), zeros(&[4, 6]), zeros(&[5])]), "the bias must have shape (6,)");
    says(fault("linear_grad_weights", &[zeros(&[3, 4]), zeros(&[5, 6])]), "agree in all axes but the last");
    let ints = Array::new(&[4, 6], &[0i32; 24]);
    assert!(matches!(fault("matmul", &[zeros(&[3, 4]), ints.clone()]), Fault::Type(_)));
    assert!(matches!(fault("linear", &[ints.clone(), ints]), Fault::Type(_)));
}
