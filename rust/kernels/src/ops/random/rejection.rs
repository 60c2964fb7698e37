//! Distributions drawn by trying: an element takes as many random bits as its tries need.
//!
//! The bits of element i are blocks of its own, number i + r · n of a draw of n elements for r = 0, 1, …, so it does not
//! matter who draws the others. Everything is in float64.

use super::{check_state, draw_of};
use crate::dtype::DType;
use crate::op::{Attrs, Fault, Scratch};
use crate::rng::Philox;
use crate::team::Part;
use crate::view::{Meta, View};

/// A state and the parameters, all of the result's shape and in float64.
fn infer(op: &str, ins: &[Meta], parameters: &[&str]) -> Result<Vec<Meta>, Fault> {
    check_state(op, ins.first())?;
    let given = &ins[1..];
    if given.len() != parameters.len() || given.iter().any(|m| m.dtype != DType::F64 || m.shape != given[0].shape) {
        return Err(Fault::Value(format!(
            "{op}: expected {} as float64 of one shape after the generator's state, got {given:?}",
            parameters.join(" and ")
        )));
    }
    Ok(vec![given[0]])
}

pub(super) fn infer_gamma(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    infer("random_gamma", ins, &["`alpha`"])
}

pub(super) fn infer_binomial(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    infer("random_binomial", ins, &["`counts`", "`probabilities`"])
}

pub(super) fn run_gamma(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let (alpha, log) = (ins[1].read::<f64>(), attrs.flag(0, false));
    each(part, &ins[0], &outs[0], |i, bits| {
        let (size, log_size) = gamma_variate(alpha[i], bits);
        if log { libm::log(size) + log_size } else { size * libm::exp(log_size) }
    });
}

pub(super) fn run_binomial(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    let (counts, probabilities) = (ins[1].read::<f64>(), ins[2].read::<f64>());
    each(part, &ins[0], &outs[0], |i, bits| binomial(counts[i], probabilities[i], bits));
}

fn each(part: &Part<'_>, state: &View, out: &View, element: impl Fn(usize, &mut Bits) -> f64) {
    let (count, draw) = (out.len(), draw_of(state));
    let share = part.span(count, 1);
    // SAFETY: the workers' shares are disjoint.
    let places = unsafe { out.write::<f64>(share.clone()) };
    for (i, place) in share.zip(places) {
        let mut bits = Bits { draw, next: i as u64, step: count as u64, kept: None };
        *place = element(i, &mut bits);
    }
}

/// One element's stream of random numbers: a block gives two of 53 bits.
struct Bits {
    draw: Philox,
    next: u64,
    step: u64,
    kept: Option<f64>,
}

impl Bits {
    /// A number in (0, 1].
    fn unit(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let [a, b, c, d] = self.draw.block(self.next).map(u64::from);
        self.next = self.next.wrapping_add(self.step);
        let number = |low: u64, high: u64| 1.0 - ((high << 32 | low) >> 11) as f64 / (1u64 << 53) as f64;
        self.kept = Some(number(c, d));
        number(a, b)
    }
}

/// A gamma variate of scale 1, as a factor and the logarithm of another: Marsaglia and Tsang 2000, "A simple method for
/// generating gamma variables". Below 1, the first is a variate for alpha + 1 and the second a uniform number to the
/// power 1 / alpha, which as a number would be 0 for a small alpha.
fn gamma_variate(alpha: f64, bits: &mut Bits) -> (f64, f64) {
    if !(alpha > 0.0 && alpha.is_finite()) {
        return (f64::NAN, 0.0);
    }
    let (shape, log_boost) = if alpha < 1.0 { (alpha + 1.0, libm::log(bits.unit()) / alpha) } else { (alpha, 0.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let radius = (-2.0 * libm::log(bits.unit())).sqrt();
        let x = radius * libm::cos(std::f64::consts::TAU * bits.unit());
        let (u, square, root) = (bits.unit(), x * x, 1.0 + c * x);
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        // Where the first holds, so does the second, which costs two logarithms.
        if u < 1.0 - 0.0331 * square * square || libm::log(u) < 0.5 * square + d * (1.0 - v + 3.0 * libm::log(root)) {
            return (d * v, log_boost);
        }
    }
}

/// The number of successes in `n` trials; a probability above one half counts the failures.
fn binomial(n: f64, p: f64, bits: &mut Bits) -> f64 {
    let n = n.floor();
    if !(n >= 0.0 && n.is_finite() && (0.0..=1.0).contains(&p)) {
        return f64::NAN;
    }
    let less = p.min(1.0 - p);
    let k = if n * less < 10.0 { binomial_by_inversion(n, less, bits) } else { binomial_by_rejection(n, less, bits) };
    if p > 0.5 { n - k } else { k }
}

/// Goes up from 0 until the probabilities add up to a uniform number.
fn binomial_by_inversion(n: f64, p: f64, bits: &mut Bits) -> f64 {
    let odds = p / (1.0 - p);
    let (mut rest, mut k) = (bits.unit(), 0.0);
    let mut share = libm::exp(n * libm::log1p(-p));
    while rest > share && k < n {
        rest -= share;
        k += 1.0;
        share *= odds * (n - k + 1.0) / k;
        if share == 0.0 {
            break; // what is left of `rest` is rounding
        }
    }
    k
}

/// Hörmann 1993, "The generation of binomial random variates", algorithm BTRS: a transformed density below which most
/// points lie; the others are compared with the ratio of the probabilities of k and of the mode.
fn binomial_by_rejection(n: f64, p: f64, bits: &mut Bits) -> f64 {
    let spread = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let scale = (2.83 + 5.1 / b) * spread;
    let odds = p / (1.0 - p);
    let mode = ((n + 1.0) * p).floor();
    let at_mode =
        stirling(mode) + stirling(n - mode) + (mode + 0.5) * libm::log((mode + 1.0) / (odds * (n - mode + 1.0)));
    loop {
        let (u, v) = (bits.unit() - 0.5, bits.unit());
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + n * p + 0.5).floor();
        if edge >= 0.07 && v <= 0.92 - 4.2 / b {
            return k;
        }
        if !(0.0..=n).contains(&k) {
            continue;
        }
        let bound = at_mode - stirling(k) - stirling(n - k)
            + (n + 1.0) * libm::log((n - mode + 1.0) / (n - k + 1.0))
            + (k + 0.5) * libm::log(odds * (n - k + 1.0) / (k + 1.0));
        if libm::log(v * scale / (a / (edge * edge) + b)) <= bound {
            return k;
        }
    }
}

/// What Stirling's formula leaves out: log k! - ((k + ½) log(k + 1) - (k + 1) + log √2π).
fn stirling(k: f64) -> f64 {
    let z = k + 1.0;
    if k < 10.0 {
        return libm::lgamma(z) - ((k + 0.5) * libm::log(z) - z + 0.5 * libm::log(std::f64::consts::TAU));
    }
    let w = 1.0 / (z * z);
    (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1260.0 - w / 1680.0))) / z
}
