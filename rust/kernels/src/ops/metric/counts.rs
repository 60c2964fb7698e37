//! The rows that count predictions: by the thresholds that they exceed, by the greatest of their row, by pairs of
//! classes. What they update are sums of weights in float64.
//!
//! A state of threshold counts has the shape (2, buckets) or (2, labels, buckets): the first index is the truth, the
//! last says how many of the thresholds a prediction exceeds. A sum over the buckets above the i-th gives the
//! predictions that are positive at threshold i, so every number of a confusion matrix is a cumulative sum away.
//!
//! Many predictions are cut into stripes by their number alone; each has counts of its own, which the first worker adds
//! to the state from left to right. So the sums do not depend on the number of workers.

use super::check_weights;
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Scratch};
use crate::ops::softmaxes::check_float;
use crate::reduce::{self, Max, Num};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

/// The most stripes: enough for any team, few enough for their counts to stay in cache.
const STRIPES: usize = 16;

/// The most buckets that are counted in whole numbers.
const WIDEST: usize = 256;

/// Predictions from which on an answer of the greatest of a row counts: [0, 0, 0] chooses no class.
const NOTHING: f64 = 1e-9;

/// How many stripes so many predictions make, each with so many counts: filling and merging these must be little work
/// beside counting.
fn stripes(predictions: usize, counts: usize) -> usize {
    (predictions / (4 * counts).max(1 << 14)).clamp(1, STRIPES)
}

/// Scratch memory of the rows that count: the stripes' counts.
pub(super) fn scratch(ins: &[Meta], outs: &[Meta], _: &Attrs, _: usize) -> usize {
    let counts = outs[0].shape.count();
    match stripes(ins[1].shape.count(), counts) {
        1 => 0,
        many => many * counts * size_of::<f64>(),
    }
}

/// A task per stripe.
pub(super) fn tasks(ins: &[Meta], outs: &[Meta], _: &Attrs) -> usize {
    stripes(ins[1].shape.count(), outs[0].shape.count())
}

/// Adds to `state` what `count` finds in the predictions, `unit` of which belong together.
fn in_stripes(
    part: &Part<'_>,
    predictions: usize,
    unit: usize,
    state: &View,
    scratch: Scratch,
    count: impl Fn(Range<usize>, &mut [f64]),
) {
    let (len, n) = (state.len(), stripes(predictions, state.len()));
    if n == 1 {
        if part.index == 0 {
            // SAFETY: the first worker alone writes.
            count(0..predictions, unsafe { state.write(0..len) });
        }
        return;
    }
    let units = predictions / unit;
    for stripe in part.span(n, 1) {
        // SAFETY: the workers' stripes are disjoint.
        let counts = unsafe { scratch.slice::<f64>(stripe * len * size_of::<f64>(), len) };
        counts.fill(0.0);
        count(units * stripe / n * unit..units * (stripe + 1) / n * unit, counts);
    }
    part.barrier();
    if part.index == 0 {
        // SAFETY: all stripes are counted; the first worker alone reads them and writes the state.
        let (counts, state) = unsafe { (scratch.read::<f64>(0, n * len), state.write::<f64>(0..len)) };
        for stripe in counts.chunks_exact(len) {
            for (total, count) in state.iter_mut().zip(stripe) {
                *total += count;
            }
        }
    }
}

// --------------------------------------------------------------------------------------------------------- thresholds

/// What both rows ask for: targets as the predictions are, a state with `buckets`, weights that fit.
fn check(
    op: &str,
    truth: &Meta,
    scores: &Meta,
    weights: Option<&Meta>,
    inouts: &[Meta],
    buckets: usize,
) -> Result<(), Fault> {
    check_float(op, "y_pred", scores)?;
    if truth != scores {
        return Err(Fault::Value(format!("{op}: y_true must be {scores:?} as y_pred is, got {truth:?}")));
    }
    let labels = scores.shape.last().copied().unwrap_or(1);
    let fits = matches!(inouts, [state] if state.dtype == DType::F64
        && (*state.shape == [2, buckets] || *state.shape == [2, labels, buckets]));
    if !fits {
        return Err(Fault::Value(format!(
            "{op}: the counts must be float64 of shape (2, {buckets}), or (2, {labels}, {buckets}) to count each label \
             by itself; got {inouts:?}"
        )));
    }
    weights.map_or(Ok(()), |weights| check_weights(op, scores, weights))
}

pub(super) fn infer_thresholds(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    const OP: &str = "threshold_counts";
    let (truth, scores, thresholds, weights) = match ins {
        [truth, scores, thresholds] => (truth, scores, thresholds, None),
        [truth, scores, thresholds, weights] => (truth, scores, thresholds, Some(weights)),
        _ => return Err(Fault::Value(format!("{OP}: expected y_true, y_pred, thresholds and perhaps weights"))),
    };
    let n = thresholds.shape.count();
    if thresholds.dtype != scores.dtype || thresholds.shape.len() != 1 || n == 0 || (attrs.int(0, 0) > 0 && n < 2) {
        return Err(Fault::Value(format!(
            "{OP}: the thresholds must be a vector of {}, got {thresholds:?}",
            scores.dtype.name()
        )));
    }
    check(OP, truth, scores, weights, inouts, n + 1)?;
    Ok(Vec::new())
}

pub(super) fn infer_greatest(ins: &[Meta], inouts: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    const OP: &str = "greatest_counts";
    let (truth, scores, weights) = match ins {
        [truth, scores] => (truth, scores, None),
        [truth, scores, weights] => (truth, scores, Some(weights)),
        _ => return Err(Fault::Value(format!("{OP}: expected y_true, y_pred and perhaps weights"))),
    };
    if scores.shape.is_empty() {
        return Err(Fault::Value(format!("{OP}: y_pred must have an axis of classes, got a scalar")));
    }
    check(OP, truth, scores, weights, inouts, 2)?;
    Ok(Vec::new())
}

/// Predictions with their own way from a number to evenly spaced buckets.
trait Score: Num + Into<f64> {
    /// How many of 0, 1/n, …, 1 a number exceeds after it was held to 0 … 1: the ceiling of its n-fold, which is
    /// rounded as any product is.
    fn exceeds(self, n: usize) -> usize;
}

macro_rules! score {
    ($($t:ty),*) => { $(
        impl Score for $t {
            #[inline(always)]
            fn exceeds(self, n: usize) -> usize {
                if self > 0.0 {
                    let x = self.min(1.0) * n as $t;
                    let below = x as i32;
                    below as usize + usize::from(below as $t < x)
                } else {
                    0 // NaN too: no comparison with it is true
                }
            }
        }
    )* };
}
score!(f32, f64);

/// How a prediction gets its bucket.
trait Rule<T>: Copy {
    /// Looks at a row of predictions before its members are asked for.
    #[inline(always)]
    fn see<S: Lanes>(&mut self, _: S, _: &[T]) {}
    /// The bucket of one of them.
    fn bucket(&self, score: T) -> usize;
}

/// By one threshold.
#[derive(Clone, Copy)]
struct Above<T>(T);

impl<T: Score> Rule<T> for Above<T> {
    #[inline(always)]
    fn bucket(&self, score: T) -> usize {
        usize::from(score > self.0)
    }
}

/// By thresholds in ascending order.
#[derive(Clone, Copy)]
struct Sorted<'a, T>(&'a [T]);

impl<T: Score> Rule<T> for Sorted<'_, T> {
    #[inline(always)]
    fn bucket(&self, score: T) -> usize {
        if self.0.len() <= 8 {
            return self.0.iter().map(|&t| usize::from(score > t)).sum();
        }
        self.0.partition_point(
            #[inline(always)]
            |&t| score > t,
        )
    }
}

/// By the thresholds 0, 1/n, …, 1; of `least` of them it is known that every prediction exceeds them.
#[derive(Clone, Copy)]
struct Even {
    n: usize,
    least: usize,
}

impl<T: Score> Rule<T> for Even {
    #[inline(always)]
    fn bucket(&self, score: T) -> usize {
        score.exceeds(self.n).max(self.least)
    }
}

/// By whether it is the greatest of its row.
#[derive(Clone, Copy)]
struct Greatest<T>(T);

impl<T: Score> Rule<T> for Greatest<T> {
    #[inline(always)]
    fn see<S: Lanes>(&mut self, s: S, row: &[T]) {
        if row.len() > 32 {
            self.0 = reduce::fold::<T, S, Max>(s, row);
            return;
        }
        // The same with a shorter chain: one that is NaN makes the greatest NaN.
        let (mut greatest, mut nan) = (T::LOWEST, None);
        for &x in row {
            greatest = if x > greatest { x } else { greatest };
            nan = if x.is_nan() { Some(x) } else { nan };
        }
        self.0 = nan.unwrap_or(greatest);
    }
    #[inline(always)]
    fn bucket(&self, score: T) -> usize {
        usize::from(score >= self.0 && score.into().abs() > NOTHING)
    }
}

/// Counts the predictions `first..` of one stripe.
struct Counting<'a, T, R> {
    truth: &'a [T],
    scores: &'a [T],
    weights: Option<&'a [T]>,
    inner: usize, // predictions per weight
    row: usize,   // predictions that the rule sees together
    rule: R,
    soft: bool,
    label: usize, // step from one label's buckets to the next's; 0 counts all together
    first: usize,
    counts: &'a mut [f64],
}

impl<T: Score, R: Rule<T>> Kernel for Counting<'_, T, R> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(mut self, s: S) {
        if self.weights.is_none() && !self.soft && self.label == 0 && self.counts.len() <= 2 * WIDEST {
            return self.in_whole_numbers();
        }
        let (negatives, positives) = self.counts.split_at_mut(self.counts.len() / 2);
        let (mut at, mut left) = (self.first / self.inner, self.inner - self.first % self.inner);
        for (scores, truth) in self.scores.chunks(self.row).zip(self.truth.chunks(self.row)) {
            self.rule.see(s, scores);
            let mut base = 0;
            for (&score, &truth) in scores.iter().zip(truth) {
                let weight: f64 = match self.weights {
                    None => 1.0,
                    Some(weights) => {
                        if left == 0 {
                            (at, left) = (at + 1, self.inner);
                        }
                        left -= 1;
                        weights[at].into()
                    }
                };
                let bucket = base + self.rule.bucket(score);
                if self.soft {
                    let truth: f64 = truth.into();
                    positives[bucket] += weight * truth;
                    negatives[bucket] += weight * (1.0 - truth);
                } else {
                    let side = if truth == T::ZERO { &mut *negatives } else { &mut *positives };
                    side[bucket] += weight;
                }
                base += self.label;
            }
        }
    }
}

impl<T: Score, R: Rule<T>> Counting<'_, T, R> {
    /// Where a prediction is counted; the remainder changes nothing and tells the compiler that it is inside.
    #[inline(always)]
    fn place(&self, score: T, truth: T, buckets: usize) -> usize {
        (self.rule.bucket(score) + usize::from(truth != T::ZERO) * buckets) % (2 * WIDEST)
    }

    /// The usual case, each prediction once: whole numbers have no order of additions, so four counts in turn spare a
    /// prediction the wait for the one before it, which often is in the same bucket.
    #[inline(always)]
    fn in_whole_numbers(self) {
        let buckets = self.counts.len() / 2;
        for (scores, truth) in self.scores.chunks(1 << 30).zip(self.truth.chunks(1 << 30)) {
            let mut own = [[0u32; 2 * WIDEST]; 4];
            let ((scores, last), (truth, last_truth)) = (scores.as_chunks::<4>(), truth.as_chunks::<4>());
            for (&[a, b, c, d], &[e, f, g, h]) in scores.iter().zip(truth) {
                own[0][self.place(a, e, buckets)] += 1;
                own[1][self.place(b, f, buckets)] += 1;
                own[2][self.place(c, g, buckets)] += 1;
                own[3][self.place(d, h, buckets)] += 1;
            }
            for (&score, &truth) in last.iter().zip(last_truth) {
                own[0][self.place(score, truth, buckets)] += 1;
            }
            for (i, total) in self.counts.iter_mut().enumerate() {
                *total += f64::from(own[0][i] + own[1][i] + own[2][i] + own[3][i]);
            }
        }
    }
}

/// The predictions with all that the stripes have in common.
struct Predictions<'a, T> {
    truth: &'a [T],
    scores: &'a [T],
    weights: Option<&'a [T]>,
    row: usize,
    label: usize,
    soft: bool,
}

impl<'a, T: Score> Predictions<'a, T> {
    fn new(ins: &'a [View], weights: usize, state: &View, soft: bool, rows: bool) -> Predictions<'a, T> {
        let each = state.shape().len() == 3;
        let scores = ins[1].read::<T>();
        let row = if each || rows { ins[1].dim(-1) } else { scores.len() };
        let label = if each { state.dim(-1) } else { 0 };
        let weights = ins.get(weights).map(View::read::<T>);
        Predictions { truth: ins[0].read(), scores, weights, row: row.max(1), label, soft }
    }

    fn count<R: Rule<T> + Sync>(&self, part: &Part<'_>, rule: R, state: &View, scratch: Scratch) {
        let n = self.scores.len();
        let inner = self.weights.map_or(1, |w| n / w.len().max(1)).max(1);
        // All in one row can be cut anywhere.
        let unit = if self.row < n { self.row } else { 1 };
        in_stripes(part, n, unit, state, scratch, |span, counts| {
            let (truth, scores) = (&self.truth[span.clone()], &self.scores[span.clone()]);
            let Predictions { weights, row, label, soft, .. } = *self;
            let first = span.start;
            part.level.run(Counting { truth, scores, weights, inner, row, rule, soft, label, first, counts });
        });
    }
}

pub(super) fn run_thresholds(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    match ins[1].meta.dtype {
        DType::F32 => thresholds::<f32>(part, ins, &outs[0], attrs, scratch),
        _ => thresholds::<f64>(part, ins, &outs[0], attrs, scratch),
    }
}

fn thresholds<T: Score>(part: &Part<'_>, ins: &[View], state: &View, attrs: &Attrs, scratch: Scratch) {
    let predictions = Predictions::<T>::new(ins, 3, state, attrs.flag(1, false), false);
    let sorted = ins[2].read::<T>();
    match attrs.int(0, 0) {
        0 if sorted.len() == 1 => predictions.count(part, Above(sorted[0]), state, scratch),
        0 => predictions.count(part, Sorted(sorted), state, scratch),
        even => predictions.count(part, Even { n: sorted.len() - 1, least: even as usize - 1 }, state, scratch),
    }
}

pub(super) fn run_greatest(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, scratch: Scratch) {
    match ins[1].meta.dtype {
        DType::F32 => greatest::<f32>(part, ins, &outs[0], scratch),
        _ => greatest::<f64>(part, ins, &outs[0], scratch),
    }
}

fn greatest<T: Score>(part: &Part<'_>, ins: &[View], state: &View, scratch: Scratch) {
    let predictions = Predictions::<T>::new(ins, 2, state, true, true);
    predictions.count(part, Greatest(T::LOWEST), state, scratch);
}

// ---------------------------------------------------------------------------------------------------- pairs of classes

pub(super) fn infer_confusion(ins: &[Meta], inouts: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    const OP: &str = "confusion_counts";
    let (truth, predicted, weights) = match ins {
        [truth, predicted] => (truth, predicted, None),
        [truth, predicted, weights] => (truth, predicted, Some(weights)),
        _ => return Err(Fault::Value(format!("{OP}: expected y_true, y_pred and perhaps weights"))),
    };
    if !matches!(inouts, [Meta { dtype: DType::F64, shape }] if shape.len() == 2 && shape[0] == shape[1]) {
        return Err(Fault::Value(format!("{OP}: the counts must be a square matrix of float64, got {inouts:?}")));
    }
    if !matches!(truth.dtype, DType::I32 | DType::I64 | DType::F32 | DType::F64) {
        let name = truth.dtype.name();
        return Err(Fault::Type(format!("{OP}: classes must be int32, int64, float32 or float64, got {name}")));
    }
    if truth != predicted {
        return Err(Fault::Value(format!("{OP}: y_true must be {predicted:?} as y_pred is, got {truth:?}")));
    }
    match weights {
        Some(w) if w.dtype != DType::F64 || w.shape != truth.shape => {
            Err(Fault::Value(format!("{OP}: the weights must be float64{} as y_pred is, got {w:?}", truth.shape)))
        }
        _ => Ok(Vec::new()),
    }
}

/// A number that names a class.
trait Class: Elem {
    /// Which of the classes, if it is one of them; fractions are dropped.
    fn index(self, classes: usize) -> Option<usize>;
}

macro_rules! class {
    ($($t:ty: $above:literal),*) => { $(
        impl Class for $t {
            #[inline(always)]
            fn index(self, classes: usize) -> Option<usize> {
                (self > $above as $t && self < classes as $t).then_some(self as usize)
            }
        }
    )* };
}
class!(i32: -1, i64: -1, f32: -1, f64: -1); // NaN is not above −1

pub(super) fn run_confusion(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    match ins[0].meta.dtype {
        DType::I32 => confusion::<i32>(part, ins, &outs[0], attrs, scratch),
        DType::I64 => confusion::<i64>(part, ins, &outs[0], attrs, scratch),
        DType::F32 => confusion::<f32>(part, ins, &outs[0], attrs, scratch),
        _ => confusion::<f64>(part, ins, &outs[0], attrs, scratch),
    }
}

fn confusion<T: Class>(part: &Part<'_>, ins: &[View], state: &View, attrs: &Attrs, scratch: Scratch) {
    let (truth, predicted) = (ins[0].read::<T>(), ins[1].read::<T>());
    let weights = ins.get(2).map(View::read::<f64>);
    let classes = state.dim(0);
    let ignored = usize::try_from(attrs.int(0, -1)).ok();
    in_stripes(part, truth.len(), 1, state, scratch, |span, counts| {
        for i in span {
            let (Some(row), Some(column)) = (truth[i].index(classes), predicted[i].index(classes)) else { continue };
            if Some(row) != ignored {
                counts[row * classes + column] += weights.map_or(1.0, |w| w[i]);
            }
        }
    });
}
