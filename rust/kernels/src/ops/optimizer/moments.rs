//! The formulas of Adam's relatives: g gradient, w weight, η learning rate, m and v moments, t the step.

use super::walk::{Numbers, Own, Rule, Walk, attributes, row};
use crate::op::{Attrs, OpDef};
use crate::ops::real::Real;

/// The rows.
pub static ROWS: &[OpDef] = &[row::<Adam>(), row::<Nadam>(), row::<Adamax>(), row::<ScheduleFree>(), row::<Lamb>()];

/// What the relatives of Adam share: m += (1 − β₁)(g − m), v += (1 − β₂)(g² − v).
#[derive(Clone, Copy)]
pub(super) struct Betas {
    keep_1: f64,
    keep_2: f64,
}

/// Their attributes, the first of each such rule.
pub(super) const BETAS: &[(usize, &str)] = &[(0, "beta_1"), (1, "beta_2")];

impl Betas {
    pub(super) fn new(own: &Own<'_>) -> Self {
        Betas { keep_1: 1.0 - own.float(0), keep_2: 1.0 - own.float(1) }
    }

    #[inline(always)]
    pub(super) fn first<R: Real>(&self, r: R, m: R::V, g: R::V) -> R::V {
        r.towards(m, g, self.keep_1)
    }

    #[inline(always)]
    pub(super) fn second<R: Real>(&self, r: R, v: R::V, g: R::V) -> R::V {
        r.towards(v, r.mul(g, g), self.keep_2)
    }
}

/// w −= α m / (√v + ε), α = η √(1 − β₂ᵗ) / (1 − β₁ᵗ). Kingma and Ba 2015, section 2, the form with one step size. AMSGrad
/// (Reddi et al. 2018) divides by the root of the largest v so far.
#[derive(Clone, Copy)]
struct Adam {
    betas: Betas,
    alpha: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl Rule for Adam {
    const NAME: &'static str = "adam";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon", "amsgrad"];
    const FLOPS: u64 = 12;

    fn slots(attrs: &Attrs) -> &'static [&'static str] {
        &["first moment", "second moment", "maximum"][..2 + usize::from(Own(attrs).flag(3))]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.shares(BETAS).and(own.sizes(&[(2, "epsilon")]))
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let alpha = n.alpha(own.float(0), own.float(1));
        Adam { betas: Betas::new(own), alpha, epsilon: own.float(2), amsgrad: own.flag(3) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        if rules[0].amsgrad { walk.go::<Self, 1, 3>(rules) } else { walk.go::<Self, 1, 2>(rules) }
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        slots[0] = self.betas.first(r, slots[0], x[0]);
        slots[1] = self.betas.second(r, slots[1], x[0]);
        let mut scale = slots[1];
        if slots.len() > 2 {
            slots[2] = r.max(slots[2], scale);
            scale = slots[2];
        }
        r.sub(w, r.div(r.mul(r.of(self.alpha), slots[0]), r.add(r.sqrt(scale), r.of(self.epsilon))))
    }
}

/// With u = β₁ (1 − 0.96ᵗ / 2), u' the same of the next step, U the product of all u so far:
/// w −= η (u' m / (1 − U u') + (1 − u) g / (1 − U)) / (√(v / (1 − β₂ᵗ)) + ε). Dozat 2016.
#[derive(Clone, Copy)]
struct Nadam {
    betas: Betas,
    of_m: f64,
    of_g: f64,
    epsilon: f64,
}

impl Rule for Nadam {
    const NAME: &'static str = "nadam";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon"];
    const SCALARS: &'static [&'static str] = &["u_product"];
    const FLOPS: u64 = 15;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["first moment", "second moment"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.shares(BETAS).and(own.sizes(&[(2, "epsilon")]))
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let u = |t| own.float(0) * (1.0 - 0.5 * super::power(0.96, t));
        let (now, next, product) = (u(n.t), u(n.t + 1), n.scalars[0]);
        let root = n.left(own.float(1)).sqrt(); // of 1 − β₂ᵗ, outside of the quotient
        Nadam {
            betas: Betas::new(own),
            of_m: root * n.rate * next / (1.0 - product * next),
            of_g: root * n.rate * (1.0 - now) / (1.0 - product),
            epsilon: root * own.float(2),
        }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 2>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        slots[0] = self.betas.first(r, slots[0], x[0]);
        slots[1] = self.betas.second(r, slots[1], x[0]);
        let step = r.fma(r.of(self.of_m), slots[0], r.mul(r.of(self.of_g), x[0]));
        r.sub(w, r.div(step, r.add(r.sqrt(slots[1]), r.of(self.epsilon))))
    }
}

/// u = max(β₂ u, |g|), w −= η / (1 − β₁ᵗ) · m / (u + ε). Kingma and Ba 2015, section 7.1.
#[derive(Clone, Copy)]
struct Adamax {
    betas: Betas,
    beta_2: f64,
    alpha: f64,
    epsilon: f64,
}

impl Rule for Adamax {
    const NAME: &'static str = "adamax";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon"];
    const FLOPS: u64 = 10;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["first moment", "norm"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.shares(BETAS).and(own.sizes(&[(2, "epsilon")]))
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let (betas, beta_2) = (Betas::new(own), own.float(1));
        Adamax { betas, beta_2, alpha: n.rate / n.left(own.float(0)), epsilon: own.float(2) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 2>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        slots[0] = self.betas.first(r, slots[0], x[0]);
        slots[1] = r.max(r.mul(r.of(self.beta_2), slots[1]), r.abs(x[0])); // NaN in g stays
        r.sub(w, r.div(r.mul(r.of(self.alpha), slots[0]), r.add(slots[1], r.of(self.epsilon))))
    }
}

/// Schedule-free AdamW: z −= η g / (√(v / (1 − β₂ᵗ)) + ε), x += (z − x) / t, y = (1 − β₁) z + β₁ x. The weight holds y, the
/// point where gradients are taken, from which x = (y − (1 − β₁) z) / β₁ follows; or x itself, if `averaged` says so.
/// Defazio et al. 2024.
#[derive(Clone, Copy)]
struct ScheduleFree {
    betas: Betas,
    scale: f64,
    share: f64,
    epsilon: f64,
    averaged: bool,
}

impl Rule for ScheduleFree {
    const NAME: &'static str = "schedule_free_adamw";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon", "warmup_steps"];
    const SCALARS: &'static [&'static str] = &["averaged"];
    const FLOPS: u64 = 18;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &["unaveraged weight", "second moment"]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        if !(own.float(0) > 0.0 && own.float(0) <= 1.0) {
            return Err(format!("`beta_1` must lie in (0, 1], got {}", own.float(0)));
        }
        own.shares(&BETAS[1..]).and(own.sizes(&[(2, "epsilon"), (3, "warmup_steps")]))
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let warmth = if own.float(3) > 0.0 { (n.t as f64 / own.float(3)).min(1.0) } else { 1.0 };
        let root = n.left(own.float(1)).sqrt(); // of 1 − β₂ᵗ, outside of the quotient
        ScheduleFree {
            betas: Betas::new(own),
            scale: root * n.rate * warmth,
            share: 1.0 / n.t as f64,
            epsilon: root * own.float(2),
            averaged: n.scalars[0] != 0.0,
        }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 1, 2>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, g: &[R::V], w: R::V, slots: &mut [R::V]) -> R::V {
        let (z, rest) = (slots[0], self.betas.keep_1);
        slots[1] = self.betas.second(r, slots[1], g[0]);
        let scale = r.add(r.sqrt(slots[1]), r.of(self.epsilon));
        slots[0] = r.sub(z, r.div(r.mul(r.of(self.scale), g[0]), scale));
        let x = if self.averaged { w } else { r.mul(r.sub(w, r.mul(r.of(rest), z)), r.of(1.0 / (1.0 - rest))) };
        r.towards(r.towards(x, slots[0], self.share), slots[0], rest)
    }
}

/// w −= η m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε), with m, times its factor, in the place of the gradient: the last of
/// Lamb's passes. You et al. 2020.
#[derive(Clone, Copy)]
struct Lamb {
    rate: f64,
    direction: Direction,
}

impl Rule for Lamb {
    const NAME: &'static str = "lamb";
    const ATTRS: &'static [&'static str] = attributes!["beta_1", "beta_2", "epsilon"];
    const READS: &'static [&'static str] = &["first moment", "second moment"];
    const FLOPS: u64 = 8;

    fn slots(_: &Attrs) -> &'static [&'static str] {
        &[]
    }
    fn check(own: &Own<'_>) -> Result<(), String> {
        own.shares(BETAS).and(own.sizes(&[(2, "epsilon")]))
    }
    fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        Lamb { rate: n.rate, direction: Direction::new(n, own) }
    }
    fn walk(rules: [Self; 2], walk: Walk<'_>) {
        walk.go::<Self, 2, 0>(rules);
    }
    #[inline(always)]
    fn step<R: Real>(&self, r: R, x: &[R::V], w: R::V, _: &mut [R::V]) -> R::V {
        r.sub(w, r.mul(r.of(self.rate), self.direction.of(r, x[0], x[1])))
    }
}

/// m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε), with the constants outside of the root and the quotient.
#[derive(Clone, Copy)]
pub(super) struct Direction {
    scale: f64,
    epsilon: f64,
}

impl Direction {
    /// From the attributes β₁, β₂ and ε.
    pub(super) fn new(n: &Numbers<'_>, own: &Own<'_>) -> Self {
        let root = n.left(own.float(1)).sqrt();
        Direction { scale: root / n.left(own.float(0)), epsilon: own.float(2) * root }
    }

    #[inline(always)]
    pub(super) fn of<R: Real>(&self, r: R, m: R::V, v: R::V) -> R::V {
        r.div(r.mul(m, r.of(self.scale)), r.add(r.sqrt(v), r.of(self.epsilon)))
    }
}
