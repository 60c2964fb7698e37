//! Sums over the elements of each parameter, for norms: one call for all parameters, in one pass over their memory, in
//! which Lamb's moments move on, too.
//!
//! A parameter is cut into chunks of [`CHAIN`] elements. A chunk's sum has the order of [`crate::reduce`]; the sums of
//! the chunks are added in float64, left to right, so that neither the norm of a large parameter nor one element's
//! square depends on who added what.

use super::moments::{BETAS, Betas, Direction};
use super::walk::{Before, Numbers, Own, attributes, factor};
use super::{check_scalar, piece};
use crate::CHAIN;
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, load, store};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::ops::real::{Double, Real, Single};
use crate::reduce::sum_with;
use crate::team::Part;
use crate::view::{Dims, Meta, View};
use std::ops::Range;

/// The rows.
pub static ROWS: &[OpDef] = &[row::<Squares>(), row::<LambMoments>()];

/// What is summed.
trait Terms: Copy + Send + Sync {
    /// The row's name.
    const NAME: &'static str;
    /// The attributes' names: none, or those of a [`super::walk::Rule`].
    const ATTRS: &'static [&'static str];
    /// Whether finished steps are the first operand, and factors of the first stream the next if there are such.
    const STEPS: bool;
    /// The streams of each parameter.
    const READS: &'static [&'static str];
    /// The streams that are updated.
    const SLOTS: &'static [&'static str];
    /// How many sums each parameter has.
    const SUMS: usize;
    /// With its numbers, for parameters of one width.
    fn new(numbers: &Numbers<'_>, own: &Own<'_>) -> Self;
    /// Term `i` of the streams' elements; term 0, which comes first, updates the slots.
    fn term<R: Real>(&self, r: R, i: usize, x: &[R::V], slots: &mut [R::V]) -> R::V;
}

/// Σ x²
#[derive(Clone, Copy)]
struct Squares;

impl Terms for Squares {
    const NAME: &'static str = "square_sums";
    const ATTRS: &'static [&'static str] = &[];
    const STEPS: bool = false;
    const READS: &'static [&'static str] = &["array"];
    const SLOTS: &'static [&'static str] = &[];
    const SUMS: usize = 1;

    fn new(_: &Numbers<'_>, _: &Own<'_>) -> Self {
        Squares
    }
    #[inline(always)]
    fn term<R: Real>(&self, r: R, _: usize, x: &[R::V], _: &mut [R::V]) -> R::V {
        r.mul(x[0], x[0])
    }
}

/// Adam's moments, then Σ d² and Σ w², with d the direction that Lamb follows.
#[derive(Clone, Copy)]
struct LambMoments {
    betas: Betas,
    direction: Direction,
}

impl Terms for LambMoments {
    const NAME: &'static str = "lamb_moments";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon"];
    const STEPS: bool = true;
    const READS: &'static [&'static str] = &["gradient", "parameter"];
    const SLOTS: &'static [&'static str] = &["first moment", "second moment"];
    const SUMS: usize = 2;

    fn new(numbers: &Numbers<'_>, own: &Own<'_>) -> Self {
        LambMoments { betas: Betas::new(own), direction: Direction::new(numbers, own) }
    }
    #[inline(always)]
    fn term<R: Real>(&self, r: R, i: usize, x: &[R::V], slots: &mut [R::V]) -> R::V {
        if i > 0 {
            return r.mul(x[1], x[1]);
        }
        slots[0] = self.betas.first(r, slots[0], x[0]);
        slots[1] = self.betas.second(r, slots[1], x[0]);
        let direction = self.direction.of(r, slots[0], slots[1]);
        r.mul(direction, direction)
    }
}

/// The row of some terms. Operands that are read: finished steps and factors if there are, then stream after stream, each
/// for all n parameters. Updated: slot after slot. The result is float64 (n) or (SUMS, n).
const fn row<O: Terms>() -> OpDef {
    OpDef {
        name: O::NAME,
        attrs: O::ATTRS,
        layout: Layout::Dense,
        infer: infer::<O>,
        scratch: |ins, _, attrs, _| O::SUMS * chunks::<O>(ins, attrs) * size_of::<f64>(),
        tasks: |ins, _, attrs| (chunks::<O>(ins, attrs) / 4).max(1),
        run: run::<O>,
        ..OpDef::BASE
    }
}

/// How many operands come before the streams.
fn heads<O: Terms>(attrs: &Attrs) -> usize {
    usize::from(O::STEPS) + usize::from(O::STEPS && attrs.flag(0, false))
}

/// How many chunks a parameter has.
fn chunks_of(elements: usize) -> usize {
    elements.div_ceil(CHAIN)
}

/// How many chunks all parameters have, from the operands of a call.
fn chunks<O: Terms>(ins: &[Meta], attrs: &Attrs) -> usize {
    let streams = &ins[heads::<O>(attrs).min(ins.len())..];
    streams[..streams.len() / O::READS.len()].iter().map(|m| chunks_of(m.shape.count())).sum()
}

fn infer<O: Terms>(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let heads = heads::<O>(attrs);
    if O::STEPS {
        check_scalar(O::NAME, "iterations", ins.first(), &[DType::I64])?;
        let own = Own(attrs).shares(BETAS).and(Own(attrs).sizes(&[(2, "epsilon")]));
        own.map_err(|what| Fault::Value(format!("{}: {what}", O::NAME)))?;
    }
    let streams = &ins[heads.min(ins.len())..];
    let n = streams.len() / O::READS.len();
    if streams.len() != n * O::READS.len() || inouts.len() != n * O::SLOTS.len() {
        let (reads, slots) = (O::READS.join(", "), O::SLOTS.join(", "));
        return Err(Fault::Value(format!(
            "{}: expected for each parameter the operands {reads} and to update ({slots}), got {} and {}",
            O::NAME,
            streams.len(),
            inouts.len()
        )));
    }
    if heads > 1 {
        super::walk::check_factors(O::NAME, ins.get(1), n)?;
    }
    for (i, m) in streams.iter().chain(inouts).enumerate() {
        let what = if i < streams.len() { O::READS[i / n] } else { O::SLOTS[(i - streams.len()) / n] };
        if !matches!(m.dtype, DType::F32 | DType::F64) {
            return Err(Fault::Type(format!("{}: {what} {} must be float32 or float64, got {m:?}", O::NAME, i % n)));
        }
        if *m != streams[i % n] {
            return Err(Fault::Value(format!(
                "{}: {what} {} must be {:?}, got {m:?}",
                O::NAME,
                i % n,
                streams[i % n]
            )));
        }
    }
    let shape = if O::SUMS == 1 { Dims::new(&[n]) } else { Dims::new(&[O::SUMS, n]) };
    Ok(vec![Meta { dtype: DType::F64, shape }])
}

fn run<O: Terms>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let heads = heads::<O>(attrs);
    let t = if O::STEPS { ins[0].read::<i64>()[0].wrapping_add(1).max(1) as u64 } else { 1 };
    let make = |single| O::new(&Numbers { rate: 0.0, t, scalars: &[], single }, &Own(attrs));
    let (streams, factors) = (&ins[heads..], (heads > 1).then(|| &ins[1]));
    let n = streams.len() / O::READS.len();
    let counts = streams[..n].iter().map(|p| chunks_of(p.len()));
    let total: usize = counts.clone().sum();
    let bound = if O::STEPS { Before::bound_of(attrs) } else { f64::INFINITY };
    let rules = [make(true), make(false)];
    part.level.run(Summing { part, streams, slots: outs, factors, bound, n, total, rules, scratch });
    part.barrier();
    if part.index == 0 {
        let result = &outs[O::SLOTS.len() * n];
        // SAFETY: the only worker now, and the sums of all chunks were written before the barrier.
        let (sums, out) = unsafe { (scratch.read::<f64>(0, O::SUMS * total), result.write::<f64>(0..O::SUMS * n)) };
        for i in 0..O::SUMS {
            let mut from = i * total;
            for (p, count) in counts.clone().enumerate() {
                out[i * n + p] = sums[from..from + count].iter().fold(0.0, |sum, x| sum + x);
                from += count;
            }
        }
    }
}

struct Summing<'a, O> {
    part: &'a Part<'a>,
    streams: &'a [View],
    slots: &'a [View],
    factors: Option<&'a View>,
    bound: f64,
    n: usize,
    total: usize,
    rules: [O; 2],
    scratch: Scratch,
}

impl<O: Terms> Kernel for Summing<'_, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let share = self.part.span(self.total, 1);
        let mut start = 0; // the number of the parameter's first chunk
        for (p, param) in self.streams[..self.n].iter().enumerate() {
            let count = chunks_of(param.len());
            let before = Before { factor: factor(self.factors, p), bound: self.bound, decay: 0.0 };
            for chunk in share.start.max(start)..share.end.min(start + count) {
                let from = (chunk - start) * CHAIN;
                let range = from..(from + CHAIN).min(param.len());
                for i in 0..O::SUMS {
                    let sum = if param.meta.dtype == DType::F32 {
                        f64::from(self.single(s, p, i, before, &range))
                    } else {
                        self.double(p, i, before, &range)
                    };
                    // SAFETY: this worker's chunk.
                    unsafe { self.scratch.slice::<f64>((i * self.total + chunk) * size_of::<f64>(), 1)[0] = sum };
                }
            }
            start += count;
        }
    }
}

/// No terms have more streams, nor more slots.
const MOST: usize = 2;

impl<O: Terms> Summing<'_, O> {
    #[inline(always)]
    fn single<S: Lanes>(&self, s: S, p: usize, term: usize, before: Before, range: &Range<usize>) -> f32 {
        let rule = self.rules[0];
        let streams: [*const f32; MOST] = std::array::from_fn(|k| {
            let k = k.min(O::READS.len() - 1);
            self.streams[k * self.n + p].read::<f32>()[range.clone()].as_ptr()
        });
        let slots: [*mut f32; MOST] = std::array::from_fn(|k| {
            // SAFETY: this worker's chunk of a slot; terms come one after another.
            let slot = |k: usize| unsafe { piece::<f32>(self.slots, k * self.n + p, range) };
            if k < O::SLOTS.len() { slot(k).as_mut_ptr() } else { std::ptr::null_mut() }
        });
        sum_with(
            s,
            range.len(),
            #[inline(always)]
            |i, n| {
                // SAFETY: streams and slots have as many elements as the range, and i + n does not exceed it.
                unsafe {
                    let (mut x, mut y) = ([s.splat(0.0); MOST], [s.splat(0.0); MOST]);
                    for k in 0..O::READS.len() {
                        x[k] = load(s, streams[k].add(i), n);
                    }
                    for k in 0..O::SLOTS.len() {
                        y[k] = load(s, slots[k].add(i), n);
                    }
                    x[0] = before.gradient(Single(s), x[0]);
                    let value = rule.term(Single(s), term, &x, &mut y);
                    if term == 0 {
                        for k in 0..O::SLOTS.len() {
                            store(s, slots[k].add(i), y[k], n);
                        }
                    }
                    value
                }
            },
        )
    }

    fn double(&self, p: usize, term: usize, before: Before, range: &Range<usize>) -> f64 {
        let mut sum = 0.0;
        for i in range.clone() {
            let mut x: [f64; MOST] =
                std::array::from_fn(|k| self.streams[k.min(O::READS.len() - 1) * self.n + p].read::<f64>()[i]);
            x[0] = before.gradient(Double, x[0]);
            // SAFETY: an element of this worker's chunk of a slot.
            let slot = |k: usize| unsafe { &mut piece::<f64>(self.slots, k * self.n + p, &(i..i + 1))[0] };
            let mut y: [f64; MOST] = std::array::from_fn(|k| if k < O::SLOTS.len() { *slot(k) } else { 0.0 });
            sum += self.rules[1].term(Double, term, &x, &mut y);
            if term == 0 {
                y[..O::SLOTS.len()].iter().enumerate().for_each(|(k, &y)| *slot(k) = y);
            }
        }
        sum
    }
}
