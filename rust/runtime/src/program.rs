//! A recorded step, ready to be played back for many batches in one call.

use crate::bound::{Bound, Link};
use crate::buffer::{Array, Cell, State, Storage};
use crate::door::lock_in_order;
use crate::pace::{Pace, Way};
use crate::plan::{Plan, Planned, metas, plan};
use crate::record::{Call, Operand, Recording, Slot};
use crate::timing::{Clock, Timing};
use crate::{door, pool};
use lumbre_kernels::{Attr, Attrs, DType, Fault, Meta, OpDef, Order, Part, Scratch, View, row};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// Where an input's values come from.
pub enum Feed {
    /// This array, the same for every step.
    Array(Array),
    /// Rows of this array, picked by the call's row numbers and converted to the input's dtype. `check` stops the
    /// replay before a batch that holds NaN or infinity.
    Rows {
        /// The data set: any dtype and strides; rows are its first axis.
        source: Array,
        /// Whether values must be finite.
        check: bool,
    },
}

/// What a replay did.
pub struct Replayed {
    /// Batches that were completed.
    pub steps: usize,
    /// The feed and the position in `rows` of a row with a value that is not finite; its batch was not begun.
    pub bad_row: Option<(usize, usize)>,
    /// The outputs: of all steps, one after another along the first axis, if asked for.
    pub outputs: Vec<Array>,
}

/// How a replay is to go.
pub struct Request<'a> {
    /// One per input of the step.
    pub feeds: &'a [Feed],
    /// Row numbers, `batch` for each step.
    pub rows: &'a [i64],
    /// Rows per step.
    pub batch: usize,
    /// Steps at most; at least one is made.
    pub steps: usize,
    /// The call ends at the first batch boundary after this time.
    pub budget: Duration,
    /// Whether outputs are wanted.
    pub keep_outputs: bool,
    /// A float64 scalar of the step: the call ends after the step that leaves something in it that is not finite.
    pub watched: Option<&'a Arc<Cell>>,
    /// Takes the times of calls; it was made for so many as the program has.
    pub timing: Option<&'a Timing>,
}

/// A call of a program, for profiles.
pub struct Described {
    /// The row, or those of a chain.
    pub name: String,
    /// Shapes of the operands that are read.
    pub shapes: Vec<String>,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes read and written, each operand counted once.
    pub bytes: u64,
    /// Whether all workers take part.
    pub shared: bool,
    /// Whether the workers meet before it.
    pub barrier: bool,
}

/// A step that can be replayed.
pub struct Program {
    calls: Vec<Planned>,
    slots: Vec<Slot>,
    offsets: Vec<Option<usize>>,
    inputs: Vec<Meta>,
    outputs: Vec<Operand>,
    cells: Vec<Arc<Cell>>,
    written: Vec<bool>, // per cell
    arena_bytes: usize,
    /// Per slot: the group that lies in panels or not, all alike.
    groups: Vec<Option<usize>>,
    workers: usize,
    pace: Pace,
    /// Arenas that no replay uses now.
    arenas: Mutex<Vec<Arc<Storage>>>,
}

impl Program {
    /// Plans a recording.
    pub fn new(recording: Recording) -> Result<Program, Fault> {
        let Recording { calls, mut slots, inputs, outputs, .. } = recording;
        let workers = pool::threads();
        let Plan { calls, offsets, arena_bytes, groups } = plan(calls, &mut slots, &outputs, workers)?;
        let (mut cells, mut written) = (Vec::new(), Vec::new());
        for (i, slot) in slots.iter().enumerate() {
            if let Slot::Cell(cell) = slot {
                cells.push(cell.clone());
                let writes = |p: &Planned| p.call.outs[..p.call.inouts].iter().any(|o| o.slot == i);
                written.push(calls.iter().any(writes));
            }
        }
        Ok(Program {
            calls,
            slots,
            offsets,
            inputs,
            outputs,
            cells,
            written,
            arena_bytes,
            groups,
            workers,
            pace: Pace::default(),
            arenas: Mutex::new(Vec::new()),
        })
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// The step's inputs.
    pub fn inputs(&self) -> &[Meta] {
        &self.inputs
    }

    /// The cells that the step reads or updates.
    pub fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    /// What each call is, in order.
    pub fn describe(&self) -> Vec<Described> {
        let flops = |c: &Call| (c.op.flops)(&metas(&c.ins), &metas(&c.outs), &c.attrs);
        let describe = |p: &Planned| Described {
            name: p.calls().map(|c| c.op.name).collect::<Vec<_>>().join(" + "),
            shapes: p.call.ins.iter().map(|o| o.meta.shape.to_string()).collect(),
            flops: p.calls().map(flops).sum(),
            // An operand updated in place is read and written.
            bytes: p.ins().chain(p.outs()).chain(&p.call.outs[..p.call.inouts]).map(|o| o.meta.bytes() as u64).sum(),
            shared: p.shared,
            barrier: p.barrier,
        };
        self.calls.iter().map(describe).collect()
    }

    /// Whether a change of the number of threads asks for a new plan.
    pub fn is_stale(&self) -> bool {
        self.workers != pool::threads()
    }

    /// Plays the step back.
    pub fn replay(&self, request: &Request<'_>) -> Result<Replayed, Fault> {
        self.check(request)?;
        let arena = self.take_arena()?;
        if door::checking() {
            // SAFETY: the arena is ours until it is given back. All ones is NaN in every floating-point format.
            unsafe { std::ptr::write_bytes(arena.ptr(), 0xff, arena.bytes()) };
        }
        let staged = Staged::new(self, request)?;
        let kept = self.allocate_outputs(request)?;
        let mut states = lock_in_order(&self.cells);
        let result = self.arrange(&mut states).and_then(|orders| {
            let bound = self.bind(&states, &orders, &arena, &staged);
            let watched =
                self.cells.iter().zip(&states).find(|(c, _)| request.watched.is_some_and(|w| Arc::ptr_eq(w, c)));
            self.run(request, &bound, &staged, &kept, watched.map(|(_, state)| &state.array))
        });
        if let Ok((steps, _)) = result {
            for (state, written) in states.iter_mut().zip(&self.written) {
                state.version += if *written { steps as u64 } else { 0 };
                state.note_steps(steps);
            }
        }
        drop(states);
        self.arenas.lock().unwrap_or_else(|e| e.into_inner()).push(arena);
        let (steps, bad_row) = result?;
        let outputs = kept.into_iter().map(|k| k.finish(steps)).collect();
        Ok(Replayed { steps, bad_row, outputs })
    }

    fn check(&self, request: &Request<'_>) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::Value(format!("replay: {what}")));
        if request.feeds.len() != self.inputs.len() {
            return wrong(format!("{} inputs expected, got {}", self.inputs.len(), request.feeds.len()));
        }
        for (i, (feed, meta)) in request.feeds.iter().zip(&self.inputs).enumerate() {
            let fits = match feed {
                Feed::Array(a) => a.meta == *meta && a.is_dense() && !a.is_dry(),
                Feed::Rows { source, .. } => {
                    let (rows, shape) = (&meta.shape, &source.meta.shape);
                    !shape.is_empty() && rows[0] == request.batch && shape[1..] == rows[1..]
                }
            };
            if !fits {
                return wrong(format!("input {i} must be {meta:?}"));
            }
        }
        if request.watched.is_some_and(|cell| cell.meta() != Meta::new(DType::F64, &[])) {
            return wrong("what is watched must be a float64 scalar".to_string());
        }
        if request.rows.len() < request.batch * request.steps || request.steps == 0 {
            return wrong(format!(
                "{} steps of {} rows, but {} row numbers",
                request.steps,
                request.batch,
                request.rows.len()
            ));
        }
        Ok(())
    }

    fn take_arena(&self) -> Result<Arc<Storage>, Fault> {
        let free = self.arenas.lock().unwrap_or_else(|e| e.into_inner()).pop();
        free.map_or_else(|| Storage::allocate(self.arena_bytes), Ok)
    }

    /// Decides the order of each group's elements, and brings the cells into it, each with a storage of its own if the
    /// step writes it.
    fn arrange(&self, states: &mut [RwLockWriteGuard<'_, State>]) -> Result<Vec<Order>, Fault> {
        let width = lumbre_kernels::gemm::panel_width(pool::level());
        let cell_slots = || (0..self.slots.len()).filter(|&i| matches!(self.slots[i], Slot::Cell(_)));
        let mut orders = vec![Order::Panels(width); self.slots.len()];
        for (slot, state) in cell_slots().zip(states.iter()) {
            // A single panel is row-major order.
            let narrow = state.array.meta.shape.last().is_none_or(|&cols| cols <= width);
            if let Some(group) = self.groups[slot].filter(|_| narrow || state.is_restless()) {
                orders[group] = Order::RowMajor;
            }
        }
        let orders = self.groups.iter().map(|group| group.map_or(Order::RowMajor, |g| orders[g])).collect::<Vec<_>>();
        for ((slot, state), written) in cell_slots().zip(states).zip(&self.written) {
            state.arrange(orders[slot])?;
            if *written {
                state.unshare()?;
            }
        }
        Ok(orders)
    }

    fn allocate_outputs(&self, request: &Request<'_>) -> Result<Vec<Kept>, Fault> {
        if !request.keep_outputs {
            return Ok(Vec::new());
        }
        self.outputs.iter().map(|o| Kept::allocate(o, request.steps)).collect()
    }

    fn bind<'a>(
        &'a self,
        states: &[RwLockWriteGuard<'_, State>],
        orders: &[Order],
        arena: &Storage,
        staged: &Staged,
    ) -> (Vec<Bound<'a>>, Vec<View>) {
        let mut cell = 0;
        let bases: Vec<*mut u8> = self
            .slots
            .iter()
            .enumerate()
            .map(|(i, slot)| match slot {
                Slot::Input(k) => staged.inputs[*k].ptr(),
                Slot::Cell(_) => {
                    cell += 1;
                    states[cell - 1].array.ptr()
                }
                Slot::Const(storage) => storage.ptr(),
                Slot::Local(_) => arena.ptr().wrapping_add(self.offsets[i].unwrap_or(0)),
            })
            .collect();
        // SAFETY: inputs, cells (locked), constants and the arena outlive the replay; the plan keeps locals that live
        // at the same time apart; a recorded call's outs are its own slots.
        let view = |o: &Operand| unsafe {
            View::new(bases[o.slot].wrapping_add(o.offset), o.meta, o.strides).ordered(orders[o.slot])
        };
        let link = |c: &'a Call| Link {
            op: c.op,
            attrs: &c.attrs,
            ins: c.ins.iter().map(view).collect(),
            outs: c.outs.iter().map(view).collect(),
        };
        let bound = |p: &'a Planned| Bound {
            links: p.calls().map(link).collect(),
            // SAFETY: a place of its own in the arena, as for `view`.
            scratch: unsafe { Scratch::new(arena.ptr().wrapping_add(p.scratch.0), p.scratch.1) },
            shared: p.shared,
            barrier: p.barrier,
        };
        (self.calls.iter().map(bound).collect(), self.outputs.iter().map(view).collect())
    }

    /// The steps, on all workers. Returns how many were completed, and a row that stopped them.
    fn run(
        &self,
        request: &Request<'_>,
        (calls, outputs): &(Vec<Bound<'_>>, Vec<View>),
        staged: &Staged,
        kept: &[Kept],
        watched: Option<&Array>,
    ) -> Result<(usize, Option<(usize, usize)>), Fault> {
        let watched = watched.map(|array| array.view());
        let broken = || watched.as_ref().is_some_and(|v| v.read::<f64>().iter().any(|x| !x.is_finite()));
        let start = Instant::now();
        let stop = AtomicBool::new(false);
        let done = AtomicUsize::new(0);
        let shared = calls.iter().any(|c| c.shared);
        let way = if shared { self.pace.next() } else { Way { as_team: false, trial: false } };
        let workers = if way.as_team { self.workers } else { 1 };
        let budget = if way.trial { request.budget / 4 } else { request.budget };
        pool::run(workers, &|part: &Part<'_>| {
            let solo = Part::solo(part.level);
            let mut clock = Clock::new(request.timing, part.index);
            for step in 0..request.steps {
                for gather in &staged.gathers {
                    gather.run(part, step);
                }
                part.barrier();
                if staged.gathers.iter().any(|g| g.bad().is_some()) {
                    return;
                }
                clock.gathered();
                for (i, call) in calls.iter().enumerate() {
                    if call.barrier {
                        part.barrier();
                        clock.waited(i);
                    }
                    if call.shared {
                        call.run(part);
                    } else if part.index == 0 {
                        call.run(&solo);
                    }
                    clock.worked(i);
                }
                part.barrier();
                if part.index == 0 {
                    for (keep, view) in kept.iter().zip(outputs) {
                        keep.store(view, step);
                    }
                    done.store(step + 1, Ordering::Relaxed);
                    stop.store(start.elapsed() >= budget || broken(), Ordering::Relaxed);
                }
                part.barrier();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        })?;
        let steps = done.into_inner();
        self.pace.note(way, start.elapsed(), steps);
        if let Some(timing) = request.timing {
            timing.note(steps, way.as_team);
        }
        let bad = staged.gathers.iter().find_map(|g| Some((g.input, steps * request.batch + g.bad()?)));
        Ok((steps, bad))
    }
}

/// The inputs' memory during a replay, and what fills it.
struct Staged {
    inputs: Vec<Array>,
    gathers: Vec<Gather>,
}

impl Staged {
    fn new(program: &Program, request: &Request<'_>) -> Result<Staged, Fault> {
        let op = row("gather_rows").ok_or_else(|| Fault::Runtime("the gather_rows row is missing".into()))?;
        let (mut inputs, mut gathers) = (Vec::new(), Vec::new());
        for (i, (feed, meta)) in request.feeds.iter().zip(&program.inputs).enumerate() {
            match feed {
                Feed::Array(array) => inputs.push(array.clone()),
                Feed::Rows { source, check } => {
                    let into = Array::allocate(*meta)?;
                    gathers.push(Gather::new(op, i, source, &into, *check, request)?);
                    inputs.push(into);
                }
            }
        }
        Ok(Staged { inputs, gathers })
    }
}

/// Fills an input with the rows of a step.
struct Gather {
    op: &'static OpDef,
    input: usize,
    attrs: Attrs,
    source: Array,
    into: Array,
    status: Array,
    rows: *const i64,
    batch: usize,
    shared: bool,
    /// Its own: gathers of several inputs run side by side.
    scratch: Arc<Storage>,
}

// SAFETY: `rows` points into the request, which outlives the replay, and is only read.
unsafe impl Sync for Gather {}

impl Gather {
    fn new(
        op: &'static OpDef,
        input: usize,
        source: &Array,
        into: &Array,
        check: bool,
        request: &Request<'_>,
    ) -> Result<Gather, Fault> {
        let attrs = Attrs(vec![Attr::Int(into.meta.dtype as i64), Attr::Int(check as i64)]);
        let ins = [source.meta, Meta::new(DType::I64, &[request.batch])];
        let outs = (op.infer)(&ins, &[], &attrs)?;
        Ok(Gather {
            op,
            input,
            source: source.clone(),
            into: into.clone(),
            status: crate::buffer::scalar(-1i64)?.reshape(&[1])?,
            rows: request.rows.as_ptr(),
            batch: request.batch,
            shared: (op.tasks)(&ins, &outs, &attrs) > 1,
            scratch: Storage::allocate((op.scratch)(&ins, &outs, &attrs, pool::threads()))?,
            attrs,
        })
    }

    fn run(&self, part: &Part<'_>, step: usize) {
        // SAFETY: `check` saw to it that there are `batch` row numbers for each step; read only.
        let rows = unsafe {
            let meta = Meta::new(DType::I64, &[self.batch]);
            View::new(self.rows.add(step * self.batch).cast_mut().cast(), meta, meta.shape.row_major())
        };
        let (ins, outs) = ([self.source.view(), rows], [self.into.view(), self.status.view()]);
        // SAFETY: this gather's own memory, held by it; gathers of consecutive steps are a barrier apart.
        let scratch = unsafe { Scratch::new(self.scratch.ptr(), self.scratch.bytes()) };
        if self.shared {
            (self.op.run)(part, &ins, &outs, &self.attrs, scratch);
        } else if part.index == 0 {
            (self.op.run)(&Part::solo(part.level), &ins, &outs, &self.attrs, scratch);
        }
    }

    /// The position in the batch of a row that is not acceptable.
    fn bad(&self) -> Option<usize> {
        // SAFETY: an int64 of our own, written by the gather before the barrier that precedes this.
        let status = unsafe { self.status.ptr().cast::<i64>().read() };
        usize::try_from(status).ok()
    }
}

/// An output kept: a place for its value at each step.
struct Kept {
    all: Array,
    bytes: usize,
    per_step: Meta,
}

impl Kept {
    fn allocate(output: &Operand, steps: usize) -> Result<Kept, Fault> {
        let per_step = output.meta;
        let mut shape = vec![steps];
        shape.extend_from_slice(&per_step.shape);
        door::check_result_rank(shape.len())?;
        let all = Array::allocate(Meta::new(per_step.dtype, &shape))?;
        Ok(Kept { all, bytes: per_step.bytes(), per_step })
    }

    /// Copies an output of a step to its place.
    fn store(&self, view: &View, step: usize) {
        let size = self.per_step.dtype.size();
        let to = self.all.ptr().wrapping_add(step * self.bytes);
        let from = view.address();
        if view.is_dense() {
            // SAFETY: `bytes` bytes of a dense value, into its own place among `steps`.
            unsafe { std::ptr::copy_nonoverlapping(from, to, self.bytes) };
            return;
        }
        let mut index = [0usize; lumbre_kernels::MAX_RANK];
        for i in 0..view.len() {
            let at: isize = (0..view.shape().len()).map(|a| index[a] as isize * view.strides[a]).sum();
            // SAFETY: an element of the view, and element i of its dense place.
            unsafe { std::ptr::copy_nonoverlapping(from.offset(at * size as isize), to.add(i * size), size) };
            for axis in (0..view.shape().len()).rev() {
                index[axis] += 1;
                if index[axis] < view.shape()[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }

    /// The values of the steps that were made: shape (steps, …).
    fn finish(self, steps: usize) -> Array {
        let rank = self.all.meta.shape.len();
        let mut counts = self.all.meta.shape.to_vec();
        counts[0] = steps;
        self.all.slice(&vec![0; rank], &counts, &vec![1; rank]).unwrap_or(self.all)
    }
}
