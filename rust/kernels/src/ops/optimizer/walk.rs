//! The one walk of the elementwise optimizers: one call updates all parameters, in one pass over their memory.
//!
//! A row is a [`Rule`]: which streams it reads and updates, and a formula for one element of each. The walk does what
//! all of them share before the formula: a factor for each gradient (clipping to a norm, unscaling), a bound on its
//! elements, and the decay of the weight. Streams of one parameter lie alike, so that nothing here depends on how.

use super::{check_scalar, orders, piece, pieces, power, scalar};
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, load, store, vectors};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::ops::real::{Double, Real, Single};
use crate::team::Part;
use crate::view::{Meta, View};

/// The attributes of every rule, which its own follow: whether there is an operand of factors; the bound on the
/// gradients' elements; the weight decay, and for which parameters it is (1 or 0 each; none given: all).
pub(super) const COMMON: usize = 4;

/// The attributes' names of a row: the common ones and its own.
macro_rules! attributes {
    ($($own:literal),*) => { &["factors", "clipvalue", "weight_decay", "decayed", $($own),*] };
}
pub(super) use attributes;

/// How a weight follows its gradient.
pub(super) trait Rule: Copy + Send + Sync {
    /// The row's name.
    const NAME: &'static str;
    /// The attributes' names: `attributes![…]`.
    const ATTRS: &'static [&'static str];
    /// Scalar operands beside the learning rate and the number of finished steps.
    const SCALARS: &'static [&'static str] = &[];
    /// The streams that are read: the gradient, and others of its shape.
    const READS: &'static [&'static str] = &["gradient"];
    /// Floating-point operations for one element.
    const FLOPS: u64;

    /// The streams that are updated beside the parameter.
    fn slots(attrs: &Attrs) -> &'static [&'static str];
    /// What is wrong with the attributes.
    fn check(_: &Own<'_>) -> Result<(), String> {
        Ok(())
    }
    /// The rule with its numbers, for parameters of one width.
    fn new(numbers: &Numbers<'_>, own: &Own<'_>) -> Self;
    /// Walks with as many streams as the rule has: `walk.go::<_, READS, SLOTS>(rules)`.
    fn walk(rules: [Self; 2], walk: Walk<'_>);
    /// The formula: the new weight, from the streams that are read, the weight, and the slots, which it updates.
    fn step<R: Real>(&self, r: R, read: &[R::V], weight: R::V, slots: &mut [R::V]) -> R::V;
}

/// A rule's own attributes.
pub(super) struct Own<'a>(pub &'a Attrs);

impl Own<'_> {
    /// Number `i`.
    pub fn float(&self, i: usize) -> f64 {
        self.0.float(COMMON + i, f64::NAN)
    }
    /// Flag `i`.
    pub fn flag(&self, i: usize) -> bool {
        self.0.flag(COMMON + i, false)
    }
    /// Checks that these numbers lie in [0, 1).
    pub fn shares(&self, names: &[(usize, &str)]) -> Result<(), String> {
        let wrong = names.iter().find(|(i, _)| !(0.0..1.0).contains(&self.float(*i)));
        wrong.map_or(Ok(()), |(i, name)| Err(format!("`{name}` must lie in [0, 1), got {}", self.float(*i))))
    }
    /// Checks that these numbers are finite and not negative.
    pub fn sizes(&self, names: &[(usize, &str)]) -> Result<(), String> {
        let wrong = names.iter().find(|(i, _)| !(self.float(*i).is_finite() && self.float(*i) >= 0.0));
        wrong.map_or(Ok(()), |(i, name)| {
            Err(format!("`{name}` must be a finite number, not negative, got {}", self.float(*i)))
        })
    }
}

/// The numbers of a step.
pub(super) struct Numbers<'a> {
    /// The learning rate.
    pub rate: f64,
    /// The number of this step, from 1.
    pub t: u64,
    /// The scalars of `Rule::SCALARS`.
    pub scalars: &'a [f64],
    /// Whether the parameters are float32.
    pub single: bool,
}

impl Numbers<'_> {
    /// 1 − βᵗ; for float32 parameters in float32, as Keras computes it: in the first steps it loses digits, and a model
    /// that is trained here and there side by side must lose the same ones.
    pub fn left(&self, beta: f64) -> f64 {
        if self.single {
            f64::from(1.0 - power(f64::from(beta as f32), self.t) as f32)
        } else {
            1.0 - power(beta, self.t)
        }
    }

    /// Adam's α = η √(1 − β₂ᵗ) / (1 − β₁ᵗ), for float32 parameters in float32: it is common to all of them, so that a
    /// difference from Keras's would add up in every unit's input.
    pub fn alpha(&self, beta_1: f64, beta_2: f64) -> f64 {
        let (left_1, left_2) = (self.left(beta_1), self.left(beta_2));
        if self.single {
            f64::from(self.rate as f32 * (left_2 as f32).sqrt() / left_1 as f32)
        } else {
            self.rate * left_2.sqrt() / left_1
        }
    }
}

/// The row of a rule. Operands that are read: learning rate, finished steps, the rule's scalars, the factors if the
/// attribute says that there are, then stream after stream, each for all parameters. Updated: parameters, slot after slot.
pub(super) const fn row<O: Rule>() -> OpDef {
    OpDef {
        name: O::NAME,
        attrs: O::ATTRS,
        layout: Layout::Dense,
        infer: infer::<O>,
        tasks: |_, outs, attrs| super::shares(outs, O::slots(attrs).len() + 1),
        orders: |ins, outs, attrs| orders(heads::<O>(attrs), outs.len() / (O::slots(attrs).len() + 1), ins, outs),
        flops: |_, outs, attrs| {
            let kinds = O::slots(attrs).len() + 1;
            O::FLOPS * outs[..outs.len() / kinds].iter().map(|m| m.shape.count() as u64).sum::<u64>()
        },
        run: run::<O>,
        ..OpDef::BASE
    }
}

/// How many operands come before the streams.
fn heads<O: Rule>(attrs: &Attrs) -> usize {
    2 + O::SCALARS.len() + usize::from(attrs.flag(0, false))
}

fn infer<O: Rule>(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    const FLOATS: &[DType] = &[DType::F32, DType::F64];
    check_scalar(O::NAME, "learning_rate", ins.first(), FLOATS)?;
    check_scalar(O::NAME, "iterations", ins.get(1), &[DType::I64])?;
    for (i, name) in O::SCALARS.iter().enumerate() {
        check_scalar(O::NAME, name, ins.get(2 + i), FLOATS)?;
    }
    O::check(&Own(attrs)).map_err(|what| Fault::Value(format!("{}: {what}", O::NAME)))?;
    let (from, kinds) = (heads::<O>(attrs), O::slots(attrs).len() + 1);
    let n = inouts.len() / kinds;
    let streams = &ins[from.min(ins.len())..];
    if inouts.len() != n * kinds || streams.len() != n * O::READS.len() {
        return Err(Fault::Value(format!(
            "{}: expected for each parameter {} to read ({}) and {} to update (the parameter{}{}), got {} and {}",
            O::NAME,
            O::READS.len(),
            O::READS.join(", "),
            kinds,
            if kinds == 1 { "" } else { ", " },
            O::slots(attrs).join(", "),
            streams.len(),
            inouts.len(),
        )));
    }
    for (i, param) in inouts[..n].iter().enumerate() {
        if !matches!(param.dtype, DType::F32 | DType::F64) {
            return Err(Fault::Type(format!(
                "{}: parameter {i} must be float32 or float64, got {}; keep master weights in float32",
                O::NAME,
                param.dtype.name()
            )));
        }
        let read = O::READS.iter().enumerate().map(|(k, what)| (what, streams[k * n + i]));
        let kept = O::slots(attrs).iter().enumerate().map(|(k, what)| (what, inouts[(k + 1) * n + i]));
        if let Some((what, other)) = read.chain(kept).find(|(_, other)| other != param) {
            let kind = if other.shape == param.shape { Fault::Type } else { Fault::Value };
            return Err(kind(format!(
                "{}: the {what} of parameter {i} must be {param:?} as the parameter is, got {other:?}",
                O::NAME
            )));
        }
    }
    if attrs.flag(0, false) {
        check_factors(O::NAME, ins.get(from - 1), n)?;
    }
    if ![0, n].contains(&attrs.ints(3).len()) {
        let got = attrs.ints(3).len();
        return Err(Fault::Value(format!("{}: `decayed` must say for each of {n} parameters, got {got}", O::NAME)));
    }
    Ok(Vec::new())
}

/// Checks the factors of n gradients.
pub(super) fn check_factors(op: &str, factors: Option<&Meta>, n: usize) -> Result<(), Fault> {
    let float = |m: &Meta| matches!(m.dtype, DType::F32 | DType::F64);
    match factors {
        Some(m) if float(m) && (m.shape.is_empty() || m.shape[..] == [n]) => Ok(()),
        got => Err(Fault::Value(format!(
            "{op}: `factors` must be a float32 or float64 scalar or have one for each of {n} gradients, got {got:?}"
        ))),
    }
}

/// The factor of gradient `i`.
pub(super) fn factor(factors: Option<&View>, i: usize) -> f64 {
    factors.map_or(1.0, |f| {
        let i = if f.len() == 1 { 0 } else { i };
        if f.meta.dtype == DType::F32 { f64::from(f.read::<f32>()[i]) } else { f.read::<f64>()[i] }
    })
}

fn run<O: Rule>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let rate = scalar(&ins[0]);
    let t = ins[1].read::<i64>()[0].wrapping_add(1).max(1) as u64;
    let mut scalars = [0.0; 4];
    (0..O::SCALARS.len()).for_each(|i| scalars[i] = scalar(&ins[2 + i]));
    let make = |single| O::new(&Numbers { rate, t, scalars: &scalars, single }, &Own(attrs));
    let from = heads::<O>(attrs);
    let walk = Walk {
        part,
        ins: &ins[from..],
        outs,
        params: outs.len() / (O::slots(attrs).len() + 1),
        factors: attrs.flag(0, false).then(|| &ins[from - 1]),
        bound: Before::bound_of(attrs),
        decay: rate * attrs.float(2, 0.0),
        decayed: attrs.ints(3),
    };
    O::walk([make(true), make(false)], walk);
}

/// The operands of a call, and what is done before the formula.
pub(super) struct Walk<'a> {
    part: &'a Part<'a>,
    ins: &'a [View],
    outs: &'a [View],
    params: usize,
    factors: Option<&'a View>,
    bound: f64,
    decay: f64,
    decayed: &'a [i64],
}

impl Walk<'_> {
    /// Walks with J streams that are read and K slots; the rules are for float32 and for float64.
    pub fn go<O: Rule, const J: usize, const K: usize>(self, rules: [O; 2]) {
        self.part.level.run(Walking::<'_, O, J, K> { walk: &self, rules });
    }
}

struct Walking<'a, O, const J: usize, const K: usize> {
    walk: &'a Walk<'a>,
    rules: [O; 2],
}

impl<O: Rule, const J: usize, const K: usize> Kernel for Walking<'_, O, J, K> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (walk, n) = (self.walk, self.walk.params);
        pieces(
            walk.part,
            &walk.outs[..n],
            #[inline(always)]
            |i, range| {
                let before = Before {
                    factor: factor(walk.factors, i),
                    bound: walk.bound,
                    decay: if walk.decayed.get(i) == Some(&0) { 0.0 } else { walk.decay },
                };
                // SAFETY: the pieces of different workers are disjoint, and so are the operands.
                unsafe {
                    if walk.outs[i].meta.dtype == DType::F32 {
                        let read = std::array::from_fn(|j| &walk.ins[j * n + i].read()[range.clone()]);
                        let slots = std::array::from_fn(|k| piece(walk.outs, (k + 1) * n + i, &range));
                        single::<S, O, J, K>(s, self.rules[0], before, read, piece(walk.outs, i, &range), slots);
                    } else {
                        let read = std::array::from_fn(|j| &walk.ins[j * n + i].read()[range.clone()]);
                        let slots = std::array::from_fn(|k| piece(walk.outs, (k + 1) * n + i, &range));
                        double::<O, J, K>(self.rules[1], before, read, piece(walk.outs, i, &range), slots);
                    }
                }
            },
        );
    }
}

/// What is done to a gradient and its weight before the formula. A factor of 1, a bound of infinity and a decay of 0 leave
/// every bit as it is, and cost nothing beside the memory's time.
#[derive(Clone, Copy)]
pub(super) struct Before {
    pub factor: f64,
    pub bound: f64,
    pub decay: f64,
}

impl Before {
    /// The bound that the common attributes give.
    pub fn bound_of(attrs: &Attrs) -> f64 {
        Some(attrs.float(1, 0.0)).filter(|&c| c > 0.0).unwrap_or(f64::INFINITY)
    }

    #[inline(always)]
    pub fn gradient<R: Real>(&self, r: R, g: R::V) -> R::V {
        let g = r.mul(g, r.of(self.factor));
        r.min(r.of(self.bound), r.max(r.of(-self.bound), g)) // NaN stays
    }

    #[inline(always)]
    fn weight<R: Real>(&self, r: R, w: R::V) -> R::V {
        r.sub(w, r.mul(w, r.of(self.decay)))
    }
}

#[inline(always)]
fn single<S: Lanes, O: Rule, const J: usize, const K: usize>(
    s: S,
    rule: O,
    before: Before,
    read: [&[f32]; J],
    weights: &mut [f32],
    mut slots: [&mut [f32]; K],
) {
    let len = weights.len();
    let ins: [*const f32; J] = std::array::from_fn(|j| read[j].as_ptr());
    let kept: [*mut f32; K] = std::array::from_fn(|k| slots[k].as_mut_ptr());
    let weights = weights.as_mut_ptr();
    vectors(
        S::N,
        len,
        #[inline(always)]
        |i, n| {
            // SAFETY: all streams have `len` elements, and i + n does not exceed it.
            unsafe {
                let mut x = [s.splat(0.0); J];
                (0..J).for_each(
                    #[inline(always)]
                    |j| x[j] = load(s, ins[j].add(i), n),
                );
                if J > 0 {
                    x[0] = before.gradient(Single(s), x[0]);
                }
                let mut y = [s.splat(0.0); K];
                (0..K).for_each(
                    #[inline(always)]
                    |k| y[k] = load(s, kept[k].add(i), n),
                );
                let weight = before.weight(Single(s), load(s, weights.add(i), n));
                let weight = rule.step(Single(s), &x, weight, &mut y);
                (0..K).for_each(
                    #[inline(always)]
                    |k| store(s, kept[k].add(i), y[k], n),
                );
                store(s, weights.add(i), weight, n);
            }
        },
    );
}

fn double<O: Rule, const J: usize, const K: usize>(
    rule: O,
    before: Before,
    read: [&[f64]; J],
    weights: &mut [f64],
    mut slots: [&mut [f64]; K],
) {
    for i in 0..weights.len() {
        let mut x: [f64; J] = std::array::from_fn(|j| read[j][i]);
        if J > 0 {
            x[0] = before.gradient(Double, x[0]);
        }
        let mut y: [f64; K] = std::array::from_fn(|k| slots[k][i]);
        weights[i] = rule.step(Double, &x, before.weight(Double, weights[i]), &mut y);
        (0..K).for_each(|k| slots[k][i] = y[k]);
    }
}
