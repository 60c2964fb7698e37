//! The optimizer rows: one call updates all parameters, in one pass over their memory.
//!
//! `walk` has the walk that all elementwise optimizers share, `rules` and `moments` their formulas, `norms` the sums that
//! clipping and Lamb need; here is what these use, and the counter. Each worker updates the part of a large parameter
//! that the products also give to it, and its share of all small ones together. Square roots and divisions are exact,
//! which keeps the bits equal on all levels.

use crate::dtype::{DType, Elem};
use crate::op::{Attrs, Fault, OpDef, Scratch};
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

pub mod factored;
pub mod moments;
pub mod norms;
pub mod rules;
mod walk;

/// The rows of this family.
pub static ROWS: &[OpDef] = &[OpDef {
    name: "increment",
    attrs: &["by"],
    layout: crate::Layout::Dense,
    infer: infer_increment,
    tasks: |_, _, _| 1,
    run: run_increment,
    ..OpDef::BASE
}];

/// Parameters are cut where it suits the vectors of every level and a cache line.
const LINE: usize = 16;

/// Elements of a parameter that each worker gets a part of.
const LARGE: usize = 1 << 12;

fn shares(outs: &[Meta], kinds: usize) -> usize {
    let total: usize = outs[..outs.len() / kinds].iter().map(|m| m.shape.count()).sum();
    (total / (1 << 13)).max(1)
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

/// Which operands may lie in panels: a parameter with all that is read or kept for it, all alike. `heads` come first.
fn orders(heads: usize, params: usize, ins: &[Meta], outs: &[Meta]) -> Vec<usize> {
    let number = |i: usize| if i < heads { 0 } else { (i - heads) % params.max(1) + 1 };
    (0..ins.len() + outs.len()).map(number).collect()
}

/// Visits the pieces of all parameters that lie in this worker's share: of large ones what the products also give to it
/// (so that it finds them in its cache), of the small ones a part of them all, one after another.
#[inline(always)]
fn pieces(part: &Part<'_>, params: &[View], mut visit: impl FnMut(usize, Range<usize>)) {
    let mut small = 0;
    for (i, p) in params.iter().enumerate() {
        match p.panels() {
            Some(panels) => panels.pieces(
                part.count,
                part.index,
                #[inline(always)]
                |range| visit(i, range),
            ),
            None if p.len() >= LARGE => visit(i, part.span(p.len(), LINE)),
            None => small += p.len(),
        }
    }
    let share = part.span(small, LINE);
    let mut start = 0;
    for (i, p) in params.iter().enumerate().filter(|(_, p)| p.panels().is_none() && p.len() < LARGE) {
        let (from, to) = (share.start.max(start), share.end.min(start + p.len()));
        if from < to {
            visit(i, from - start..to - start);
        }
        start += p.len();
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
