//! The loss rows: cross-entropies from logits together with their gradients, one pass per row.
//!
//! With e = exp(x − max) a row's loss is log Σe − (x_label − max), its gradient e / Σe less the target. Logarithms are
//! taken for several rows at a time; the attribute `gradient` says whether the second result is wanted.

use super::softmaxes::narrow::{self, Row, Tile, WIDEST};
use super::softmaxes::{Real, check_float, rows_of, share};
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes, load, store};
use crate::math;
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch, tasks_by_elements};
use crate::reduce::{self, Max, Sum};
use crate::team::Part;
use crate::view::{Meta, View};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef { name: "softmax_crossentropy_sparse", attrs: &["gradient"], infer: infer_sparse, run: run_sparse, ..LOSS },
    OpDef { name: "softmax_crossentropy", attrs: &["gradient"], infer: infer_dense, run: run_dense, ..LOSS },
    OpDef { name: "sigmoid_crossentropy", attrs: &["gradient"], infer: infer_sigmoid, run: run_sigmoid, ..LOSS },
    OpDef {
        name: "pick",
        infer: infer_pick,
        tasks: |_, outs, _| tasks_by_elements(&[], outs, 1 << 13),
        run: run_pick,
        ..LOSS
    },
];

const LOSS: OpDef =
    OpDef { layout: Layout::Dense, tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 13), ..OpDef::BASE };

/// Rows whose logarithms are taken together.
const BATCH: usize = 16;

/// x (…, c) of a float dtype, and labels (…) of an integer one.
fn check_labels(op: &str, ins: &[Meta]) -> Result<(), Fault> {
    let [x, labels] = ins else {
        return Err(Fault::Value(format!("{op}: expected values and labels, got {} operands", ins.len())));
    };
    check_float(op, "values", x)?;
    if !matches!(labels.dtype, DType::I32 | DType::I64) {
        let name = labels.dtype.name();
        return Err(Fault::Type(format!("{op}: labels must be int32 or int64, got {name}; cast them first")));
    }
    match x.shape.split_last() {
        Some((_, before)) if *before == *labels.shape => Ok(()),
        _ => Err(Fault::Value(format!(
            "{op}: values (…, classes) need one label for each row, of shape (…); got values {x:?} and labels {labels:?}"
        ))),
    }
}

fn with_gradient(loss: Meta, x: Meta, attrs: &Attrs) -> Vec<Meta> {
    if attrs.flag(0, true) { vec![loss, x] } else { vec![loss] }
}

fn infer_sparse(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_labels("softmax_crossentropy_sparse", ins)?;
    Ok(with_gradient(Meta { dtype: ins[0].dtype, ..ins[1] }, ins[0], attrs))
}

/// x and targets of the same float dtype and shape.
fn check_targets(op: &str, ins: &[Meta]) -> Result<(), Fault> {
    let [x, targets] = ins else {
        return Err(Fault::Value(format!("{op}: expected logits and targets, got {} operands", ins.len())));
    };
    check_float(op, "logits", x)?;
    if x != targets {
        return Err(Fault::Value(format!("{op}: the targets must be {x:?} as the logits are, got {targets:?}")));
    }
    Ok(())
}

fn infer_dense(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_targets("softmax_crossentropy", ins)?;
    match ins[0].shape.split_last() {
        Some((_, before)) => Ok(with_gradient(Meta::new(ins[0].dtype, before), ins[0], attrs)),
        None => Err(Fault::Value("softmax_crossentropy: the logits must have an axis of classes".to_string())),
    }
}

fn infer_sigmoid(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_targets("sigmoid_crossentropy", ins)?;
    Ok(with_gradient(ins[0], ins[0], attrs))
}

fn infer_pick(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_labels("pick", ins)?;
    Ok(vec![Meta { dtype: ins[0].dtype, ..ins[1] }])
}

/// Integers that say which class.
trait Label: Elem {
    /// The class's number, if there is one.
    fn class(self, classes: usize) -> Option<usize>;
}

macro_rules! label {
    ($($t:ty),*) => { $(
        impl Label for $t {
            #[inline(always)]
            fn class(self, classes: usize) -> Option<usize> {
                usize::try_from(self).ok().filter(|&c| c < classes)
            }
        }
    )* };
}
label!(i32, i64);

// ------------------------------------------------------------------------------------------------- softmax, by labels

struct Sparse<'a, T, L> {
    x: &'a [T],
    labels: &'a [L],
    loss: &'a mut [T],
    gradient: Option<&'a mut [T]>,
    classes: usize,
}

fn run_sparse(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match (ins[0].meta.dtype, ins[1].meta.dtype) {
        (DType::F32, DType::I32) => sparse::<f32, i32>(part, ins, outs, either_sparse),
        (DType::F32, _) => sparse::<f32, i64>(part, ins, outs, either_sparse),
        (_, DType::I32) => sparse::<f64, i32>(part, ins, outs, |part, work| part.level.run(work)),
        (_, _) => sparse::<f64, i64>(part, ins, outs, |part, work| part.level.run(work)),
    }
}

fn either_sparse<L: Label>(part: &Part<'_>, work: Sparse<'_, f32, L>) {
    if (1..=WIDEST).contains(&work.classes) { part.level.run(NarrowSparse(work)) } else { part.level.run(work) }
}

fn sparse<T: Real, L: Label>(part: &Part<'_>, ins: &[View], outs: &[View], go: fn(&Part<'_>, Sparse<'_, T, L>)) {
    let (rows, classes) = rows_of(&ins[0].meta);
    let share = share(part, rows, classes);
    let range = share.start * classes..share.end * classes;
    // SAFETY: the workers' rows are disjoint.
    unsafe {
        let (x, labels) = (&ins[0].read()[range.clone()], &ins[1].read()[share.clone()]);
        let (loss, gradient) = (outs[0].write(share), outs.get(1).map(|d| d.write(range)));
        go(part, Sparse { x, labels, loss, gradient, classes });
    }
}

impl<T: Real, L: Label> Kernel for Sparse<'_, T, L> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        for first in (0..self.labels.len()).step_by(BATCH) {
            let count = BATCH.min(self.labels.len() - first);
            let (mut sums, mut shifted) = ([T::ONE; BATCH], [T::NAN; BATCH]);
            for k in 0..count {
                let row = (first + k) * self.classes..(first + k + 1) * self.classes;
                let d = self.gradient.as_deref_mut().map(|d| &mut d[row.clone()]);
                if let Some(label) = self.labels[first + k].class(self.classes) {
                    (sums[k], shifted[k]) = Self::row(s, &self.x[row], label, d);
                } else if let Some(d) = d {
                    d.fill(T::NAN);
                }
            }
            T::logs(s, &mut sums);
            for k in 0..count {
                self.loss[first + k] = sums[k].minus(shifted[k]);
            }
        }
    }
}

impl<T: Real, L: Label> Sparse<'_, T, L> {
    /// Σe and the label's x − max; writes the gradient.
    #[inline(always)]
    fn row<S: Lanes>(s: S, x: &[T], label: usize, d: Option<&mut [T]>) -> (T, T) {
        let max = reduce::fold::<T, S, Max>(s, x);
        let sum = match d {
            None => T::exps(s, x, max, None),
            Some(d) => {
                let sum = T::exps(s, x, max, Some(d));
                let scale = T::ONE.divide(sum);
                d.iter_mut().for_each(|d| *d = d.times(scale));
                d[label] = d[label].minus(T::ONE);
                sum
            }
        };
        (sum, x[label].minus(max))
    }
}

/// The same for narrow rows.
struct NarrowSparse<'a, L>(Sparse<'a, f32, L>);

impl<L: Label> Kernel for NarrowSparse<'_, L> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Sparse { x, labels, loss, mut gradient, classes } = self.0;
        let mut tile = Tile::new(classes);
        for first in (0..labels.len()).step_by(narrow::ROWS) {
            let labels = &labels[first..labels.len().min(first + narrow::ROWS)];
            let rows = first * classes..(first + labels.len()) * classes;
            tile.take(&x[rows.clone()]);
            tile.shift(s, &tile.max(s));
            let mut shifted = Row([f32::NAN; narrow::ROWS]);
            for (r, label) in labels.iter().enumerate() {
                label.class(classes).inspect(|&label| shifted.0[r] = tile.get(r, label));
            }
            let sums = tile.exp(s);
            let losses = sums.log(s).with(
                s,
                &shifted,
                #[inline(always)]
                |log, x| s.sub(log, x),
            );
            loss[first..first + labels.len()].copy_from_slice(&losses.0[..labels.len()]);
            let Some(d) = gradient.as_deref_mut().map(|d| &mut d[rows]) else { continue };
            tile.scale(s, &sums.inverse(s));
            tile.put(d);
            for (label, d) in labels.iter().zip(d.chunks_exact_mut(classes)) {
                match label.class(classes) {
                    Some(label) => d[label] -= 1.0,
                    None => d.fill(f32::NAN),
                }
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------ softmax, by targets

/// The loss Σ t · (log Σe − (x − max)) is taken as log Σe · Σt − Σ t · (x − max): no term cancels another.
struct Dense<'a, T> {
    x: &'a [T],
    targets: &'a [T],
    loss: &'a mut [T],
    gradient: Option<&'a mut [T]>,
    classes: usize,
}

fn run_dense(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => dense::<f32>(part, ins, outs, |part, work| {
            if (1..=WIDEST).contains(&work.classes) {
                part.level.run(NarrowDense(work))
            } else {
                part.level.run(work)
            }
        }),
        _ => dense::<f64>(part, ins, outs, |part, work| part.level.run(work)),
    }
}

fn dense<T: Real>(part: &Part<'_>, ins: &[View], outs: &[View], go: fn(&Part<'_>, Dense<'_, T>)) {
    let (rows, classes) = rows_of(&ins[0].meta);
    let share = share(part, rows, classes);
    let range = share.start * classes..share.end * classes;
    // SAFETY: the workers' rows are disjoint.
    unsafe {
        let (x, targets) = (&ins[0].read()[range.clone()], &ins[1].read()[range.clone()]);
        let (loss, gradient) = (outs[0].write(share), outs.get(1).map(|d| d.write(range)));
        go(part, Dense { x, targets, loss, gradient, classes });
    }
}

impl<T: Real> Kernel for Dense<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        for first in (0..self.loss.len()).step_by(BATCH) {
            let count = BATCH.min(self.loss.len() - first);
            let (mut sums, mut totals, mut dots) = ([T::ONE; BATCH], [T::ZERO; BATCH], [T::ZERO; BATCH]);
            for k in 0..count {
                let row = (first + k) * self.classes..(first + k + 1) * self.classes;
                let d = self.gradient.as_deref_mut().map(|d| &mut d[row.clone()]);
                (sums[k], totals[k], dots[k]) = Self::row(s, &self.x[row.clone()], &self.targets[row], d);
            }
            T::logs(s, &mut sums);
            for k in 0..count {
                self.loss[first + k] = totals[k].times(sums[k]).minus(dots[k]);
            }
        }
    }
}

impl<T: Real> Dense<'_, T> {
    /// Σe, Σt and Σ t · (x − max); writes the gradient.
    #[inline(always)]
    fn row<S: Lanes>(s: S, x: &[T], t: &[T], d: Option<&mut [T]>) -> (T, T, T) {
        let max = reduce::fold::<T, S, Max>(s, x);
        let (total, dot) = (reduce::fold::<T, S, Sum>(s, t), T::dot(s, t, x, max));
        let sum = match d {
            None => T::exps(s, x, max, None),
            Some(d) => {
                let sum = T::exps(s, x, max, Some(d));
                let scale = total.divide(sum);
                for (d, t) in d.iter_mut().zip(t) {
                    *d = d.times(scale).minus(*t);
                }
                sum
            }
        };
        (sum, total, dot)
    }
}

/// The same for narrow rows.
struct NarrowDense<'a>(Dense<'a, f32>);

impl Kernel for NarrowDense<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Dense { x, targets, loss, mut gradient, classes } = self.0;
        let (mut tile, mut t) = (Tile::new(classes), Tile::new(classes));
        for (b, loss) in loss.chunks_mut(narrow::ROWS).enumerate() {
            let first = b * narrow::ROWS;
            let rows = first * classes..(first + loss.len()) * classes;
            tile.take(&x[rows.clone()]);
            t.take(&targets[rows.clone()]);
            tile.shift(s, &tile.max(s));
            let (dots, totals) = (
                t.dot(s, &tile),
                t.sum(
                    s,
                    #[inline(always)]
                    |_, _, t| t,
                ),
            );
            let sums = tile.exp(s);
            let logs = totals.with(
                s,
                &sums.log(s),
                #[inline(always)]
                |total, log| s.mul(total, log),
            );
            let losses = logs.with(
                s,
                &dots,
                #[inline(always)]
                |log, dot| s.sub(log, dot),
            );
            loss.copy_from_slice(&losses.0[..loss.len()]);
            let Some(d) = gradient.as_deref_mut().map(|d| &mut d[rows]) else { continue };
            tile.scale(
                s,
                &totals.with(
                    s,
                    &sums,
                    #[inline(always)]
                    |total, sum| s.div(total, sum),
                ),
            );
            tile.minus(s, &t);
            tile.put(d);
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ sigmoid

/// loss = max(x, 0) − x · t + log(1 + e^−|x|), gradient = 1 / (1 + e^−x) − t.
struct Sigmoid<'a, T> {
    x: &'a [T],
    targets: &'a [T],
    loss: &'a mut [T],
    gradient: Option<&'a mut [T]>,
}

fn run_sigmoid(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let range = part.span(ins[0].len(), 256);
    // SAFETY: the workers' elements are disjoint.
    unsafe {
        if ins[0].meta.dtype == DType::F32 {
            part.level.run(Sigmoid::<f32> {
                x: &ins[0].read()[range.clone()],
                targets: &ins[1].read()[range.clone()],
                loss: outs[0].write(range.clone()),
                gradient: outs.get(1).map(|d| d.write(range)),
            });
        } else {
            part.level.run(Sigmoid::<f64> {
                x: &ins[0].read()[range.clone()],
                targets: &ins[1].read()[range.clone()],
                loss: outs[0].write(range.clone()),
                gradient: outs.get(1).map(|d| d.write(range)),
            });
        }
    }
}

impl Kernel for Sigmoid<'_, f32> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let len = self.loss.len();
        assert!(self.x.len() == len && self.targets.len() == len);
        assert!(self.gradient.as_ref().is_none_or(|d| d.len() == len));
        let (x, t, loss) = (self.x.as_ptr(), self.targets.as_ptr(), self.loss.as_mut_ptr());
        let gradient = self.gradient.map(<[f32]>::as_mut_ptr);
        let mut i = 0;
        while i < len {
            let n = S::N.min(len - i);
            // SAFETY: i + n does not exceed the length of any of the slices.
            unsafe {
                let (x, t) = (load(s, x.add(i), n), load(s, t.add(i), n));
                let linear = s.sub(s.max(x, s.splat(0.0)), s.mul(x, t)); // exact where x is large and t right
                store(s, loss.add(i), s.add(linear, math::softplus(s, s.neg(s.abs(x)))), n);
                if let Some(d) = gradient {
                    store(s, d.add(i), s.sub(math::sigmoid(s, x), t), n);
                }
            }
            i += n;
        }
    }
}

impl Kernel for Sigmoid<'_, f64> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(mut self, _: S) {
        for i in 0..self.loss.len() {
            let (x, t) = (self.x[i], self.targets[i]);
            let e = libm::exp(-x.abs());
            self.loss[i] = (x.max(0.0) - x * t) + libm::log1p(e);
            if let Some(d) = &mut self.gradient {
                d[i] = (if x < 0.0 { e } else { 1.0 }) / (1.0 + e) - t;
            }
        }
    }
}

// --------------------------------------------------------------------------------------------------------------- pick

fn run_pick(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match (ins[0].meta.dtype, ins[1].meta.dtype) {
        (DType::F32, DType::I32) => pick::<f32, i32>(part, ins, outs),
        (DType::F32, _) => pick::<f32, i64>(part, ins, outs),
        (_, DType::I32) => pick::<f64, i32>(part, ins, outs),
        (_, _) => pick::<f64, i64>(part, ins, outs),
    }
}

/// y[r] = x[r, label[r]], NaN where there is no such class.
fn pick<T: Real, L: Label>(part: &Part<'_>, ins: &[View], outs: &[View]) {
    let (rows, classes) = rows_of(&ins[0].meta);
    let share = part.span(rows, 256);
    let (x, labels) = (ins[0].read::<T>(), ins[1].read::<L>());
    // SAFETY: the workers' rows are disjoint.
    let out = unsafe { outs[0].write::<T>(share.clone()) };
    for (y, r) in out.iter_mut().zip(share) {
        *y = labels[r].class(classes).map_or(T::NAN, |label| x[r * classes + label]);
    }
}

#[cfg(test)]
mod tests;
