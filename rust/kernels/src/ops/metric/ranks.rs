//! The rows that look at the k greatest of each row of predictions.

use super::check_scores;
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Scratch};
use crate::ops::softmaxes::{rows_of, share};
use crate::reduce::Num;
use crate::team::Part;
use crate::view::{Meta, View};

pub(super) fn infer_in_top_k(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [targets, scores] = ins else {
        return Err(Fault::Value("in_top_k: expected targets and predictions".to_string()));
    };
    check_scores("in_top_k", "predictions", scores)?;
    if !matches!(targets.dtype, DType::I32 | DType::I64) {
        let name = targets.dtype.name();
        return Err(Fault::Type(format!("in_top_k: targets must be int32 or int64, got {name}")));
    }
    if *targets.shape != scores.shape[..scores.shape.len() - 1] {
        return Err(Fault::Value(format!(
            "in_top_k: predictions (…, classes) need one target for each row, of shape (…); got targets {} and \
             predictions {}",
            targets.shape, scores.shape
        )));
    }
    Ok(vec![Meta { dtype: DType::Bool, ..*targets }])
}

/// Whether fewer than `k` scores of each row are greater than the one of its target.
struct InTopK<'a, T, L> {
    targets: &'a [L],
    scores: &'a [T],
    classes: usize,
    k: usize,
    out: &'a mut [u8],
}

impl<T: Num, L: Copy + TryInto<usize>> Kernel for InTopK<'_, T, L> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        for (i, (out, &target)) in self.out.iter_mut().zip(self.targets).enumerate() {
            let row = &self.scores[i * self.classes..(i + 1) * self.classes];
            let score = target.try_into().ok().and_then(
                #[inline(always)]
                |target| row.get(target),
            );
            *out = match score {
                Some(&score) if !score.is_nan() => {
                    // NaN counts as greater, so it helps nobody into the first k.
                    let greater = row.iter().fold(
                        0u32,
                        #[inline(always)]
                        |n, &x| n + u32::from(x > score || x.is_nan()),
                    );
                    u8::from((greater as usize) < self.k)
                }
                _ => 0,
            };
        }
    }
}

pub(super) fn run_in_top_k(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    match (ins[0].meta.dtype, ins[1].meta.dtype) {
        (DType::I32, DType::F32) => in_top_k::<i32, f32>(part, ins, outs, attrs),
        (DType::I32, _) => in_top_k::<i32, f64>(part, ins, outs, attrs),
        (_, DType::F32) => in_top_k::<i64, f32>(part, ins, outs, attrs),
        _ => in_top_k::<i64, f64>(part, ins, outs, attrs),
    }
}

fn in_top_k<L: crate::dtype::Elem + TryInto<usize>, T: Num>(
    part: &Part<'_>,
    ins: &[View],
    outs: &[View],
    attrs: &Attrs,
) {
    let (rows, classes) = rows_of(&ins[1].meta);
    let own = share(part, rows, classes);
    let targets = &ins[0].read::<L>()[own.clone()];
    let scores = &ins[1].read::<T>()[own.start * classes..own.end * classes];
    // SAFETY: the workers' rows are disjoint.
    let out = unsafe { outs[0].write::<u8>(own) };
    part.level.run(InTopK { targets, scores, classes, k: attrs.int(0, 1).max(0) as usize, out });
}

pub(super) fn infer_only_top_k(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [scores] = ins else {
        return Err(Fault::Value("only_top_k: expected predictions".to_string()));
    };
    check_scores("only_top_k", "predictions", scores)?;
    let (k, classes) = (attrs.int(0, 1), scores.shape[scores.shape.len() - 1]);
    if k < 1 || k > classes as i64 {
        return Err(Fault::Value(format!(
            "only_top_k: `k` must be from 1 to the number of classes, {classes}; got {k}"
        )));
    }
    Ok(vec![*scores])
}

/// Scratch memory of `only_top_k`: the k greatest so far, for each worker.
pub(super) fn scratch(ins: &[Meta], _: &[Meta], attrs: &Attrs, workers: usize) -> usize {
    workers * attrs.int(0, 1).max(0) as usize * ins[0].dtype.size()
}

/// The k greatest of each row (the first of equals), `fill` in the places of the others.
struct OnlyTopK<'a, T> {
    scores: &'a [T],
    classes: usize,
    best: &'a mut [T],
    fill: T,
    out: &'a mut [T],
}

impl<T: Num> Kernel for OnlyTopK<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let last = self.best.len() - 1;
        for (row, out) in self.scores.chunks(self.classes).zip(self.out.chunks_mut(self.classes)) {
            self.best.fill(T::LOWEST);
            for &x in row {
                if x > self.best[last] {
                    let at = self.best.partition_point(|&b| b >= x);
                    self.best.copy_within(at..last, at + 1);
                    self.best[at] = x;
                }
            }
            let least = self.best[last];
            let mut equals = self.best.iter().filter(|&&b| b == least).count();
            for (out, &x) in out.iter_mut().zip(row) {
                let tie = x == least && equals > 0;
                equals -= usize::from(tie);
                *out = if x > least || tie { x } else { self.fill };
            }
        }
    }
}

pub(super) fn run_only_top_k(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => only_top_k::<f32>(part, ins, outs, attrs, scratch, attrs.float(1, 0.0) as f32),
        _ => only_top_k::<f64>(part, ins, outs, attrs, scratch, attrs.float(1, 0.0)),
    }
}

fn only_top_k<T: Num>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch, fill: T) {
    let (rows, classes) = rows_of(&ins[0].meta);
    let own = share(part, rows, classes);
    let own = own.start * classes..own.end * classes;
    let k = attrs.int(0, 1) as usize;
    // SAFETY: the workers' rows, and their parts of the scratch memory, are disjoint.
    let (best, out) =
        unsafe { (scratch.slice::<T>(part.index * k * size_of::<T>(), k), outs[0].write::<T>(own.clone())) };
    part.level.run(OnlyTopK { scores: &ins[0].read::<T>()[own], classes, best, fill, out });
}
