//! Activations that a product applies while it writes its result, and their derivatives by the result alone.

use crate::lanes::Lanes;
use crate::{math, op::Fault};

/// What `linear` may apply to x·W + b. As an attribute: its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Activation {
    /// x
    Linear = 0,
    /// max(x, 0)
    Relu = 1,
    /// tanh x
    Tanh = 2,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid = 3,
}

impl Activation {
    /// All of them, by number.
    pub const ALL: [Activation; 4] = [Activation::Linear, Activation::Relu, Activation::Tanh, Activation::Sigmoid];

    /// The activation with this number.
    pub fn from_number(name: &str, number: i64) -> Result<Activation, Fault> {
        let found = usize::try_from(number).ok().and_then(|i| Activation::ALL.get(i));
        found.copied().ok_or_else(|| {
            Fault::Value(format!("{name}: activation is 0 linear, 1 relu, 2 tanh or 3 sigmoid, got {number}"))
        })
    }

    /// The activation of x.
    #[inline(always)]
    pub fn apply<S: Lanes>(self, s: S, x: S::F) -> S::F {
        match self {
            Activation::Linear => x,
            Activation::Relu => s.max(s.splat(0.0), x), // NaN stays
            Activation::Tanh => math::tanh(s, x),
            Activation::Sigmoid => math::sigmoid(s, x),
        }
    }

    /// The gradient by x, from the gradient `g` by the result and the result `y`.
    #[inline(always)]
    pub fn grad_from_output<S: Lanes>(self, s: S, g: S::F, y: S::F) -> S::F {
        let one = s.splat(1.0);
        match self {
            Activation::Linear => g,
            Activation::Relu => s.select(s.lt(s.splat(0.0), y), g, s.splat(0.0)),
            Activation::Tanh => s.mul(g, s.fma(s.neg(y), y, one)),
            Activation::Sigmoid => s.mul(g, s.mul(y, s.sub(one, y))),
        }
    }

    /// [`Activation::apply`] in float64.
    pub fn apply_f64(self, x: f64) -> f64 {
        match self {
            Activation::Linear => x,
            Activation::Relu if x < 0.0 => 0.0,
            Activation::Relu => x,
            Activation::Tanh => libm::tanh(x),
            Activation::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        }
    }

    /// [`Activation::grad_from_output`] in float64.
    pub fn grad_from_output_f64(self, g: f64, y: f64) -> f64 {
        match self {
            Activation::Linear => g,
            Activation::Relu if y > 0.0 => g,
            Activation::Relu => 0.0,
            Activation::Tanh => g * (1.0 - y * y),
            Activation::Sigmoid => g * (y * (1.0 - y)),
        }
    }
}
