//! `cast`: from every dtype to every dtype.
//!
//! Floats are rounded to nearest, ties to even, from the exact value; too large ones become infinite. A float becomes
//! an integer by cutting off the fraction; outside the integer's range it becomes the nearest end of it, and NaN
//! becomes 0. Integers are cut to the lower bits. Everything but zero is true. (64-bit integers become half-width
//! floats by way of float64.)

use super::operands;
use super::unary::each;
use super::walk::{Tile, tiles};
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Attrs, Fault, OpDef};
use crate::team::Part;
use crate::view::{Meta, View};
use std::marker::PhantomData;

/// To the dtype whose number is the attribute.
pub(super) const CAST: OpDef = OpDef {
    name: "cast",
    attrs: &["dtype"],
    infer: |ins, _, attrs| {
        let [x] = operands::<1>("cast", ins, &DType::ALL)?;
        let dtype = target(attrs).ok_or_else(|| Fault::Value("cast: the attribute dtype names no dtype".into()))?;
        Ok(vec![Meta { dtype, shape: x.shape }])
    },
    run: |part, ins, outs, _, _| run(part, &ins[0], &outs[0]),
    ..OpDef::BASE
};

fn target(attrs: &Attrs) -> Option<DType> {
    DType::ALL.get(usize::try_from(attrs.int(0, -1)).ok()?).copied()
}

fn run(part: &Part<'_>, x: &View, y: &View) {
    use DType::*;
    match (x.meta.dtype, y.meta.dtype) {
        // The frequent ones, each a loop of its own.
        (F32, F64) => vectors(part, x, y, |v: f32| f64::from(v)),
        (F64, F32) => vectors(part, x, y, |v: f64| v as f32),
        (I32, F32) => vectors(part, x, y, |v: i32| v as f32),
        (I64, F32) => vectors(part, x, y, |v: i64| v as f32),
        (U64, F32) => vectors(part, x, y, |v: u64| v as f32),
        (U8, F32) => vectors(part, x, y, |v: u8| f32::from(v)),
        (Bool, F32) => vectors(part, x, y, |v: u8| f32::from(v != 0)),
        (F32, Bool) => vectors(part, x, y, |v: f32| (v != 0.0) as u8),
        (F32, I32) => vectors(part, x, y, |v: f32| v as i32),
        (I32, I64) => vectors(part, x, y, |v: i32| i64::from(v)),
        (I64, I32) => vectors(part, x, y, |v: i64| v as i32),
        (F32, BF16) => vectors(part, x, y, f32_to_bf16),
        (BF16, F32) => vectors(part, x, y, bf16_to_f32),
        (F32, F16) => vectors(part, x, y, f32_to_f16),
        (F16, F32) => vectors(part, x, y, f16_to_f32),
        (Bool, Bool) => each(part, x, y, |v: u8| (v != 0) as u8),
        (a, b) if a == b => match a.size() {
            1 => each(part, x, y, |v: u8| v),
            2 => each(part, x, y, |v: u16| v),
            4 => each(part, x, y, |v: u32| v),
            _ => each(part, x, y, |v: u64| v),
        },
        // The rest by way of float64, or of int64 between integers, which hold every value on the way.
        (a, b) if a.is_float() || b.is_float() => through(part, x, y, load_double, store_double),
        _ => through(part, x, y, load_long, store_long),
    }
}

/// y = f(x) as plain code, which the compiler turns into this level's vectors.
fn vectors<T: Elem, U: Elem>(part: &Part<'_>, x: &View, y: &View, f: impl Fn(T) -> U + Copy) {
    tiles(part, [x], y, false, &mut |tile| part.level.run(Vectors(tile, f, PhantomData)));
}

struct Vectors<'a, T, U, F>(&'a Tile<1>, F, PhantomData<(T, U)>);

impl<T: Elem, U: Elem, F: Fn(T) -> U> Kernel for Vectors<'_, T, U, F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let tile = self.0;
        for r in 0..tile.rows {
            let (x, y) = (tile.input::<T>(0, r), tile.output::<U>(r));
            for i in 0..tile.cols {
                // SAFETY: the tile's row has `cols` elements of either.
                unsafe { y.add(i).write((self.1)(x.add(i).read())) };
            }
        }
    }
}

/// Reads or writes elements of a dtype known at run time: address, dtype, values.
type Load<W> = unsafe fn(*const u8, DType, &mut [W]);
type Store<W> = unsafe fn(*mut u8, DType, &[W]);

fn through<W: Copy + Default>(part: &Part<'_>, x: &View, y: &View, load: Load<W>, store: Store<W>) {
    const CHUNK: usize = 256;
    let (from, to) = (x.meta.dtype, y.meta.dtype);
    let mut buffer = [W::default(); CHUNK];
    tiles(part, [x], y, false, &mut |tile| {
        for r in 0..tile.rows {
            for col in (0..tile.cols).step_by(CHUNK) {
                let values = &mut buffer[..CHUNK.min(tile.cols - col)];
                // SAFETY: the tile's row has `cols` elements of either.
                unsafe {
                    load(tile.input_bytes(0, r).add(col * from.size()), from, values);
                    store(tile.output_bytes(r, to.size()).add(col * to.size()), to, values);
                }
            }
        }
    });
}

/// # Safety
/// `p` is valid for reading one T per value.
unsafe fn load_as<T: Copy, W>(p: *const u8, values: &mut [W], f: impl Fn(T) -> W) {
    for (i, v) in values.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *v = f(unsafe { p.cast::<T>().add(i).read() });
    }
}

/// # Safety
/// `p` is valid for writing one T per value.
unsafe fn store_as<T, W: Copy>(p: *mut u8, values: &[W], f: impl Fn(W) -> T) {
    for (i, &v) in values.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<T>().add(i).write(f(v)) };
    }
}

/// # Safety
/// `p` is valid for reading one element per value.
unsafe fn load_double(p: *const u8, dtype: DType, values: &mut [f64]) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::Bool => load_as(p, values, |v: u8| f64::from(v != 0)),
            DType::I8 => load_as(p, values, |v: i8| v.into()),
            DType::U8 => load_as(p, values, |v: u8| v.into()),
            DType::I16 => load_as(p, values, |v: i16| v.into()),
            DType::U16 => load_as(p, values, |v: u16| v.into()),
            DType::I32 => load_as(p, values, |v: i32| v.into()),
            DType::U32 => load_as(p, values, |v: u32| v.into()),
            DType::I64 => load_as(p, values, |v: i64| v as f64),
            DType::U64 => load_as(p, values, |v: u64| v as f64),
            DType::F16 => load_as(p, values, |v: u16| f16_to_f32(v).into()),
            DType::BF16 => load_as(p, values, |v: u16| bf16_to_f32(v).into()),
            DType::F32 => load_as(p, values, |v: f32| v.into()),
            DType::F64 => load_as(p, values, |v: f64| v),
        }
    }
}

/// # Safety
/// `p` is valid for writing one element per value.
unsafe fn store_double(p: *mut u8, dtype: DType, values: &[f64]) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::Bool => store_as(p, values, |v| (v != 0.0) as u8),
            DType::I8 => store_as(p, values, |v| v as i8),
            DType::U8 => store_as(p, values, |v| v as u8),
            DType::I16 => store_as(p, values, |v| v as i16),
            DType::U16 => store_as(p, values, |v| v as u16),
            DType::I32 => store_as(p, values, |v| v as i32),
            DType::U32 => store_as(p, values, |v| v as u32),
            DType::I64 => store_as(p, values, |v| v as i64),
            DType::U64 => store_as(p, values, |v| v as u64),
            DType::F16 => store_as(p, values, |v| f32_to_f16(to_odd(v))),
            DType::BF16 => store_as(p, values, |v| f32_to_bf16(to_odd(v))),
            DType::F32 => store_as(p, values, |v| v as f32),
            DType::F64 => store_as(p, values, |v| v),
        }
    }
}

/// # Safety
/// `p` is valid for reading one element per value. The dtype is no float.
unsafe fn load_long(p: *const u8, dtype: DType, values: &mut [i64]) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::Bool => load_as(p, values, |v: u8| (v != 0).into()),
            DType::I8 => load_as(p, values, |v: i8| v.into()),
            DType::U8 => load_as(p, values, |v: u8| v.into()),
            DType::I16 => load_as(p, values, |v: i16| v.into()),
            DType::U16 => load_as(p, values, |v: u16| v.into()),
            DType::I32 => load_as(p, values, |v: i32| v.into()),
            DType::U32 => load_as(p, values, |v: u32| v.into()),
            _ => load_as(p, values, |v: i64| v), // uint64 by its bits
        }
    }
}

/// # Safety
/// `p` is valid for writing one element per value. The dtype is no float.
unsafe fn store_long(p: *mut u8, dtype: DType, values: &[i64]) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::Bool => store_as(p, values, |v| (v != 0) as u8),
            DType::I8 | DType::U8 => store_as(p, values, |v| v as u8),
            DType::I16 | DType::U16 => store_as(p, values, |v| v as u16),
            DType::I32 | DType::U32 => store_as(p, values, |v| v as u32),
            _ => store_as(p, values, |v| v),
        }
    }
}

/// A float32 next to x whose last bit is odd unless it is exact: rounding it to a narrower float rounds x only once.
/// (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd".)
fn to_odd(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x || near.is_nan() || near == 0.0 {
        return near;
    }
    let away = f64::from(near.abs()) > x.abs(); // infinity too
    f32::from_bits((near.to_bits() - away as u32) | 1)
}

/// The nearest bfloat16, ties to even: the upper half of the bits.
#[inline(always)]
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    if x.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

/// The float with these upper bits.
#[inline(always)]
pub(crate) fn bf16_to_f32(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// The nearest float16, ties to even.
#[inline(always)]
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, a) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    // From 2⁻¹⁴ on: 10 bits of the mantissa, the exponent's bias 15 instead of 127.
    let normal = (a.wrapping_add(0xfff + (a >> 13 & 1)) >> 13).wrapping_sub(112 << 10);
    // Below, multiples of 2⁻²⁴: the last place of numbers in [½, 1).
    let small = (f32::from_bits(a) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let special = if x.is_nan() { 0x7e00 } else { 0x7c00 };
    let finite = if a < 0x3880_0000 { small } else { normal };
    sign | (if a < 0x4780_0000 { finite } else { special }) as u16
}

/// The same number.
#[inline(always)]
pub(crate) fn f16_to_f32(x: u16) -> f32 {
    let (exponent, mantissa) = (u32::from(x >> 10 & 0x1f), u32::from(x & 0x3ff));
    let magnitude = match exponent {
        0 => (mantissa as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(magnitude | u32::from(x & 0x8000) << 16)
}
