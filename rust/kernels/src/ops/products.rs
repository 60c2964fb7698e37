//! The matmul rows: products of matrices, and the dense layer's forward and weight-gradient passes.

use super::elementwise::Activation;
use crate::CHAIN;
use crate::dtype::{DType, Elem};
use crate::gemm::{Form, Operands, column_sums, product, scratch, share};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, Layout, OpDef, Scratch};
use crate::team::Part;
use crate::view::{Dims, MAX_RANK, Meta, View};

/// The rows of this family.
pub static ROWS: &[OpDef] = &[
    OpDef {
        name: "matmul",
        attrs: &["trans_a", "trans_b"],
        layout: Layout::Dense,
        infer: |ins, _, attrs| Batch::new(ins, attrs).map(|b| vec![Meta::new(ins[0].dtype, &b.shape)]),
        scratch: |ins, _, attrs, workers| match (ins[0].dtype, Batch::new(ins, attrs)) {
            (DType::F32, Ok(b)) => scratch(&Form { panels: (b.form.batch == 1, false), ..b.form }, workers),
            _ => 0,
        },
        tasks: |ins, _, attrs| Batch::new(ins, attrs).map_or(1, |b| b.form.tasks()),
        flops: |ins, _, attrs| Batch::new(ins, attrs).map_or(0, |b| 2 * b.form.work() as u64),
        // A single B.
        orders: |ins, _, attrs| match Batch::new(ins, attrs) {
            Ok(b) if b.form.batch == 1 && ins[1].shape.len() == 2 => vec![0, 1],
            _ => Vec::new(),
        },
        run: matmul,
        ..OpDef::BASE
    },
    OpDef {
        name: "linear",
        attrs: &["activation"],
        layout: Layout::Dense,
        infer: infer_linear,
        scratch: |ins, _, _, workers| scratch(&Form { panels: (true, false), ..linear_form(ins) }, workers),
        tasks: |ins, _, _| linear_form(ins).tasks(),
        flops: |ins, _, _| 2 * linear_form(ins).work() as u64,
        orders: |_, _, _| vec![0, 1],
        run: linear,
        ..OpDef::BASE
    },
    OpDef {
        name: "linear_grad_weights",
        layout: Layout::Dense,
        infer: infer_grad_weights,
        scratch: |ins, _, _, workers| scratch(&Form { panels: (false, true), ..grad_form(ins) }, workers),
        tasks: |ins, _, _| grad_form(ins).tasks(),
        flops: |ins, _, _| 2 * grad_form(ins).work() as u64,
        orders: |_, _, _| vec![0, 0, 1],
        run: linear_grad_weights,
        ..OpDef::BASE
    },
    OpDef {
        name: "linear_grad_input",
        attrs: &["scale"],
        layout: Layout::Dense,
        infer: infer_grad_input,
        scratch: |ins, _, _, workers| scratch(&Form { panels: (true, false), ..input_form(ins) }, workers),
        tasks: |ins, _, _| input_form(ins).tasks(),
        flops: |ins, _, _| 2 * input_form(ins).work() as u64,
        orders: |_, _, _| vec![0, 1],
        run: linear_grad_input,
        ..OpDef::BASE
    },
];

/// The products that a matmul call consists of.
struct Batch {
    form: Form,
    /// Shape of the result.
    shape: Dims,
    /// For each axis but the last two of the result: its size, and elements of A and B from one product to the next.
    axes: [(usize, usize, usize); MAX_RANK],
    rank: usize,
}

impl Batch {
    /// Checks the operands of `matmul`: [..., m, k] and [..., k, n], each with its last two axes exchanged where the
    /// attributes say so; the leading axes broadcast.
    fn new(ins: &[Meta], attrs: &Attrs) -> Result<Batch, Fault> {
        let [a, b] = ins else {
            return Err(Fault::Type(format!("matmul takes 2 operands, got {}", ins.len())));
        };
        check_dtypes("matmul", ins, &[DType::F32, DType::F64, DType::I32, DType::I64])?;
        let got = || format!("got shapes {} and {}", a.shape, b.shape);
        if a.shape.len() < 2 || b.shape.len() < 2 {
            return Err(Fault::Value(format!("matmul: operands must have at least 2 axes, {}", got())));
        }
        let transposed = (attrs.flag(0, false), attrs.flag(1, false));
        let ((m, k), (inner, n)) = (matrix(&a.shape, transposed.0), matrix(&b.shape, transposed.1));
        if k != inner {
            let text = format!("matmul: inner dimensions must be equal, they are {k} and {inner}: {}", got());
            return Err(Fault::Value(text));
        }
        let rank = a.shape.len().max(b.shape.len()) - 2;
        let (mut sizes, mut axes) = ([0; MAX_RANK], [(0, 0, 0); MAX_RANK]);
        let (mut a_step, mut b_step) = (m * k, k * n);
        for i in (0..rank).rev() {
            let of = |shape: &Dims| (i + shape.len()).checked_sub(rank + 2).map_or(1, |axis| shape[axis]);
            let (p, q) = (of(&a.shape), of(&b.shape));
            if p != q && p != 1 && q != 1 {
                return Err(Fault::Value(format!("matmul: the leading axes do not broadcast, {}", got())));
            }
            sizes[i] = if p == 1 { q } else { p };
            axes[i] = (sizes[i], if p == 1 { 0 } else { a_step }, if q == 1 { 0 } else { b_step });
            (a_step, b_step) = (a_step * p, b_step * q);
        }
        let count: usize = sizes[..rank].iter().product();
        (sizes[rank], sizes[rank + 1]) = (m, n);
        let shape = Dims::new(&sizes[..rank + 2]);
        // Products with the same B, whose A lie one after another, are one product.
        let one = !transposed.0 && b_step == k * n && a_step == count * m * k && count > 0;
        let (rows, batch) = if one { (count * m, 1) } else { (m, count) };
        Ok(Batch { form: Form::new((rows, n, k), batch, transposed), shape, axes, rank })
    }

    /// Elements from the first A and B to those of product i.
    fn offsets(&self, mut i: usize) -> (usize, usize) {
        let mut offsets = (0, 0);
        for &(size, a, b) in self.axes[..self.rank].iter().rev() {
            offsets = (offsets.0 + i % size * a, offsets.1 + i % size * b);
            i /= size;
        }
        offsets
    }
}

/// Rows and columns of the last two axes.
fn matrix(shape: &Dims, transposed: bool) -> (usize, usize) {
    let (rows, cols) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    if transposed { (cols, rows) } else { (rows, cols) }
}

fn check_dtypes(name: &str, ins: &[Meta], known: &[DType]) -> Result<(), Fault> {
    if ins.iter().any(|m| m.dtype != ins[0].dtype) {
        let got: Vec<&str> = ins.iter().map(|m| m.dtype.name()).collect();
        return Err(Fault::Type(format!("{name}: operands must have one dtype, got {}", got.join(", "))));
    }
    if !known.contains(&ins[0].dtype) {
        let names: Vec<&str> = known.iter().map(|d| d.name()).collect();
        let text = format!("{name} computes in {}, got {}; cast first", names.join(", "), ins[0].dtype.name());
        return Err(Fault::Type(text));
    }
    Ok(())
}

fn matmul(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, memory: Scratch) {
    let Ok(batch) = Batch::new(&[ins[0].meta, ins[1].meta], attrs) else {
        return;
    };
    match ins[0].meta.dtype {
        DType::F32 => {
            let operands = Operands {
                a: ins[0].ptr(),
                b: ins[1].ptr(),
                c: outs[0].ptr(),
                offsets: &|i| batch.offsets(i),
                ..Operands::PLAIN
            };
            let form = Form { panels: (ins[1].panels().is_some(), false), ..batch.form };
            // SAFETY: dense operands of the shapes that `Batch` was made from.
            unsafe { product(part, &form, &operands, memory) };
        }
        DType::F64 => {
            part.level.run(Plain::<f64> { part, batch: &batch, a: ins[0].read(), b: ins[1].read(), c: &outs[0] })
        }
        DType::I32 => {
            part.level.run(Plain::<i32> { part, batch: &batch, a: ins[0].read(), b: ins[1].read(), c: &outs[0] })
        }
        _ => part.level.run(Plain::<i64> { part, batch: &batch, a: ins[0].read(), b: ins[1].read(), c: &outs[0] }),
    }
}

/// Numbers that are multiplied by plain loops.
trait Number: Elem {
    const ZERO: Self;
    fn add(self, other: Self) -> Self;
    /// self · b + c
    fn fma(self, b: Self, c: Self) -> Self;
}

impl Number for f64 {
    const ZERO: f64 = 0.0;
    #[inline(always)]
    fn add(self, other: f64) -> f64 {
        self + other
    }
    #[inline(always)]
    fn fma(self, b: f64, c: f64) -> f64 {
        self.mul_add(b, c)
    }
}

macro_rules! whole {
    ($($t:ty),*) => { $(impl Number for $t {
        const ZERO: $t = 0;
        #[inline(always)]
        fn add(self, other: $t) -> $t {
            self.wrapping_add(other)
        }
        #[inline(always)]
        fn fma(self, b: $t, c: $t) -> $t {
            self.wrapping_mul(b).wrapping_add(c)
        }
    })* };
}
whole!(i32, i64);

/// Products in the same order of additions as the tuned ones, strip by strip of each row.
struct Plain<'a, T> {
    part: &'a Part<'a>,
    batch: &'a Batch,
    a: &'a [T],
    b: &'a [T],
    c: &'a View,
}

/// Columns of a strip.
const STRIP: usize = 32;

impl<T: Number> Kernel for Plain<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let form = &self.batch.form;
        let strips = form.n.div_ceil(STRIP);
        for task in self.part.span(form.batch * form.m * strips, 1) {
            let (row, first) = (task / strips, task % strips * STRIP);
            let (i, r) = (row / form.m, row % form.m);
            let (a_offset, b_offset) = self.batch.offsets(i);
            let (a, b) = (a_offset + r * form.a.0, b_offset + first * form.b.1); // the first terms, if there are any
            let width = STRIP.min(form.n - first);
            // SAFETY: each task has its own strip of a row.
            let c = unsafe { self.c.write::<T>(row * form.n + first..row * form.n + first + width) };
            if width == STRIP && form.b.1 == 1 {
                strip(form, self.a, a, c, |p, sum, x| {
                    for (sum, &y) in sum.iter_mut().zip(&self.b[b + p * form.b.0..][..STRIP]) {
                        *sum = x.fma(y, *sum);
                    }
                });
            } else {
                strip(form, self.a, a, c, |p, sum, x| {
                    for (j, sum) in sum[..width].iter_mut().enumerate() {
                        *sum = x.fma(self.b[b + p * form.b.0 + j * form.b.1], *sum);
                    }
                });
            }
        }
    }
}

/// One strip of a row of C, from the row of A that begins at `first`; `step(p, sums, x)` adds x times the strip of row p
/// of B.
#[inline(always)]
fn strip<T: Number>(form: &Form, a: &[T], first: usize, c: &mut [T], step: impl Fn(usize, &mut [T; STRIP], T)) {
    c.fill(T::ZERO);
    for start in (0..form.k).step_by(CHAIN) {
        let mut sums = [T::ZERO; STRIP];
        for p in start..form.k.min(start + CHAIN) {
            step(p, &mut sums, a[first + p * form.a.1]);
        }
        for (c, sum) in c.iter_mut().zip(sums) {
            *c = if start == 0 { sum } else { c.add(sum) };
        }
    }
}

/// x [..., k], w [k, n] → [..., n], as one matrix product.
fn linear_form(ins: &[Meta]) -> Form {
    let (k, n) = (ins[1].shape[0], ins[1].shape[1]);
    let rows = ins[0].shape[..ins[0].shape.len() - 1].iter().product();
    Form::new((rows, n, k), 1, (false, false))
}

fn infer_linear(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let (x, w, bias) = match ins {
        [x, w] => (x, w, None),
        [x, w, bias] => (x, w, Some(bias)),
        _ => {
            return Err(Fault::Type(format!("linear takes 2 or 3 operands, got {}", ins.len())));
        }
    };
    check_dtypes("linear", ins, &[DType::F32])?;
    let [k, n] = w.shape[..] else {
        return Err(Fault::Value(format!("linear: the kernel must have 2 axes, got shape {}", w.shape)));
    };
    if x.shape.last() != Some(&k) {
        let text =
            format!("linear: the last axis of x must be {k}, the first of the kernel {}; got {}", w.shape, x.shape);
        return Err(Fault::Value(text));
    }
    if let Some(bias) = bias.filter(|b| b.shape[..] != [n]) {
        return Err(Fault::Value(format!("linear: the bias must have shape ({n},), got {}", bias.shape)));
    }
    Activation::from_number("linear", attrs.int(0, 0))?;
    let mut shape = x.shape.to_vec();
    shape[x.shape.len() - 1] = n;
    Ok(vec![Meta::new(DType::F32, &shape)])
}

fn linear(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, memory: Scratch) {
    let operands = Operands {
        a: ins[0].ptr(),
        b: ins[1].ptr(),
        c: outs[0].ptr(),
        bias: ins.get(2).map_or(std::ptr::null(), |b| b.ptr::<f32>().cast_const()),
        activation: Activation::from_number("linear", attrs.int(0, 0)).unwrap_or(Activation::Linear),
        ..Operands::PLAIN
    };
    let form = Form { panels: (ins[1].panels().is_some(), false), ..linear_form(&[ins[0].meta, ins[1].meta]) };
    // SAFETY: dense operands of the shapes that the form was made from.
    unsafe { product(part, &form, &operands, memory) };
}

/// x [..., k], dz [..., n] → xᵀ·dz [k, n], as one matrix product over the rows of both.
fn grad_form(ins: &[Meta]) -> Form {
    let (x, dz) = (&ins[0].shape, &ins[1].shape);
    let (k, n) = (x[x.len() - 1], dz[dz.len() - 1]);
    let rows = x[..x.len() - 1].iter().product();
    Form::new((k, n, rows), 1, (true, false))
}

fn infer_grad_weights(ins: &[Meta], _: &[Meta], _: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x, dz] = ins else {
        return Err(Fault::Type(format!("linear_grad_weights takes 2 operands, got {}", ins.len())));
    };
    check_dtypes("linear_grad_weights", ins, &[DType::F32])?;
    let rank = x.shape.len();
    if rank == 0 || dz.shape.len() != rank || x.shape[..rank - 1] != dz.shape[..rank - 1] {
        let text = "linear_grad_weights: x and dz must agree in all axes but the last";
        return Err(Fault::Value(format!("{text}, got shapes {} and {}", x.shape, dz.shape)));
    }
    let (k, n) = (x.shape[rank - 1], dz.shape[rank - 1]);
    Ok(vec![Meta::new(DType::F32, &[k, n]), Meta::new(DType::F32, &[n])])
}

fn linear_grad_weights(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, memory: Scratch) {
    let form = Form { panels: (false, outs[0].panels().is_some()), ..grad_form(&[ins[0].meta, ins[1].meta]) };
    let operands = Operands { a: ins[0].ptr(), b: ins[1].ptr(), c: outs[0].ptr(), ..Operands::PLAIN };
    // Whoever has the top of a column of dW sums that column of dz; without rows in dW, the first worker sums all.
    let cols = match share(part, &form) {
        Some((rows, cols)) => {
            if rows.start == 0 {
                cols
            } else {
                0..0
            }
        }
        None => {
            if form.m == 0 && part.index == 0 {
                0..form.n
            } else {
                0..0
            }
        }
    };
    // SAFETY: dense operands of the shapes that the form was made from; each column is one worker's.
    unsafe {
        column_sums(part.level, ins[1].ptr(), form.n, form.k, cols, outs[1].ptr());
        product(part, &form, &operands, memory);
    }
}

/// dz [..., n], w [k, n] → dz·wᵀ [..., k], as one matrix product.
fn input_form(ins: &[Meta]) -> Form {
    let (k, n) = (ins[1].shape[0], ins[1].shape[1]);
    let rows = ins[0].shape[..ins[0].shape.len() - 1].iter().product();
    Form { gated: true, ..Form::new((rows, k, n), 1, (false, true)) }
}

fn infer_grad_input(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [dz, w, y] = ins else {
        return Err(Fault::Type(format!("linear_grad_input takes 3 operands, got {}", ins.len())));
    };
    check_dtypes("linear_grad_input", ins, &[DType::F32])?;
    let fits = match w.shape[..] {
        [k, n] => {
            let mut shape = dz.shape.to_vec();
            shape.pop() == Some(n) && y.shape[..] == [&shape[..], &[k]].concat()
        }
        _ => false,
    };
    if !fits {
        let text = "linear_grad_input: expected dz (..., n), the kernel (k, n) and y (..., k)";
        return Err(Fault::Value(format!("{text}, got shapes {}, {} and {}", dz.shape, w.shape, y.shape)));
    }
    if !attrs.float(0, 1.0).is_finite() {
        return Err(Fault::Value(format!("linear_grad_input: `scale` must be finite, got {}", attrs.float(0, 1.0))));
    }
    Ok(vec![*y])
}

/// What reaches z' in y = scale' · relu(z'), z = y·w, from dz: dz·wᵀ times `scale` where y is positive.
fn linear_grad_input(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, memory: Scratch) {
    let operands = Operands {
        a: ins[0].ptr(),
        b: ins[1].ptr(),
        c: outs[0].ptr(),
        gate: ins[2].ptr(),
        scale: attrs.float(0, 1.0) as f32,
        ..Operands::PLAIN
    };
    let form = Form { panels: (ins[1].panels().is_some(), false), ..input_form(&[ins[0].meta, ins[1].meta]) };
    // SAFETY: dense operands of the shapes that the form was made from.
    unsafe { product(part, &form, &operands, memory) };
}

#[cfg(test)]
mod tests;
