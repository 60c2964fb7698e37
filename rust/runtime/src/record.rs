//! Writing down the calls of a step.
//!
//! What a call's operand is follows from declared roles: the step's inputs are named before it starts, Variables are
//! cells, results of earlier calls are locals; any other storage is a constant. A step is trusted to repeat itself
//! once two recordings of it agree ([`Recording::disagreement`]).

use crate::buffer::{Array, Cell, Storage, fresh_id};
use lumbre_kernels::{Attrs, MAX_RANK, Meta, OpDef, row};
use std::collections::HashMap;
use std::sync::Arc;

/// What stands behind the operands of a recorded step.
pub enum Slot {
    /// The step's argument of this number.
    Input(usize),
    /// The state of a Variable, at whatever storage it holds when the program runs.
    Cell(Arc<Cell>),
    /// A storage that no call of the step made.
    Const(Arc<Storage>),
    /// The result of a call: so many bytes.
    Local(usize),
}

/// An operand: a view into a slot.
#[derive(Clone, PartialEq, Debug)]
pub struct Operand {
    /// Index of the slot.
    pub slot: usize,
    /// Bytes from the slot's start to the first element.
    pub offset: usize,
    /// Dtype and shape.
    pub meta: Meta,
    /// Strides in elements.
    pub strides: [isize; MAX_RANK],
}

/// One recorded call. `outs` holds first the operands updated in place, then the results.
pub struct Call {
    /// The row.
    pub op: &'static OpDef,
    /// Its attributes.
    pub attrs: Attrs,
    /// Operands that are read.
    pub ins: Vec<Operand>,
    /// Operands that are written.
    pub outs: Vec<Operand>,
    /// How many of `outs` are cells updated in place.
    pub inouts: usize,
}

/// The calls of one step.
pub struct Recording {
    /// In order.
    pub calls: Vec<Call>,
    /// What the operands refer to.
    pub slots: Vec<Slot>,
    by_storage: HashMap<u64, usize>,
    by_cell: HashMap<u64, (usize, u64)>, // cell id -> slot, version now
    updates: HashMap<(u64, u64), usize>, // cell id, version -> the call that replaced that version
    kept: HashMap<(u64, u64), usize>,    // cell id, replaced version -> slot with a copy of it
    bases: Vec<usize>,                   // per slot: where in its storage it begins
    first_id: u64,
    /// The step's arguments.
    pub inputs: Vec<Meta>,
    /// What the step returns.
    pub outputs: Vec<Operand>,
    broken: Option<String>,
}

impl Default for Recording {
    fn default() -> Self {
        Recording::new()
    }
}

impl Recording {
    /// An empty recording.
    pub fn new() -> Recording {
        Recording {
            calls: Vec::new(),
            slots: Vec::new(),
            by_storage: HashMap::new(),
            by_cell: HashMap::new(),
            updates: HashMap::new(),
            kept: HashMap::new(),
            bases: Vec::new(),
            first_id: fresh_id(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            broken: None,
        }
    }

    /// Names an array as the step's next input.
    pub fn input(&mut self, array: &Array) {
        let slot = self.add_slot(Slot::Input(self.inputs.len()), array.offset);
        self.inputs.push(array.meta);
        self.by_storage.insert(array.id(), slot);
    }

    /// Names an array as the step's next output. To be called after all calls.
    pub fn output(&mut self, array: &Array) {
        let operand = self.operand(array, &[]);
        self.outputs.push(operand);
    }

    fn add_slot(&mut self, slot: Slot, base: usize) -> usize {
        self.slots.push(slot);
        self.bases.push(base);
        self.slots.len() - 1
    }

    /// Why the step cannot be replayed, if so.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Notes that the step cannot be replayed. The first reason stands.
    pub fn break_off(&mut self, reason: String) {
        self.broken.get_or_insert(reason);
    }

    /// Notes that values of an array were read outside the kernels.
    pub fn value_read(&mut self, array: &Array) {
        if array.source.is_some() || self.by_storage.contains_key(&array.id()) {
            self.break_off(format!("the value of a tensor of shape {} was read in Python", array.meta.shape));
        }
    }

    pub(crate) fn add(
        &mut self,
        op: &'static OpDef,
        attrs: Attrs,
        ins: &[&Array],
        inouts: &[Arc<Cell>],
        results: &[Array],
    ) {
        let ins = ins.iter().map(|a| self.operand(a, inouts)).collect();
        let mut outs: Vec<Operand> = inouts.iter().map(|c| self.updated(c)).collect();
        for array in results {
            let slot = self.add_slot(Slot::Local(array.meta.bytes()), array.offset);
            self.by_storage.insert(array.id(), slot);
            outs.push(whole(slot, array.meta));
        }
        self.calls.push(Call { op, attrs, ins, outs, inouts: inouts.len() });
    }

    /// The operand that an array is, after the calls so far.
    /// `updating`: cells whose version has just been raised by the call that reads this array.
    fn operand(&mut self, array: &Array, updating: &[Arc<Cell>]) -> Operand {
        let slot = match (self.cell_slot(array, updating), self.by_storage.get(&array.id())) {
            (Some(slot), _) | (None, Some(&slot)) => slot,
            (None, None) => {
                let slot = self.add_slot(Slot::Const(array.storage.clone()), 0);
                self.by_storage.insert(array.id(), slot);
                slot
            }
        };
        let offset = array.offset - self.bases[slot];
        Operand { slot, offset, meta: array.meta, strides: array.strides }
    }

    /// The slot of the cell that the array was read from, or of a copy of what the cell held then; None if that was
    /// before the step.
    fn cell_slot(&mut self, array: &Array, updating: &[Arc<Cell>]) -> Option<usize> {
        let (cell, version) = array.source.as_ref()?;
        if let Some(&(slot, now)) = self.by_cell.get(&cell.id()) {
            return if now == *version { Some(slot) } else { self.kept_slot(cell, slot, *version) };
        }
        let raised = updating.iter().any(|c| Arc::ptr_eq(c, cell)) as u64;
        let now = cell.version() - raised;
        (now == *version).then(|| self.meet(cell, now))
    }

    /// A copy of what a cell held before an update of this step, made by a call that is put before the update.
    fn kept_slot(&mut self, cell: &Arc<Cell>, slot: usize, version: u64) -> Option<usize> {
        let key = (cell.id(), version);
        if let Some(&kept) = self.kept.get(&key) {
            return Some(kept);
        }
        let at = *self.updates.get(&key)?;
        let (op, meta) = (row("copy")?, cell.meta());
        let kept = self.add_slot(Slot::Local(meta.bytes()), 0);
        let (ins, outs) = (vec![whole(slot, meta)], vec![whole(kept, meta)]);
        self.calls.insert(at, Call { op, attrs: Attrs::default(), ins, outs, inouts: 0 });
        self.updates.values_mut().filter(|i| **i >= at).for_each(|i| *i += 1);
        self.kept.insert(key, kept);
        Some(kept)
    }

    fn meet(&mut self, cell: &Arc<Cell>, version: u64) -> usize {
        let slot = self.add_slot(Slot::Cell(cell.clone()), 0);
        self.by_cell.insert(cell.id(), (slot, version));
        slot
    }

    fn updated(&mut self, cell: &Arc<Cell>) -> Operand {
        let version = cell.version();
        self.updates.insert((cell.id(), version - 1), self.calls.len());
        let slot = match self.by_cell.get_mut(&cell.id()) {
            Some((slot, now)) => {
                *now = version;
                *slot
            }
            None => self.meet(cell, version),
        };
        whole(slot, cell.meta())
    }

    /// Whether a constant was made from Python values during this recording.
    fn is_host_made(&self, storage: &Storage) -> bool {
        storage.id() > self.first_id
    }

    /// What differs between two recordings of a step; None if they are the same.
    pub fn disagreement(&self, other: &Recording) -> Option<String> {
        if let Some(i) = (0..self.calls.len().min(other.calls.len())).find(|&i| !same_call(self, other, i)) {
            let (a, b) = (&self.calls[i], &other.calls[i]);
            return Some(if a.op.name == b.op.name {
                format!("call {i}, {}, had other operands or attributes the second time", a.op.name)
            } else {
                format!("call {i} was {} the first time and {} the second", a.op.name, b.op.name)
            });
        }
        if self.calls.len() != other.calls.len() {
            return Some(format!(
                "it made {} calls the first time and {} the second",
                self.calls.len(),
                other.calls.len()
            ));
        }
        if self.inputs != other.inputs || self.outputs != other.outputs {
            return Some("its inputs or outputs changed".into());
        }
        let differs = |(a, b): (&Slot, &Slot)| match (a, b) {
            (Slot::Input(i), Slot::Input(j)) => i != j,
            (Slot::Local(m), Slot::Local(n)) => m != n,
            (Slot::Cell(c), Slot::Cell(d)) => !Arc::ptr_eq(c, d),
            (Slot::Const(s), Slot::Const(t)) => !self.same_constant(s, other, t),
            _ => true,
        };
        let at = self.slots.iter().zip(&other.slots).position(differs)?;
        Some(match &self.slots[at] {
            Slot::Const(_) => "a tensor made from Python values changed between the two steps".into(),
            _ => "it used other variables the second time".into(),
        })
    }

    fn same_constant(&self, mine: &Arc<Storage>, other: &Recording, theirs: &Arc<Storage>) -> bool {
        let host_made = self.is_host_made(mine) && other.is_host_made(theirs);
        Arc::ptr_eq(mine, theirs) || (host_made && mine.content() == theirs.content())
    }
}

fn same_call(a: &Recording, b: &Recording, i: usize) -> bool {
    let (a, b) = (&a.calls[i], &b.calls[i]);
    std::ptr::eq(a.op, b.op) && a.attrs == b.attrs && a.ins == b.ins && a.outs == b.outs
}

fn whole(slot: usize, meta: Meta) -> Operand {
    Operand { slot, offset: 0, meta, strides: meta.shape.row_major() }
}
