//! `where`: one of two operands, by a condition.

use super::walk::{Tile, tiles};
use super::{broadcast, operands};
use crate::dtype::{DType, Elem};
use crate::lanes::{Kernel, Lanes};
use crate::op::{Fault, OpDef};
use crate::team::Part;
use crate::view::{Meta, View};
use std::marker::PhantomData;

/// condition ? a : b, the condition bool, the others of any dtype.
pub(super) const WHERE: OpDef = OpDef {
    name: "where",
    infer: |ins, _, _| {
        let [condition, rest @ ..] = ins else { return Err(Fault::Value("where: takes 3 operands, got 0".into())) };
        if condition.dtype != DType::Bool {
            let got = condition.dtype.name();
            return Err(Fault::Type(format!("where: expects a bool condition, got {got}; cast it first")));
        }
        let dtype = operands::<2>("where", rest, &DType::ALL)?[0].dtype;
        Ok(vec![Meta { dtype, shape: broadcast("where", ins)? }])
    },
    run: |part, ins, outs, _, _| {
        let (ins, y) = ([&ins[0], &ins[1], &ins[2]], &outs[0]);
        match y.meta.dtype.size() {
            1 => run::<u8>(part, ins, y),
            2 => run::<u16>(part, ins, y),
            4 => run::<u32>(part, ins, y),
            _ => run::<u64>(part, ins, y),
        }
    },
    ..OpDef::BASE
};

fn run<T: Elem>(part: &Part<'_>, ins: [&View; 3], y: &View) {
    tiles(part, ins, y, false, &mut |tile| part.level.run(Choice::<T>(tile, PhantomData)));
}

/// Plain code, which the compiler turns into this level's vectors.
struct Choice<'a, T>(&'a Tile<3>, PhantomData<T>);

impl<T: Elem> Kernel for Choice<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        let tile = self.0;
        for r in 0..tile.rows {
            let (c, a, b, y) =
                (tile.input::<u8>(0, r), tile.input::<T>(1, r), tile.input::<T>(2, r), tile.output::<T>(r));
            for i in 0..tile.cols {
                // SAFETY: the tile's row has `cols` elements of each.
                unsafe {
                    let (a, b) = (a.add(i).read(), b.add(i).read());
                    y.add(i).write(if c.add(i).read() != 0 { a } else { b });
                }
            }
        }
    }
}
