use crate::CHAIN;
use crate::op::{Attr, Fault};
use crate::testing::{Array, call, run, uniform};
use std::slice::from_ref;

/// `run` of one operand.
fn one(name: &str, x: &Array, attrs: &[(&str, Attr)]) -> Array {
    run(name, from_ref(x), attrs)
}

fn axes(axes: &[usize]) -> [(&'static str, Attr); 1] {
    [("axes", Attr::Ints(axes.iter().map(|&a| a as i64).collect()))]
}

/// A fold over consecutive elements, as the contract words it.
fn lanes(x: &[f32], start: f32, join: fn(f32, f32) -> f32) -> f32 {
    let chunks = x.chunks(CHAIN).map(|chunk| {
        let mut acc = [start; 16];
        chunk.iter().enumerate().for_each(|(i, &v)| acc[i % 16] = join(acc[i % 16], v));
        for half in [8, 4, 2, 1] {
            (0..half).for_each(|i| acc[i] = join(acc[i], acc[i + half]));
        }
        acc[0]
    });
    chunks.reduce(join).unwrap_or(start)
}

/// A fold over rows, for one column: for a sum, a product with ones.
fn chain(x: &[f32], start: f32, join: fn(f32, f32) -> f32) -> f32 {
    let blocks = x.chunks(CHAIN).map(|block| block.iter().fold(start, |acc, &v| join(acc, v)));
    blocks.reduce(join).unwrap_or(start)
}

/// A whole reduction, place by place.
fn reference(x: &[f32], shape: &[usize], reduced: &[usize], start: f32, join: fn(f32, f32) -> f32) -> Vec<f32> {
    let rank = shape.len();
    let tail = (0..rank).rev().take_while(|a| reduced.contains(a)).count();
    let n: usize = shape[rank - tail..].iter().product();
    let folds: Vec<f32> = x.chunks(n).map(|row| lanes(row, start, join)).collect();
    let rest = &shape[..rank - tail];
    let kept: usize = (0..rest.len()).filter(|a| !reduced.contains(a)).map(|a| rest[a]).product();
    let mut columns = vec![Vec::new(); kept];
    for (i, &fold) in folds.iter().enumerate() {
        let (mut flat, mut place, mut step) = (i, 0, 1);
        for a in (0..rest.len()).rev() {
            if !reduced.contains(&a) {
                place += flat % rest[a] * step;
                step *= rest[a];
            }
            flat /= rest[a];
        }
        columns[place].push(fold);
    }
    columns.iter().map(|c| if c.len() == 1 { c[0] } else { chain(c, start, join) }).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

const SHAPES: &[(&[usize], &[usize])] = &[
    (&[], &[]),
    (&[1], &[0]),
    (&[7], &[0]),
    (&[100], &[]),
    (&[3 * CHAIN + 17], &[0]),
    (&[9 * CHAIN], &[0]),
    (&[5, 37], &[1]),
    (&[5, 37], &[0]),
    (&[5, 37], &[0, 1]),
    (&[6, 1], &[0]),
    (&[2 * CHAIN + 3, 1], &[0]),
    (&[2 * CHAIN + 3, 5], &[0]),
    (&[19, 1100], &[0]),
    (&[3, CHAIN + 1], &[1]),
    (&[4, 5, 33], &[0, 2]),
    (&[2, CHAIN + 9, 3, 20], &[1, 3]),
    (&[3, 4, 5, 6], &[0, 2]),
    (&[3, 4, 5, 6], &[1, 3]),
    (&[3, 4, 5, 6], &[1, 2, 3]),
    (&[3, 1, 5, 1], &[0, 3]),
    (&[2, 3, 2, 2, 2, 2, 3, 2], &[0, 2, 4, 6]),
    (&[2, 3, 2, 2, 2, 2, 3, 2], &[1, 3, 5, 7]),
];

#[test]
fn sums_and_products_have_the_bits_of_the_contract() {
    for (i, &(shape, reduced)) in SHAPES.iter().enumerate() {
        let x = uniform(i as u64 + 1, shape.iter().product(), 0.999, 1.001);
        let array = Array::new(shape, &x);
        for (name, start, join) in [
            ("sum", 0.0, (|a, b| a + b) as fn(f32, f32) -> f32),
            ("prod", 1.0, |a, b| a * b),
            ("max", f32::NEG_INFINITY, f32::max),
            ("min", f32::INFINITY, f32::min),
        ] {
            let want = reference(&x, shape, reduced, start, join);
            let got = one(name, &array, &axes(reduced)).to_vec::<f32>();
            assert_eq!(bits(&got), bits(&want), "{name} of {shape:?} over {reduced:?}");
        }
    }
}

#[test]
fn strides_do_not_change_the_bits() {
    let shape = [7, 12, 150];
    let x = Array::new(&shape, &uniform(1, 7 * 12 * 150, -1.0, 1.0));
    let reversed = x.clone().strided(&[7, 6, 50], &[1800, -300, 3], 1800 - 150);
    let repeated = x.clone().strided(&[3, CHAIN + 1, 40], &[1800, 0, 1], 5);
    for view in [x.clone().transposed(), reversed, repeated] {
        for reduced in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
            for name in ["sum", "mean", "max"] {
                let got = one(name, &view, &axes(reduced)).to_vec::<f32>();
                let want = run(name, &[view.dense()], &axes(reduced)).to_vec::<f32>();
                assert_eq!(bits(&got), bits(&want), "{name} of {:?} over {reduced:?}", view.meta());
            }
        }
    }
}

#[test]
fn other_dtypes() {
    let whole = Array::new(&[2, 3], &[1i32, -5, 3, i32::MAX, 1, 0]);
    assert_eq!(one("sum", &whole, &axes(&[1])).to_vec::<i32>(), [-1, i32::MIN]);
    assert_eq!(one("max", &whole, &axes(&[0])).to_vec::<i32>(), [i32::MAX, 1, 3]);
    assert_eq!(run("min", &[whole], &axes(&[0, 1])).to_vec::<i32>(), [-5]);
    let long = Array::new(&[3], &[1i64 << 40, 2, 3]);
    assert_eq!(run("prod", &[long], &axes(&[0])).to_vec::<i64>(), [6 << 40]);
    let values: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 8.0).collect();
    let double = Array::new(&[100, 100], &values);
    assert_eq!(one("sum", &double, &axes(&[0, 1])).to_vec::<f64>(), [values.iter().sum::<f64>()]);
    assert_eq!(run("mean", &[double], &axes(&[0, 1])).to_vec::<f64>(), [values.iter().sum::<f64>() / 1e4]);
    let truth = Array::new(&[2, 3], &[0u8, 2, 0, 0, 0, 0]).cast_as(crate::DType::Bool);
    assert_eq!(one("any", &truth, &axes(&[1])).to_vec::<u8>(), [1, 0]);
    assert_eq!(one("any", &truth, &axes(&[0])).to_vec::<u8>(), [0, 1, 0]);
    assert_eq!(run("all", &[truth], &axes(&[0, 1])).to_vec::<u8>(), [0]);
    assert_eq!(run("all", &[Array::bools(&[3], &[true; 3])], &axes(&[0])).to_vec::<u8>(), [1]);
}

#[test]
fn nan_wins_and_sums_are_not_minus_zero() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for at in [0, 5, 15, 16, 40] {
        let mut x = vec![1.0f32; 41];
        x[at] = nan;
        for name in ["max", "min", "sum"] {
            assert!(run(name, &[Array::new(&[41], &x)], &axes(&[0])).to_vec::<f32>()[0].is_nan());
            assert!(run(name, &[Array::new(&[41, 1], &x)], &axes(&[0])).to_vec::<f32>()[0].is_nan());
        }
    }
    let x = Array::new(&[2, 2], &[-inf, -inf, inf, 3.0]);
    assert_eq!(one("max", &x, &axes(&[1])).to_vec::<f32>(), [-inf, inf]);
    assert_eq!(run("min", &[x], &axes(&[1])).to_vec::<f32>(), [-inf, 3.0]);
    let zeros = Array::new(&[2], &[-0.0f32, -0.0]);
    assert_eq!(run("sum", &[zeros], &axes(&[0])).to_vec::<f32>()[0].to_bits(), 0);
}

#[test]
fn of_nothing() {
    let none = Array::new::<f32>(&[3, 0], &[]);
    assert_eq!(one("sum", &none, &axes(&[1])).to_vec::<f32>(), [0.0; 3]);
    assert_eq!(one("prod", &none, &axes(&[0, 1])).to_vec::<f32>(), [1.0]);
    assert!(one("mean", &none, &axes(&[0, 1])).to_vec::<f32>()[0].is_nan());
    assert!(one("sum", &none, &axes(&[0])).to_vec::<f32>().is_empty());
    assert!(one("max", &none, &axes(&[0])).to_vec::<f32>().is_empty());
    let fault = call("max", from_ref(&none), &mut [], &axes(&[1])).err();
    assert!(matches!(fault, Some(Fault::Value(text)) if text.contains("of no elements")));
    assert!(matches!(call("argmax", &[none], &mut [], &[("axis", Attr::Int(1))]), Err(Fault::Value(_))));
    let none = Array::bools(&[0], &[]);
    assert_eq!(one("any", &none, &axes(&[0])).to_vec::<u8>(), [0]);
    assert_eq!(run("all", &[none], &axes(&[0])).to_vec::<u8>(), [1]);
}

#[test]
fn bad_calls() {
    let x = Array::new(&[2, 2], &[0.0f32; 4]);
    for (wrong, word) in [(vec![2], "axis 2 is out of range"), (vec![-1], "axis -1"), (vec![0, 0], "twice")] {
        let fault = call("sum", from_ref(&x), &mut [], &[("axes", Attr::Ints(wrong))]).err();
        assert!(fault.is_some_and(|f| f.to_string().contains(word)), "{word}");
    }
    assert!(matches!(call("any", from_ref(&x), &mut [], &axes(&[0])), Err(Fault::Type(_))));
    assert!(matches!(call("sum", &[x.clone(), x.clone()], &mut [], &axes(&[0])), Err(Fault::Type(_))));
    assert!(matches!(call("argmin", from_ref(&x), &mut [], &[("axis", Attr::Int(2))]), Err(Fault::Index(_))));
    assert!(matches!(call("cumsum", &[x], &mut [], &[("axis", Attr::Int(-1))]), Err(Fault::Index(_))));
}

#[test]
fn positions_of_extremes() {
    let axis = |axis| [("axis", Attr::Int(axis))];
    let x = Array::new(&[2, 4], &[1.0f32, 3.0, 3.0, -1.0, f32::NAN, 7.0, f32::NAN, -9.0]);
    assert_eq!(one("argmax", &x, &axis(1)).to_vec::<i32>(), [1, 0]);
    assert_eq!(one("argmin", &x, &axis(1)).to_vec::<i32>(), [3, 0]);
    assert_eq!(one("argmax", &x, &axis(0)).to_vec::<i32>(), [1, 1, 1, 0]);
    assert_eq!(run("argmin", &[x], &axis(0)).to_vec::<i32>(), [1, 0, 1, 1]);
    // Long lines take another way than short ones; both find the first.
    for n in [64, 65, 1000, CHAIN + 100] {
        let mut x: Vec<f32> = uniform(n as u64, 3 * n, -1.0, 1.0);
        x[n - 2] = 2.0;
        x[n - 1] = 2.0;
        x[n + n / 2] = f32::NAN;
        let first = |line: &[f32]| (0..n).find(|&i| line.iter().all(|&v| v <= line[i] || line[i].is_nan()));
        let want: Vec<i32> = x.chunks(n).map(|line| first(line).unwrap_or(n / 2) as i32).collect();
        let lines = Array::new(&[3, n], &x);
        assert_eq!(one("argmax", &lines, &axis(1)).to_vec::<i32>(), want);
        assert_eq!(run("argmax", &[lines.transposed()], &axis(0)).to_vec::<i32>(), want);
    }
    let whole = Array::new(&[2, 300, 2], &(0..1200).map(|i| i64::from(i % 7)).collect::<Vec<_>>());
    assert_eq!(run("argmax", &[whole], &axis(1)).to_vec::<i32>(), [3, 6, 4, 0]);
}

#[test]
fn running_sums() {
    let attrs = |axis, reverse| [("axis", Attr::Int(axis)), ("reverse", Attr::Int(reverse))];
    let x = Array::new(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(one("cumsum", &x, &attrs(1, 0)).to_vec::<f32>(), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    assert_eq!(one("cumsum", &x, &attrs(0, 0)).to_vec::<f32>(), [1.0, 2.0, 3.0, 5.0, 7.0, 9.0]);
    assert_eq!(one("cumsum", &x, &attrs(1, 1)).to_vec::<f32>(), [6.0, 5.0, 3.0, 15.0, 11.0, 6.0]);
    assert_eq!(one("cumprod", &x, &attrs(0, 1)).to_vec::<f32>(), [4.0, 10.0, 18.0, 4.0, 5.0, 6.0]);
    assert!(run("cumsum", &[Array::new::<i32>(&[0, 2], &[])], &attrs(0, 0)).to_vec::<i32>().is_empty());
    let long = Array::new(&[4, 700], &[1i32; 2800]);
    let want: Vec<i32> = (0..2800).map(|i| i / 700 + 1).collect();
    assert_eq!(run("cumsum", &[long], &attrs(0, 0)).to_vec::<i32>(), want);
}
