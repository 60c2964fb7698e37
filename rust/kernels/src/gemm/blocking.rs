//! Block sizes and who computes what: functions of the shapes, the level and the number of workers.

use super::panels::Panels;
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
    /// Whether B lies in panels instead (a transposed one: the matrix that B is the transpose of), and C.
    pub panels: (bool, bool),
    /// Whether the operands have a gate.
    pub gated: bool,
}

impl Form {
    /// Products of dense row-major matrices: A is m×k, or k×m if it is read transposed; B k×n, or n×k.
    pub fn new(sizes: (usize, usize, usize), batch: usize, transposed: (bool, bool)) -> Form {
        let (m, n, k) = sizes;
        let a = if transposed.0 { (1, m) } else { (k, 1) };
        // A single column lies like a single row.
        let b = if transposed.1 && n != 1 && k != 1 { (1, k) } else { (n, 1) };
        Form { m, n, k, batch, a, b, panels: (false, false), gated: false }
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
    /// In a copy, panel by panel, that the first tile of each leaves.
    Copied,
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
    /// Whether A is copied, panel by panel as high as the tiles.
    pub pack_a: bool,
    pub b: Source,
    /// Whether Cᵀ = Bᵀ·Aᵀ is computed, and transposed in the end.
    pub swapped: bool,
    /// Whether C is so large that a tile fetches the next one's place ahead.
    pub fetch_c: bool,
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
        let swapped = swap(form) && form.panels == (false, false) && !form.gated;
        // B or C lies in panels of this product's columns: whole panels for each worker, so that they stay with it.
        let paneled = form.panels.1 || (form.panels.0 && form.b.1 == 1);
        // Where columns are cut: between panels; rows of B anywhere, but for lines of the cache.
        let grain = if swapped { 16 } else { family.lanes * family.widths[family.main].vectors };
        let owners = Panels { rows: form.m, cols: form.n, width: grain }.grid(workers);
        let grid = match paneled {
            true if form.panels.1 || owners.0 == 1 => owners,
            _ => grid(form, workers, grain),
        };
        // The largest share: what is decided below holds for every worker.
        let rows = (form.batch * form.m).div_ceil(grid.0).min(form.m);
        let cols = (form.n.div_ceil(grain).div_ceil(grid.1) * grain).min(form.n);
        let (m, n) = if swapped { (cols, rows) } else { (rows, cols) };
        let width = if paneled { family.narrow(n, family.main) } else { family.choose(m, n) };
        let panel = family.widths[width].vectors * family.lanes;
        let height = family.widths[width].tiles.len();
        let chain = form.k.min(CHAIN);
        let (b, kc) = match () {
            () if swapped || form.b.1 != 1 => (Source::Transposed, family.kc),
            () if form.panels.0 => (Source::Direct, KC_PANELS),
            () if chain * n <= family.b_floats => (Source::Direct, family.kc),
            () if m > 6 * height => (Source::Copied, family.kc),
            () => (Source::Direct, family.kc_far),
        };
        // An A whose rows are terms shares lines between tiles; where many panels read it, a copy pays.
        let pack_a = !swapped && form.a.1 != 1 && n >= 6 * panel && form.k >= 64;
        let kc = even(chain, kc).next_multiple_of(family.lanes.min(form.k.max(1)));
        let fitting = (family.a_floats / kc).clamp(height, 12 * height);
        let mc = match () {
            () if m <= fitting => m.max(1),
            () if b == Source::Direct => even(m, fitting),
            () if form.k > CHAIN => even(m, fitting.min(16 * height)),
            () => even(m, 4 * height),
        };
        let nc = even(n, family.nc).next_multiple_of(panel);
        let unfinished = match () {
            () if swapped => m * n,
            () if form.k > CHAIN => mc * nc,
            () => 0,
        };
        let copy_of_b = match () {
            () if b == Source::Direct => 0,
            () if mc >= m => kc * panel,
            () => kc * nc,
        };
        let scratch = (if pack_a { mc * kc } else { 0 }, copy_of_b, unfinished);
        let fetch_c = m * n >= FAR;
        Plan { family, width, grid, grain, kc, mc, nc, pack_a, b, swapped, fetch_c, scratch }
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
        let (row, col) = (index % self.grid.0, index / self.grid.0);
        if col >= self.grid.1 {
            return None;
        }
        let share = Share {
            rows: cut(form.batch * form.m, self.grid.0, row, 1),
            cols: cut(form.n, self.grid.1, col, self.grain),
        };
        (!share.rows.is_empty() && !share.cols.is_empty()).then_some(share)
    }
}

/// How rows are divided among tiles: evenly, since a low tile is slow.
#[derive(Clone, Copy)]
pub(super) struct Heights {
    count: usize,
    /// Height of the last tiles, and how many tiles before them have a row more.
    low: usize,
    high: usize,
}

impl Heights {
    pub fn new(rows: usize, tallest: usize) -> Heights {
        let count = rows.div_ceil(tallest);
        Heights { count, low: rows / count, high: rows % count }
    }

    /// The first row and the height of each tile.
    pub fn tiles(self) -> impl Iterator<Item = (usize, usize)> {
        let mut first = 0;
        (0..self.count).map(move |index| {
            let height = self.low + usize::from(index < self.high);
            first += height;
            (first - height, height)
        })
    }
}

/// Terms of a block of a B that lies in panels: as good as no cut until the tile's rows of A leave the first-level cache.
const KC_PANELS: usize = 1024;

/// Floats of a C that is not in the second-level cache.
const FAR: usize = 1 << 18;

/// Part `i` of `parts` of `0..n`, cut at multiples of the grain.
pub(super) fn cut(n: usize, parts: usize, i: usize, grain: usize) -> Range<usize> {
    if parts == 1 {
        return 0..n;
    }
    let blocks = n.div_ceil(grain);
    let at = |i: usize| (blocks * i / parts * grain).min(n);
    at(i)..at(i + 1)
}

/// The size of blocks of at most about `most` into which `n` is cut evenly.
pub(super) fn even(n: usize, most: usize) -> usize {
    if n <= most { n.max(1) } else { n.div_ceil(n.div_ceil(most)) }
}

/// Transposing A and C is less than transposing B.
fn swap(form: &Form) -> bool {
    form.b.1 != 1
        && form.a.1 == 1
        && form.k <= CHAIN
        && form.batch == 1
        && form.m * (form.k + form.n) * 2 < form.n * form.k
}

/// Workers along rows and columns: the largest share as small as can be, then as square as can be.
fn grid(form: &Form, workers: usize, grain: usize) -> (usize, usize) {
    if workers == 1 {
        return (1, 1);
    }
    let cost = |&(wm, wn): &(usize, usize)| {
        let rows = (form.batch * form.m).div_ceil(wm);
        let cols = (form.n.div_ceil(grain).div_ceil(wn) * grain).min(form.n);
        // Reading a row of A or a column of B costs about as much as a few of its products.
        rows * cols + 4 * (rows + cols)
    };
    let pairs = (1..=workers).map(|wm| (wm, workers / wm));
    pairs.min_by_key(cost).unwrap_or((1, 1))
}
