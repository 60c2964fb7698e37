//! Running sums and products along an axis, from its start or (attribute `reverse`) from its end: one chain each.

use super::{NUMBERS, operand};
use crate::reduce::{Fold, Num, Prod, Sum};
use crate::{Attrs, DType, Fault, Kernel, Lanes, Layout, Meta, OpDef, Part, Scratch, View};
use std::marker::PhantomData;
use std::ops::Range;

const SCAN: OpDef = OpDef { attrs: &["axis", "reverse"], layout: Layout::Dense, in_place: Some(0), ..OpDef::BASE };

/// y[i] = x[0] + … + x[i]
pub const CUMSUM: OpDef =
    OpDef { name: "cumsum", infer: |ins, _, attrs| infer("cumsum", ins, attrs), run: run::<Sum>, ..SCAN };

/// y[i] = x[0] · … · x[i]
pub const CUMPROD: OpDef =
    OpDef { name: "cumprod", infer: |ins, _, attrs| infer("cumprod", ins, attrs), run: run::<Prod>, ..SCAN };

fn infer(name: &str, ins: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let x = operand(name, NUMBERS, ins)?;
    super::axis(name, x, attrs)?;
    Ok(vec![*x])
}

fn run<R: Fold>(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => scan::<f32, R>(part, &ins[0], &outs[0], attrs),
        DType::F64 => scan::<f64, R>(part, &ins[0], &outs[0], attrs),
        DType::I32 => scan::<i32, R>(part, &ins[0], &outs[0], attrs),
        _ => scan::<i64, R>(part, &ins[0], &outs[0], attrs),
    }
}

fn scan<T: Num, R: Fold>(part: &Part<'_>, x: &View, y: &View, attrs: &Attrs) {
    let axis = attrs.int(0, 0) as usize;
    let (n, inner) = (x.shape()[axis], x.shape()[axis + 1..].iter().product::<usize>());
    if x.is_empty() {
        return;
    }
    let range = part.span(x.len() / n, if inner == 1 { 1 } else { 16 });
    part.level.run(Scan { x, y, n, inner, reverse: attrs.flag(1, false), range, kinds: PhantomData::<(T, R)> });
}

struct Scan<'a, T, R> {
    x: &'a View,
    y: &'a View,
    n: usize,
    inner: usize,
    reverse: bool,
    /// Which of the (outer, inner) lines.
    range: Range<usize>,
    kinds: PhantomData<(T, R)>,
}

const TILE: usize = 256;

impl<T: Num, R: Fold> Kernel for Scan<'_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let mut at = self.range.start;
        while at < self.range.end {
            let (outer, column) = (at / self.inner, at % self.inner);
            let len = (self.range.end - at).min(TILE).min(self.inner - column);
            let mut acc = [R::start::<T>(); TILE];
            for i in 0..self.n {
                let r = if self.reverse { self.n - 1 - i } else { i };
                let start = (outer * self.n + r) * self.inner + column;
                // SAFETY: the workers' lines are disjoint, and x may be y, whose element is read before it is written.
                let (x, y) = unsafe { (self.x.ptr::<T>().add(start), self.y.ptr::<T>().add(start)) };
                for (j, acc) in acc[..len].iter_mut().enumerate() {
                    // SAFETY: as above; start + j is an element of both.
                    unsafe {
                        *acc = if i == 0 { *x.add(j) } else { R::join(*acc, *x.add(j)) };
                        *y.add(j) = *acc;
                    }
                }
            }
            at += len;
        }
    }
}
