//! From a recording to memory: which calls matter, and where each result lives in one arena.

use crate::os::ALIGN;
use crate::record::{Call, Operand, Slot};

/// Drops the calls whose results nothing uses. A call that updates a cell is always kept.
pub fn drop_dead_calls(calls: Vec<Call>, slots: &[Slot], outputs: &[Operand]) -> Vec<Call> {
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

/// The offset of each local slot in the arena (`None` for other slots and unused ones), and the arena's size.
///
/// A slot lives from the call that writes it to the last one that reads it; slots that live at the same time do not
/// overlap. Largest first, each at the lowest offset that is free for its whole life.
pub fn place(calls: &[Call], slots: &[Slot], outputs: &[Operand]) -> (Vec<Option<usize>>, usize) {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; slots.len()];
    for (now, call) in calls.iter().enumerate() {
        for operand in call.outs.iter().chain(&call.ins) {
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
        if let (Slot::Local(bytes), Some(life)) = (slot, lives[i]) {
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
