//! Picking elements by index. An index below zero counts from the end. One that is out of range touches no memory: it
//! picks NaN (zero, false, where the dtype has none), adds nothing, and marks nothing.

use super::walk::Axes;
use super::{Raw, axis_of, by_size, dtype_of, operands, result};
use crate::reduce::{Num, Sum};
use crate::{Attrs, DType, Fault, Kernel, Lanes, Layout, Meta, OpDef, Part, Scratch, View};
use std::ops::Range;

/// An operand of indices, read in row-major order.
pub struct Indices<'a> {
    view: &'a View,
    axes: Axes<1>,
}

impl<'a> Indices<'a> {
    pub fn new(view: &'a View) -> Indices<'a> {
        Indices { view, axes: Axes::of(view.shape(), [&view.strides]) }
    }

    /// The `i`-th index.
    #[inline(always)]
    pub fn get(&self, i: usize) -> i64 {
        assert!(i < self.view.len());
        let at = match self.axes.rank() {
            0 => 0,
            1 => i as isize * self.axes.axis(0).1[0],
            _ => self.axes.at(i)[0],
        };
        // SAFETY: the place of element i of the operand.
        unsafe {
            match self.view.meta.dtype {
                DType::I32 => i64::from(*self.view.ptr::<i32>().offset(at)),
                _ => *self.view.ptr::<i64>().offset(at),
            }
        }
    }

    /// The `i`-th index as a place among `n`, counted from the end if it is negative.
    #[inline(always)]
    pub fn place(&self, i: usize, n: usize) -> Option<usize> {
        let index = self.get(i);
        let place = if index < 0 { index.checked_add(n as i64)? } else { index };
        usize::try_from(place).ok().filter(|&place| place < n)
    }

    pub fn len(&self) -> usize {
        self.view.len()
    }
}

fn check_indices(name: &str, indices: &Meta) -> Result<(), Fault> {
    match indices.dtype {
        DType::I32 | DType::I64 => Ok(()),
        other => Err(Fault::Type(format!("{name}: indices are int32 or int64, got {}; cast them", other.name()))),
    }
}

/// y[o, j, i] = x[o, indices[j], i] around attribute `axis`.
pub const GATHER: OpDef =
    OpDef { name: "gather", attrs: &["axis"], infer: infer_gather, run: run_gather, ..OpDef::BASE };

fn infer_gather(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x, indices] = operands("gather", ins)?;
    check_indices("gather", &indices)?;
    let axis = axis_of("gather", attrs, 0, x.shape.len())?;
    let sizes = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    result("gather", x.dtype, &sizes)
}

fn run_gather(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    by_size!(ins[0].meta.dtype, T => gather::<T>(part, ins, &outs[0], attrs));
}

fn gather<T: Raw>(part: &Part<'_>, ins: &[View], y: &View, attrs: &Attrs) {
    let (x, indices, axis) = (&ins[0], Indices::new(&ins[1]), attrs.int(0, 0) as usize);
    let (n, stride) = (x.shape()[axis], x.strides[axis]);
    let outer = Axes::of(&x.shape()[..axis], [&x.strides[..axis]]);
    let inner = Axes::of(&x.shape()[axis + 1..], [&x.strides[axis + 1..]]);
    let count = inner.count();
    let dense = inner.rank() == 0 || (inner.rank() == 1 && inner.axis(0).1 == [1]);
    let missing = T::low(missing(x.meta.dtype));
    if y.is_empty() {
        return;
    }
    for item in part.span(outer.count() * indices.len(), 1) {
        // SAFETY: items are disjoint, and each is one worker's.
        let row = unsafe { y.write::<T>(item * count..(item + 1) * count) };
        let Some(place) = indices.place(item % indices.len(), n) else {
            row.fill(missing);
            continue;
        };
        let at = outer.at(item / indices.len())[0] + place as isize * stride;
        // SAFETY: places of the operand.
        unsafe {
            let from = x.ptr::<T>().offset(at);
            if !dense {
                let mut walk = inner.walk(0);
                row.iter_mut().for_each(|v| *v = *from.offset(walk.step()[0]));
            } else if let [v] = row {
                *v = *from;
            } else {
                row.copy_from_slice(std::slice::from_raw_parts(from, count));
            }
        }
    }
}

/// The bits of what stands for a missing value.
fn missing(dtype: DType) -> u64 {
    match dtype {
        DType::F16 => 0x7e00,
        DType::BF16 => 0x7fc0,
        DType::F32 => u64::from(f32::NAN.to_bits()),
        DType::F64 => f64::NAN.to_bits(),
        _ => 0,
    }
}

/// y[o, k, i] = Σ of x[o, j, i] over the j with indices[j] = k, in ascending order, for k < `size`: the gradient of
/// gather.
pub const SCATTER_ADD: OpDef = OpDef {
    name: "scatter_add",
    attrs: &["axis", "size"],
    layout: Layout::Dense,
    infer: infer_scatter,
    run: run_scatter,
    ..OpDef::BASE
};

fn infer_scatter(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [x, indices] = operands("scatter_add", ins)?;
    check_indices("scatter_add", &indices)?;
    if !matches!(x.dtype, DType::F32 | DType::F64 | DType::I32 | DType::I64) {
        let got = x.dtype.name();
        return Err(Fault::Type(format!("scatter_add: takes float32, float64, int32 or int64, got {got}; cast it")));
    }
    let axis = axis_of("scatter_add", attrs, 0, x.shape.len() + 1)?;
    let (size, end) = (attrs.int(1, -1), axis + indices.shape.len());
    if x.shape.get(axis..end) != Some(&*indices.shape) || size < 0 {
        return Err(Fault::Value(format!(
            "scatter_add: {x:?} does not have the axes of {indices:?} from axis {axis} on, or the size {size} is not one"
        )));
    }
    let sizes = [&x.shape[..axis], &[size as usize], &x.shape[end..]].concat();
    result("scatter_add", x.dtype, &sizes)
}

fn run_scatter(part: &Part<'_>, ins: &[View], outs: &[View], attrs: &Attrs, _: Scratch) {
    match ins[0].meta.dtype {
        DType::F32 => scatter_add::<f32>(part, ins, &outs[0], attrs),
        DType::F64 => scatter_add::<f64>(part, ins, &outs[0], attrs),
        DType::I32 => scatter_add::<i32>(part, ins, &outs[0], attrs),
        _ => scatter_add::<i64>(part, ins, &outs[0], attrs),
    }
}

fn scatter_add<T: Num>(part: &Part<'_>, ins: &[View], y: &View, attrs: &Attrs) {
    let axis = attrs.int(0, 0) as usize;
    let (size, inner) = (y.shape()[axis], y.shape()[axis + 1..].iter().product::<usize>());
    if y.is_empty() {
        return;
    }
    let outer = y.len() / (size * inner);
    // Each worker adds to rows of its own; where rows are long, to columns of its own: rows may be very unlike.
    let wide = inner >= 32 * part.count;
    let rows = if wide { 0..outer * size } else { part.span(outer * size, 1) };
    let columns = if wide { part.span(inner, 16) } else { 0..inner };
    part.level.run(ScatterAdd {
        x: ins[0].read::<T>(),
        indices: Indices::new(&ins[1]),
        y,
        size,
        inner,
        rows,
        columns,
    });
}

struct ScatterAdd<'a, T> {
    x: &'a [T],
    indices: Indices<'a>,
    y: &'a View,
    size: usize,
    inner: usize,
    /// Which of the (outer, size) rows, and which of their columns, to write.
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Num> Kernel for ScatterAdd<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        if self.rows.is_empty() || self.columns.is_empty() {
            return;
        }
        let piece = |row: usize| row * self.inner + self.columns.start..row * self.inner + self.columns.end;
        for row in self.rows.clone() {
            // SAFETY: the workers' rows or columns are disjoint.
            unsafe { self.y.write::<T>(piece(row)) }.fill(T::ZERO);
        }
        for outer in self.rows.start / self.size..self.rows.end.div_ceil(self.size) {
            for j in 0..self.indices.len() {
                let Some(place) = self.indices.place(j, self.size) else { continue };
                let row = outer * self.size + place;
                if self.rows.contains(&row) {
                    let x = &self.x[piece(outer * self.indices.len() + j)];
                    // SAFETY: as above.
                    T::rows::<S, Sum, 1>(s, unsafe { self.y.write::<T>(piece(row)) }, [x]);
                }
            }
        }
    }
}

/// y[j, k] = 1 if indices[j] = k else 0, for k < `size`. An index out of range, negative ones too, gives zeros.
pub const ONE_HOT: OpDef =
    OpDef { name: "one_hot", attrs: &["size", "dtype"], infer: infer_one_hot, run: run_one_hot, ..OpDef::BASE };

fn infer_one_hot(ins: &[Meta], _: &[Meta], attrs: &Attrs) -> Result<Vec<Meta>, Fault> {
    let [indices] = operands("one_hot", ins)?;
    check_indices("one_hot", &indices)?;
    let dtype = dtype_of("one_hot", attrs, 1, &[DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool])?;
    let size = attrs.int(0, -1);
    if size < 0 {
        return Err(Fault::Value(format!("one_hot: the number of classes is at least 0, got {size}")));
    }
    result("one_hot", dtype, &[&*indices.shape, &[size as usize]].concat())
}

fn run_one_hot(part: &Part<'_>, ins: &[View], outs: &[View], _: &Attrs, _: Scratch) {
    match outs[0].meta.dtype {
        DType::F32 => one_hot::<f32>(part, &ins[0], &outs[0]),
        DType::F64 => one_hot::<f64>(part, &ins[0], &outs[0]),
        DType::I32 => one_hot::<i32>(part, &ins[0], &outs[0]),
        DType::I64 => one_hot::<i64>(part, &ins[0], &outs[0]),
        _ => one_hot::<u8>(part, &ins[0], &outs[0]),
    }
}

fn one_hot<T: Num>(part: &Part<'_>, indices: &View, y: &View) {
    let (indices, size) = (Indices::new(indices), y.dim(-1));
    for j in part.span(indices.len(), 1) {
        // SAFETY: rows are disjoint, and each is one worker's.
        let row = unsafe { y.write::<T>(j * size..(j + 1) * size) };
        row.fill(T::ZERO);
        if let Some(v) = usize::try_from(indices.get(j)).ok().and_then(|class| row.get_mut(class)) {
            *v = T::ONE;
        }
    }
}
