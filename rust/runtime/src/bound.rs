//! Calls of a program with their operands' addresses, as they are run.

use lumbre_kernels::{Attrs, Meta, OpDef, Part, Scratch, View};

/// The most operands that a call of a chain reads.
pub(crate) const MOST_READ: usize = 3;

/// Elements of a piece of a chain: few enough for all that is read and written to stay in the second-level cache, enough
/// for the calls themselves not to count.
const PIECE: usize = 1 << 13;

/// Workers' shares of a chain end where the cache lines of all dtypes do.
const LINE: usize = 64;

/// One call.
pub struct Link<'a> {
    /// The row.
    pub op: &'static OpDef,
    /// Its attributes.
    pub attrs: &'a Attrs,
    /// What is read.
    pub ins: Vec<View>,
    /// What is written.
    pub outs: Vec<View>,
}

/// A planned call, or a chain of elementwise ones.
pub struct Bound<'a> {
    /// The call, or those of the chain.
    pub links: Vec<Link<'a>>,
    /// Scratch memory of a single call.
    pub scratch: Scratch,
    /// Whether all workers take part; otherwise the first does it alone.
    pub shared: bool,
    /// Whether the workers must meet before it.
    pub barrier: bool,
}

impl Bound<'_> {
    /// Does this worker's share.
    pub fn run(&self, part: &Part<'_>) {
        match &self.links[..] {
            [call] => (call.op.run)(part, &call.ins, &call.outs, call.attrs, self.scratch),
            links => {
                let solo = Part::solo(part.level);
                let share = part.span(links[0].outs[0].len(), LINE);
                for start in share.clone().step_by(PIECE) {
                    let len = PIECE.min(share.end - start);
                    links.iter().for_each(|link| link.run_piece(&solo, start, len));
                }
            }
        }
    }
}

impl Link<'_> {
    /// Does `len` elements from number `start` on.
    fn run_piece(&self, solo: &Part<'_>, start: usize, len: usize) {
        let out = piece(&self.outs[0], start, len);
        let ins: [View; MOST_READ] =
            std::array::from_fn(|i| self.ins.get(i).map_or(out, |view| piece(view, start, len)));
        (self.op.run)(solo, &ins[..self.ins.len()], &[out], self.attrs, Scratch::none());
    }
}

/// A piece of a dense operand; of a single element, which all pieces read, itself.
fn piece(view: &View, start: usize, len: usize) -> View {
    let (first, meta) = match view.len() {
        1 => (0, Meta::new(view.meta.dtype, &[])),
        _ => (start * view.meta.dtype.size(), Meta::new(view.meta.dtype, &[len])),
    };
    // SAFETY: elements of the operand, dense (a chain has no others), so what holds for it holds for the piece; the pieces
    // of what is written are disjoint.
    unsafe { View::new(view.address().wrapping_add(first), meta, meta.shape.row_major()) }
}
