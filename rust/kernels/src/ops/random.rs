//! The random rows. A draw is a function of the generator's state, an int64 pair (key, counter), and of each element's
//! place in the result; [`crate::rng`] says in which order elements take their bits. Advancing the state is a call of
//! its own.

use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch, tasks_by_elements};
use crate::rng::{BLOCKS, Philox, WORDS};
use crate::team::Part;
use crate::view::{MAX_RANK, Meta, View};

mod distributions;
pub mod dropout;
mod rejection;

use distributions::{Integers, Normal, Truncated, Uniform};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "random_uniform",
        attrs: &["shape", "low", "high", "dtype"],
        infer: |ins, inouts, attrs| infer_draw("random_uniform", ins, inouts, attrs, FLOATS, check_interval),
        run: |part, ins, outs, attrs, _| {
            let (low, high) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
            fill_float(part, ins, outs, Uniform { low, high });
        },
        ..DRAW
    },
    OpDef {
        name: "random_normal",
        attrs: &["shape", "mean", "stddev", "dtype"],
        infer: |ins, inouts, attrs| infer_draw("random_normal", ins, inouts, attrs, FLOATS, check_moments),
        run: |part, ins, outs, attrs, _| {
            let (mean, stddev) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
            fill_float(part, ins, outs, Normal { mean, stddev });
        },
        ..DRAW
    },
    OpDef {
        name: "random_truncated_normal",
        attrs: &["shape", "mean", "stddev", "dtype"],
        infer: |ins, inouts, attrs| infer_draw("random_truncated_normal", ins, inouts, attrs, FLOATS, check_moments),
        run: |part, ins, outs, attrs, _| {
            let (mean, stddev) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
            fill_float(part, ins, outs, Truncated { mean, stddev });
        },
        ..DRAW
    },
    OpDef {
        name: "random_int",
        attrs: &["shape", "low", "high", "dtype"],
        infer: |ins, inouts, attrs| infer_draw("random_int", ins, inouts, attrs, INTEGERS, check_range),
        run: run_int,
        ..DRAW
    },
    OpDef {
        name: "random_gamma",
        attrs: &["log"],
        infer: rejection::infer_gamma,
        run: rejection::run_gamma,
        ..TRIED
    },
    OpDef { name: "random_binomial", infer: rejection::infer_binomial, run: rejection::run_binomial, ..TRIED },
    OpDef {
        name: "random_permutation",
        attrs: &["n"],
        layout: Layout::Dense,
        infer: infer_permutation,
        tasks: |_, _, _| 1, // each exchange depends on those before it
        run: run_permutation,
        ..OpDef::BASE
    },
    OpDef {
        name: "dropout",
        attrs: &["rate"],
        layout: Layout::Dense,
        infer: dropout::infer,
        in_place: Some(0),
        run: dropout::run,
        ..OpDef::BASE
    },
    OpDef {
        name: "rng_advance",
        attrs: &["n"],
        layout: Layout::Dense,
        infer: infer_advance,
        tasks: |_, _, _| 1,
        run: run_advance,
        ..OpDef::BASE
    },
];

/// What the rows that draw have in common.
const DRAW: OpDef = OpDef {
    layout: Layout::Dense,
    tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 12), // an element costs some ns
    ..OpDef::BASE
};

/// What the rows that draw by trying have in common.
const TRIED: OpDef = OpDef {
    tasks: |ins, outs, _| tasks_by_elements(ins, outs, 1 << 8), // an element costs some 100 ns
    ..DRAW
};

const FLOATS: &[DType] = &[DType::F32, DType::F64];
const INTEGERS: &[DType] = &[DType::I32, DType::I64];

/// The most elements that a draw may have: with it, sizes in bytes do not overflow.
const MOST: usize = isize::MAX as usize / 8;

/// Whether a state was given.
fn check_state(op: &str, state: Option<&Meta>) -> Result<(), Fault> {
    match state {
        Some(m) if m.dtype == DType::I64 && *m.shape == [2] => Ok(()),
        got => {
            let got = got.map_or("nothing".to_string(), |m| format!("{m:?}"));
            Err(Fault::Value(format!("{op}: the generator's state must be int64(2,): key and counter; got {got}")))
        }
    }
}

fn infer_draw(
    op: &str,
    ins: &[Meta],
    inouts: &[Meta],
    attrs: &Attrs,
    dtypes: &[DType],
    check: fn(&str, &Attrs, DType) -> Result<(), Fault>,
) -> Result<Vec<Meta>, Fault> {
    check_state(op, ins.first())?;
    if ins.len() != 1 || !inouts.is_empty() {
        return Err(Fault::Value(format!("{op}: expected the generator's state and nothing else")));
    }
    let shape = attrs.ints(0);
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?).filter(|&n| n <= MOST));
    if shape.len() > MAX_RANK || count.is_none() {
        return Err(Fault::Value(format!(
            "{op}: a shape has at most {MAX_RANK} sizes, none negative, and fits in memory; got {shape:?}"
        )));
    }
    let number = attrs.int(3, dtypes[0] as i64);
    let dtype = DType::ALL.into_iter().find(|&d| d as i64 == number);
    let Some(dtype) = dtype.filter(|d| dtypes.contains(d)) else {
        let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
        let got = dtype.map_or("an unknown dtype", DType::name);
        return Err(Fault::Type(format!("{op}: dtype must be {}, got {got}", names.join(" or "))));
    };
    check(op, attrs, dtype)?;
    let sizes: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    Ok(vec![Meta::new(dtype, &sizes)])
}

fn check_interval(op: &str, attrs: &Attrs, dtype: DType) -> Result<(), Fault> {
    let (low, high) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
    let span = high - low;
    let finite = if dtype == DType::F32 { (span as f32).is_finite() } else { span.is_finite() };
    if finite && span >= 0.0 {
        return Ok(());
    }
    Err(Fault::Value(format!(
        "{op}: `minval` and `maxval` must be finite, as must their difference, and `minval` not above `maxval`; got \
         {low} and {high}"
    )))
}

fn check_moments(op: &str, attrs: &Attrs, _: DType) -> Result<(), Fault> {
    let (mean, stddev) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
    if mean.is_finite() && stddev.is_finite() {
        return Ok(());
    }
    Err(Fault::Value(format!("{op}: `mean` and `stddev` must be finite numbers, got {mean} and {stddev}")))
}

fn check_range(op: &str, attrs: &Attrs, dtype: DType) -> Result<(), Fault> {
    let (low, high) = (attrs.int(1, 0), attrs.int(2, 0));
    let fits = dtype == DType::I64 || (low >= i64::from(i32::MIN) && high <= i64::from(i32::MAX) + 1);
    if low < high && fits {
        return Ok(());
    }
    Err(Fault::Value(format!(
        "{op}: `minval` must be below `maxval` and both must fit {}; got {low} and {high}",
        dtype.name()
    )))
}

/// The draw of the generator whose state this operand holds.
#[inline(always)]
fn draw_of(state: &View) -> Philox {
    let state = state.read::<i64>();
    Philox::new(state[0] as u64, state[1] as u64)
}

/// How a distribution turns groups of random bits into elements.
trait Distribution<T: Elem>: Copy {
    /// Elements that a group serves; at most [`WORDS`].
    const PER: usize;
    /// Writes `PER` elements.
    fn group<S: Lanes>(self, s: S, words: &[[u32; BLOCKS]; 4], out: &mut [T]);
}

struct Fill<'a, T, D> {
    distribution: D,
    draw: Philox,
    first: usize, // group
    out: &'a mut [T],
}

impl<T: Elem + Default, D: Distribution<T>> Kernel for Fill<'_, T, D> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let mut whole = [T::default(); WORDS];
        for (i, chunk) in self.out.chunks_mut(D::PER).enumerate() {
            let words = self.draw.group((self.first + i) as u64);
            self.distribution.group(s, &words, &mut whole[..D::PER]);
            chunk.copy_from_slice(&whole[..chunk.len()]);
        }
    }
}

fn fill<T: Elem + Default, D: Distribution<T>>(part: &Part<'_>, ins: &[View], outs: &[View], distribution: D) {
    let share = part.span(outs[0].len(), D::PER);
    let first = share.start / D::PER;
    // SAFETY: the workers' shares are disjoint.
    let out = unsafe { outs[0].write::<T>(share) };
    part.level.run(Fill { distribution, draw: draw_of(&ins[0]), first, out });
}

fn fill_float<D>(part: &Part<'_>, ins: &[View], outs: &[View], distribution: D)
where
    D: Distribution<f32> + Distribution<f64>,
{
    match outs[0].meta.dtype {
        DType::F32 => fill::<f32, D>(part, ins, outs, distribution),
        _ => fill::<f64, D>(part, ins, outs, distribution),
    }
}

fn run_int(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let distribution = Integers { low: attrs.int(1, 0), range: attrs.int(2, 0).wrapping_sub(attrs.int(1, 0)) as u64 };
    match outs[0].meta.dtype {
        DType::I32 => fill::<i32, _>(part, ins, outs, distribution),
        _ => fill::<i64, _>(part, ins, outs, distribution),
    }
}

fn infer_permutation(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_state("random_permutation", ins.first())?;
    match usize::try_from(attrs.int(0, -1)) {
        Ok(n) if n <= MOST => Ok(vec![Meta::new(DType::I64, &[n])]),
        _ => Err(Fault::Value(format!("random_permutation: `n` must not be negative, got {}", attrs.int(0, -1)))),
    }
}

/// The shuffle of Durstenfeld (1964, "Algorithm 235"), from the last element down; the exchange of element i takes the
/// i-th whole number of the draw.
fn run_permutation(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    if part.index != 0 {
        return;
    }
    let draw = draw_of(&ins[0]);
    // SAFETY: the only worker, the only slice.
    let out = unsafe { outs[0].write::<i64>(0..outs[0].len()) };
    for (i, place) in out.iter_mut().enumerate() {
        *place = i as i64;
    }
    let per = distributions::WIDE;
    for g in (0..out.len().div_ceil(per)).rev() {
        let words = draw.group(g as u64);
        for k in (0..per.min(out.len() - g * per)).rev() {
            let i = g * per + k;
            out.swap(i, distributions::below(distributions::wide(&words, k), i as u64 + 1) as usize);
        }
    }
}

fn infer_advance(_: &[Meta], inouts: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_state("rng_advance", inouts.first())?;
    Ok(Vec::new())
}

fn run_advance(part: &Part<'_>, _: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    if part.index != 0 {
        return;
    }
    // SAFETY: the only worker, the only slice.
    let state = unsafe { outs[0].write::<i64>(0..2) };
    state[1] = state[1].wrapping_add(attrs.int(0, 1));
}

#[cfg(test)]
mod tests;
