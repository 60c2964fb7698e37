use super::activation::Activation;
use super::cast::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::isa::Level;
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attr, Attrs, Fault, Scratch};
use crate::testing::{Array, call, call_with, run, ulps, uniform};
use crate::view::{Meta, View};
use crate::{DType, Part};
use std::slice::from_ref;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn unary(name: &str, x: &[f32]) -> Vec<f32> {
    run(name, &[Array::new(&[x.len()], x)], &[]).to_vec()
}

fn binary(name: &str, a: &[f32], b: &[f32]) -> Vec<f32> {
    run(name, &[Array::new(&[a.len()], a), Array::new(&[b.len()], b)], &[]).to_vec()
}

fn ints(name: &str, a: &[i32], b: &[i32]) -> Vec<i32> {
    let long = |v: &[i32]| v.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
    let narrow = run(name, &[Array::new(&[a.len()], a), Array::new(&[b.len()], b)], &[]).to_vec();
    let wide = run(name, &[Array::new(&[a.len()], &long(a)), Array::new(&[b.len()], &long(b))], &[]);
    for (x, y) in std::iter::zip(&narrow, wide.to_vec::<i64>()) {
        assert_eq!(*x, y as i32, "{name}: int64 against int32");
    }
    narrow
}

/// The bits, so that NaN equals NaN and the zeros differ.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// Name, reference, and the interval to sample.
type Reference = (&'static str, fn(f64) -> f64, f32, f32);

#[test]
fn functions_of_one_number_against_float64() {
    let references: [Reference; 23] = [
        ("negative", |x| -x, -3.0, 3.0),
        ("abs", f64::abs, -3.0, 3.0),
        ("square", |x| x * x, -3.0, 3.0),
        ("sqrt", f64::sqrt, 0.0, 9.0),
        ("reciprocal", |x| 1.0 / x, -3.0, 3.0),
        ("floor", f64::floor, -3.0, 3.0),
        ("ceil", f64::ceil, -3.0, 3.0),
        ("round", f64::round_ties_even, -3.0, 3.0),
        ("relu", |x| if x < 0.0 { 0.0 } else { x }, -3.0, 3.0),
        ("log1p", libm::log1p, -0.9, 3.0),
        ("log2", libm::log2, 0.1, 9.0),
        ("log10", libm::log10, 0.1, 9.0),
        ("sin", libm::sin, -9.0, 9.0),
        ("cos", libm::cos, -9.0, 9.0),
        ("tan", libm::tan, -9.0, 9.0),
        ("arcsin", libm::asin, -1.0, 1.0),
        ("arccos", libm::acos, -1.0, 1.0),
        ("arctan", libm::atan, -9.0, 9.0),
        ("sinh", libm::sinh, -3.0, 3.0),
        ("cosh", libm::cosh, -3.0, 3.0),
        ("arcsinh", libm::asinh, -3.0, 3.0),
        ("arccosh", libm::acosh, 1.0, 9.0),
        ("arctanh", libm::atanh, -0.9, 0.9),
    ];
    for (name, reference, low, high) in references {
        let x = uniform(7, 1003, low, high);
        for (x, y) in std::iter::zip(&x, unary(name, &x)) {
            let error = ulps(y, reference(f64::from(*x)));
            assert!(error <= 0.51, "{name}({x}) = {y} is off by {error} ulp");
        }
        let wide: Vec<f64> = x.iter().map(|&v| v.into()).collect();
        let y = run(name, &[Array::new(&[wide.len()], &wide)], &[]).to_vec::<f64>();
        assert!(std::iter::zip(&wide, &y).all(|(&x, &y)| reference(x) == y), "{name} in float64");
    }
}

#[test]
fn special_values_of_functions_of_one_number() {
    let x = [0.0, -0.0, INF, -INF, NAN, -0.5, 0.5, 1.5, 2.5, -2.5, 1e10, -1e-40];
    let expect = |name: &str, y: [f32; 12]| {
        let got = unary(name, &x);
        assert_eq!(bits(&got), bits(&y), "{name}: {got:?}");
    };
    expect("sign", [0.0, -0.0, 1.0, -1.0, NAN, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1e-40]);
    expect("floor", [0.0, -0.0, INF, -INF, NAN, -1.0, 0.0, 1.0, 2.0, -3.0, 1e10, -0.0]);
    expect("ceil", [0.0, -0.0, INF, -INF, NAN, -0.0, 1.0, 2.0, 3.0, -2.0, 1e10, -0.0]);
    expect("round", [0.0, -0.0, INF, -INF, NAN, -0.0, 0.0, 2.0, 2.0, -2.0, 1e10, -0.0]);
    expect("relu", [0.0, -0.0, INF, 0.0, NAN, 0.0, 0.5, 1.5, 2.5, 0.0, 1e10, -0.0].map(|v: f32| v));
}

#[test]
#[allow(clippy::type_complexity)] // name and reference
fn arithmetic_of_two_numbers() {
    let (a, b) = (uniform(1, 777, -9.0, 9.0), uniform(2, 777, -9.0, 9.0));
    let references: [(&str, fn(f32, f32) -> f32); 4] =
        [("add", |a, b| a + b), ("subtract", |a, b| a - b), ("multiply", |a, b| a * b), ("divide", |a, b| a / b)];
    for (name, f) in references {
        let y: Vec<f32> = std::iter::zip(&a, &b).map(|(&a, &b)| f(a, b)).collect();
        assert_eq!(bits(&binary(name, &a, &b)), bits(&y), "{name}");
    }
    for (&a, (&b, y)) in std::iter::zip(&a, std::iter::zip(&b, binary("power", &a, &b))) {
        assert!(ulps(y, libm::pow(a.into(), b.into())) <= 0.51);
    }
    assert_eq!(
        binary("floor_divide", &[7.0, -7.0, 7.0, -7.0, 1.0], &[2.0, 2.0, -2.0, -2.0, 0.0]),
        [3., -4., -4., 3., INF]
    );
    assert_eq!(
        binary("mod", &[7.0, -7.0, 7.0, -7.0, 6.0], &[2.0, 2.0, -2.0, -2.0, 3.0]),
        [1.0, 1.0, -1.0, -1.0, 0.0]
    );
    // 1 / 0.1 rounds to 10 in float32, but ⌊1 / fl(0.1)⌋ is 9, since fl(0.1) > 0.1.
    assert_eq!(binary("floor_divide", &[1.0], &[0.1]), [9.0]);
}

#[test]
fn maximum_and_minimum_pass_nan() {
    let (a, b) = ([1.0, NAN, 2.0, NAN, -INF], [2.0, 1.0, NAN, NAN, INF]);
    assert_eq!(bits(&binary("maximum", &a, &b)), bits(&[2.0, NAN, NAN, NAN, INF]));
    assert_eq!(bits(&binary("minimum", &a, &b)), bits(&[1.0, NAN, NAN, NAN, -INF]));
}

#[test]
fn whole_numbers_never_trap() {
    let (a, b) = ([7, -7, 7, -7, 5, i32::MIN, i32::MIN], [2, 2, -2, -2, 0, -1, 2]);
    assert_eq!(ints("floor_divide", &a[..5], &b[..5]), [3, -4, -4, 3, 0]);
    assert_eq!(ints("mod", &a[..5], &b[..5]), [1, 1, -1, -1, 0]);
    assert_eq!(
        ints("power", &[2, -2, 3, 1, -1, -1, 2, 0], &[10, 3, 0, -5, -3, -2, -1, -1]),
        [1024, -8, 1, 1, -1, 1, 0, 0]
    );
    let extreme = |name| run(name, &[Array::new(&[2], &a[5..]), Array::new(&[2], &b[5..])], &[]).to_vec::<i32>();
    assert_eq!(extreme("floor_divide"), [i32::MIN, i32::MIN / 2]);
    assert_eq!(extreme("mod"), [0, 0]);
    assert_eq!(extreme("multiply"), [i32::MIN, 0]);
    assert_eq!(run("negative", &[Array::new(&[1], &[i64::MIN])], &[]).to_vec::<i64>(), [i64::MIN]);
    let longs = [Array::new(&[2], &[i64::MIN; 2]), Array::new(&[2], &[-1i64, 0])];
    assert_eq!(run("floor_divide", &longs, &[]).to_vec::<i64>(), [i64::MIN, 0]);
}

/// Every arrangement of two operands gives what indexing gives.
#[test]
fn strides_and_broadcasting() {
    let x = uniform(3, 4000, -2.0, 2.0);
    let flat = |n: usize| Array::new(&[n], &x[..n]);
    let operands: Vec<(Array, Array)> = vec![
        (flat(1000), flat(1000)),
        (flat(1000), Array::new(&[], &x[..1])),
        (Array::new(&[1], &x[..1]), flat(1000)),
        (Array::new(&[], &x[..1]), Array::new(&[], &x[5..6])),
        (Array::new(&[37, 21], &x[..777]), flat(21)),
        (Array::new(&[37, 21], &x[..777]), Array::new(&[37, 1], &x[..37])),
        (Array::new(&[37, 1], &x[..37]), flat(300)),
        (Array::new(&[21, 37], &x[..777]).transposed(), Array::new(&[37, 21], &x[..777])),
        (Array::new(&[3, 400], &x[..1200]).transposed(), Array::new(&[3], &x[..3])),
        (flat(1000).strided(&[500], &[-2], 999), flat(500)),
        (flat(1000).strided(&[10, 20, 5], &[90, -4, 1], 80), Array::new(&[20, 1], &x[..20])),
        (flat(1000).strided(&[4, 0], &[1, 1], 0), flat(1)),
        (Array::new(&[2, 1, 3, 1, 2, 1, 2, 2], &x[..48]), Array::new(&[1, 2, 1, 2, 1, 2, 1, 2], &x[..16])),
        (flat(1).strided(&[6, 7], &[0, 0], 0), Array::new(&[6, 7], &x[..42])),
    ];
    for (a, b) in operands {
        let result = run("subtract", &[a.clone(), b.clone()], &[]);
        let shape = result.meta().shape;
        let spread = |a: &Array| {
            let own = a.meta().shape;
            let dense = own.row_major();
            let (values, lead) = (a.to_vec::<f32>(), shape.len() - own.len());
            let at = |flat: usize| {
                let (mut rest, mut place) = (flat, 0);
                for axis in (0..shape.len()).rev() {
                    if axis >= lead && own[axis - lead] != 1 {
                        place += rest % shape[axis] * dense[axis - lead] as usize;
                    }
                    rest /= shape[axis];
                }
                values[place]
            };
            (0..shape.count()).map(at).collect::<Vec<f32>>()
        };
        let expected: Vec<f32> = std::iter::zip(spread(&a), spread(&b)).map(|(a, b)| a - b).collect();
        assert_eq!(bits(&result.to_vec()), bits(&expected), "{:?} - {:?}", a.meta(), b.meta());
        let squares: Vec<f32> = a.to_vec().iter().map(|v: &f32| v * v).collect();
        assert_eq!(bits(&run("square", &[a], &[]).to_vec()), bits(&squares));
    }
}

#[test]
fn comparisons_and_logic() {
    let (a, b) = ([1.0, 2.0, NAN, -0.0, INF], [2.0, 2.0, NAN, 0.0, -INF]);
    let expect = |name: &str, y: [u8; 5]| {
        let x = [Array::new(&[5], &a), Array::new(&[5], &b)];
        let result = run(name, &x, &[]);
        assert_eq!((result.meta().dtype, result.to_vec::<u8>()), (DType::Bool, y.to_vec()), "{name}");
        let x = [Array::new(&[5], &a.map(f64::from)), Array::new(&[5], &b.map(f64::from))];
        assert_eq!(run(name, &x, &[]).to_vec::<u8>(), y, "{name} in float64");
    };
    expect("equal", [0, 1, 0, 1, 0]);
    expect("not_equal", [1, 0, 1, 0, 1]);
    expect("less", [1, 0, 0, 0, 0]);
    expect("less_equal", [1, 1, 0, 1, 0]);
    expect("greater", [0, 0, 0, 0, 1]);
    expect("greater_equal", [0, 1, 0, 1, 1]);
    let row = Array::new(&[3, 300], &uniform(4, 900, -1.0, 1.0));
    let bound = Array::new(&[], &[0.25f32]);
    let below: Vec<u8> = row.to_vec::<f32>().iter().map(|&v| (v < 0.25) as u8).collect();
    assert_eq!(run("less", &[row.clone(), bound.clone()], &[]).to_vec::<u8>(), below);
    assert_eq!(run("greater", &[bound, row], &[]).to_vec::<u8>(), below);

    // A byte other than 0 and 1 is true.
    let p = Array::new(&[4], &[0u8, 0, 7, 1]).cast_as(DType::Bool);
    let q = Array::bools(&[4], &[false, true, false, true]);
    let logic = |name: &str| run(name, &[p.clone(), q.clone()], &[]).to_vec::<u8>();
    assert_eq!(logic("logical_and"), [0, 0, 0, 1]);
    assert_eq!(logic("logical_or"), [0, 1, 1, 1]);
    assert_eq!(logic("logical_xor"), [0, 1, 1, 0]);
    assert_eq!(logic("equal"), [1, 0, 0, 1]);
    assert_eq!(logic("less"), [0, 1, 0, 0]);
    assert_eq!(run("logical_not", &[p], &[]).to_vec::<u8>(), [1, 1, 0, 0]);
    let x = Array::new(&[4], &[1.0, NAN, INF, -INF]);
    assert_eq!(run("isnan", from_ref(&x), &[]).to_vec::<u8>(), [0, 1, 0, 0]);
    assert_eq!(run("isinf", from_ref(&x), &[]).to_vec::<u8>(), [0, 0, 1, 1]);
    assert_eq!(run("isfinite", &[x], &[]).to_vec::<u8>(), [1, 0, 0, 0]);
}

#[test]
fn where_takes_any_dtype() {
    let c = Array::bools(&[3, 1], &[true, false, true]);
    let a = Array::new(&[1000], &uniform(5, 1000, 0.0, 1.0));
    let y = run("where", &[c.clone(), a.clone(), Array::new(&[], &[-1.0f32])], &[]).to_vec::<f32>();
    assert_eq!(y[..1000], a.to_vec::<f32>());
    assert!(y[1000..2000].iter().all(|&v| v == -1.0));
    for dtype in DType::ALL {
        let meta = Meta::new(dtype, &[3, 1]);
        let zeros = Array::new(&[3 * meta.dtype.size()], &vec![0u8; 3 * dtype.size()]);
        let zero = run("cast", &[zeros.strided(&[3, 1], &[1, 1], 0)], &[("dtype", Attr::Int(dtype as i64))]);
        let y = run("where", &[c.clone(), Array::filled(meta), zero], &[]);
        let size = dtype.size();
        let expected = [vec![255u8; size], vec![0; size], vec![255; size]].concat();
        assert_eq!(y.to_bytes(), expected, "{}", dtype.name());
    }
}

#[test]
fn activations_and_their_gradients() {
    struct Apply<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Kernel for Apply<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Lanes>(self, s: S) {
            crate::lanes::map1(
                s,
                self.1,
                self.2,
                #[inline(always)]
                |x| self.0.apply(s, x),
            );
        }
    }
    let x = uniform(6, 1001, -3.0, 3.0);
    let g = uniform(7, 1001, -1.0, 1.0);
    for activation in Activation::ALL {
        let mut y = vec![0.0; x.len()];
        Level::best().run(Apply(activation, &x, &mut y));
        let number = [("activation", Attr::Int(activation as i64))];
        let d: Vec<f32> =
            run("activation_grad", &[Array::new(&[1001], &g), Array::new(&[1001], &y)], &number).to_vec();
        for i in 0..x.len() {
            let (at, h) = (f64::from(x[i]), 1e-5);
            assert!(ulps(y[i], activation.apply_f64(at)) <= 2.0);
            let slope = (activation.apply_f64(at + h) - activation.apply_f64(at - h)) / (2.0 * h);
            let kink = activation == Activation::Relu && at.abs() < 2.0 * h;
            assert!(kink || (f64::from(d[i]) - f64::from(g[i]) * slope).abs() < 1e-6, "{activation:?} at {at}");
            let wide = activation.grad_from_output_f64(g[i].into(), activation.apply_f64(at));
            assert!((wide - f64::from(d[i])).abs() < 1e-6);
        }
    }
    assert!(Activation::from_number("linear", 4).is_err() && Activation::from_number("linear", -1).is_err());
}

fn cast(x: Array, to: DType) -> Array {
    run("cast", &[x], &[("dtype", Attr::Int(to as i64))])
}

#[test]
fn casts_between_all_dtypes_keep_small_numbers() {
    let small = [0i64, 1, 0, 1, 1];
    for from in DType::ALL {
        let x = cast(Array::new(&[5], &small), from);
        for to in DType::ALL {
            let back = cast(cast(x.clone(), to), DType::I64);
            assert_eq!(back.to_vec::<i64>(), small, "{} to {}", from.name(), to.name());
        }
    }
    let strided = Array::new(&[20, 30], &(0..600).collect::<Vec<i32>>()).transposed();
    let expected: Vec<f32> = strided.to_vec::<i32>().iter().map(|&v| v as f32).collect();
    assert_eq!(cast(strided.clone(), DType::F32).to_vec::<f32>(), expected);
    assert_eq!(cast(cast(strided, DType::U16), DType::F32).to_vec::<f32>(), expected);
}

#[test]
fn casts_out_of_range() {
    let x = Array::new(&[6], &[300.7f32, -300.7, NAN, INF, -INF, -0.9]);
    assert_eq!(cast(x.clone(), DType::U8).to_vec::<u8>(), [255, 0, 0, 255, 0, 0]);
    assert_eq!(cast(x.clone(), DType::I8).to_vec::<i8>(), [127, -128, 0, 127, -128, 0]);
    assert_eq!(cast(x.clone(), DType::I32).to_vec::<i32>(), [300, -300, 0, i32::MAX, i32::MIN, 0]);
    assert_eq!(cast(x.clone(), DType::U64).to_vec::<u64>(), [300, 0, 0, u64::MAX, 0, 0]);
    assert_eq!(cast(x, DType::Bool).to_vec::<u8>(), [1; 6]);
    let n = Array::new(&[3], &[300i64, -1, 1 << 40]);
    assert_eq!(cast(n.clone(), DType::U8).to_vec::<u8>(), [44, 255, 0]);
    assert_eq!(cast(n.clone(), DType::U64).to_vec::<u64>(), [300, u64::MAX, 1 << 40]);
    assert_eq!(cast(n, DType::I32).to_vec::<i32>(), [300, -1, 0]);
    assert_eq!(cast(Array::new(&[1], &[u64::MAX]), DType::F32).to_vec::<f32>(), [1.844_674_4e19]);
}

#[test]
fn half_width_floats_round_to_nearest_even() {
    for bits in 0..=u16::MAX {
        let (f, b) = (f16_to_f32(bits), bf16_to_f32(bits));
        assert!(f.is_nan() || f32_to_f16(f) == bits, "float16 {bits:#06x} is {f}");
        assert!(b.is_nan() || f32_to_bf16(b) == bits, "bfloat16 {bits:#06x} is {b}");
    }
    assert!(f16_to_f32(f32_to_f16(NAN)).is_nan() && bf16_to_f32(f32_to_bf16(NAN)).is_nan());
    let half = |x: f64| cast(Array::new(&[1], &[x]), DType::F16).to_vec::<u16>()[0];
    assert_eq!(
        [half(65519.99), half(65520.0), half(-1e30), half(2f64.powi(-25)), half(2f64.powi(-25) * 1.001)],
        [0x7bff, 0x7c00, 0xfc00, 0, 1]
    );
    // Halfway between neighbours but for something that float32 cannot hold.
    let (tie, more) = (1.0 + 2f64.powi(-11), 1.0 + 2f64.powi(-11) + 2f64.powi(-40));
    assert_eq!([half(tie), half(more)], [0x3c00, 0x3c01]);
    let brain = |x: f64| cast(Array::new(&[1], &[x]), DType::BF16).to_vec::<u16>()[0];
    let (tie, more) = (1.0 + 2f64.powi(-8), 1.0 + 2f64.powi(-8) + 2f64.powi(-40));
    assert_eq!([brain(tie), brain(more), brain(1e300), brain(-3.0)], [0x3f80, 0x3f81, 0x7f80, 0xc040]);
    // Between two neighbours, everything goes to the nearer one.
    for (i, x) in uniform(8, 3000, -70000.0, 70000.0).into_iter().enumerate() {
        let x = x * 2f32.powi(-((i % 40) as i32));
        let near = f16_to_f32(f32_to_f16(x));
        let bits = f32_to_f16(x);
        for other in [bits.wrapping_sub(1), bits.wrapping_add(1)].map(f16_to_f32) {
            assert!(!other.is_finite() || !near.is_finite() || (near - x).abs() <= (other - x).abs(), "{x}");
        }
    }
}

#[test]
fn results_may_take_over_the_memory_of_an_operand() {
    let x = uniform(9, 1001, -3.0, 3.0);
    for level in Level::ALL.into_iter().filter(|l| l.available()) {
        for (name, arity) in [("exp", 1), ("subtract", 2), ("sin", 1)] {
            let mut memory = x.clone();
            let meta = Meta::new(DType::F32, &[1001]);
            // SAFETY: the memory outlives the call; the row declares that its result may take the place of operand 0.
            let view = unsafe { View::new(memory.as_mut_ptr().cast(), meta, meta.shape.row_major()) };
            let op = crate::row(name).unwrap();
            assert_eq!(op.in_place, Some(0));
            (op.run)(&Part::solo(level), &[view, view][..arity], &[view], &Attrs::default(), Scratch::none());
            let ins = vec![Array::new(&[1001], &x); arity];
            assert_eq!(bits(&memory), bits(&run(name, &ins, &[]).to_vec()), "{name}");
        }
    }
}

#[test]
fn bad_operands_are_refused() {
    let fault = |name: &str, ins: &[Meta]| {
        (crate::row(name).unwrap().infer)(ins, &[], &Attrs(vec![Attr::Int(99)])).unwrap_err()
    };
    let f = |shape: &[usize]| Meta::new(DType::F32, shape);
    let text = |name, ins: &[Meta]| fault(name, ins).to_string();
    assert_eq!(
        text("add", &[f(&[2, 3]), f(&[2, 4])]),
        "add: Cannot broadcast shape, the failure dim has value 3, which cannot be broadcasted to 4. Input shapes \
         are: [2, 3] and [2, 4]."
    );
    let long = Meta::new(DType::I64, &[3]);
    assert!(matches!(fault("exp", &[long]), Fault::Type(_)));
    assert_eq!(text("exp", &[long]), "exp: expects one of float32, float64, got int64; cast it first");
    assert_eq!(
        text("less", &[f(&[3]), long]),
        "less: expects operands of one dtype, got float32 and int64; cast one first"
    );
    for row in super::ROWS {
        for n in [0, 1, 2, 3, 4] {
            let strange = vec![Meta::new(DType::F16, &[2, 3]); n];
            let result = (row.infer)(&strange, &[], &Attrs::default());
            assert!(result.is_err(), "{} accepts {n} times float16", row.name);
        }
    }
    assert!(text("where", &[f(&[1]), f(&[1]), f(&[1])]).contains("bool condition"));
    assert!(text("cast", &[f(&[1])]).contains("no dtype"));
    assert!(text("activation_grad", &[f(&[1]), f(&[1])]).contains("got 99"));
    let shapes = [f(&[2]), f(&[3])];
    assert!(matches!(
        (crate::row("activation_grad").unwrap().infer)(&shapes, &[], &Attrs(vec![Attr::Int(1)])),
        Err(Fault::Value(_))
    ));
}

#[test]
fn empty_operands_give_empty_results() {
    let empty = Array::new::<f32>(&[0, 3], &[]);
    let row = Array::new(&[3], &[1.0f32, 2.0, 3.0]);
    assert_eq!(run("add", &[empty.clone(), row], &[]).meta().shape[..], [0, 3]);
    assert_eq!(run("exp", from_ref(&empty), &[]).meta().shape[..], [0, 3]);
    assert_eq!(cast(empty, DType::U8).meta().shape[..], [0, 3]);
    assert!(call("add", &[], &mut [], &[]).is_err());
    assert!(call_with("exp", &[], &mut [], &[], 1, Level::Scalar).is_err());
}
