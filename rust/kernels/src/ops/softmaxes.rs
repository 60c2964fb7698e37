//! The softmax rows. They work over the last axis; each row of it is read and written while it is in the first cache.

use crate::CHAIN;
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes, load, map_raw, store};
use crate::math;
use crate::op::{Fault, Layout, OpDef, tasks_by_elements};
use crate::reduce::{self, Max, Num, Sum};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

pub(super) mod narrow;

use narrow::{Tile, WIDEST};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "softmax",
        infer: |ins, _, _| infer("softmax", ins, 1),
        run: |part, ins, outs, _, _| run(part, ins, outs, Softmax),
        ..ROW
    },
    OpDef {
        name: "log_softmax",
        infer: |ins, _, _| infer("log_softmax", ins, 1),
        run: |part, ins, outs, _, _| run(part, ins, outs, LogSoftmax),
        ..ROW
    },
    OpDef {
        name: "softmax_grad",
        infer: |ins, _, _| infer("softmax_grad", ins, 2),
        run: |part, ins, outs, _, _| run(part, ins, outs, SoftmaxGrad),
        ..ROW
    },
];

const ROW: OpDef = OpDef {
    layout: Layout::Dense,
    tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 13),
    in_place: Some(0),
    ..OpDef::BASE
};

/// The result for `count` operands of the same float dtype and shape, with a last axis.
fn infer(op: &str, ins: &[Meta], count: usize) -> Result<Vec<Meta>, Fault> {
    if ins.len() != count {
        return Err(Fault::Value(format!("{op}: expected {count} operands, got {}", ins.len())));
    }
    check_float(op, "x", &ins[0])?;
    if ins[0].shape.is_empty() {
        return Err(Fault::Value(format!("{op}: x must have an axis to work over, got a scalar")));
    }
    match ins.iter().find(|m| **m != ins[0]) {
        None => Ok(vec![ins[0]]),
        Some(other) => Err(Fault::Value(format!("{op}: the operands must be alike, got {:?} and {other:?}", ins[0]))),
    }
}

pub(super) fn check_float(op: &str, what: &str, m: &Meta) -> Result<(), Fault> {
    if matches!(m.dtype, DType::F32 | DType::F64) {
        return Ok(());
    }
    let name = m.dtype.name();
    Err(Fault::Type(format!("{op}: `{what}` must be float32 or float64, got {name}; cast it first")))
}

/// Rows and their length: the last axis against all before it.
pub(super) fn rows_of(m: &Meta) -> (usize, usize) {
    let (length, before) = m.shape.split_last().expect("`infer` asks for an axis");
    (before.iter().product(), *length)
}

/// The rows of this worker: so many at a time that tasks are worth their while.
pub(super) fn share(part: &Part<'_>, rows: usize, length: usize) -> Range<usize> {
    part.span(rows, (2048 / length.max(1)).max(1))
}

/// float32, in vectors, and float64, one by one.
pub(super) trait Real: Num {
    /// e = exp(x − shift), where `e` is wanted; their sum.
    fn exps<S: Lanes>(s: S, x: &[Self], shift: Self, e: Option<&mut [Self]>) -> Self;
    /// Σ a · (b − shift)
    fn dot<S: Lanes>(s: S, a: &[Self], b: &[Self], shift: Self) -> Self;
    /// x = log x
    fn logs<S: Lanes>(s: S, x: &mut [Self]);
    /// a − b
    fn minus(self, b: Self) -> Self;
    /// a / b
    fn divide(self, b: Self) -> Self;
    /// Not a number.
    const NAN: Self;
}

impl Real for f32 {
    const NAN: f32 = f32::NAN;
    #[inline(always)]
    fn exps<S: Lanes>(s: S, x: &[f32], shift: f32, e: Option<&mut [f32]>) -> f32 {
        let shift = s.splat(shift);
        let Some(e) = e else {
            return reduce::sum_with(
                s,
                x.len(),
                // SAFETY: `sum_with` asks for elements of 0..x.len() only.
                #[inline(always)]
                |i, n| math::exp(s, s.sub(unsafe { load(s, x.as_ptr().add(i), n) }, shift)),
            );
        };
        assert_eq!(x.len(), e.len());
        let (x_ptr, e) = (x.as_ptr(), e.as_mut_ptr());
        reduce::sum_with(
            s,
            x.len(),
            // SAFETY: `sum_with` asks for elements of 0..x.len() only, and e is as long.
            #[inline(always)]
            |i, n| unsafe {
                let y = math::exp(s, s.sub(load(s, x_ptr.add(i), n), shift));
                store(s, e.add(i), y, n);
                y
            },
        )
    }
    #[inline(always)]
    fn dot<S: Lanes>(s: S, a: &[f32], b: &[f32], shift: f32) -> f32 {
        assert_eq!(a.len(), b.len());
        let shift = s.splat(shift);
        reduce::sum_with(
            s,
            a.len(),
            // SAFETY: `sum_with` asks for elements of 0..a.len() only, and b is as long.
            #[inline(always)]
            |i, n| unsafe { s.mul(load(s, a.as_ptr().add(i), n), s.sub(load(s, b.as_ptr().add(i), n), shift)) },
        )
    }
    #[inline(always)]
    fn logs<S: Lanes>(s: S, x: &mut [f32]) {
        let p = x.as_mut_ptr();
        // SAFETY: x has x.len() elements.
        unsafe {
            map_raw(
                s,
                x.len(),
                p,
                #[inline(always)]
                |i, n| math::log(s, load(s, p.add(i), n)),
            )
        }
    }
    #[inline(always)]
    fn minus(self, b: f32) -> f32 {
        self - b
    }
    #[inline(always)]
    fn divide(self, b: f32) -> f32 {
        self / b
    }
}

impl Real for f64 {
    const NAN: f64 = f64::NAN;
    #[inline(always)]
    fn exps<S: Lanes>(_: S, x: &[f64], shift: f64, mut e: Option<&mut [f64]>) -> f64 {
        sum_each(x.len(), |i| {
            let y = libm::exp(x[i] - shift);
            if let Some(e) = &mut e {
                e[i] = y;
            }
            y
        })
    }
    #[inline(always)]
    fn dot<S: Lanes>(_: S, a: &[f64], b: &[f64], shift: f64) -> f64 {
        sum_each(a.len(), |i| a[i] * (b[i] - shift))
    }
    #[inline(always)]
    fn logs<S: Lanes>(_: S, x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = libm::log(*x));
    }
    #[inline(always)]
    fn minus(self, b: f64) -> f64 {
        self - b
    }
    #[inline(always)]
    fn divide(self, b: f64) -> f64 {
        self / b
    }
}

/// Σ f(i) in the order of [`reduce`].
#[inline(always)]
pub(super) fn sum_each(len: usize, mut f: impl FnMut(usize) -> f64) -> f64 {
    let mut total = 0.0;
    for from in (0..len).step_by(CHAIN) {
        let mut lanes = [0.0; reduce::LANES];
        for i in from..len.min(from + CHAIN) {
            lanes[(i - from) % reduce::LANES] += f(i);
        }
        let chunk = reduce::tree::<f64, Sum>(lanes);
        total = if from == 0 { chunk } else { total + chunk };
    }
    total
}

/// What is done with one row, or with a tile of narrow ones.
trait RowOp: Copy {
    fn row<T: Real, S: Lanes>(self, s: S, ins: [&[T]; 2], out: &mut [T]);
    /// The result takes the place of the first operand.
    fn tile<S: Lanes>(self, s: S, a: &mut Tile, b: &Tile);
    /// Whether there is a second operand.
    const BINARY: bool;
}

struct Rows<'a, T, O> {
    op: O,
    ins: [&'a [T]; 2],
    out: &'a mut [T],
    length: usize,
}

impl<T: Real, O: RowOp> Kernel for Rows<'_, T, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let [a, b] = self.ins.map(|x| x.chunks_exact(self.length));
        for ((a, b), out) in a.zip(b).zip(self.out.chunks_exact_mut(self.length)) {
            self.op.row(s, [a, b], out);
        }
    }
}

struct Narrow<'a, O>(Rows<'a, f32, O>);

impl<O: RowOp> Kernel for Narrow<'_, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Rows { op, ins, out, length } = self.0;
        let (mut a, mut b) = (Tile::new(length), Tile::new(length));
        let [x, y] = ins.map(|x| x.chunks(narrow::ROWS * length));
        for ((x, y), out) in x.zip(y).zip(out.chunks_mut(narrow::ROWS * length)) {
            a.take(x);
            if O::BINARY {
                b.take(y);
            }
            op.tile(s, &mut a, &b);
            a.put(out);
        }
    }
}

fn run<O: RowOp>(part: &Part<'_>, ins: &[View], outs: &[View], op: O) {
    match ins[0].meta.dtype {
        DType::F32 => run_as::<f32, O>(part, ins, outs, op, |part, rows| {
            if rows.length <= WIDEST { part.level.run(Narrow(rows)) } else { part.level.run(rows) }
        }),
        _ => run_as::<f64, O>(part, ins, outs, op, |part, rows| part.level.run(rows)),
    }
}

fn run_as<T: Real + Elem, O: RowOp>(
    part: &Part<'_>,
    ins: &[View],
    outs: &[View],
    op: O,
    go: fn(&Part<'_>, Rows<'_, T, O>),
) {
    let (rows, length) = rows_of(&ins[0].meta);
    let share = share(part, rows, length);
    let range = share.start * length..share.end * length;
    if range.is_empty() {
        return;
    }
    let at = |i: usize| &ins[i.min(ins.len() - 1)].read::<T>()[range.clone()];
    // SAFETY: the workers' rows are disjoint.
    let out = unsafe { outs[0].write::<T>(range.clone()) };
    go(part, Rows { op, ins: [at(0), at(1)], out, length });
}

/// y = exp(x − max) / Σ exp(x − max)
#[derive(Clone, Copy)]
struct Softmax;

impl RowOp for Softmax {
    #[inline(always)]
    fn row<T: Real, S: Lanes>(self, s: S, [x, _]: [&[T]; 2], y: &mut [T]) {
        let sum = T::exps(s, x, reduce::fold::<T, S, Max>(s, x), Some(y));
        let scale = T::ONE.divide(sum);
        y.iter_mut().for_each(|y| *y = y.times(scale));
    }
    #[inline(always)]
    fn tile<S: Lanes>(self, s: S, x: &mut Tile, _: &Tile) {
        x.shift(s, &x.max(s));
        let sums = x.exp(s);
        x.scale(s, &sums.inverse(s));
    }
    const BINARY: bool = false;
}

/// y = (x − max) − log Σ exp(x − max)
#[derive(Clone, Copy)]
struct LogSoftmax;

impl RowOp for LogSoftmax {
    #[inline(always)]
    fn row<T: Real, S: Lanes>(self, s: S, [x, _]: [&[T]; 2], y: &mut [T]) {
        let max = reduce::fold::<T, S, Max>(s, x);
        let mut log = [T::exps(s, x, max, None)];
        T::logs(s, &mut log);
        for (y, x) in y.iter_mut().zip(x) {
            *y = x.minus(max).minus(log[0]);
        }
    }
    #[inline(always)]
    fn tile<S: Lanes>(self, s: S, x: &mut Tile, _: &Tile) {
        x.shift(s, &x.max(s));
        let sums = x.sum(
            s,
            #[inline(always)]
            |_, _, x| math::exp(s, x),
        );
        x.shift(s, &sums.log(s));
    }
    const BINARY: bool = false;
}

/// The gradient of softmax: dx = y · (g − Σ g · y)
#[derive(Clone, Copy)]
struct SoftmaxGrad;

impl RowOp for SoftmaxGrad {
    #[inline(always)]
    fn row<T: Real, S: Lanes>(self, s: S, [y, g]: [&[T]; 2], dx: &mut [T]) {
        let dot = T::dot(s, y, g, T::ZERO);
        for ((dx, y), g) in dx.iter_mut().zip(y).zip(g) {
            *dx = y.times(g.minus(dot));
        }
    }
    #[inline(always)]
    fn tile<S: Lanes>(self, s: S, y: &mut Tile, g: &Tile) {
        let dots = y.dot(s, g);
        y.map(
            s,
            #[inline(always)]
            |j, lane, y| s.mul(y, s.sub(g.at(s, j, lane), dots.at(s, lane))),
        );
    }
    const BINARY: bool = true;
}

#[cfg(test)]
mod tests {
    use crate::testing::{Array, call, run, uniform};

    const SHAPES: &[&[usize]] = &[&[1], &[3, 1], &[7, 10], &[5, 16], &[2, 3, 33], &[2, 5000], &[3, 0], &[0, 4]];

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&v| v as f64).collect()
    }

    fn softmax(x: &[f64]) -> Vec<f64> {
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = x.iter().map(|v| (v - max).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.iter().map(|v| v / sum).collect()
    }

    #[test]
    fn softmax_and_its_logarithm() {
        for shape in SHAPES {
            let (n, c) = (shape.iter().product::<usize>(), *shape.last().unwrap());
            let x = uniform(n as u64, n, -9.0, 9.0);
            let y = run("softmax", &[Array::new(shape, &x)], &[]).to_vec::<f32>();
            let log = run("log_softmax", &[Array::new(shape, &x)], &[]).to_vec::<f32>();
            let precise = run("softmax", &[Array::new(shape, &wide(&x))], &[]).to_vec::<f64>();
            let precise_log = run("log_softmax", &[Array::new(shape, &wide(&x))], &[]).to_vec::<f64>();
            for (r, row) in x.chunks(c.max(1)).enumerate() {
                for (j, want) in softmax(&wide(row)).into_iter().enumerate() {
                    let i = r * c + j;
                    // The rounding of x − max counts as often as that difference is large.
                    let error = (y[i] as f64 / want - 1.0).abs();
                    assert!(error < 3e-7 - 6e-8 * want.ln(), "{shape:?} {i}: {} {want}", y[i]);
                    assert!(
                        (log[i] as f64 - want.ln()).abs() < 1e-6 - 1e-7 * want.ln(),
                        "{shape:?} {i}: {} {}",
                        log[i],
                        want.ln()
                    );
                    assert!((precise[i] - want).abs() <= 1e-14 * want);
                    assert!((precise_log[i] - want.ln()).abs() <= 1e-13);
                }
            }
        }
    }

    #[test]
    fn extremes() {
        let x = [1e30f32, 0.0, -1e30, f32::NEG_INFINITY, 5.0, 5.0, f32::NAN, 0.0, 1.0];
        let y = run("softmax", &[Array::new(&[3, 3], &x)], &[]).to_vec::<f32>();
        assert_eq!(y[..6], [1.0, 0.0, 0.0, 0.0, 0.5, 0.5]);
        assert!(y[6..].iter().all(|v| v.is_nan()));
        let y = run("log_softmax", &[Array::new(&[3, 3], &x)], &[]).to_vec::<f32>();
        assert_eq!(y[..4], [0.0, -1e30, -2e30, f32::NEG_INFINITY]);
    }

    #[test]
    fn gradient() {
        for shape in SHAPES {
            let (n, c) = (shape.iter().product::<usize>(), *shape.last().unwrap());
            let (y, g) = (uniform(1, n, 0.0, 1.0), uniform(2, n, -1.0, 1.0));
            let dx = run("softmax_grad", &[Array::new(shape, &y), Array::new(shape, &g)], &[]).to_vec::<f32>();
            let precise = [Array::new(shape, &wide(&y)), Array::new(shape, &wide(&g))];
            let precise = run("softmax_grad", &precise, &[]).to_vec::<f64>();
            for (r, (y, g)) in y.chunks(c.max(1)).zip(g.chunks(c.max(1))).enumerate() {
                let dot: f64 = y.iter().zip(g).map(|(y, g)| *y as f64 * *g as f64).sum();
                for j in 0..c {
                    let want = y[j] as f64 * (g[j] as f64 - dot);
                    assert!((dx[r * c + j] as f64 - want).abs() < 1e-6 * (1.0 + dot.abs()));
                    assert!((precise[r * c + j] - want).abs() < 1e-12 * (1.0 + dot.abs()));
                }
            }
        }
    }

    #[test]
    fn bad_operands() {
        let message = |ins: &[Array]| call("softmax", ins, &mut [], &[]).err().unwrap().to_string();
        assert!(message(&[Array::new(&[], &[1.0f32])]).contains("an axis to work over"));
        assert!(message(&[Array::new(&[2], &[1i32, 2])]).contains("must be float32 or float64, got int32"));
        assert!(message(&[]).contains("expected 1 operands, got 0"));
        let unlike = [Array::new(&[2], &[1.0f32, 2.0]), Array::new(&[1], &[1.0f32])];
        assert!(call("softmax_grad", &unlike, &mut [], &[]).err().unwrap().to_string().contains("must be alike"));
    }
}
