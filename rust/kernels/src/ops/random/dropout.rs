//! Dropout (Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting"), inverted.
//!
//! No mask is stored: the row returns the state that it drew with, and the backward pass drops out the gradient with
//! it. Element `i` is kept if its 16 bits are not below `threshold` = rate · 65536, rounded; kept elements are divided
//! by exactly the probability with which they are kept.

use super::{check_state, draw_of};
use crate::dtype::DType;
use crate::lanes::{Kernel, Lanes, load, store};
use crate::op::{Attrs, Fault, Scratch};
use crate::rng::{BLOCKS, Philox, WORDS};
use crate::team::Part;
use crate::view::{Meta, View};

/// Elements that a group serves: two take the halves of each word, a row of the group apart.
const PER: usize = 2 * WORDS;

/// Values of a 16-bit draw.
const RANGE: u32 = 1 << 16;

/// Draws below it drop an element.
fn threshold(rate: f64) -> u32 {
    (rate * f64::from(RANGE)).round() as u32
}

/// What kept elements are multiplied by.
pub fn scale(rate: f64) -> f64 {
    let threshold = threshold(rate);
    if threshold < RANGE { f64::from(RANGE) / f64::from(RANGE - threshold) } else { 0.0 }
}

pub(super) fn infer(ins: &[Meta], inouts: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x, state] = ins else {
        return Err(Fault::Value(format!(
            "dropout: expected x and the generator's state, got {} operands",
            ins.len()
        )));
    };
    check_state("dropout", Some(state))?;
    if !inouts.is_empty() {
        return Err(Fault::Value("dropout: nothing is updated in place".to_string()));
    }
    if !matches!(x.dtype, DType::F32 | DType::F64) {
        return Err(Fault::Type(format!(
            "dropout: x must be float32 or float64, got {}; cast it first",
            x.dtype.name()
        )));
    }
    let rate = attrs.float(0, f64::NAN);
    if !(0.0..=1.0).contains(&rate) {
        return Err(Fault::Value(format!("dropout: `rate` must lie in [0, 1], got {rate}")));
    }
    Ok(vec![*x, *state])
}

pub(super) fn run(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    if part.index == 0 {
        // SAFETY: the first worker alone writes this result.
        unsafe { outs[1].write::<i64>(0..2) }.copy_from_slice(ins[1].read());
    }
    let rate = attrs.float(0, 0.0);
    let (threshold, scale) = (threshold(rate), scale(rate));
    let share = part.span(ins[0].len(), PER);
    let (draw, first) = (draw_of(&ins[1]), share.start / PER);
    // SAFETY: the workers' shares are disjoint.
    unsafe {
        if ins[0].meta.dtype == DType::F32 {
            let (x, y) = (&ins[0].read::<f32>()[share.clone()], outs[0].write::<f32>(share));
            part.level.run(Dropout { x, y, draw, first, threshold, scale: scale as f32 });
        } else {
            let (x, y) = (&ins[0].read::<f64>()[share.clone()], outs[0].write::<f64>(share));
            part.level.run(Dropout { x, y, draw, first, threshold, scale });
        }
    }
}

struct Dropout<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    draw: Philox,
    first: usize, // group
    threshold: u32,
    scale: T,
}

impl Kernel for Dropout<'_, f32> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        assert_eq!(self.x.len(), self.y.len());
        let (threshold, scale, zero) = (s.splat(self.threshold as f32), s.splat(self.scale), s.splat(0.0));
        let (x, y) = (self.x.as_ptr(), self.y.as_mut_ptr());
        for (g, start) in (0..self.y.len()).step_by(PER).enumerate() {
            let words = self.draw.group((self.first + g) as u64);
            for row in 0..PER / BLOCKS {
                for lane in (0..BLOCKS).step_by(S::N) {
                    let at = start + row * BLOCKS + lane;
                    if at >= self.y.len() {
                        return;
                    }
                    let n = S::N.min(self.y.len() - at);
                    // SAFETY: N of 16 words from `lane` on; elements at..at + n of x and y, which are as long.
                    unsafe {
                        let bits = s.bits(s.load(words[row / 2].as_ptr().add(lane).cast()));
                        let bits = if row % 2 == 0 { bits } else { s.isar::<16>(bits) };
                        let drawn = s.to_float(s.iand(bits, s.isplat(0xffff)));
                        let kept = s.mul(load(s, x.add(at), n), scale);
                        store(s, y.add(at), s.select(s.le(threshold, drawn), kept, zero), n);
                    }
                }
            }
        }
    }
}

impl Kernel for Dropout<'_, f64> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        for (g, (x, y)) in self.x.chunks(PER).zip(self.y.chunks_mut(PER)).enumerate() {
            let words = self.draw.group((self.first + g) as u64);
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                let (row, lane) = (i / BLOCKS, i % BLOCKS);
                let drawn = words[row / 2][lane] >> (16 * (row % 2)) & 0xffff;
                *y = if drawn >= self.threshold { x * self.scale } else { 0.0 };
            }
        }
    }
}
