//! The optimizer rows: one call updates all parameters, in one pass over their memory.
//!
//! The work is cut over the concatenation of all parameters, so that a layer of millions and its bias of ten need no
//! balancing. Square roots and divisions are exact, which keeps the bits equal on all levels.

use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes, load, store};
use crate::op::{Attrs, Fault, OpDef, Scratch};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

pub mod moments;
pub mod norms;
mod real;
pub mod rules;
mod walk;

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "sgd",
        attrs: &["momentum", "nesterov"],
        layout: crate::Layout::Dense,
        infer: infer_sgd,
        tasks: |_, outs, attrs| shares(outs, slots_of_sgd(attrs) + 1),
        flops: |ins, _, _| 4 * ins.iter().map(|m| m.shape.count() as u64).sum::<u64>(),
        run: run_sgd,
        ..OpDef::BASE
    },
    OpDef {
        name: "adam",
        attrs: &["beta_1", "beta_2", "epsilon", "amsgrad"],
        layout: crate::Layout::Dense,
        infer: infer_adam,
        tasks: |_, outs, attrs| shares(outs, slots_of_adam(attrs) + 1),
        flops: |ins, _, _| 12 * ins.iter().map(|m| m.shape.count() as u64).sum::<u64>(),
        run: run_adam,
        ..OpDef::BASE
    },
    OpDef {
        name: "increment",
        attrs: &["by"],
        layout: crate::Layout::Dense,
        infer: infer_increment,
        tasks: |_, _, _| 1,
        run: run_increment,
        ..OpDef::BASE
    },
];

/// Parameters are cut where it suits the vectors of every level and a few cache lines.
const GRAIN: usize = 1024;

fn slots_of_sgd(attrs: &Attrs) -> usize {
    usize::from(attrs.float(0, 0.0) != 0.0)
}

fn slots_of_adam(attrs: &Attrs) -> usize {
    2 + usize::from(attrs.flag(3, false))
}

fn shares(outs: &[Meta], kinds: usize) -> usize {
    let total: usize = outs[..outs.len() / kinds].iter().map(|m| m.shape.count()).sum();
    (total / (1 << 13)).max(1)
}

/// Checks `[p1..pn, a1..an, …]` against the gradients `g1..gn`.
fn check(op: &str, grads: &[Meta], inouts: &[Meta], slots: &[&str]) -> Result<(), Fault> {
    let kinds = slots.len() + 1;
    if inouts.len() != kinds * grads.len() {
        return Err(Fault::Value(format!(
            "{op}: expected {kinds} operands to update for each gradient (the parameter{}{}), got {} for {} gradients",
            if slots.is_empty() { "" } else { ", " },
            slots.join(", "),
            inouts.len(),
            grads.len()
        )));
    }
    for (i, grad) in grads.iter().enumerate() {
        let param = inouts[i];
        if !matches!(param.dtype, DType::F32 | DType::F64) {
            return Err(Fault::Type(format!(
                "{op}: parameter {i} must be float32 or float64, got {}; keep master weights in float32",
                param.dtype.name()
            )));
        }
        let others = (1..kinds).map(|k| (slots[k - 1], inouts[k * grads.len() + i]));
        for (what, other) in std::iter::once(("gradient", *grad)).chain(others) {
            if other != param {
                let kind = if other.shape == param.shape { Fault::Type } else { Fault::Value };
                return Err(kind(format!(
                    "{op}: the {what} of parameter {i} must be {param:?} as the parameter is, got {other:?}"
                )));
            }
        }
    }
    Ok(())
}

fn check_scalar(op: &str, what: &str, m: Option<&Meta>, dtypes: &[DType]) -> Result<(), Fault> {
    match m {
        Some(m) if m.shape.is_empty() && dtypes.contains(&m.dtype) => Ok(()),
        got => {
            let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
            let got = got.map_or("nothing".to_string(), |m| format!("{m:?}"));
            Err(Fault::Value(format!("{op}: `{what}` must be a {} scalar, got {got}", names.join(" or "))))
        }
    }
}

/// A scalar operand of float32 or float64.
fn scalar(v: &View) -> f64 {
    match v.meta.dtype {
        DType::F32 => f64::from(v.read::<f32>()[0]),
        _ => v.read::<f64>()[0],
    }
}

/// Visits the pieces of all parameters that lie in this worker's share.
#[inline(always)]
fn pieces(part: &Part<'_>, params: &[View], mut visit: impl FnMut(usize, Range<usize>)) {
    let total = params.iter().map(View::len).sum();
    let share = part.span(total, GRAIN);
    let mut start = 0;
    for (i, p) in params.iter().enumerate() {
        let (from, to) = (share.start.max(start), share.end.min(start + p.len()));
        if from < to {
            visit(i, from - start..to - start);
        }
        start += p.len();
    }
}

// ---------------------------------------------------------------------------------------------------------------- SGD

fn infer_sgd(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_scalar("sgd", "learning_rate", ins.first(), &[DType::F32, DType::F64])?;
    let momentum = attrs.float(0, 0.0);
    if !(0.0..=1.0).contains(&momentum) {
        return Err(Fault::Value(format!("sgd: `momentum` must lie in [0, 1], got {momentum}")));
    }
    check("sgd", &ins[1..], inouts, &["velocity"][..slots_of_sgd(attrs)])?;
    Ok(Vec::new())
}

struct Sgd<'a> {
    part: &'a Part<'a>,
    grads: &'a [View],
    outs: &'a [View],
    rate: f64,
    momentum: f64,
    nesterov: bool,
}

fn run_sgd(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let (rate, momentum, nesterov) = (scalar(&ins[0]), attrs.float(0, 0.0), attrs.flag(1, false));
    part.level.run(Sgd { part, grads: &ins[1..], outs, rate, momentum, nesterov });
}

impl Kernel for Sgd<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let n = self.grads.len();
        let moving = self.momentum != 0.0;
        pieces(
            self.part,
            &self.outs[..n],
            #[inline(always)]
            |i, range| {
                // SAFETY: the pieces of different workers are disjoint, and so are parameters and velocities.
                unsafe {
                    match (self.outs[i].meta.dtype, moving) {
                        (DType::F32, false) => {
                            self.plain(s, &self.grads[i].read()[range.clone()], piece(self.outs, i, &range))
                        }
                        (DType::F32, true) => self.moving(
                            s,
                            &self.grads[i].read()[range.clone()],
                            piece(self.outs, i, &range),
                            piece(self.outs, n + i, &range),
                        ),
                        (_, false) => self.plain64(&self.grads[i].read()[range.clone()], piece(self.outs, i, &range)),
                        (_, true) => self.moving64(
                            &self.grads[i].read()[range.clone()],
                            piece(self.outs, i, &range),
                            piece(self.outs, n + i, &range),
                        ),
                    }
                }
            },
        );
    }
}

/// The piece of one operand that this worker updates.
///
/// # Safety
/// No other slice covers it.
#[inline(always)]
#[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
unsafe fn piece<'a, T: Elem>(outs: &'a [View], i: usize, range: &Range<usize>) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { outs[i].write(range.clone()) }
}

impl Sgd<'_> {
    /// p −= rate · g
    #[inline(always)]
    fn plain<S: Lanes>(&self, s: S, g: &[f32], p: &mut [f32]) {
        let rate = s.splat(-self.rate as f32);
        vectors::<S>(
            p.len(),
            #[inline(always)]
            |i, n| {
                // SAFETY: g and p have p.len() elements, and i + n does not exceed it.
                unsafe {
                    let (g, p) = (g.as_ptr().add(i), p.as_mut_ptr().add(i));
                    store(s, p, s.fma(rate, load(s, g, n), load(s, p, n)), n);
                }
            },
        );
    }

    /// v = momentum · v − rate · g; p += v, or with Nesterov's look ahead p += momentum · v − rate · g
    #[inline(always)]
    fn moving<S: Lanes>(&self, s: S, g: &[f32], p: &mut [f32], v: &mut [f32]) {
        let (rate, momentum) = (s.splat(-self.rate as f32), s.splat(self.momentum as f32));
        vectors::<S>(
            p.len(),
            #[inline(always)]
            |i, n| {
                // SAFETY: g, p and v have p.len() elements, and i + n does not exceed it.
                unsafe {
                    let (g, p, v) = (g.as_ptr().add(i), p.as_mut_ptr().add(i), v.as_mut_ptr().add(i));
                    let step = s.mul(rate, load(s, g, n));
                    let velocity = s.fma(momentum, load(s, v, n), step);
                    let ahead = if self.nesterov { s.fma(momentum, velocity, step) } else { velocity };
                    store(s, v, velocity, n);
                    store(s, p, s.add(load(s, p, n), ahead), n);
                }
            },
        );
    }

    #[inline(always)]
    fn plain64(&self, g: &[f64], p: &mut [f64]) {
        for (p, g) in p.iter_mut().zip(g) {
            *p -= self.rate * g;
        }
    }

    #[inline(always)]
    fn moving64(&self, g: &[f64], p: &mut [f64], v: &mut [f64]) {
        for ((p, v), g) in p.iter_mut().zip(v).zip(g) {
            let step = self.rate * g;
            *v = self.momentum * *v - step;
            *p += if self.nesterov { self.momentum * *v - step } else { *v };
        }
    }
}

/// Calls `f(i, n)` for each vector of `len` elements; n = N but for the last.
#[inline(always)]
fn vectors<S: Lanes>(len: usize, mut f: impl FnMut(usize, usize)) {
    let full = len - len % S::N;
    let mut i = 0;
    while i < full {
        f(i, S::N);
        i += S::N;
    }
    if i < len {
        f(i, len - i);
    }
}

// --------------------------------------------------------------------------------------------------------------- Adam

fn infer_adam(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    check_scalar("adam", "learning_rate", ins.first(), &[DType::F32, DType::F64])?;
    check_scalar("adam", "iterations", ins.get(1), &[DType::I64])?;
    for (i, name) in ["beta_1", "beta_2"].iter().enumerate() {
        let beta = attrs.float(i, f64::NAN);
        if !(0.0..1.0).contains(&beta) {
            return Err(Fault::Value(format!("adam: `{name}` must lie in [0, 1), got {beta}")));
        }
    }
    let epsilon = attrs.float(2, f64::NAN);
    if !(epsilon.is_finite() && epsilon >= 0.0) {
        return Err(Fault::Value(format!("adam: `epsilon` must be a finite number, not negative, got {epsilon}")));
    }
    check("adam", &ins[2..], inouts, &["first moment", "second moment", "maximum"][..slots_of_adam(attrs)])?;
    Ok(Vec::new())
}

/// Adam (Kingma and Ba 2015, section 2, the form with one step size): with t the number of this step,
/// m += (1 − β₁)(g − m), v += (1 − β₂)(g² − v), p −= α · m / (√v + ε), α = rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ).
/// AMSGrad (Reddi et al. 2018) divides by the largest v so far.
struct Adam<'a> {
    part: &'a Part<'a>,
    grads: &'a [View],
    outs: &'a [View],
    alpha: f32,
    alpha_double: f64,
    keep_1: f64,
    keep_2: f64,
    epsilon: f64,
    amsgrad: bool,
}

fn run_adam(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let (beta_1, beta_2) = (attrs.float(0, 0.9), attrs.float(1, 0.999));
    let t = ins[1].read::<i64>()[0].wrapping_add(1).max(1) as u64;
    let rate = scalar(&ins[0]);
    part.level.run(Adam {
        part,
        grads: &ins[2..],
        outs,
        alpha: step_size(rate as f32, beta_1 as f32, beta_2 as f32, t),
        alpha_double: rate * (1.0 - power(beta_2, t)).sqrt() / (1.0 - power(beta_1, t)),
        keep_1: 1.0 - beta_1,
        keep_2: 1.0 - beta_2,
        epsilon: attrs.float(2, 1e-7),
        amsgrad: attrs.flag(3, false),
    });
}

/// α for float32 parameters, in float32 as Keras computes it: in the first steps 1 − β₂ᵗ loses digits, and a model that is
/// trained here and there side by side must lose the same ones (α is common to all parameters, so the difference adds up
/// in every unit's input).
fn step_size(rate: f32, beta_1: f32, beta_2: f32, t: u64) -> f32 {
    let left = |beta: f32| 1.0 - power(f64::from(beta), t) as f32;
    rate * left(beta_2).sqrt() / left(beta_1)
}

/// x to the power n by squaring: the same bits everywhere, which a system's `pow` does not promise.
fn power(x: f64, mut n: u64) -> f64 {
    let (mut result, mut square) = (1.0, x);
    while n > 0 {
        if n & 1 == 1 {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    result
}

impl Kernel for Adam<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let n = self.grads.len();
        pieces(
            self.part,
            &self.outs[..n],
            #[inline(always)]
            |i, range| {
                // Without AMSGrad there are no maxima: the second moment's number stands in and is not used.
                let last = if self.amsgrad { 3 * n + i } else { 2 * n + i };
                // SAFETY: the pieces of different workers are disjoint, and so are the operands; `largest` is a slice of
                // its own, empty where there are no maxima.
                unsafe {
                    let largest = if self.amsgrad { range.clone() } else { 0..0 };
                    if self.outs[i].meta.dtype == DType::F32 {
                        let g: &[f32] = &self.grads[i].read()[range.clone()];
                        let slots = [piece(self.outs, n + i, &range), piece(self.outs, 2 * n + i, &range)];
                        self.single(s, g, piece(self.outs, i, &range), slots, piece(self.outs, last, &largest));
                    } else {
                        let g: &[f64] = &self.grads[i].read()[range.clone()];
                        let slots = [piece(self.outs, n + i, &range), piece(self.outs, 2 * n + i, &range)];
                        self.double(g, piece(self.outs, i, &range), slots, piece(self.outs, last, &largest));
                    }
                }
            },
        );
    }
}

impl Adam<'_> {
    #[inline(always)]
    fn single<S: Lanes>(&self, s: S, g: &[f32], p: &mut [f32], [m, v]: [&mut [f32]; 2], largest: &mut [f32]) {
        if self.amsgrad {
            self.vectors::<S, true>(s, g, p, [m, v], largest);
        } else {
            self.vectors::<S, false>(s, g, p, [m, v], largest);
        }
    }

    #[inline(always)]
    fn vectors<S: Lanes, const MAX: bool>(
        &self,
        s: S,
        g: &[f32],
        p: &mut [f32],
        [m, v]: [&mut [f32]; 2],
        largest: &mut [f32],
    ) {
        let (alpha, epsilon) = (s.splat(self.alpha), s.splat(self.epsilon as f32));
        let (keep_1, keep_2) = (s.splat(self.keep_1 as f32), s.splat(self.keep_2 as f32));
        vectors::<S>(
            p.len(),
            #[inline(always)]
            |i, n| {
                // SAFETY: g, p, m, v and, where used, `largest` have p.len() elements, and i + n does not exceed it.
                unsafe {
                    let (pp, pm, pv) = (p.as_mut_ptr().add(i), m.as_mut_ptr().add(i), v.as_mut_ptr().add(i));
                    let g = load(s, g.as_ptr().add(i), n);
                    let (m, v) = (load(s, pm, n), load(s, pv, n));
                    let m = s.fma(s.sub(g, m), keep_1, m);
                    let v = s.fma(s.sub(s.mul(g, g), v), keep_2, v);
                    store(s, pm, m, n);
                    store(s, pv, v, n);
                    let mut scale = v;
                    if MAX {
                        let pl = largest.as_mut_ptr().add(i);
                        scale = s.max(load(s, pl, n), v);
                        store(s, pl, scale, n);
                    }
                    let step = s.div(s.mul(alpha, m), s.add(s.sqrt(scale), epsilon));
                    store(s, pp, s.sub(load(s, pp, n), step), n);
                }
            },
        );
    }

    #[inline(always)]
    fn double(&self, g: &[f64], p: &mut [f64], [m, v]: [&mut [f64]; 2], largest: &mut [f64]) {
        for i in 0..p.len() {
            m[i] += (g[i] - m[i]) * self.keep_1;
            v[i] += (g[i] * g[i] - v[i]) * self.keep_2;
            let mut scale = v[i];
            if self.amsgrad {
                scale = if largest[i] > scale { largest[i] } else { scale };
                largest[i] = scale;
            }
            p[i] -= self.alpha_double * m[i] / (scale.sqrt() + self.epsilon);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- increment

fn infer_increment(ins: &[Meta], inouts: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    if !ins.is_empty() || inouts.len() != 1 {
        return Err(Fault::Value("increment: expected one variable, updated in place".to_string()));
    }
    let dtypes = [DType::I32, DType::I64, DType::F32, DType::F64];
    check_scalar("increment", "variable", inouts.first(), &dtypes)?;
    Ok(Vec::new())
}

fn run_increment(part: &Part<'_>, _: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    if part.index != 0 {
        return;
    }
    // SAFETY: the only worker, the only slice.
    unsafe {
        match outs[0].meta.dtype {
            DType::I32 => add(outs, |v: i32| v.wrapping_add(attrs.int(0, 1) as i32)),
            DType::I64 => add(outs, |v: i64| v.wrapping_add(attrs.int(0, 1))),
            DType::F32 => add(outs, |v: f32| v + attrs.float(0, 1.0) as f32),
            _ => add(outs, |v: f64| v + attrs.float(0, 1.0)),
        }
    }
}

/// # Safety
/// No other slice covers the operand.
unsafe fn add<T: Elem>(outs: &[View], f: impl Fn(T) -> T) {
    // SAFETY: the caller's promise.
    let cell = unsafe { outs[0].write::<T>(0..1) };
    cell[0] = f(cell[0]);
}

#[cfg(test)]
mod tests;
