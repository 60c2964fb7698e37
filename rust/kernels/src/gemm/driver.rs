//! The loops around the micro-kernel.

use super::blocking::{Form, Heights, Plan, Share, Source, even};
use super::epilogue::finish;
use super::pack::{Block, Matrix, pack_a, pack_b};
use super::panels::{Panels, panel_width};
use super::tile::{COPY, EDGE, Place, Tile, WHOLE};
use super::transpose::Transpose;
use crate::CHAIN;
use crate::isa::Level;
use crate::op::Scratch;
use crate::ops::elementwise::Activation;
use crate::team::Part;
use std::ops::Range;

/// Where the factors and the results of a batch of products are, and what is done to the results.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The first A and B.
    pub a: *const f32,
    /// See `a`.
    pub b: *const f32,
    /// The first C, dense.
    pub c: *mut f32,
    /// Elements from the first A and B to those of product i.
    pub offsets: &'a dyn Fn(usize) -> (usize, usize),
    /// n numbers added to each row of C, or null.
    pub bias: *const f32,
    /// Applied in the end.
    pub activation: Activation,
    /// As many numbers as C has: where one is positive, the result counts, times `scale`; elsewhere it is zero. Or null.
    pub gate: *const f32,
    /// See `gate`.
    pub scale: f32,
}

impl Operands<'_> {
    /// No bias, no activation, no gate; the memory is still to be named.
    pub const PLAIN: Operands<'static> = Operands {
        a: std::ptr::null(),
        b: std::ptr::null(),
        c: std::ptr::null_mut(),
        offsets: &|_| (0, 0),
        bias: std::ptr::null(),
        activation: Activation::Linear,
        gate: std::ptr::null(),
        scale: 1.0,
    };
}

/// The pointer further on, unless it is null.
fn further(ptr: *const f32, elements: usize) -> *const f32 {
    if ptr.is_null() { ptr } else { ptr.wrapping_add(elements) }
}

/// Bytes of scratch memory that `product` needs, whatever the level, with or without the panels of the form: for a team
/// of this size, or one worker of it.
pub fn scratch(form: &Form, workers: usize) -> usize {
    let forms = [Form { panels: (false, false), ..*form }, *form];
    let sizes = [1, workers];
    let mut most = 0;
    for level in Level::ALL.into_iter().filter(|level| level.available()) {
        for form in &forms[usize::from(form.panels == (false, false))..] {
            for &n in &sizes[usize::from(workers == 1)..] {
                most = most.max(Plan::new(level, form, n).scratch_per_worker() * n);
            }
        }
    }
    most * size_of::<f32>()
}

/// Rows and columns of C that this worker computes, or None. Rows count through all products.
pub fn share(part: &Part<'_>, form: &Form) -> Option<(Range<usize>, Range<usize>)> {
    Plan::new(part.level, form, part.count).share(form, part.index).map(|s| (s.rows, s.cols))
}

/// This worker's share of the products.
///
/// # Safety
/// The operands reach all that the form says; `c` is written by this call alone.
pub unsafe fn product(part: &Part<'_>, form: &Form, operands: &Operands<'_>, scratch: Scratch) {
    let plan = Plan::new(part.level, form, part.count);
    let Some(Share { rows, cols }) = plan.share(form, part.index) else {
        return;
    };
    let floats = plan.scratch_per_worker();
    // SAFETY: `scratch` has this many bytes for each worker, and each takes its own.
    let memory = unsafe { scratch.slice::<f32>(part.index * floats * size_of::<f32>(), floats) };
    let width = panel_width(part.level);
    let mut row = rows.start;
    while row < rows.end {
        let (i, first) = (row / form.m, row % form.m);
        let count = (rows.end - row).min(form.m - first);
        let (a_offset, b_offset) = (operands.offsets)(i);
        let start = cols.start;
        let region = Region {
            level: part.level,
            plan: &plan,
            k: form.k,
            rows: count,
            cols: cols.len(),
            a: Block { ptr: operands.a, row: form.a.0, col: form.a.1 }.shift(a_offset).at(first, 0),
            b: factor(form, operands.b.wrapping_add(b_offset), width).at(0, start),
            c: result(form, operands.c.wrapping_add(i * form.m * form.n), width).at(first, start),
            bias: further(operands.bias, start),
            activation: operands.activation,
            gate: further(operands.gate, (i * form.m + first) * form.n + start),
            gate_ld: form.n,
            scale: operands.scale,
        };
        // SAFETY: rows and columns lie within the product, and no other worker has them.
        unsafe { region.compute(memory) };
        row += count;
    }
}

/// B of one product, in panels of `width` columns or not.
fn factor(form: &Form, ptr: *const f32, width: usize) -> Matrix {
    if !form.panels.0 {
        return Matrix::Strides(Block { ptr, row: form.b.0, col: form.b.1 });
    }
    let transposed = form.b.1 != 1;
    let (rows, cols) = if transposed { (form.n, form.k) } else { (form.k, form.n) };
    Matrix::Panels { ptr, panels: Panels { rows, cols, width }, row: 0, col: 0, transposed }
}

/// C of one product, in panels of `width` columns or not.
fn result(form: &Form, ptr: *const f32, width: usize) -> Matrix {
    if !form.panels.1 {
        return Matrix::Strides(Block { ptr, row: form.n, col: 1 });
    }
    let panels = Panels { rows: form.m, cols: form.n, width };
    Matrix::Panels { ptr, panels, row: 0, col: 0, transposed: false }
}

/// A rectangle of C.
#[derive(Clone, Copy)]
struct Region<'a> {
    level: Level,
    plan: &'a Plan,
    k: usize,
    rows: usize,
    cols: usize,
    /// A from the region's first row on, B from its first column on.
    a: Block,
    b: Matrix,
    c: Matrix,
    bias: *const f32,
    activation: Activation,
    /// The gate from the region's first element on, and the elements of its rows.
    gate: *const f32,
    gate_ld: usize,
    scale: f32,
}

/// The first element and the rows of C, from a column on.
fn place(c: Matrix) -> Place {
    let (ptr, ld) = c.strip();
    Place { ptr: ptr.cast_mut(), ld }
}

/// Consecutive terms of the sums, within one chain.
struct Terms {
    first: usize,
    count: usize,
    /// Whether the chain begins and ends with them, and whether it is the first and the last chain.
    begins: bool,
    ends: bool,
    first_chain: bool,
    last_chain: bool,
}

impl Terms {
    /// Whether the sums are complete with them.
    fn finish(&self) -> bool {
        self.ends && self.last_chain
    }
}

/// The blocks along k. One without terms if there are none.
fn blocks(k: usize, kc: usize) -> impl Iterator<Item = Terms> {
    let chains = k.div_ceil(CHAIN).max(1);
    (0..chains).flat_map(move |chain| {
        let start = chain * CHAIN;
        let end = k.min(start + CHAIN);
        let count = (end - start).div_ceil(kc).max(1);
        (0..count).map(move |i| {
            let first = start + i * kc;
            Terms {
                first,
                count: kc.min(end - first),
                begins: i == 0,
                ends: i + 1 == count,
                first_chain: chain == 0,
                last_chain: chain + 1 == chains,
            }
        })
    })
}

/// A worker's scratch memory.
struct Memory<'a> {
    a: &'a mut [f32],
    b: &'a mut [f32],
    /// Sums of a chain that is not the first, or Cᵀ.
    sums: &'a mut [f32],
}

impl Region<'_> {
    /// # Safety
    /// All that the fields reach is valid memory; nothing else uses what `c` reaches.
    unsafe fn compute(&self, memory: &mut [f32]) {
        let (a, b, sums) = self.plan.scratch;
        let (a_memory, rest) = memory.split_at_mut(a.next_multiple_of(16));
        let (b_memory, rest) = rest.split_at_mut(b.next_multiple_of(16));
        let mut memory = Memory { a: a_memory, b: b_memory, sums: &mut rest[..sums] };
        // SAFETY: the caller's promise, here and below.
        unsafe {
            if self.plan.swapped {
                self.swapped(&mut memory);
            } else if self.k <= CHAIN {
                self.blocked(&mut memory);
            } else {
                // Block by block, so that the sums of one chain stay in the cache.
                for i in (0..self.rows).step_by(self.plan.mc) {
                    for j in (0..self.cols).step_by(self.plan.nc) {
                        let rows = self.plan.mc.min(self.rows - i);
                        self.part(i, j, rows, self.plan.nc.min(self.cols - j)).blocked(&mut memory);
                    }
                }
            }
        }
    }

    /// The rectangle of it that begins at (i, j).
    fn part(&self, i: usize, j: usize, rows: usize, cols: usize) -> Self {
        let (bias, gate) = (further(self.bias, j), further(self.gate, i * self.gate_ld + j));
        Region { rows, cols, a: self.a.at(i, 0), b: self.b.at(0, j), c: self.c.at(i, j), bias, gate, ..*self }
    }

    /// Cᵀ = Bᵀ·Aᵀ, then C.
    ///
    /// # Safety
    /// As for `compute`.
    unsafe fn swapped(&self, memory: &mut Memory<'_>) {
        let Matrix::Strides(b) = self.b else {
            return; // no plan says so
        };
        let (c, sums) = (place(self.c), Block { ptr: memory.sums.as_ptr(), row: self.rows, col: 1 });
        let other = Region {
            rows: self.cols,
            cols: self.rows,
            a: b.transposed(),
            b: Matrix::Strides(self.a.transposed()),
            c: Matrix::Strides(sums),
            bias: std::ptr::null(),
            activation: Activation::Linear,
            ..*self
        };
        // SAFETY: the caller's promise; `sums` has room for a region of the largest size.
        unsafe {
            other.blocked(memory);
            let (rows, cols) = (self.cols, self.rows);
            let t = Transpose { src: sums.ptr, src_ld: sums.row, rows, cols, dst: c.ptr, dst_ld: c.ld };
            t.run(self.level);
            finish(self.level, c, (self.rows, self.cols), self.bias, self.activation);
        }
    }

    /// Blocks of columns, of terms, of rows.
    ///
    /// # Safety
    /// As for `compute`.
    unsafe fn blocked(&self, memory: &mut Memory<'_>) {
        let (mc, nc) = (even(self.rows, self.plan.mc), self.plan.nc);
        for j in (0..self.cols).step_by(nc) {
            for terms in blocks(self.k, self.plan.kc) {
                for i in (0..self.rows).step_by(mc) {
                    let part = self.part(i, j, mc.min(self.rows - i), nc.min(self.cols - j));
                    // SAFETY: the caller's promise; the block lies inside.
                    unsafe { part.tiles(&terms, (i == 0, mc >= self.rows), memory) };
                }
            }
        }
    }

    /// The width (its index) and the columns of the next panel, of those that are left.
    fn panel(&self, left: usize) -> (usize, usize) {
        let width = self.plan.family.narrow(left, self.plan.width);
        (width, left.min(self.plan.family.widths[width].vectors * self.plan.family.lanes))
    }

    /// The tiles of a block, panel by panel of B. It is the first of its rows, or finds copies of the panels; it is the
    /// only one, or leaves them.
    ///
    /// # Safety
    /// As for `compute`.
    unsafe fn tiles(&self, terms: &Terms, (first, only): (bool, bool), memory: &mut Memory<'_>) {
        let plan = self.plan;
        let heights = Heights::new(self.rows, plan.width().tiles.len());
        let mut a = self.a.at(0, terms.first);
        if plan.pack_a {
            // SAFETY: the caller's promise; `memory.a` has room for a block.
            unsafe { pack_a(self.level, a, terms.count, heights, memory.a.as_mut_ptr()) };
            // Row i of the copy begins where i·terms elements lie before it; the step depends on the tile.
            a = Block { ptr: memory.a.as_ptr(), row: terms.count, col: 0 };
        }
        let mut j = 0;
        while j < self.cols {
            let (width, cols) = self.panel(self.cols - j);
            let functions = plan.family.widths[width].tiles;
            let mut tile = self.template(terms, j, memory.sums);
            tile.lanes = cols - (plan.family.widths[width].vectors - 1) * plan.family.lanes;
            let mut mode = if tile.lanes == plan.family.lanes { WHOLE } else { EDGE };
            let copy = memory.b.as_mut_ptr().wrapping_add(if only { 0 } else { j * terms.count });
            let of_copy = (copy.cast_const(), cols as isize, (AHEAD * cols) as isize);
            match plan.b {
                Source::Copied if mode == WHOLE && first => {
                    // While the panel is copied, the next one is fetched, at the same rows.
                    (mode, tile.copy, tile.ahead) = (COPY, copy, cols as isize);
                }
                Source::Copied if mode == WHOLE => (tile.b, tile.b_step, tile.ahead) = of_copy,
                Source::Transposed => {
                    if first {
                        // SAFETY: the caller's promise; `memory.b` has room for the panels.
                        unsafe { pack_b(self.level, self.b.at(terms.first, j), terms.count, cols, copy) };
                    }
                    (tile.b, tile.b_step, tile.ahead) = of_copy;
                }
                _ => {}
            }
            for (i, height) in heights.tiles() {
                tile.a = a.at(i, 0).ptr;
                if plan.pack_a {
                    (tile.a_row, tile.a_step) = (1, height as isize);
                }
                let below = tile.to.ptr.wrapping_add(height * tile.to.ld);
                if plan.fetch_c {
                    tile.next = below;
                }
                // SAFETY: the caller's promise.
                unsafe {
                    functions[height - 1][mode](&tile);
                    if terms.finish() && matches!(self.activation, Activation::Tanh | Activation::Sigmoid) {
                        finish(self.level, tile.to, (height, cols), std::ptr::null(), self.activation);
                    }
                }
                tile.to.ptr = below;
                tile.from = further(tile.from, height * tile.from_ld);
                tile.gate = further(tile.gate, height * tile.gate_ld);
                if mode == COPY {
                    (mode, (tile.b, tile.b_step, tile.ahead)) = (WHOLE, of_copy);
                }
            }
            j += cols;
        }
    }

    /// What the tiles from column j on have in common, and the place of the first row.
    fn template(&self, terms: &Terms, j: usize, sums: &mut [f32]) -> Tile {
        let c = place(self.c.at(0, j));
        // The first chain grows in C itself, a later one elsewhere until it is complete.
        let grows = match terms.first_chain {
            true => c,
            false => Place { ptr: sums.as_mut_ptr().wrapping_add(j), ld: self.plan.nc },
        };
        let finish = terms.finish();
        // A transposed B is read from its copy only.
        let (b, b_row) = match self.plan.b {
            Source::Transposed => (std::ptr::null(), 0),
            _ => self.b.at(terms.first, j).strip(),
        };
        let ahead = if matches!(self.b, Matrix::Panels { .. }) { AHEAD_IN_PANELS } else { AHEAD };
        Tile {
            k: terms.count,
            a: self.a.ptr,
            a_row: self.a.row as isize,
            a_step: self.a.col as isize,
            b,
            b_step: b_row as isize,
            from: if terms.begins { std::ptr::null() } else { grows.ptr },
            from_ld: grows.ld,
            to: if terms.ends { c } else { grows },
            merge: terms.ends && !terms.first_chain,
            bias: if finish { further(self.bias, j) } else { std::ptr::null() },
            gate: if finish { further(self.gate, j) } else { std::ptr::null() },
            gate_ld: self.gate_ld,
            scale: self.scale,
            relu: finish && self.activation == Activation::Relu,
            lanes: 0,
            copy: std::ptr::null_mut(),
            ahead: (ahead * b_row) as isize,
            next: std::ptr::null(),
        }
    }
}

/// Rows of B that are fetched ahead of the one in use: some 100 cycles.
const AHEAD: usize = 8;

/// The same where rows lie one after another, so that none pushes another out: as far as memory outside of the core's own
/// caches takes.
const AHEAD_IN_PANELS: usize = 64;
