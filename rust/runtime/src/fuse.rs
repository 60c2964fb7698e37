//! Calls that become one, with the same bits: the derivative of an activation, and of a dropout after it, go into the
//! product that made the gradient; elementwise calls that follow each other become a chain, done piece by piece.

use crate::bound::MOST_READ;
use crate::plan::{Planned, metas};
use crate::record::{Call, Operand, Slot};
use lumbre_kernels::ops::elementwise::{self, Activation};
use lumbre_kernels::ops::random::dropout;
use lumbre_kernels::{Attr, Attrs, DType, row};

/// Replaces `matmul(dz, Wᵀ)`, perhaps `dropout`, and `activation_grad` of relu by `linear_grad_input`.
///
/// What a relu lets through is where its result is positive; with a dropout after it, where the dropped result is: so the
/// dropout's bits need not be drawn again.
pub fn fuse(calls: Vec<Call>, slots: &[Slot], outputs: &[Operand]) -> Vec<Call> {
    let mut uses = vec![0; slots.len()];
    let read = calls.iter().flat_map(|c| &c.ins).chain(outputs);
    read.for_each(|o| uses[o.slot] += 1);
    let mut calls: Vec<Option<Call>> = calls.into_iter().map(Some).collect();
    for at in 0..calls.len() {
        if let Some(found) = find(&calls, at, &uses) {
            let (product, gradient) = (calls[found.product].take(), calls[at].take());
            if let Some(at) = found.dropped {
                calls[at] = None;
            }
            if let (Some(mut call), Some(gradient), Some(op)) = (product, gradient, row("linear_grad_input")) {
                call.op = op;
                call.ins.push(found.gate);
                call.attrs = Attrs(vec![Attr::Float(found.scale)]);
                call.outs = gradient.outs;
                calls[at] = Some(call);
            }
        }
    }
    calls.into_iter().flatten().collect()
}

struct Found {
    product: usize,
    dropped: Option<usize>,
    gate: Operand,
    scale: f64,
}

/// The pattern that ends with call `at`.
fn find(calls: &[Option<Call>], at: usize, uses: &[usize]) -> Option<Found> {
    let last = calls[at].as_ref()?;
    let relu = Attr::Int(Activation::Relu as i64);
    if last.op.name != "activation_grad" || last.attrs.0.first() != Some(&relu) {
        return None;
    }
    // The call that made an operand for nobody else.
    let maker = |operand: &Operand| {
        let makes = |c: &Option<Call>| c.as_ref().is_some_and(|c| c.outs.first() == Some(operand));
        calls[..at].iter().position(makes).filter(|_| uses[operand.slot] == 1)
    };
    let (mut from, mut gate) = (maker(&last.ins[0])?, last.ins[1].clone());
    let (mut dropped, mut scale) = (None, 1.0);
    let back = calls[from].as_ref()?;
    if back.op.name == "dropout" && uses[back.outs[1].slot] == 0 {
        let forward = |c: &&Call| {
            c.op.name == "dropout" && c.outs[1] == back.ins[1] && c.ins[0] == gate && c.attrs == back.attrs
        };
        gate = calls[..from].iter().flatten().find(forward)?.outs[0].clone();
        scale = dropout::scale(back.attrs.float(0, 0.0));
        dropped = Some(from);
        from = maker(&back.ins[0])?;
    }
    let product = calls[from].as_ref()?;
    let untouched = |o: &Operand| calls[from..at].iter().flatten().all(|c| c.outs.iter().all(|w| w.slot != o.slot));
    let single = (product.op.orders)(&metas(&product.ins), &metas(&product.outs), &product.attrs) == [0, 1];
    let fits = product.op.name == "matmul"
        && gate.meta.dtype == DType::F32
        && !product.attrs.flag(0, false)
        && product.attrs.flag(1, false)
        && single
        && gate.meta == product.outs[0].meta
        && gate.strides == gate.meta.shape.row_major()
        && product.ins.iter().all(untouched);
    fits.then_some(Found { product: from, dropped, gate, scale })
}

/// Elements of a result from which on a chain pays: less stays in the cache by itself.
const LONG: usize = 1 << 12;

/// Joins elementwise calls that follow each other and whose results have one shape. A worker does all of them for a piece
/// of the elements, then for the next: what one call writes the next one reads from the cache, and nobody waits.
pub fn chain(calls: Vec<Call>) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::with_capacity(calls.len());
    for call in calls {
        match planned.last_mut().filter(|p| links(&p.call) && links(&call) && follows(&call, p)) {
            Some(previous) => previous.chain.push(call),
            None => planned.push(Planned::new(call)),
        }
    }
    planned
}

/// Whether a call can be part of a chain: elementwise, on dense operands of the result's shape and on single elements.
fn links(call: &Call) -> bool {
    let Some(out) = call.outs.first() else { return false };
    let dense = |o: &Operand| o.strides == o.meta.shape.row_major();
    let fits = |o: &Operand| o.meta.shape.count() == 1 || (o.meta.shape == out.meta.shape && dense(o));
    let known = elementwise::ROWS.iter().any(|op| std::ptr::eq(op, call.op));
    known
        && call.inouts == 0
        && call.ins.len() <= MOST_READ
        && out.meta.shape.count() >= LONG
        && call.ins.iter().all(fits)
}

/// Whether a call can be done for a piece as soon as the chain is: its result has the same shape, and it reads no single
/// element of what the chain makes.
fn follows(call: &Call, chain: &Planned) -> bool {
    let single = |o: &&Operand| o.meta.shape.count() == 1;
    let made = |o: &Operand| chain.outs().any(|out| out.slot == o.slot);
    call.outs[0].meta.shape == chain.call.outs[0].meta.shape && !call.ins.iter().filter(single).any(made)
}
