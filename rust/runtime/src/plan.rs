//! From a recording to a plan: which calls matter, where each result lives in one arena, who does each call and where
//! the workers must meet.

use crate::buffer::Array;
use crate::door;
use crate::fuse::{chain, fuse};
use crate::os::ALIGN;
use crate::record::{Call, Operand, Slot};
use lumbre_kernels::{DType, Fault, Meta};
use std::collections::HashMap;

/// A call with its place in the plan.
pub struct Planned {
    /// The call.
    pub call: Call,
    /// Elementwise calls that are done with it, piece by piece.
    pub chain: Vec<Call>,
    /// Whether all workers take part; otherwise the first does it alone.
    pub shared: bool,
    /// Whether the workers must meet before it.
    pub barrier: bool,
    /// Its scratch memory in the arena: offset and bytes.
    pub scratch: (usize, usize),
}

impl Planned {
    /// A call that still has no place.
    pub fn new(call: Call) -> Planned {
        Planned { call, chain: Vec::new(), shared: false, barrier: false, scratch: (0, 0) }
    }

    /// The recorded calls that it stands for.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        std::iter::once(&self.call).chain(&self.chain)
    }

    /// All operands that are read.
    pub fn ins(&self) -> impl Iterator<Item = &Operand> {
        self.calls().flat_map(|c| &c.ins)
    }

    /// All operands that are written.
    pub fn outs(&self) -> impl Iterator<Item = &Operand> {
        self.calls().flat_map(|c| &c.outs)
    }

    /// How many workers it can keep busy.
    fn tasks(&self) -> usize {
        self.calls().map(|c| (c.op.tasks)(&metas(&c.ins), &metas(&c.outs), &c.attrs)).max().unwrap_or(1)
    }
}

/// The calls in order, and the memory they need.
pub struct Plan {
    /// What is left to do.
    pub calls: Vec<Planned>,
    /// The offset of each local slot in the arena.
    pub offsets: Vec<Option<usize>>,
    /// The arena's size.
    pub arena_bytes: usize,
    /// For each slot that may lie in panels: its group, whose members lie all alike.
    pub groups: Vec<Option<usize>>,
}

/// Makes a plan for a team of `workers`. Slots of folded calls become constants.
pub fn plan(calls: Vec<Call>, slots: &mut Vec<Slot>, outputs: &[Operand], workers: usize) -> Result<Plan, Fault> {
    let calls = drop_dead_calls(calls, slots, outputs);
    let mut calls = chain(fuse(fold_constants(calls, slots)?, slots, outputs));
    // Elementwise calls need none.
    let scratch: Vec<usize> = calls.iter().map(|p| scratch_of(&p.call, workers)).collect();
    // Scratch memory is a slot that lives for one call.
    let first_scratch = slots.len();
    slots.extend(scratch.iter().map(|&bytes| Slot::Local(bytes)));
    let (offsets, arena_bytes) = place(&calls, slots, outputs, first_scratch);
    for (i, call) in calls.iter_mut().enumerate() {
        call.scratch = (offsets[first_scratch + i].unwrap_or(0), scratch[i]);
    }
    let groups = groups(&calls, slots, outputs);
    schedule(&mut calls, &offsets, workers);
    Ok(Plan { calls, offsets, arena_bytes, groups })
}

/// Which slots may lie in panels, and which of them must then lie alike: a weight, its gradient and the optimizer's
/// slots. All that some call wants in row-major order stays so, with all that must be like it.
fn groups(calls: &[Planned], slots: &[Slot], outputs: &[Operand]) -> Vec<Option<usize>> {
    let mut leader: Vec<usize> = (0..slots.len()).collect();
    let find = |leader: &[usize], mut i: usize| {
        while leader[i] != i {
            i = leader[i];
        }
        i
    };
    let mut shape: Vec<Option<Meta>> = vec![None; slots.len()];
    let mut plain = vec![false; slots.len()];
    for call in calls.iter().flat_map(Planned::calls) {
        let numbers = (call.op.orders)(&metas(&call.ins), &metas(&call.outs), &call.attrs);
        let mut first = HashMap::new();
        for (i, operand) in call.ins.iter().chain(&call.outs).enumerate() {
            let number = numbers.get(i).copied().unwrap_or(0);
            let whole = operand.offset == 0 && operand.strides == operand.meta.shape.row_major();
            let matrix = operand.meta.dtype == DType::F32 && operand.meta.shape.len() == 2;
            let meta = *shape[operand.slot].get_or_insert(operand.meta);
            plain[operand.slot] |= number == 0 || !whole || !matrix || meta != operand.meta;
            let other = *first.entry(number).or_insert(operand.slot);
            if number != 0 {
                let (a, b) = (find(&leader, other), find(&leader, operand.slot));
                leader[b] = a;
            }
        }
    }
    outputs.iter().for_each(|o| plain[o.slot] = true);
    let mut excluded = vec![false; slots.len()];
    for (i, slot) in slots.iter().enumerate() {
        excluded[find(&leader, i)] |=
            plain[i] || shape[i].is_none() || !matches!(slot, Slot::Cell(_) | Slot::Local(_));
    }
    (0..slots.len()).map(|i| Some(find(&leader, i)).filter(|&g| !excluded[g])).collect()
}

/// The metas of operands.
pub fn metas(operands: &[Operand]) -> Vec<Meta> {
    operands.iter().map(|o| o.meta).collect()
}

fn scratch_of(call: &Call, workers: usize) -> usize {
    (call.op.scratch)(&metas(&call.ins), &metas(&call.outs), &call.attrs, workers)
}

/// Drops the calls whose results nothing uses. A call that updates a cell is always kept.
fn drop_dead_calls(calls: Vec<Call>, slots: &[Slot], outputs: &[Operand]) -> Vec<Call> {
    let mut used = vec![false; slots.len()];
    for output in outputs {
        used[output.slot] = true;
    }
    let mut kept: Vec<Call> = Vec::with_capacity(calls.len());
    for call in calls.into_iter().rev() {
        if call.inouts > 0 || call.outs.iter().any(|o| used[o.slot]) {
            for o in &call.ins {
                used[o.slot] = true;
            }
            kept.push(call);
        }
    }
    kept.reverse();
    kept
}

/// Does the calls that depend on constants only, now and once.
fn fold_constants(calls: Vec<Call>, slots: &mut [Slot]) -> Result<Vec<Call>, Fault> {
    let mut kept = Vec::with_capacity(calls.len());
    for call in calls {
        let ins: Option<Vec<Array>> = call.ins.iter().map(|o| constant(o, slots)).collect();
        match ins.filter(|_| call.inouts == 0) {
            Some(ins) => {
                let results = door::call(call.op, &ins.iter().collect::<Vec<_>>(), &[], call.attrs.clone())?;
                for (operand, result) in call.outs.iter().zip(results) {
                    slots[operand.slot] = Slot::Const(door::unfenced(&result)?.storage);
                }
            }
            None => kept.push(call),
        }
    }
    Ok(kept)
}

/// The operand as an array, if it is constant.
fn constant(operand: &Operand, slots: &[Slot]) -> Option<Array> {
    let Slot::Const(storage) = &slots[operand.slot] else { return None };
    let Operand { offset, meta, strides, .. } = *operand;
    Some(Array { storage: storage.clone(), offset, meta, strides, source: None })
}

/// The offset of each local slot in the arena (`None` for other slots and unused ones), and the arena's size.
///
/// A slot lives from the call that writes it to the last one that reads it; slots that live at the same time do not
/// overlap. Largest first, each at the lowest offset that is free for its whole life.
fn place(
    calls: &[Planned],
    slots: &[Slot],
    outputs: &[Operand],
    first_scratch: usize,
) -> (Vec<Option<usize>>, usize) {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; slots.len()];
    for (now, call) in calls.iter().enumerate() {
        // Scratch memory stays clear of the neighbours' too, so that it alone asks for no barrier.
        lives[first_scratch + now] = Some((now.saturating_sub(1), now + 1));
        for operand in call.outs().chain(call.ins()) {
            let life = lives[operand.slot].get_or_insert((now, now));
            life.1 = now;
        }
    }
    for output in outputs {
        if let Some(life) = &mut lives[output.slot] {
            life.1 = calls.len();
        }
    }
    struct Placed {
        life: (usize, usize),
        at: usize,
        end: usize,
    }
    let mut order: Vec<(usize, usize, (usize, usize))> = Vec::new(); // slot, bytes, life
    for (i, slot) in slots.iter().enumerate() {
        if let (Slot::Local(bytes @ 1..), Some(life)) = (slot, lives[i]) {
            order.push((i, bytes.next_multiple_of(ALIGN).max(ALIGN), life));
        }
    }
    order.sort_by_key(|&(i, bytes, _)| (std::cmp::Reverse(bytes), i));
    let mut offsets = vec![None; slots.len()];
    let mut placed: Vec<Placed> = Vec::new(); // by offset
    for (slot, bytes, life) in order {
        let mut at = 0;
        for other in placed.iter().filter(|p| p.life.0 <= life.1 && life.0 <= p.life.1) {
            if at + bytes <= other.at {
                break;
            }
            at = at.max(other.end);
        }
        offsets[slot] = Some(at);
        let index = placed.partition_point(|p| p.at <= at);
        placed.insert(index, Placed { life, at, end: at + bytes });
    }
    let size = placed.iter().map(|p| p.end).max().unwrap_or(0);
    (offsets, size)
}

/// Who touched what since the workers last met.
struct Touch {
    space: usize, // a slot, or the arena
    start: usize,
    end: usize,
    shared: bool,
}

const ARENA: usize = usize::MAX;

impl Touch {
    fn of(operand: &Operand, offsets: &[Option<usize>], shared: bool) -> Touch {
        match offsets[operand.slot] {
            Some(at) => {
                // Operands with strides are views into a slot: all of what they span counts.
                let reach = |sign: isize| -> usize {
                    let along = |(&n, &stride): (&usize, &isize)| {
                        if stride.signum() == sign { n.saturating_sub(1) * stride.unsigned_abs() } else { 0 }
                    };
                    operand.meta.shape.iter().zip(&operand.strides).map(along).sum()
                };
                let (first, size) = (at + operand.offset, operand.meta.dtype.size());
                Touch { space: ARENA, start: first - reach(-1) * size, end: first + (reach(1) + 1) * size, shared }
            }
            None => Touch { space: operand.slot, start: 0, end: 1, shared },
        }
    }

    /// Whether the two touches need an order that only a meeting gives: alone, the first worker keeps its own.
    fn conflicts(&self, other: &Touch) -> bool {
        self.space == other.space && self.start < other.end && other.start < self.end && (self.shared || other.shared)
    }
}

/// Decides who does each call, and where the workers must meet: before a call that reads what another worker may have
/// written since they last met, or writes what another may have read or written.
fn schedule(calls: &mut [Planned], offsets: &[Option<usize>], workers: usize) {
    let (mut reads, mut writes): (Vec<Touch>, Vec<Touch>) = (Vec::new(), Vec::new());
    for call in calls {
        let shared = workers > 1 && call.tasks() > 1;
        let touch = |o: &Operand| Touch::of(o, offsets, shared);
        let mut ins: Vec<Touch> = call.ins().map(touch).collect();
        let mut outs: Vec<Touch> = call.outs().map(touch).collect();
        let (start, bytes) = call.scratch;
        if bytes > 0 {
            outs.push(Touch { space: ARENA, start, end: start + bytes, shared });
        }
        let meets = |earlier: &[Touch], now: &[Touch]| earlier.iter().any(|e| now.iter().any(|n| e.conflicts(n)));
        let barrier = meets(&writes, &ins) || meets(&writes, &outs) || meets(&reads, &outs);
        if barrier {
            reads.clear();
            writes.clear();
        }
        reads.append(&mut ins);
        writes.append(&mut outs);
        (call.shared, call.barrier) = (shared, barrier);
    }
}
