//! The formulas of the elementwise optimizers, in the notation of their papers: g gradient, w weight, η learning rate.

use super::walk::{Numbers, Own, Rule, Walk, attributes, row};
use crate::op::{Attrs, OpDef};
use crate::ops::real::Real;

/// The rows.
pub static ROWS: &[OpDef] = &[
    row::<Sgd>(),
    row::<Rmsprop>(),
    row::<Adagrad>(),
    row::<Adadelta>(),
    row::<Ftrl>(),
    row::<Lion>(),
    row::<Average>(),
    row::<Decay>(),
];

/// w −= η g; with momentum v = μ v − η g, w += v, or with Nesterov's look ahead w += μ v − η g. Polyak 1964; Nesterov
/// 1983; Sutskever et al. 2013.
#[derive(Clone, Copy)]
struct Sgd {
    rate: f64,
    momentum: f64,
    nesterov: bool,
}

impl Rule for Sgd {
    const NAME: &'static str = "sgd";
    const ATTRS: &'static [&'static str] = attributes!["momentum", "nesterov"];
    const FLOPS: u64 = 4;

    fn slots(attrs: &Attrs) -> &'static [&'static str] {
        if Own(attrs).float(0) == 0.0 { &[] } else { &["velocity"] }
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        let momentum = own.float(0);
        if (0.0..=1.0).contains(&momentum) {
            Ok(())
        } else {
            Err(format!("`momentum` must lie in [0, 1], got {momentum}"))
        }
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        Sgd { rate: n.rate, momentum: own.float(0), nesterov: own.flag(1) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        if rules[0].momentum == 0.0 { walk.go::<Self, 1, 0>(rules) } else { walk.go::<Self, 1, 1>(rules) }
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        let (down, momentum) = (r.of(-self.rate), r.of(self.momentum));
        if slots.is_empty() {
            return r.fma(down, x[0], w);
        }
        let step = r.mul(down, x[0]);
        slots[0] = r.fma(momentum, slots[0], step);
        r.add(w, if self.nesterov { r.fma(momentum, slots[0], step) } else { slots[0] })
    }
}

/// v = ρ v + (1 − ρ) g², w −= η g / √(v + ε); centered: v − a² for v, with a = ρ a + (1 − ρ) g; with momentum
/// b = μ b + η g / √(v + ε), w −= b. Hinton et al. 2012; Graves 2013.
#[derive(Clone, Copy)]
struct Rmsprop {
    rate: f64,
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl Rule for Rmsprop {
    const NAME: &'static str = "rmsprop";
    const ATTRS: &'static [&'static str] = attributes!["rho", "momentum", "epsilon", "centered"];
    const FLOPS: u64 = 12;

    fn slots(attrs: &Attrs) -> &'static [&'static str] {
        match (Own(attrs).float(1) > 0.0, Own(attrs).flag(3)) {
            (false, false) => &["velocity"],
            (true, false) => &["velocity", "momentum"],
            (false, true) => &["velocity", "average gradient"],
            (true, true) => &["velocity", "average gradient", "momentum"],
        }
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.sizes(&[(0, "rho"), (1, "momentum"), (2, "epsilon")])
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let (rho, momentum, epsilon) = (own.float(0), own.float(1), own.float(2));
        Rmsprop { rate: n.rate, rho, momentum, epsilon, centered: own.flag(3) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        match usize::from(rules[0].momentum > 0.0) + usize::from(rules[0].centered) {
            0 => walk.go::<Self, 1, 1>(rules),
            1 => walk.go::<Self, 1, 2>(rules),
            _ => walk.go::<Self, 1, 3>(rules),
        }
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        slots[0] = r.mean(self.rho, slots[0], r.mul(x[0], x[0]));
        let mut spread = slots[0];
        if self.centered {
            slots[1] = r.mean(self.rho, slots[1], x[0]);
            spread = r.sub(spread, r.mul(slots[1], slots[1]));
        }
        let mut step = r.div(r.mul(r.of(self.rate), x[0]), r.sqrt(r.add(spread, r.of(self.epsilon))));
        if self.momentum > 0.0 {
            let last = slots.len() - 1;
            step = r.fma(r.of(self.momentum), slots[last], step);
            slots[last] = step;
        }
        r.sub(w, step)
    }
}

/// a += g², w −= η g / √(a + ε). Duchi et al. 2011.
#[derive(Clone, Copy)]
struct Adagrad {
    rate: f64,
    epsilon: f64,
}

impl Rule for Adagrad {
    const NAME: &'static str = "adagrad";
    const ATTRS: &'static [&'static str] = attributes!["epsilon"];
    const FLOPS: u64 = 7;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["accumulator"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.sizes(&[(0, "epsilon")])
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        Adagrad { rate: n.rate, epsilon: own.float(0) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 1>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        slots[0] = r.fma(x[0], x[0], slots[0]);
        r.sub(w, r.div(r.mul(r.of(self.rate), x[0]), r.sqrt(r.add(slots[0], r.of(self.epsilon)))))
    }
}

/// a = ρ a + (1 − ρ) g², δ = √(d + ε) / √(a + ε) · g, d = ρ d + (1 − ρ) δ², w −= η δ. Zeiler 2012.
#[derive(Clone, Copy)]
struct Adadelta {
    rate: f64,
    rho: f64,
    epsilon: f64,
}

impl Rule for Adadelta {
    const NAME: &'static str = "adadelta";
    const ATTRS: &'static [&'static str] = attributes!["rho", "epsilon"];
    const FLOPS: u64 = 15;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["accumulated gradient", "accumulated step"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.sizes(&[(0, "rho"), (1, "epsilon")])
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        Adadelta { rate: n.rate, rho: own.float(0), epsilon: own.float(1) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 2>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        let epsilon = r.of(self.epsilon);
        slots[0] = r.mean(self.rho, slots[0], r.mul(x[0], x[0]));
        let ratio = r.div(r.add(slots[1], epsilon), r.add(slots[0], epsilon));
        let step = r.mul(r.sqrt(ratio), x[0]);
        slots[1] = r.mean(self.rho, slots[1], r.mul(step, step));
        r.sub(w, r.mul(r.of(self.rate), step))
    }
}

/// a' = a + g², l += g + 2 s w − (a'ᵖ − aᵖ) / η · w, w = (clip(l, −l₁, l₁) − l) / (a'ᵖ / η + 2 l₂ + β / η), with p the
/// negative of `learning_rate_power` and s the shrinkage. McMahan et al. 2013.
#[derive(Clone, Copy)]
struct Ftrl {
    rate: f64,
    power: f64,
    l1: f64,
    l2: f64,
    shrinkage: f64,
}

impl Rule for Ftrl {
    const NAME: &'static str = "ftrl";
    const ATTRS: &'static [&'static str] = attributes!["learning_rate_power", "l1", "l2", "shrinkage", "beta"];
    const FLOPS: u64 = 20;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["accumulator", "linear term"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        if own.float(0).is_nan() || own.float(0) > 0.0 {
            return Err(format!("`learning_rate_power` must be negative or zero, got {}", own.float(0)));
        }
        own.sizes(&[(1, "l1"), (2, "l2"), (3, "shrinkage")])
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let l2 = own.float(2) + own.float(4) / (2.0 * n.rate);
        Ftrl { rate: n.rate, power: -own.float(0), l1: own.float(1), l2, shrinkage: own.float(3) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 2>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        let (per_rate, l1) = (r.of(1.0 / self.rate), r.of(self.l1));
        let grown = r.fma(x[0], x[0], slots[0]);
        let (after, before) = if self.power == 0.5 {
            (r.sqrt(grown), r.sqrt(slots[0]))
        } else {
            (r.power(grown, self.power), r.power(slots[0], self.power))
        };
        let g = r.fma(r.of(2.0 * self.shrinkage), w, x[0]);
        let pull = r.mul(r.mul(r.sub(after, before), per_rate), w);
        slots[0] = grown;
        slots[1] = r.add(slots[1], r.sub(g, pull));
        let within = r.min(l1, r.max(r.sub(r.of(0.0), l1), slots[1]));
        r.div(r.sub(within, slots[1]), r.fma(after, per_rate, r.of(2.0 * self.l2)))
    }
}

/// w −= η sign(β₁ m + (1 − β₁) g), m = β₂ m + (1 − β₂) g. Chen et al. 2023.
#[derive(Clone, Copy)]
struct Lion {
    rate: f64,
    beta_1: f64,
    beta_2: f64,
}

impl Rule for Lion {
    const NAME: &'static str = "lion";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2"];
    const FLOPS: u64 = 8;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["momentum"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.sizes(&[(0, "beta_1"), (1, "beta_2")])
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        Lion { rate: n.rate, beta_1: own.float(0), beta_2: own.float(1) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 1>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        let sign = r.sign(r.mean(self.beta_1, slots[0], x[0]));
        slots[0] = r.mean(self.beta_2, slots[0], x[0]);
        r.sub(w, r.mul(r.of(self.rate), sign))
    }
}

/// a = κ a + (1 − κ) w: the average a of a parameter w, which is in the place of the gradient; κ in that of the rate.
#[derive(Clone, Copy)]
struct Average {
    keep: f64,
}

impl Rule for Average {
    const NAME: &'static str = "average";
    const ATTRS: &'static [&'static str] = attributes![];
    const READS: &'static [&'static str] = &["parameter"];
    const FLOPS: u64 = 3;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &[]
    }
    fn new(n: &Numbers<'_>, _: &Own<'_>) -> Self {
        Average { keep: n.rate }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 0>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, _: &mut [R::V]) -> R::V {
        r.mean(self.keep, w, x[0])
    }
}

/// w −= η λ w: nothing but what the walk does before every formula.
#[derive(Clone, Copy)]
struct Decay;

impl Rule for Decay {
    const NAME: &'static str = "decay";
    const ATTRS: &'static [&'static str] = attributes![];
    const READS: &'static [&'static str] = &[];
    const FLOPS: u64 = 2;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &[]
    }
    fn new(_: &Numbers<'_>, _: &Own<'_>) -> Self {
        Decay
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 0, 0>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, _: R, _: &[R::V], w: R::V, _: &mut [R::V]) -> R::V {
        w
    }
}
