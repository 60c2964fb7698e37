//! Block sizes and who computes what: functions of the shapes, the level and the number of workers.

use super::tile::{Family, Width, family};
use crate::CHAIN;
use crate::isa::Level;
use std::ops::Range;

/// What is multiplied: sizes and strides, without the memory.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// How many such products; their C lie one after another.
    pub batch: usize,
    /// Elements of A from one row of C to the next, and from one term to the next.
    pub a: (usize, usize),
    /// Elements of B from one term to the next, and from one column of C to the next.
    pub b: (usize, usize),
}

impl Form {
    /// Products of dense row-major matrices: A is m×k, or k×m if it is read transposed; B k×n, or n×k.
    pub fn new(sizes: (usize, usize, usize), batch: usize, transposed: (bool, bool)) -> Form {
        let (m, n, k) = sizes;
        let a = if transposed.0 { (1, m) } else { (k, 1) };
        // A single column lies like a single row.
        let b = if transposed.1 && n != 1 && k != 1 { (1, k) } else { (n, 1) };
        Form { m, n, k, batch, a, b }
    }

    /// Multiply-adds of all products.
    pub fn work(&self) -> usize {
        self.batch.saturating_mul(self.m).saturating_mul(self.n).saturating_mul(self.k)
    }

    /// How many workers a product can keep busy.
    pub fn tasks(&self) -> usize {
        (self.work() / WORK_PER_TASK).max(1)
    }
}

/// Multiply-adds that are worth waking a worker for: a fraction of a microsecond.
const WORK_PER_TASK: usize = 50_000;

/// How the micro-kernel meets B.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// Where it lies.
    Direct,
    /// In a copy, panel by panel.
    Packed,
    /// In a transposed copy, panel by panel.
    Transposed,
}

/// How a product is computed.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub family: &'static Family,
    /// The tile that most of C is computed with: its index among the family's widths.
    pub width: usize,
    /// Workers along the rows of all products together, and along the columns.
    pub grid: (usize, usize),
    /// Columns are cut between workers at multiples of it.
    pub grain: usize,
    /// Sizes of the blocks along k, m and n.
    pub kc: usize,
    pub mc: usize,
    pub nc: usize,
    pub pack_a: bool,
    pub b: Source,
    /// Whether Cᵀ = Bᵀ·Aᵀ is computed, and transposed in the end.
    pub swapped: bool,
    /// Floats of scratch memory of one worker: for the copy of A, the copy of B and sums that are not final.
    pub scratch: (usize, usize, usize),
}

/// Rows and columns that one worker computes; rows count through all products.
pub(super) struct Share {
    pub rows: Range<usize>,
    pub cols: Range<usize>,
}

impl Plan {
    pub fn new(level: Level, form: &Form, workers: usize) -> Plan {
        let family = family(level);
        let swapped = swap(form);
        // Where columns are cut: between panels; rows of B anywhere, but for lines of the cache.
        let grain = if swapped { 16 } else { family.lanes * family.widths[family.main].vectors };
        let grid = grid(form, workers, grain);
        // The largest share: what is decided below holds for every worker.
        let rows = (form.batch * form.m).div_ceil(grid.0).min(form.m);
        let cols = (form.n.div_ceil(grain).div_ceil(grid.1) * grain).min(form.n);
        let (m, n) = if swapped { (cols, rows) } else { (rows, cols) };
        let width = family.choose(m, n);
        let b = if swapped || form.b.1 != 1 {
            Source::Transposed
        } else if pack_b(form, m) {
            Source::Packed
        } else {
            Source::Direct
        };
        let pack_a = pack_a(if swapped { (form.b.1, form.b.0) } else { form.a }, form.k, n, family);
        let kc = even(form.k.min(CHAIN), family.kc).next_multiple_of(family.lanes.min(form.k.max(1)));
        let (mut mc, mut nc) = (even(m, family.mc), n.min(family.nc));
        if form.k > CHAIN {
            mc = even(m, 2 * family.mc);
        }
        if !pack_a && b == Source::Direct && form.k <= CHAIN {
            mc = m.max(1);
        }
        nc = nc.next_multiple_of(family.lanes);
        let unfinished = match () {
            () if swapped => m * n.next_multiple_of(family.lanes),
            () if form.k > CHAIN => mc * nc,
            () => 0,
        };
        let scratch = (
            if pack_a { mc * kc + SLACK } else { 0 },
            if b == Source::Direct { 0 } else { kc * nc + SLACK },
            unfinished,
        );
        Plan { family, width, grid, grain, kc, mc, nc, pack_a, b, swapped, scratch }
    }

    pub fn width(&self) -> &'static Width {
        &self.family.widths[self.width]
    }

    /// Floats of scratch memory of one worker, a multiple of a cache line.
    pub fn scratch_per_worker(&self) -> usize {
        let (a, b, c) = self.scratch;
        [a, b, c].map(|x| x.next_multiple_of(16)).iter().sum()
    }

    /// What worker `index` computes; None for one that is left over.
    pub fn share(&self, form: &Form, index: usize) -> Option<Share> {
        let (row, col) = (index / self.grid.1, index % self.grid.1);
        if row >= self.grid.0 {
            return None;
        }
        let share = Share {
            rows: cut(form.batch * form.m, self.grid.0, row, 1),
            cols: cut(form.n, self.grid.1, col, self.grain),
        };
        (!share.rows.is_empty() && !share.cols.is_empty()).then_some(share)
    }
}

/// Floats that copies may write past their end.
const SLACK: usize = 16;

/// Part `i` of `parts` of `0..n`, cut at multiples of the grain.
fn cut(n: usize, parts: usize, i: usize, grain: usize) -> Range<usize> {
    let blocks = n.div_ceil(grain);
    let at = |i: usize| (blocks * i / parts * grain).min(n);
    at(i)..at(i + 1)
}

/// The size of blocks of at most about `most` into which `n` is cut evenly.
pub(super) fn even(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most).max(1)).max(1)
}

/// Transposing A and C is less than transposing B.
fn swap(form: &Form) -> bool {
    form.b.1 != 1
        && form.a.1 == 1
        && form.k <= CHAIN
        && form.batch == 1
        && form.m * (form.k + form.n) * 2 < form.n * form.k
}

fn pack_b(form: &Form, rows: usize) -> bool {
    rows >= 256 && form.n >= 256
}

fn pack_a(a: (usize, usize), k: usize, cols: usize, family: &Family) -> bool {
    let panels = cols / (2 * family.lanes);
    if a.1 == 1 { panels >= 8 && k >= 512 } else { panels >= 4 && (a.1 * 4).is_multiple_of(1024) && k >= 64 }
}

/// Workers along rows and columns: the largest share as small as can be, then as square as can be.
fn grid(form: &Form, workers: usize, grain: usize) -> (usize, usize) {
    let cost = |&(wm, wn): &(usize, usize)| {
        let rows = (form.batch * form.m).div_ceil(wm);
        let cols = (form.n.div_ceil(grain).div_ceil(wn) * grain).min(form.n);
        // Reading a row of A or a column of B costs about as much as a few of its products.
        rows * cols + 4 * (rows + cols)
    };
    let pairs = (1..=workers).map(|wm| (wm, workers / wm));
    pairs.min_by_key(cost).unwrap_or((1, 1))
}
