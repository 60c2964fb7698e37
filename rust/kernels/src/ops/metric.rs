//! The metric rows: running means and counts in float64, and accuracies per sample.

mod counts;
mod ranks;

use super::softmaxes::{check_float, rows_of};
use crate::CHAIN;
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::reduce::{self, LANES, Max, Num, Sum};
use crate::team::Part;
use crate::view::{Meta, View};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "mean_update",
        layout: Layout::Dense,
        infer: infer_mean,
        scratch: |ins, _, _, _| 2 * size_of::<f64>() * ins[0].shape.count().div_ceil(CHAIN),
        run: run_mean,
        ..OpDef::BASE
    },
    OpDef {
        name: "sparse_categorical_accuracy",
        layout: Layout::Dense,
        infer: infer_sparse,
        run: run_sparse,
        ..OpDef::BASE
    },
    OpDef {
        name: "categorical_accuracy",
        layout: Layout::Dense,
        infer: infer_categorical,
        run: run_categorical,
        ..OpDef::BASE
    },
    OpDef {
        name: "binary_accuracy",
        attrs: &["threshold"],
        layout: Layout::Dense,
        infer: infer_binary,
        run: run_binary,
        ..OpDef::BASE
    },
    OpDef {
        name: "threshold_counts",
        attrs: &["even", "soft"],
        infer: counts::infer_thresholds,
        run: counts::run_thresholds,
        ..COUNTS
    },
    OpDef { name: "greatest_counts", infer: counts::infer_greatest, run: counts::run_greatest, ..COUNTS },
    OpDef {
        name: "confusion_counts",
        attrs: &["ignored"],
        infer: counts::infer_confusion,
        run: counts::run_confusion,
        ..COUNTS
    },
    OpDef {
        name: "in_top_k",
        attrs: &["k"],
        layout: Layout::Dense,
        infer: ranks::infer_in_top_k,
        run: ranks::run_in_top_k,
        ..OpDef::BASE
    },
    OpDef {
        name: "only_top_k",
        attrs: &["k", "fill"],
        layout: Layout::Dense,
        infer: ranks::infer_only_top_k,
        scratch: ranks::scratch,
        run: ranks::run_only_top_k,
        ..OpDef::BASE
    },
];

const COUNTS: OpDef = OpDef { layout: Layout::Dense, scratch: counts::scratch, tasks: counts::tasks, ..OpDef::BASE };

// --------------------------------------------------------------------------------------------------------------- mean

fn infer_mean(ins: &[Meta], inouts: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let state = Meta::new(DType::F64, &[]);
    if *inouts != [state, state] {
        return Err(Fault::Value(format!("mean_update: total and count must be float64 scalars, got {inouts:?}")));
    }
    let (values, weights) = match ins {
        [values] => (values, None),
        [values, weights] => (values, Some(weights)),
        _ => return Err(Fault::Value(format!("mean_update: expected values and perhaps weights, got {ins:?}"))),
    };
    check_float("mean_update", "values", values)?;
    weights.map_or(Ok(()), |weights| check_weights("mean_update", values, weights))?;
    Ok(Vec::new())
}

/// Weights of the values' dtype whose axes are the values' first ones.
fn check_weights(op: &str, values: &Meta, weights: &Meta) -> Result<(), Fault> {
    if weights.dtype != values.dtype {
        let (got, want) = (weights.dtype.name(), values.dtype.name());
        return Err(Fault::Type(format!("{op}: the weights must be {want} as the values are, got {got}")));
    }
    // (n, 1, 1) weighs samples as (n,) does.
    let trimmed = weights.shape.iter().rposition(|&d| d != 1).map_or(0, |last| last + 1);
    if values.shape.starts_with(&weights.shape[..trimmed]) {
        return Ok(());
    }
    Err(Fault::Value(format!(
        "{op}: the weights' shape must be that of the values or begin as it does (one weight for each sample), got \
         weights {} for values {}",
        weights.shape, values.shape
    )))
}

fn run_mean(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, scratch: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => mean::<f32>(part, ins, outs, scratch),
        _ => mean::<f64>(part, ins, outs, scratch),
    }
}

/// Σ w · v and Σ w of each chunk of values, by all workers; then the first adds up the chunks from left to right.
fn mean<T: Elem + Into<f64>>(part: &Part<'_>, ins: &[View], outs: &[View], scratch: Scratch) {
    let values = ins[0].read::<T>();
    let chunks = values.len().div_ceil(CHAIN);
    let share = part.span(chunks, 1);
    let pair = 2 * size_of::<f64>();
    // SAFETY: the workers' chunks are disjoint.
    let sums = unsafe { scratch.slice::<f64>(share.start * pair, 2 * share.len()) };
    let weights = ins.get(1).map(View::read::<T>);
    part.level.run(Mean { values, weights, first: share.start, sums });
    part.barrier();
    if part.index == 0 {
        // SAFETY: all have written theirs; the first worker alone reads them and writes the state.
        let (sums, total, count) = unsafe {
            (
                scratch.slice::<f64>(0, 2 * chunks),
                &mut outs[0].write::<f64>(0..1)[0],
                &mut outs[1].write::<f64>(0..1)[0],
            )
        };
        *total += sums.iter().step_by(2).sum::<f64>();
        *count += sums.iter().skip(1).step_by(2).sum::<f64>();
    }
}

struct Mean<'a, T> {
    values: &'a [T],
    weights: Option<&'a [T]>,
    first: usize, // chunk
    sums: &'a mut [f64],
}

impl<T: Elem + Into<f64>> Kernel for Mean<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        // Values per weight; where there are no weights it is not used.
        let inner = self.weights.map_or(1, |w| self.values.len() / w.len().max(1)).max(1);
        for (k, pair) in self.sums.chunks_exact_mut(2).enumerate() {
            let start = (self.first + k) * CHAIN;
            let chunk = &self.values[start..self.values.len().min(start + CHAIN)];
            (pair[0], pair[1]) = match self.weights {
                None => (chunk_sum(chunk, |_, v| v.into()), chunk.len() as f64),
                Some(w) if inner == 1 => {
                    let w = &w[start..start + chunk.len()];
                    (chunk_sum(chunk, |i, v| w[i].into() * v.into()), chunk_sum(w, |_, v| v.into()))
                }
                Some(w) => {
                    let at = |i: usize| -> f64 { w[(start + i) / inner].into() };
                    (chunk_sum(chunk, |i, v| at(i) * v.into()), chunk_sum(chunk, |i, _| at(i)))
                }
            };
        }
    }
}

/// Σ f(i, x[i]) of at most [`CHAIN`] elements, in the order of [`reduce`].
#[inline(always)]
fn chunk_sum<T: Copy>(x: &[T], f: impl Fn(usize, T) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (g, group) in x.chunks(LANES).enumerate() {
        for (j, (lane, &v)) in lanes.iter_mut().zip(group).enumerate() {
            *lane += f(g * LANES + j, v);
        }
    }
    reduce::tree::<f64, Sum>(lanes)
}

// --------------------------------------------------------------------------------------------------------- accuracies

/// Float predictions with an axis of classes.
fn check_scores(op: &str, what: &str, m: &Meta) -> Result<(), Fault> {
    check_float(op, what, m)?;
    if m.shape.is_empty() {
        return Err(Fault::Value(format!("{op}: `{what}` must have an axis of classes, got a scalar")));
    }
    Ok(())
}

fn infer_sparse(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [labels, scores] = ins else {
        return Err(Fault::Value("sparse_categorical_accuracy: expected labels and predictions".to_string()));
    };
    check_scores("sparse_categorical_accuracy", "y_pred", scores)?;
    if !matches!(labels.dtype, DType::I32 | DType::I64 | DType::F32 | DType::F64) {
        return Err(Fault::Type(format!(
            "sparse_categorical_accuracy: labels must be int32, int64, float32 or float64, got {}",
            labels.dtype.name()
        )));
    }
    if *labels.shape != scores.shape[..scores.shape.len() - 1] {
        return Err(Fault::Value(format!(
            "sparse_categorical_accuracy: predictions (…, classes) need one label for each row, of shape (…); got \
             y_true {} and y_pred {}",
            labels.shape, scores.shape
        )));
    }
    Ok(vec![Meta { dtype: DType::F32, ..*labels }])
}

fn infer_categorical(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [targets, scores] = ins else {
        return Err(Fault::Value("categorical_accuracy: expected targets and predictions".to_string()));
    };
    check_scores("categorical_accuracy", "y_pred", scores)?;
    if targets != scores {
        return Err(Fault::Value(format!(
            "categorical_accuracy: y_true must be {scores:?} as y_pred is, got {targets:?}"
        )));
    }
    Ok(vec![Meta::new(DType::F32, &scores.shape[..scores.shape.len() - 1])])
}

fn infer_binary(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [targets, scores] = ins else {
        return Err(Fault::Value("binary_accuracy: expected targets and predictions".to_string()));
    };
    check_float("binary_accuracy", "y_pred", scores)?;
    if targets != scores {
        return Err(Fault::Value(format!(
            "binary_accuracy: y_true must be {scores:?} as y_pred is, got {targets:?}"
        )));
    }
    Ok(vec![Meta { dtype: DType::F32, ..*scores }])
}

/// Where the greatest value first stands, or the first NaN; None in an empty row.
#[inline(always)]
fn argmax<T: Num, S: Lanes>(s: S, x: &[T]) -> Option<usize> {
    const BLOCK: usize = 16;
    if x.len() <= 2 * BLOCK {
        // Without a branch: which of a few numbers is the greatest cannot be foreseen.
        let (mut best, mut at, mut nan) = (*x.first()?, 0, false);
        for (i, &v) in x.iter().enumerate() {
            let better = usize::from(v > best).wrapping_neg();
            (best, at) = (if v > best { v } else { best }, (at & !better) | (i & better));
            nan |= v.is_nan();
        }
        return if nan { x.iter().position(|v| v.is_nan()) } else { Some(at) };
    }
    let max = reduce::fold::<T, S, Max>(s, x);
    let found = |v: &T| if max.is_nan() { v.is_nan() } else { *v == max };
    // Whole blocks are looked through without a branch per element.
    let block = x.chunks(BLOCK).position(|b| b.iter().fold(false, |any, v| any | found(v)))?;
    x[block * BLOCK..].iter().position(found).map(|i| block * BLOCK + i)
}

/// How the right class of a row is known.
trait Truth: Copy {
    fn is<S: Lanes>(&self, s: S, row: usize, class: Option<usize>) -> bool;
}

#[derive(Clone, Copy)]
struct Whole<'a, L>(&'a [L]);

macro_rules! whole {
    ($($t:ty),*) => { $(
        impl Truth for Whole<'_, $t> {
            #[inline(always)]
            fn is<S: Lanes>(&self, _: S, row: usize, class: Option<usize>) -> bool {
                class.is_some_and(|class| class as $t == self.0[row])
            }
        }
    )* };
}
whole!(i32, i64, f32, f64);

#[derive(Clone, Copy)]
struct Scores<'a, T>(&'a [T], usize);

impl<T: Num> Truth for Scores<'_, T> {
    #[inline(always)]
    fn is<S: Lanes>(&self, s: S, row: usize, class: Option<usize>) -> bool {
        class.is_some() && argmax(s, &self.0[row * self.1..(row + 1) * self.1]) == class
    }
}

struct Hits<'a, T, R> {
    scores: &'a [T],
    truth: R,
    classes: usize,
    first: usize, // row
    out: &'a mut [f32],
}

impl<T: Num, R: Truth> Kernel for Hits<'_, T, R> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        for (k, out) in self.out.iter_mut().enumerate() {
            let row = self.first + k;
            let class = argmax(s, &self.scores[row * self.classes..(row + 1) * self.classes]);
            *out = f32::from(self.truth.is(s, row, class));
        }
    }
}

fn hits<T: Num, R: Truth>(part: &Part<'_>, scores: &View, truth: R, out: &View) {
    let (rows, classes) = rows_of(&scores.meta);
    let share = part.span(rows, (2048 / classes.max(1)).max(16));
    // SAFETY: the workers' rows are disjoint.
    let out = unsafe { out.write::<f32>(share.clone()) };
    part.level.run(Hits { scores: scores.read::<T>(), truth, classes, first: share.start, out });
}

fn run_sparse(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match ins[1].meta.dtype {
        DType::F32 => sparse::<f32>(part, ins, outs),
        _ => sparse::<f64>(part, ins, outs),
    }
}

fn sparse<T: Num>(part: &Part<'_>, ins: &[View], outs: &[View]) {
    match ins[0].meta.dtype {
        DType::I32 => hits::<T, _>(part, &ins[1], Whole::<i32>(ins[0].read()), &outs[0]),
        DType::I64 => hits::<T, _>(part, &ins[1], Whole::<i64>(ins[0].read()), &outs[0]),
        DType::F32 => hits::<T, _>(part, &ins[1], Whole::<f32>(ins[0].read()), &outs[0]),
        _ => hits::<T, _>(part, &ins[1], Whole::<f64>(ins[0].read()), &outs[0]),
    }
}

fn run_categorical(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let (_, classes) = rows_of(&ins[0].meta);
    match ins[1].meta.dtype {
        DType::F32 => hits::<f32, _>(part, &ins[1], Scores::<f32>(ins[0].read(), classes), &outs[0]),
        _ => hits::<f64, _>(part, &ins[1], Scores::<f64>(ins[0].read(), classes), &outs[0]),
    }
}

/// 1 where (score > threshold) is the target, else 0.
struct Binary<'a, T> {
    targets: &'a [T],
    scores: &'a [T],
    threshold: T,
    out: &'a mut [f32],
}

impl<T: Num> Kernel for Binary<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        for ((out, t), p) in self.out.iter_mut().zip(self.targets).zip(self.scores) {
            let predicted = if *p > self.threshold { T::ONE } else { T::ZERO };
            *out = f32::from(predicted == *t);
        }
    }
}

fn run_binary(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let threshold = attrs.float(0, 0.5);
    match ins[0].meta.dtype {
        DType::F32 => binary(part, ins, outs, threshold as f32),
        _ => binary(part, ins, outs, threshold),
    }
}

fn binary<T: Num>(part: &Part<'_>, ins: &[View], outs: &[View], threshold: T) {
    let share = part.span(ins[0].len(), 256);
    let (targets, scores) = (&ins[0].read()[share.clone()], &ins[1].read()[share.clone()]);
    // SAFETY: the workers' elements are disjoint.
    let out = unsafe { outs[0].write::<f32>(share) };
    part.level.run(Binary { targets, scores, threshold, out });
}

#[cfg(test)]
mod tests;
