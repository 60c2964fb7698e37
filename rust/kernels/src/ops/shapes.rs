//! The shape rows: copying between layouts, making arrays, picking elements by index.

use crate::{Attrs, DType, Elem, Fault, Meta, OpDef, Part, Scratch, View};

mod copy;
mod create;
mod index;
mod rows;
pub(super) mod walk;

use copy::copy_along;
use walk::Axes;

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    COPY,
    ASSIGN,
    CONCATENATE,
    PLACE,
    create::FILL,
    create::IOTA,
    index::GATHER,
    index::SCATTER_ADD,
    index::ONE_HOT,
    rows::GATHER_ROWS,
];

/// Runs the expression with `$t` the whole-number type of the dtype's size: for what moves values as they are.
macro_rules! by_size {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            _ => {
                type $t = u64;
                $body
            }
        }
    };
}
use by_size;

/// An array's elements as they are.
trait Raw: Elem {
    /// The low bits.
    fn low(bits: u64) -> Self;
}

macro_rules! raw {
    ($($t:ty),*) => { $(impl Raw for $t {
        #[inline(always)]
        fn low(bits: u64) -> $t {
            bits as $t
        }
    })* };
}
raw!(u8, u16, u32, u64);

/// Attribute `i` as a shape.
fn shape_of(name: &str, attrs: &Attrs, i: usize) -> Result<Vec<usize>, Fault> {
    let given = attrs.ints(i);
    let sizes: Result<Vec<usize>, _> = given.iter().map(|&n| usize::try_from(n)).collect();
    sizes.map_err(|_| Fault::Value(format!("{name}: {given:?} is no shape, a size is negative")))
}

/// A result of this dtype and shape, if there can be one.
fn result(name: &str, dtype: DType, sizes: &[usize]) -> Result<Vec<Meta>, Fault> {
    if sizes.len() > crate::MAX_RANK {
        let (got, limit) = (sizes.len(), crate::MAX_RANK);
        return Err(Fault::Value(format!("{name}: the result would have {got} axes, the limit is {limit}")));
    }
    let bytes = sizes.iter().try_fold(dtype.size(), |n, &size| n.checked_mul(size.max(1)));
    match bytes {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(vec![Meta::new(dtype, sizes)]),
        _ => Err(Fault::Memory(format!("{name}: a result of shape {sizes:?} fits into no memory"))),
    }
}

/// Attribute `i` as a dtype.
fn dtype_of(name: &str, attrs: &Attrs, i: usize, allowed: &[DType]) -> Result<DType, Fault> {
    let given = DType::ALL.into_iter().find(|&d| d as i64 == attrs.int(i, -1));
    given.filter(|d| allowed.contains(d)).ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|d| d.name()).collect();
        let got = given.map_or("none", DType::name);
        Fault::Type(format!("{name}: makes {}, not {got}; cast the result", names.join(", ")))
    })
}

/// Attribute `i` as an axis of an operand of rank `rank`.
fn axis_of(name: &str, attrs: &Attrs, i: usize, rank: usize) -> Result<usize, Fault> {
    let axis = attrs.int(i, 0);
    let found = usize::try_from(axis).ok().filter(|&axis| axis < rank);
    found.ok_or_else(|| Fault::Index(format!("{name}: axis {axis} is out of range for rank {rank}")))
}

fn operands<const N: usize>(name: &str, ins: &[Meta]) -> Result<[Meta; N], Fault> {
    ins.try_into().map_err(|_| Fault::Type(format!("{name}: takes {N} operands, got {}", ins.len())))
}

/// The operand, dense.
const COPY: OpDef = OpDef {
    name: "copy",
    infer: |ins, _, _| Ok(operands::<1>("copy", ins)?.to_vec()),
    run: |part, ins, outs, _, _| copy_to(part, &ins[0], &outs[0]),
    ..OpDef::BASE
};

/// The operand's values into the one updated in place.
const ASSIGN: OpDef = OpDef {
    name: "assign",
    infer: |ins, inouts, _| {
        let [x] = operands("assign", ins)?;
        let [y] = operands("assign", inouts)?;
        if x != y {
            return Err(Fault::Value(format!(
                "assign: cannot put {x:?} into {y:?}; shape and dtype must be the same"
            )));
        }
        Ok(Vec::new())
    },
    run: |part, ins, outs, _, _| copy_to(part, &ins[0], &outs[0]),
    ..OpDef::BASE
};

fn copy_to(part: &Part<'_>, x: &View, y: &View) {
    let strides = y.meta.shape.row_major();
    let axes = Axes::of(y.shape(), [&strides, &x.strides]);
    // SAFETY: places of the two operands; the workers write disjoint ones.
    by_size!(y.meta.dtype, T => unsafe { copy_along::<T>(part, y.ptr(), x.ptr(), axes) });
}

/// The operands one after another along attribute `axis`.
const CONCATENATE: OpDef =
    OpDef { name: "concatenate", attrs: &["axis"], infer: infer_concatenate, run: run_concatenate, ..OpDef::BASE };

fn infer_concatenate(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [first, rest @ ..] = ins else {
        return Err(Fault::Value("concatenate: needs at least one operand".into()));
    };
    let axis = axis_of("concatenate", attrs, 0, first.shape.len())?;
    let mut sizes = first.shape.to_vec();
    for x in rest {
        let same = |i: usize| i == axis || x.shape[i] == first.shape[i];
        if x.dtype != first.dtype || x.shape.len() != sizes.len() || !(0..sizes.len()).all(same) {
            return Err(Fault::Value(format!(
                "concatenate: {first:?} and {x:?} differ in more than the size of axis {axis}"
            )));
        }
        sizes[axis] = sizes[axis].saturating_add(x.shape[axis]);
    }
    result("concatenate", first.dtype, &sizes)
}

fn run_concatenate(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let (y, axis) = (&outs[0], attrs.int(0, 0) as usize);
    let strides = y.meta.shape.row_major();
    let mut from = 0;
    for x in ins {
        let axes = Axes::of(x.shape(), [&strides, &x.strides]);
        // SAFETY: the operands' places along the axis follow one another inside the result; the workers write
        // disjoint ones.
        by_size!(y.meta.dtype, T => unsafe { copy_along::<T>(part, y.ptr::<T>().offset(from), x.ptr(), axes) });
        from += x.shape()[axis] as isize * strides[axis];
    }
}

/// An array of attribute `shape` full of `value`, but the operand at `starts`, every `steps`-th place along each axis
/// (negative: backwards). What padding is, and the gradient of slicing.
const PLACE: OpDef = OpDef {
    name: "place",
    attrs: &["shape", "starts", "steps", "value"],
    infer: infer_place,
    run: run_place,
    ..OpDef::BASE
};

fn infer_place(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x] = operands("place", ins)?;
    let shape = shape_of("place", attrs, 0)?;
    let (starts, steps, rank) = (attrs.ints(1), attrs.ints(2), x.shape.len());
    let inside = |i: usize| {
        let last = (x.shape[i] as i64 - 1).checked_mul(steps[i]).and_then(|way| way.checked_add(starts[i]));
        let valid = 0..shape[i] as i64;
        x.shape[i] == 0
            || (steps[i] != 0 && valid.contains(&starts[i]) && last.is_some_and(|last| valid.contains(&last)))
    };
    if [shape.len(), starts.len(), steps.len()] != [rank; 3] || !(0..rank).all(inside) {
        return Err(Fault::Value(format!("place: {x:?} at {starts:?} by {steps:?} does not fit into {shape:?}")));
    }
    create::bits_of("place", x.dtype, attrs, 3)?;
    result("place", x.dtype, &shape)
}

fn run_place(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    let (x, y) = (&ins[0], &outs[0]);
    create::fill(part, y, create::bits_of("place", y.meta.dtype, attrs, 3).unwrap_or(0));
    part.barrier();
    if x.is_empty() {
        return;
    }
    let (mut strides, mut from) = (y.meta.shape.row_major(), 0);
    for (i, stride) in strides[..x.shape().len()].iter_mut().enumerate() {
        from += *stride * attrs.ints(1)[i] as isize;
        *stride *= attrs.ints(2)[i] as isize;
    }
    let axes = Axes::of(x.shape(), [&strides, &x.strides]);
    // SAFETY: `infer` checked that all places are inside; the workers write disjoint ones.
    by_size!(y.meta.dtype, T => unsafe { copy_along::<T>(part, y.ptr::<T>().offset(from), x.ptr(), axes) });
}

#[cfg(test)]
mod tests;
