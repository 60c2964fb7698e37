//! Arrays out of nothing.

use super::{Raw, by_size, dtype_of, result, shape_of};
use crate::{Attr, Attrs, DType, Elem, Fault, OpDef, Part, View};

/// Attribute `shape` full of `value`.
pub const FILL: OpDef = OpDef {
    name: "fill",
    attrs: &["shape", "value", "dtype"],
    infer: |_, _, attrs| {
        let dtype = dtype_of("fill", attrs, 2, FILLED)?;
        bits_of("fill", dtype, attrs, 1)?;
        result("fill", dtype, &shape_of("fill", attrs, 0)?)
    },
    run: |part, _, outs, attrs, _| fill(part, &outs[0], bits_of("fill", outs[0].meta.dtype, attrs, 1).unwrap_or(0)),
    ..OpDef::BASE
};

/// All but the halves.
const FILLED: &[DType] = &[
    DType::Bool,
    DType::I8,
    DType::U8,
    DType::I16,
    DType::U16,
    DType::I32,
    DType::U32,
    DType::I64,
    DType::U64,
    DType::F32,
    DType::F64,
];

/// The bits of attribute `i` (0 if not given) as a value of the dtype, in the low bytes.
pub fn bits_of(name: &str, dtype: DType, attrs: &Attrs, i: usize) -> Result<u64, Fault> {
    let (value, zero) = (attrs.float(i, 0.0), matches!(attrs.0.get(i), None | Some(Attr::None)));
    let whole = attrs.int(i, 0);
    Ok(match dtype {
        _ if zero => 0,
        DType::Bool => (value != 0.0) as u64,
        DType::F32 => u64::from((value as f32).to_bits()),
        DType::F64 => value.to_bits(),
        DType::F16 | DType::BF16 if value == 0.0 => 0,
        DType::F16 | DType::BF16 => {
            return Err(Fault::Type(format!("{name}: no {} but zero; use float32 and cast", dtype.name())));
        }
        _ => whole as u64,
    })
}

/// Fills the workers' shares of an array with a value of these bits.
pub fn fill(part: &Part<'_>, out: &View, bits: u64) {
    let mine = part.span(out.len(), 64);
    // SAFETY: the workers' spans are disjoint.
    by_size!(out.meta.dtype, T => unsafe { out.write::<T>(mine) }.fill(T::low(bits)));
}

/// start, start + step, … : `size` numbers, computed in float64 for a floating-point dtype.
pub const IOTA: OpDef = OpDef {
    name: "iota",
    attrs: &["size", "start", "step", "dtype"],
    infer: |_, _, attrs| {
        let dtype = dtype_of("iota", attrs, 3, &[DType::F32, DType::F64, DType::I32, DType::I64])?;
        let size = attrs.int(0, 0);
        let n = usize::try_from(size).map_err(|_| Fault::Value(format!("iota: {size} is no size")))?;
        result("iota", dtype, &[n])
    },
    run: |part, _, outs, attrs, _| {
        let (start, step) = (attrs.float(1, 0.0), attrs.float(2, 1.0));
        let (first, by) = (attrs.int(1, 0), attrs.int(2, 1));
        let whole = |i: usize| first.wrapping_add(by.wrapping_mul(i as i64));
        match outs[0].meta.dtype {
            DType::F32 => number(part, &outs[0], |i| (start + i as f64 * step) as f32),
            DType::F64 => number(part, &outs[0], |i| start + i as f64 * step),
            DType::I32 => number(part, &outs[0], |i| whole(i) as i32),
            _ => number(part, &outs[0], whole),
        }
    },
    ..OpDef::BASE
};

fn number<T: Elem>(part: &Part<'_>, out: &View, f: impl Fn(usize) -> T) {
    let mine = part.span(out.len(), 64);
    // SAFETY: the workers' spans are disjoint.
    let values = unsafe { out.write::<T>(mine.clone()) };
    mine.zip(values).for_each(|(i, v)| *v = f(i));
}
