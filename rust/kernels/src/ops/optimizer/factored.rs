//! Adafactor's passes over a matrix whose second moment is known by its rows and columns: v_ij = r_i c_j.
//!
//! Operands of shape (…, n, m) are as many matrices, one after another. Workers share the rows; no result depends on how:
//! a column's sum is made of the sums of [`BLOCK`] rows each, added in their order.

use super::scalar;
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes, load, map_raw, store};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::reduce::sum_with;
use crate::team::Part;
use crate::view::{Meta, View};
use std::ops::Range;

/// The rows.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "square_means",
        infer: |ins, inouts, _| {
            let shape = Factored::check("square_means", ins, inouts, 1, 0)?;
            Ok(shape.vectors(ins[0].dtype).to_vec())
        },
        scratch: |ins, _, _, _| Factored::of(&ins[0]).blocks() * Factored::of(&ins[0]).cols * ins[0].dtype.size(),
        tasks: |ins, _, _| Factored::of(&ins[0]).blocks().max(1),
        run: |part, ins, outs, _, scratch| match ins[0].meta.dtype {
            DType::F32 => part.level.run(Means::<f32> { part, ins, outs, scratch, of: Default::default() }),
            _ => part.level.run(Means::<f64> { part, ins, outs, scratch, of: Default::default() }),
        },
        ..ROW
    },
    OpDef {
        name: "factored_square_sum",
        infer: |ins, inouts, _| {
            Factored::check("factored_square_sum", ins, inouts, 3, 0)?;
            Ok(vec![Meta::new(DType::F64, &[])])
        },
        scratch: |ins, _, _, _| Factored::of(&ins[0]).rows * size_of::<f64>(),
        run: run_sum,
        ..ROW
    },
    OpDef {
        name: "adafactor",
        infer: |ins, inouts, _| {
            Factored::check("adafactor", ins, inouts, 4, 1)?;
            super::check_scalar("adafactor", "rate", ins.get(3), &[DType::F32, DType::F64])?;
            Ok(Vec::new())
        },
        run: |part, ins, outs, _, _| part.level.run(Step { part, ins, outs }),
        ..ROW
    },
];

const ROW: OpDef = OpDef { layout: Layout::Dense, ..OpDef::BASE };

/// Rows whose squares are summed, column by column, before the sums are.
const BLOCK: usize = 64;

/// Matrices one after another.
#[derive(Clone, Copy)]
struct Factored {
    matrices: usize,
    /// Rows of all matrices.
    rows: usize,
    /// Rows of each.
    each: usize,
    cols: usize,
    meta: Meta,
}

impl Factored {
    fn of(meta: &Meta) -> Factored {
        let rank = meta.shape.len();
        let (each, cols) = (meta.shape[rank - 2], meta.shape[rank - 1]);
        let matrices = meta.shape[..rank - 2].iter().product();
        Factored { matrices, rows: matrices * each, each, cols, meta: *meta }
    }

    /// Checks a gradient, factors of its rows and of its columns if there are, and a parameter if there is.
    fn check(op: &str, ins: &[Meta], inouts: &[Meta], reads: usize, writes: usize) -> Result<Factored, Fault> {
        if ins.len() != reads || inouts.len() != writes {
            let (r, w) = (ins.len(), inouts.len());
            return Err(Fault::Value(format!(
                "{op}: expected {reads} operands and {writes} to update, got {r} and {w}"
            )));
        }
        let g = ins[0];
        if !matches!(g.dtype, DType::F32 | DType::F64) || g.shape.len() < 2 {
            return Err(Fault::Value(format!("{op}: expected a float32 or float64 gradient (…, n, m), got {g:?}")));
        }
        let shape = Factored::of(&g);
        let [rows, cols] = shape.vectors(g.dtype);
        let wanted = [("rows' factors", ins.get(1), rows), ("columns' factors", ins.get(2), cols)];
        for (what, got, want) in wanted.into_iter().chain([("parameter", inouts.first(), g)]) {
            if let Some(got) = got.filter(|&m| *m != want) {
                return Err(Fault::Value(format!("{op}: the {what} must be {want:?}, got {got:?}")));
            }
        }
        Ok(shape)
    }

    /// What a number for each row, and one for each column, look like.
    fn vectors(&self, dtype: DType) -> [Meta; 2] {
        let shape = &self.meta.shape;
        let rank = shape.len();
        let cols: Vec<usize> = [&shape[..rank - 2], &shape[rank - 1..]].concat();
        [Meta::new(dtype, &shape[..rank - 1]), Meta::new(dtype, &cols)]
    }

    /// Blocks of one matrix.
    fn blocks_of_each(&self) -> usize {
        self.each.div_ceil(BLOCK)
    }

    /// Blocks of all.
    fn blocks(&self) -> usize {
        self.matrices * self.blocks_of_each()
    }

    /// The rows of a block.
    fn rows_of(&self, block: usize) -> Range<usize> {
        let (matrix, within) = (block / self.blocks_of_each(), block % self.blocks_of_each());
        let from = matrix * self.each;
        from + within * BLOCK..from + ((within + 1) * BLOCK).min(self.each)
    }

    /// Where the columns' numbers of a row's matrix are.
    fn cols_of(&self, row: usize) -> Range<usize> {
        let from = row / self.each * self.cols;
        from..from + self.cols
    }

    fn row(&self, row: usize) -> Range<usize> {
        row * self.cols..(row + 1) * self.cols
    }
}

/// Numbers that rows are made of.
trait Number: Elem + Copy + Default + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> {
    /// Adds the squares of a row to its columns' sums; returns their sum.
    fn squares<S: Lanes>(s: S, x: &[Self], sums: &mut [Self]) -> Self;
    /// a / n
    fn over(self, n: usize) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn squares<S: Lanes>(s: S, x: &[f32], sums: &mut [f32]) -> f32 {
        assert_eq!(x.len(), sums.len());
        let (x, to) = (x.as_ptr(), sums.as_mut_ptr());
        sum_with(
            s,
            sums.len(),
            #[inline(always)]
            |i, n| {
                // SAFETY: both have as many elements, and i + n does not exceed it.
                unsafe {
                    let v = load(s, x.add(i), n);
                    let square = s.mul(v, v);
                    store(s, to.add(i), s.add(load(s, to.add(i), n), square), n);
                    square
                }
            },
        )
    }
    fn over(self, n: usize) -> f32 {
        self / n as f32
    }
}

impl Number for f64 {
    fn squares<S: Lanes>(_: S, x: &[f64], sums: &mut [f64]) -> f64 {
        let mut total = 0.0;
        for (x, sum) in x.iter().zip(sums) {
            *sum += x * x;
            total += x * x;
        }
        total
    }
    fn over(self, n: usize) -> f64 {
        self / n as f64
    }
}

/// The means of the squares of each row and of each column.
struct Means<'a, T> {
    part: &'a Part<'a>,
    ins: &'a [View],
    outs: &'a [View],
    scratch: Scratch,
    of: std::marker::PhantomData<T>,
}

impl<T: Number> Kernel for Means<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (shape, g) = (Factored::of(&self.ins[0].meta), self.ins[0].read::<T>());
        let (blocks, cols) = (shape.blocks(), shape.cols);
        for block in self.part.span(blocks, 1) {
            // SAFETY: this worker's block, and its rows below.
            let sums = unsafe { self.scratch.slice::<T>(block * cols * size_of::<T>(), cols) };
            sums.fill(T::default());
            for row in shape.rows_of(block) {
                let total = T::squares(s, &g[shape.row(row)], sums);
                // SAFETY: as above.
                unsafe { self.outs[0].write::<T>(row..row + 1)[0] = total.over(cols) };
            }
        }
        self.part.barrier();
        let share = self.part.span(shape.matrices * cols, 16);
        // SAFETY: all sums were written before the barrier; this worker's columns.
        let (sums, means) =
            unsafe { (self.scratch.read::<T>(0, blocks * cols), self.outs[1].write::<T>(share.clone())) };
        means.fill(T::default());
        for block in 0..blocks {
            let first = block / shape.blocks_of_each() * cols; // the number of its matrix's first column
            let (from, to) = (share.start.max(first), share.end.min(first + cols));
            if from < to {
                let sums = &sums[block * cols..][from - first..to - first];
                let means = &mut means[from - share.start..to - share.start];
                means.iter_mut().zip(sums).for_each(|(mean, &sum)| *mean = *mean + sum);
            }
        }
        means.iter_mut().for_each(|mean| *mean = mean.over(shape.each));
    }
}

/// Σ (g_ij a_i b_j)²
fn run_sum(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, scratch: Scratch) {
    part.level.run(Sum { part, ins, scratch });
    part.barrier();
    if part.index == 0 {
        // SAFETY: the only worker now; the rows' sums were written before the barrier.
        let (rows, out) =
            unsafe { (scratch.read::<f64>(0, Factored::of(&ins[0].meta).rows), outs[0].write::<f64>(0..1)) };
        out[0] = rows.iter().fold(0.0, |total, x| total + x);
    }
}

struct Sum<'a> {
    part: &'a Part<'a>,
    ins: &'a [View],
    scratch: Scratch,
}

impl Kernel for Sum<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let shape = Factored::of(&self.ins[0].meta);
        let single = self.ins[0].meta.dtype == DType::F32;
        for row in self.part.span(shape.rows, 1) {
            let sum = if single {
                let (g, b) = (&self.ins[0].read::<f32>()[shape.row(row)], &self.ins[2].read()[shape.cols_of(row)]);
                let (g, b): (*const f32, *const f32) = (g.as_ptr(), b.as_ptr());
                let sum = sum_with(
                    s,
                    shape.cols,
                    #[inline(always)]
                    |i, n| {
                        // SAFETY: both have `cols` elements, and i + n does not exceed it.
                        let x = unsafe { s.mul(load(s, g.add(i), n), load(s, b.add(i), n)) };
                        s.mul(x, x)
                    },
                );
                f64::from(sum) * f64::from(self.ins[1].read::<f32>()[row]).powi(2)
            } else {
                let (g, b) =
                    (&self.ins[0].read::<f64>()[shape.row(row)], &self.ins[2].read::<f64>()[shape.cols_of(row)]);
                let sum = g.iter().zip(b).fold(0.0, |sum, (g, b)| sum + (g * b) * (g * b));
                sum * self.ins[1].read::<f64>()[row].powi(2)
            };
            // SAFETY: this worker's row.
            unsafe { self.scratch.slice::<f64>(row * size_of::<f64>(), 1)[0] = sum };
        }
    }
}

/// w_ij −= rate · g_ij a_i b_j
struct Step<'a> {
    part: &'a Part<'a>,
    ins: &'a [View],
    outs: &'a [View],
}

impl Kernel for Step<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (shape, rate) = (Factored::of(&self.ins[0].meta), scalar(&self.ins[3]));
        for row in self.part.span(shape.rows, 1) {
            let (at, cols) = (shape.row(row), shape.cols_of(row));
            if self.outs[0].meta.dtype == DType::F32 {
                let (g, b) = (&self.ins[0].read::<f32>()[at.clone()], &self.ins[2].read::<f32>()[cols]);
                let down = s.splat(-(rate as f32) * self.ins[1].read::<f32>()[row]);
                // SAFETY: this worker's row; all have `cols` elements, and i + n does not exceed it.
                unsafe {
                    let w = self.outs[0].write::<f32>(at);
                    let (to, g, b) = (w.as_mut_ptr(), g.as_ptr(), b.as_ptr());
                    map_raw(
                        s,
                        w.len(),
                        to,
                        #[inline(always)]
                        |i, n| {
                            let x = s.mul(load(s, g.add(i), n), load(s, b.add(i), n));
                            s.fma(down, x, load(s, to.add(i), n))
                        },
                    );
                }
            } else {
                let (g, b) = (&self.ins[0].read::<f64>()[at.clone()], &self.ins[2].read::<f64>()[cols]);
                let a = self.ins[1].read::<f64>()[row];
                // SAFETY: this worker's row.
                let w = unsafe { self.outs[0].write::<f64>(at) };
                for (w, (g, b)) in w.iter_mut().zip(g.iter().zip(b)) {
                    *w -= rate * a * (g * b);
                }
            }
        }
    }
}
