//! The elementwise rows: an element of the result depends on the elements at the same place of the operands, which
//! are broadcast against each other as in NumPy. The operands of a row have one dtype, which is also the result's
//! unless a row says otherwise.

pub mod activation;
mod binary;
pub(crate) mod cast;
mod compare;
mod select;
#[cfg(test)]
mod tests;
mod unary;
mod walk;
mod wide;

use crate::dtype::DType;
use crate::op::{Fault, OpDef};
use crate::view::{Dims, MAX_RANK, Meta};

pub use activation::Activation;

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    unary::row::<unary::Negative>(),
    unary::row::<unary::Abs>(),
    unary::row::<unary::Sign>(),
    unary::row::<unary::Square>(),
    unary::row::<unary::Sqrt>(),
    unary::row::<unary::Rsqrt>(),
    unary::row::<unary::Reciprocal>(),
    unary::row::<unary::Exp>(),
    unary::row::<unary::Expm1>(),
    unary::row::<unary::Log>(),
    unary::row::<unary::Tanh>(),
    unary::row::<unary::Sigmoid>(),
    unary::row::<unary::Erf>(),
    unary::row::<unary::Softplus>(),
    unary::row::<unary::Relu>(),
    unary::row::<unary::Floor>(),
    unary::row::<unary::Ceil>(),
    unary::row::<unary::Round>(),
    wide::row::<wide::Log1p>(),
    wide::row::<wide::Log2>(),
    wide::row::<wide::Log10>(),
    wide::row::<wide::Sin>(),
    wide::row::<wide::Cos>(),
    wide::row::<wide::Tan>(),
    wide::row::<wide::Arcsin>(),
    wide::row::<wide::Arccos>(),
    wide::row::<wide::Arctan>(),
    wide::row::<wide::Sinh>(),
    wide::row::<wide::Cosh>(),
    wide::row::<wide::Arcsinh>(),
    wide::row::<wide::Arccosh>(),
    wide::row::<wide::Arctanh>(),
    binary::row::<binary::Add>(),
    binary::row::<binary::Subtract>(),
    binary::row::<binary::Multiply>(),
    binary::row::<binary::Divide>(),
    binary::row::<binary::Maximum>(),
    binary::row::<binary::Minimum>(),
    binary::row::<binary::Power>(),
    binary::row::<binary::FloorDivide>(),
    binary::row::<binary::Mod>(),
    binary::row::<binary::Arctan2>(),
    binary::ACTIVATION_GRAD,
    compare::row::<compare::Equal>(),
    compare::row::<compare::NotEqual>(),
    compare::row::<compare::Less>(),
    compare::row::<compare::LessEqual>(),
    compare::row::<compare::Greater>(),
    compare::row::<compare::GreaterEqual>(),
    compare::LOGICAL_AND,
    compare::LOGICAL_OR,
    compare::LOGICAL_XOR,
    compare::LOGICAL_NOT,
    compare::ISNAN,
    compare::ISINF,
    compare::ISFINITE,
    select::WHERE,
    cast::CAST,
];

/// The shape that operands of these shapes are broadcast to.
pub(crate) fn broadcast(name: &str, ins: &[Meta]) -> Result<Dims, Fault> {
    let rank = ins.iter().map(|m| m.shape.len()).max().unwrap_or(0);
    let mut sizes = [1; MAX_RANK];
    for m in ins {
        let lead = rank - m.shape.len();
        for (axis, &n) in m.shape.iter().enumerate() {
            let size = &mut sizes[lead + axis];
            if *size == 1 {
                *size = n;
            } else if n != 1 && n != *size {
                let shapes: Vec<String> = ins.iter().map(|m| format!("{:?}", &m.shape[..])).collect();
                return Err(Fault::Value(format!(
                    "{name}: Cannot broadcast shape, the failure dim has value {size}, which cannot be broadcasted \
                     to {n}. Input shapes are: {}.",
                    shapes.join(" and ")
                )));
            }
        }
    }
    Ok(Dims::new(&sizes[..rank]))
}

/// The operands, if there are `N` and all have one dtype out of `allowed`.
fn operands<'a, const N: usize>(name: &str, ins: &'a [Meta], allowed: &[DType]) -> Result<&'a [Meta; N], Fault> {
    let Ok(ins) = <&[Meta; N]>::try_from(ins) else {
        return Err(Fault::Value(format!("{name}: takes {N} operands, got {}", ins.len())));
    };
    for m in ins {
        if !allowed.contains(&m.dtype) {
            let names: Vec<&str> = allowed.iter().map(|d| d.name()).collect();
            let (got, names) = (m.dtype.name(), names.join(", "));
            return Err(Fault::Type(format!("{name}: expects one of {names}, got {got}; cast it first")));
        }
        if m.dtype != ins[0].dtype {
            let (a, b) = (ins[0].dtype.name(), m.dtype.name());
            return Err(Fault::Type(format!(
                "{name}: expects operands of one dtype, got {a} and {b}; cast one first"
            )));
        }
    }
    Ok(ins)
}

const FLOATS: &[DType] = &[DType::F32, DType::F64];
const NUMBERS: &[DType] = &[DType::F32, DType::F64, DType::I32, DType::I64];
