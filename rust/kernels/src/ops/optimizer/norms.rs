//! Sums over the elements of each parameter, for norms: one call for all parameters, in one pass over their memory.
//!
//! A parameter is cut into chunks of [`CHAIN`] elements. A chunk's sum has the order of [`crate::reduce`]; the sums of
//! the chunks are added in float64, left to right, so that neither the norm of a large parameter nor one element's
//! square depends on who added what.

use super::check_scalar;
use super::moments::Direction;
use super::real::{Double, Real, Single};
use super::walk::{Numbers, Own, attributes};
use crate::CHAIN;
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, load};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::reduce::sum_with;
use crate::team::Part;
use crate::view::{Dims, Meta, View};

/// The rows.
pub static ROWS: &[OpDef] = &[row::<Squares>(), row::<LambNorms>()];

/// What is summed.
trait Terms: Copy + Send + Sync {
    /// The row's name.
    const NAME: &'static str;
    /// The attributes' names.
    const ATTRS: &'static [&'static str];
    /// The operands before the streams: 1, the number of finished steps, or none.
    const HEADS: usize;
    /// The streams of each parameter.
    const READS: &'static [&'static str];
    /// How many sums each parameter has.
    const SUMS: usize;
    /// With its numbers, for parameters of one width.
    fn new(numbers: &Numbers<'_>, own: &Own<'_>) -> Self;
    /// Term `i` of the streams' elements.
    fn term<R: Real>(&self, r: R, i: usize, x: &[R::V]) -> R::V;
}

/// Σ x²
#[derive(Clone, Copy)]
struct Squares;

impl Terms for Squares {
    const NAME: &'static str = "square_sums";
    const ATTRS: &'static [&'static str] = &[];
    const HEADS: usize = 0;
    const READS: &'static [&'static str] = &["array"];
    const SUMS: usize = 1;

    fn new(_: &Numbers<'_>, _: &Own<'_>) -> Self {
        Squares
    }
    #[inline(always)]
    fn term<R: Real>(&self, r: R, _: usize, x: &[R::V]) -> R::V {
        r.mul(x[0], x[0])
    }
}

/// Σ w² and Σ d², with d the direction that Lamb follows.
#[derive(Clone, Copy)]
struct LambNorms(Direction);

impl Terms for LambNorms {
    const NAME: &'static str = "lamb_norms";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon"];
    const HEADS: usize = 1;
    const READS: &'static [&'static str] = &["parameter", "first moment", "second moment"];
    const SUMS: usize = 2;

    fn new(numbers: &Numbers<'_>, own: &Own<'_>) -> Self {
        LambNorms(Direction::new(numbers, own))
    }
    #[inline(always)]
    fn term<R: Real>(&self, r: R, i: usize, x: &[R::V]) -> R::V {
        let x = if i == 0 { x[0] } else { self.0.of(r, x[1], x[2]) };
        r.mul(x, x)
    }
}

/// The row of some terms: finished steps if the rule counts them, then stream after stream, each for all n parameters;
/// the result is float64 (SUMS, n).
const fn row<O: Terms>() -> OpDef {
    OpDef {
        name: O::NAME,
        attrs: O::ATTRS,
        layout: Layout::Dense,
        infer: infer::<O>,
        scratch: |ins, _, _, _| O::SUMS * chunks::<O>(ins) * size_of::<f64>(),
        tasks: |ins, _, _| (chunks::<O>(ins) / 4).max(1),
        run: run::<O>,
        ..OpDef::BASE
    }
}

/// How many chunks a parameter has.
fn chunks_of(elements: usize) -> usize {
    elements.div_ceil(CHAIN)
}

/// How many chunks all parameters have, from the operands of a call.
fn chunks<O: Terms>(ins: &[Meta]) -> usize {
    let n = ins.len().saturating_sub(O::HEADS) / O::READS.len();
    ins[O::HEADS.min(ins.len())..][..n].iter().map(|m| chunks_of(m.shape.count())).sum()
}

fn infer<O: Terms>(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    if O::HEADS > 0 {
        check_scalar(O::NAME, "iterations", ins.first(), &[DType::I64])?;
        Own(attrs)
            .shares(&[(0, "beta_1"), (1, "beta_2")])
            .map_err(|what| Fault::Value(format!("{}: {what}", O::NAME)))?;
    }
    let streams = &ins[O::HEADS..];
    let n = streams.len() / O::READS.len();
    if streams.len() != n * O::READS.len() {
        let (each, got) = (O::READS.join(", "), streams.len());
        return Err(Fault::Value(format!("{}: expected for each parameter the operands {each}, got {got}", O::NAME)));
    }
    for (i, m) in streams.iter().enumerate() {
        let (what, first) = (O::READS[i / n], streams[i % n]);
        if !matches!(m.dtype, DType::F32 | DType::F64) {
            return Err(Fault::Type(format!("{}: {what} {} must be float32 or float64, got {m:?}", O::NAME, i % n)));
        }
        if *m != first {
            return Err(Fault::Value(format!("{}: {what} {} must be {first:?}, got {m:?}", O::NAME, i % n)));
        }
    }
    let shape = if O::SUMS == 1 { Dims::new(&[n]) } else { Dims::new(&[O::SUMS, n]) };
    Ok(vec![Meta { dtype: DType::F64, shape }])
}

fn run<O: Terms>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, scratch: Scratch) {
    let t = if O::HEADS > 0 { ins[0].read::<i64>()[0].wrapping_add(1).max(1) as u64 } else { 1 };
    let make = |single| O::new(&Numbers { rate: 0.0, t, scalars: &[], single }, &Own(attrs));
    let streams = &ins[O::HEADS..];
    let n = streams.len() / O::READS.len();
    let counts = streams[..n].iter().map(|p| chunks_of(p.len()));
    let total: usize = counts.clone().sum();
    part.level.run(Summing { part, streams, n, total, rules: [make(true), make(false)], scratch });
    part.barrier();
    if part.index == 0 {
        // SAFETY: the only worker now, and the sums of all chunks were written before the barrier.
        let (sums, out) = unsafe { (scratch.read::<f64>(0, O::SUMS * total), outs[0].write::<f64>(0..O::SUMS * n)) };
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
            for chunk in share.start.max(start)..share.end.min(start + count) {
                let from = (chunk - start) * CHAIN;
                let len = CHAIN.min(param.len() - from);
                for i in 0..O::SUMS {
                    let sum = if param.meta.dtype == DType::F32 {
                        f64::from(self.single(s, p, i, from, len))
                    } else {
                        self.double(p, i, from, len)
                    };
                    // SAFETY: this worker's chunk.
                    unsafe { self.scratch.slice::<f64>((i * self.total + chunk) * size_of::<f64>(), 1)[0] = sum };
                }
            }
            start += count;
        }
    }
}

/// No terms have more streams.
const MOST: usize = 3;

impl<O: Terms> Summing<'_, O> {
    #[inline(always)]
    fn single<S: Lanes>(&self, s: S, p: usize, term: usize, from: usize, len: usize) -> f32 {
        let rule = self.rules[0];
        let streams: [*const f32; MOST] = std::array::from_fn(|k| {
            let k = k.min(O::READS.len() - 1);
            self.streams[k * self.n + p].read::<f32>()[from..from + len].as_ptr()
        });
        sum_with(
            s,
            len,
            #[inline(always)]
            |i, n| {
                let mut x = [s.splat(0.0); MOST];
                for k in 0..O::READS.len() {
                    // SAFETY: the streams have `len` elements, and i + n does not exceed it.
                    x[k] = unsafe { load(s, streams[k].add(i), n) };
                }
                rule.term(Single(s), term, &x)
            },
        )
    }

    fn double(&self, p: usize, term: usize, from: usize, len: usize) -> f64 {
        let mut sum = 0.0;
        for i in from..from + len {
            let x: [f64; MOST] =
                std::array::from_fn(|k| self.streams[k.min(O::READS.len() - 1) * self.n + p].read::<f64>()[i]);
            sum += self.rules[1].term(Double, term, &x);
        }
        sum
    }
}
