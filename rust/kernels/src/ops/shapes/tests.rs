use crate::op::{Attr, Fault};
use crate::testing::{Array, call, run, uniform};
use crate::{DType, Meta};
use std::slice::from_ref;

/// `run` of one operand.
fn one(name: &str, x: &Array, attrs: &[(&str, Attr)]) -> Array {
    run(name, from_ref(x), attrs)
}

fn ints(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

fn dtype(d: DType) -> (&'static str, Attr) {
    ("dtype", Attr::Int(d as i64))
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

/// Views of every kind: dense, transposed, permuted, reversed, stepped, repeated, single, empty.
fn views() -> Vec<Array> {
    let x = |n: usize| Array::new(&[n], &ramp(n));
    vec![
        x(1).strided(&[], &[], 0),
        x(2000),
        x(6 * 50).strided(&[50, 6], &[1, 50], 0),
        x(33 * 70).strided(&[70, 33], &[1, 70], 0),
        x(4 * 5 * 40).strided(&[5, 40, 4], &[40, 1, 200], 0),
        x(2 * 30 * 40).strided(&[2, 40, 30], &[1200, 1, 40], 0),
        x(3 * 40 * 20).strided(&[40, 3, 20], &[20, 800, 1], 0),
        x(300).strided(&[10, 10], &[-30, 3], 270),
        x(300).strided(&[7, 100], &[0, -3], 299),
        x(64).strided(&[64, 64], &[1, 0], 0),
        x(5000).strided(&[2, 2000], &[3000, 1], 0),
        x(4).strided(&[0, 4], &[4, 1], 0),
        x(256).strided(&[2; 8], &[1, 2, 4, 8, 16, 32, 64, 128], 0),
    ]
}

#[test]
fn copies_of_every_layout() {
    for view in views() {
        let copy = one("copy", &view, &[]);
        assert_eq!(copy.to_vec::<f32>(), view.to_vec::<f32>(), "{:?}", view.meta());
        let mut target = [Array::filled(view.meta())];
        assert!(call("assign", from_ref(&view), &mut target, &[]).is_ok_and(|results| results.is_empty()));
        assert_eq!(target[0].to_vec::<f32>(), view.to_vec::<f32>());
    }
    let bytes: Vec<u8> = (0..40 * 30).map(|i| i as u8).collect();
    let view = Array::new(&[40, 30], &bytes).transposed();
    assert_eq!(one("copy", &view, &[]).to_vec::<u8>(), view.to_vec::<u8>());
    let words = Array::new(&[9, 17], &(0..153).collect::<Vec<i64>>()).transposed();
    assert_eq!(one("copy", &words, &[]).to_vec::<i64>(), words.to_vec::<i64>());
    let halves = Array::new(&[20, 9], &(0..180).collect::<Vec<u16>>()).cast_as(DType::BF16).transposed();
    assert_eq!(one("copy", &halves, &[]).to_vec::<u16>(), halves.to_vec::<u16>());
    let other = &mut [Array::filled(Meta::new(DType::F32, &[3]))];
    assert!(matches!(call("assign", &[words], other, &[]), Err(Fault::Value(_))));
}

#[test]
fn concatenates() {
    let axis = |axis| [("axis", Attr::Int(axis))];
    let a = Array::new(&[2, 3], &ramp(6));
    let b = Array::new(&[2, 2], &[10.0f32, 11.0, 12.0, 13.0]).transposed();
    let none = Array::new::<f32>(&[2, 0], &[]);
    let joined = run("concatenate", &[a.clone(), none, b], &axis(1));
    assert_eq!(joined.meta(), Meta::new(DType::F32, &[2, 5]));
    assert_eq!(joined.to_vec::<f32>(), [0., 1., 2., 10., 12., 3., 4., 5., 11., 13.]);
    let stacked = run("concatenate", &[a.clone(), a.clone()], &axis(0)).to_vec::<f32>();
    assert_eq!(stacked, [ramp(6), ramp(6)].concat());
    let many: Vec<Array> = views().into_iter().filter(|v| v.meta().shape.len() == 2).collect();
    for x in many {
        for i in 0..2 {
            let joined = run("concatenate", &[x.clone(), x.clone()], &axis(i));
            let (rows, n) = (x.meta().shape[0], x.meta().shape[1]);
            let values = x.to_vec::<f32>();
            let want = match i {
                0 => [values.clone(), values].concat(),
                _ => (0..rows).flat_map(|r| values[r * n..(r + 1) * n].repeat(2)).collect(),
            };
            assert_eq!(joined.to_vec::<f32>(), want);
        }
    }
    let c = Array::new(&[3, 3], &ramp(9));
    assert!(matches!(call("concatenate", &[a.clone(), c], &mut [], &axis(1)), Err(Fault::Value(_))));
    assert!(matches!(call("concatenate", &[a], &mut [], &axis(2)), Err(Fault::Index(_))));
    assert!(matches!(call("concatenate", &[], &mut [], &axis(0)), Err(Fault::Value(_))));
}

#[test]
fn places_into_constants() {
    let place = |shape: &[i64], starts: &[i64], steps: &[i64], value: Attr| {
        [("shape", ints(shape)), ("starts", ints(starts)), ("steps", ints(steps)), ("value", value)]
    };
    let x = Array::new(&[2, 3], &[1.0f32, 2., 3., 4., 5., 6.]);
    let y = one("place", &x, &place(&[3, 6], &[2, 0], &[-2, 2], Attr::Float(0.5)));
    assert_eq!(
        y.to_vec::<f32>(),
        [4., 0.5, 5., 0.5, 6., 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1., 0.5, 2., 0.5, 3., 0.5]
    );
    let y = run("place", &[x.clone().transposed()], &place(&[3, 2], &[0, 0], &[1, 1], Attr::None));
    assert_eq!(y.to_vec::<f32>(), x.clone().transposed().to_vec::<f32>());
    let none = Array::new::<i64>(&[0], &[]);
    assert_eq!(run("place", &[none], &place(&[3], &[9], &[1], Attr::Int(7))).to_vec::<i64>(), [7; 3]);
    let scalar = Array::new(&[], &[2.0f32]);
    assert_eq!(run("place", &[scalar], &place(&[], &[], &[], Attr::None)).to_vec::<f32>(), [2.0]);
    let wide = Array::new(&[40, 50], &uniform(3, 2000, -1.0, 1.0));
    let padded = one("place", &wide, &place(&[44, 60], &[1, 7], &[1, 1], Attr::None)).to_vec::<f32>();
    for r in 0..40 {
        assert_eq!(padded[(r + 1) * 60 + 7..][..50], wide.to_vec::<f32>()[r * 50..][..50]);
    }
    assert_eq!(padded.iter().filter(|&&v| v == 0.0).count(), 44 * 60 - 2000);
    for (shape, starts, steps) in [
        ([2, 2], [0, 0], [1, 1]),
        ([2, 4], [1, 0], [1, 1]),
        ([2, 3], [0, 0], [1, 0]),
        ([2, 3], [0, 0], [1, i64::MAX]),
        ([2, -3], [0, 0], [1, 1]),
        ([2, 3], [0, 1], [1, -1]),
    ] {
        let fault = call("place", from_ref(&x), &mut [], &place(&shape, &starts, &steps, Attr::None)).err();
        assert!(matches!(fault, Some(Fault::Value(_))), "{shape:?} {starts:?} {steps:?}");
    }
}

#[test]
fn makes_arrays() {
    let fill = |shape: &[i64], value, d| [("shape", ints(shape)), ("value", value), dtype(d)];
    assert_eq!(run("fill", &[], &fill(&[2, 2], Attr::Float(1.5), DType::F32)).to_vec::<f32>(), [1.5; 4]);
    assert_eq!(run("fill", &[], &fill(&[], Attr::Int(i64::MIN), DType::I64)).to_vec::<i64>(), [i64::MIN]);
    assert_eq!(run("fill", &[], &fill(&[3], Attr::Int(2), DType::Bool)).to_vec::<u8>(), [1; 3]);
    assert_eq!(run("fill", &[], &fill(&[3], Attr::Int(-1), DType::U8)).to_vec::<u8>(), [255; 3]);
    assert_eq!(run("fill", &[], &fill(&[70_000], Attr::Int(3), DType::F64)).to_vec::<f64>(), vec![3.0; 70_000]);
    for (shape, d) in
        [(vec![-1], DType::F32), (vec![1; 9], DType::F32), (vec![2], DType::F16), (vec![1 << 40; 2], DType::I8)]
    {
        assert!(call("fill", &[], &mut [], &fill(&shape, Attr::Int(1), d)).is_err());
    }
    let iota = |n, start, step, d| [("size", Attr::Int(n)), ("start", start), ("step", step), dtype(d)];
    let x = run("iota", &[], &iota(4, Attr::Float(0.5), Attr::Float(-0.25), DType::F32));
    assert_eq!(x.to_vec::<f32>(), [0.5, 0.25, 0.0, -0.25]);
    let x = run("iota", &[], &iota(3, Attr::Int(7), Attr::Int(-2), DType::I32));
    assert_eq!(x.to_vec::<i32>(), [7, 5, 3]);
    assert!(call("iota", &[], &mut [], &iota(-1, Attr::Int(0), Attr::Int(1), DType::I32)).is_err());
    assert!(call("iota", &[], &mut [], &iota(1, Attr::Int(0), Attr::Int(1), DType::Bool)).is_err());
}

#[test]
fn gathers() {
    let axis = |axis| [("axis", Attr::Int(axis))];
    let x = Array::new(&[3, 4], &ramp(12));
    let rows = Array::new(&[2, 2], &[2i32, -3, 3, -4]);
    let y = run("gather", &[x.clone(), rows], &axis(0));
    assert_eq!(y.meta(), Meta::new(DType::F32, &[2, 2, 4]));
    let y = y.to_vec::<f32>();
    assert_eq!(y[..8], [8., 9., 10., 11., 0., 1., 2., 3.]);
    assert!(y[8..].iter().all(|v| v.is_nan()));
    let columns = Array::new(&[3], &[1i64, 1, -1]);
    let y = run("gather", &[x.clone().transposed(), columns.clone()], &axis(0)).to_vec::<f32>();
    assert_eq!(y, [1., 5., 9., 1., 5., 9., 3., 7., 11.]);
    let y = run("gather", &[x.clone(), columns.strided(&[4], &[0], 0)], &axis(1)).to_vec::<f32>();
    assert_eq!(y, [1., 1., 1., 1., 5., 5., 5., 5., 9., 9., 9., 9.]);
    let whole = Array::new(&[2], &[5i32, 6]);
    let far = Array::new(&[3], &[i64::MIN, 1, i64::MAX]);
    assert_eq!(run("gather", &[whole, far], &axis(0)).to_vec::<i32>(), [0, 6, 0]);
    let empty = Array::new::<f32>(&[0, 2], &[]);
    assert!(run("gather", &[empty, Array::new(&[1], &[0i32])], &axis(0)).to_vec::<f32>().iter().all(|v| v.is_nan()));
    assert!(matches!(call("gather", &[x.clone(), x.clone()], &mut [], &axis(0)), Err(Fault::Type(_))));
    let deep = Array::new(&[1; 8], &[0i32]);
    assert!(matches!(call("gather", &[x, deep], &mut [], &axis(0)), Err(Fault::Value(_))));
}

#[test]
fn scatters() {
    let attrs = |axis, size| [("axis", Attr::Int(axis)), ("size", Attr::Int(size))];
    let x = Array::new(&[4, 2], &[1.0f32, 2., 3., 4., 5., 6., 7., 8.]);
    let rows = Array::new(&[4], &[1i32, -1, 1, 9]);
    let y = run("scatter_add", &[x.clone(), rows.clone()], &attrs(0, 3));
    assert_eq!(y.to_vec::<f32>(), [0., 0., 6., 8., 3., 4.]);
    let y = run("scatter_add", &[x.clone().transposed(), rows.clone()], &attrs(1, 3));
    assert_eq!(y.to_vec::<f32>(), [0., 6., 3., 0., 8., 4.]);
    let scalar = Array::new(&[], &[1i64]);
    assert_eq!(
        run("scatter_add", &[Array::new(&[2], &[5i32, 6]), scalar], &attrs(0, 2)).to_vec::<i32>(),
        [0, 0, 5, 6]
    );
    // Long rows are shared by columns, short ones by rows; both add in the order of the indices.
    for inner in [3usize, 500] {
        let (n, size) = (200usize, 7usize);
        let x = uniform(5, n * inner, -1.0, 1.0);
        let rows: Vec<i64> = (0..n).map(|j| (j * j % size) as i64).collect();
        let mut want = vec![0.0f32; size * inner];
        for (j, &row) in rows.iter().enumerate() {
            (0..inner).for_each(|i| want[row as usize * inner + i] += x[j * inner + i]);
        }
        let y = run("scatter_add", &[Array::new(&[n, inner], &x), Array::new(&[n], &rows)], &attrs(0, size as i64));
        assert_eq!(y.to_vec::<f32>(), want);
    }
    assert!(matches!(call("scatter_add", &[x.clone(), rows.clone()], &mut [], &attrs(1, 3)), Err(Fault::Value(_))));
    assert!(matches!(call("scatter_add", &[x, rows], &mut [], &attrs(3, 3)), Err(Fault::Index(_))));
}

#[test]
fn marks_classes() {
    let attrs = |size, d| [("size", Attr::Int(size)), dtype(d)];
    let classes = Array::new(&[2, 2], &[0i32, 2, -1, 3]);
    let y = one("one_hot", &classes, &attrs(3, DType::F32));
    assert_eq!(y.meta(), Meta::new(DType::F32, &[2, 2, 3]));
    assert_eq!(y.to_vec::<f32>(), [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0., 0.]);
    let y = run("one_hot", &[Array::new(&[1], &[1i64])], &attrs(2, DType::Bool));
    assert_eq!(y.to_vec::<u8>(), [0, 1]);
    assert!(one("one_hot", &classes, &attrs(0, DType::I64)).to_vec::<i64>().is_empty());
    assert!(call("one_hot", from_ref(&classes), &mut [], &attrs(-2, DType::F32)).is_err());
    assert!(matches!(call("one_hot", &[classes], &mut [], &attrs(i64::MAX, DType::F32)), Err(Fault::Memory(_))));
}

#[test]
fn makes_batches() {
    let attrs = |d, check| [dtype(d), ("check", Attr::Int(check))];
    let rows = |rows: &[i64]| Array::new(&[rows.len()], rows);
    let batch = |x: &Array, picked: &[i64], d, check| -> (Array, i64) {
        let results = call("gather_rows", &[x.clone(), rows(picked)], &mut [], &attrs(d, check));
        let results = results.unwrap_or_else(|e| panic!("{e}"));
        (results[0].clone(), results[1].to_vec::<i64>()[0])
    };
    let pixels = Array::new(&[3, 2, 2], &(0..12u8).map(|v| v * 20).collect::<Vec<_>>());
    let (y, status) = batch(&pixels, &[2, 0], DType::F32, 1);
    assert_eq!(y.meta(), Meta::new(DType::F32, &[2, 2, 2]));
    assert_eq!((y.to_vec::<f32>(), status), (vec![160., 180., 200., 220., 0., 20., 40., 60.], -1));
    assert_eq!(batch(&pixels, &[1], DType::U8, 1).0.to_vec::<u8>(), [80, 100, 120, 140]);
    assert_eq!(batch(&pixels.transposed(), &[1], DType::I64, 0).0.to_vec::<i64>(), [20, 100, 180, 60, 140, 220]);

    let mut values: Vec<f64> = (0..4000).map(f64::from).collect();
    values[2500] = 1e300; // infinite in float32
    values[3999] = f64::NAN;
    let x = Array::new(&[40, 100], &values);
    assert_eq!(batch(&x, &[0, 39, 25, 1], DType::F32, 1).1, 1);
    assert_eq!(batch(&x, &[0, 25, 1], DType::F32, 1).1, 1);
    assert_eq!(batch(&x, &[0, 25, 1], DType::F64, 1).1, -1);
    assert_eq!(batch(&x, &[39], DType::F32, 0).1, -1);
    assert_eq!(batch(&x, &[39], DType::I32, 1).0.to_vec::<i32>()[98..], [3998, 0]);
    let (y, status) = batch(&x, &[3, 40, -1], DType::F32, 0);
    assert_eq!((status, y.to_vec::<f32>()[100..].iter().all(|&v| v == 0.0)), (1, true));

    let truth = Array::bools(&[2], &[true, false]);
    assert_eq!(batch(&truth, &[0, 1, 0], DType::F32, 1).0.to_vec::<f32>(), [1., 0., 1.]);
    assert_eq!(batch(&truth, &[1], DType::Bool, 1).0.to_vec::<u8>(), [0]);
    let halves = Array::new(&[2, 1], &[0x3c00u16, 0x7c00]).cast_as(DType::F16); // 1 and infinity
    let (y, status) = batch(&halves, &[0, 1], DType::F32, 1);
    assert_eq!((y.to_vec::<f32>(), status), (vec![1.0, f32::INFINITY], 1));
    assert_eq!(batch(&halves, &[1, 0], DType::F16, 1).1, 0);
    let brain = Array::new(&[2, 1], &[0x3f80u16, 0x7fc0]).cast_as(DType::BF16); // 1 and NaN
    assert_eq!(batch(&brain, &[0, 1], DType::BF16, 1).1, 1);
    let big = Array::new(&[2], &[u64::MAX, 1 << 62]);
    assert_eq!(
        batch(&big, &[0, 1], DType::F64, 1).0.to_vec::<f64>(),
        [18446744073709551616.0, 4611686018427387904.0]
    );
    let counts = Array::new(&[4], &[1i64 << 24, -(1 << 24), (1 << 24) + 1, -(1 << 24) - 1]);
    assert_eq!(batch(&counts, &[0, 1], DType::I64, 1).1, -1);
    assert_eq!(batch(&counts, &[0, 3, 2], DType::I64, 1).1, 1);
    assert_eq!(batch(&counts, &[3], DType::I64, 0).1, -1);
    assert_eq!(batch(&Array::new(&[2], &[7i32, i32::MIN]), &[0, 1], DType::I32, 1).1, 1);
    assert_eq!(batch(&Array::new(&[2], &[1u32 << 24, u32::MAX]), &[0, 1], DType::U32, 1).1, 1);
    assert_eq!(batch(&big, &[1], DType::U64, 1).1, 0);
    let (none, status) = batch(&big, &[], DType::F32, 1);
    assert_eq!((none.to_vec::<f32>().len(), status), (0, -1));
    for (x, r, d) in [
        (Array::new(&[], &[1.0f32]), rows(&[0]), DType::F32),
        (big.clone(), Array::new(&[1], &[0i32]), DType::F32),
        (big.clone(), Array::new(&[1, 1], &[0i64]), DType::F32),
        (big, rows(&[0]), DType::U8),
    ] {
        assert!(call("gather_rows", &[x, r], &mut [], &attrs(d, 1)).is_err());
    }
}
