//! Narrow rows, of at most [`WIDEST`] elements: sixteen of them side by side, a row to a lane. A row alone would fill
//! a part of a vector only, and wait for its own sums. The bits are those of rows taken one at a time.

use crate::lanes::Lanes;
use crate::math;
use crate::reduce::{self, Fold, Max};

/// Rows side by side.
pub(in crate::ops) const ROWS: usize = 16;

/// The longest row that is called narrow.
pub(in crate::ops) const WIDEST: usize = 32;

/// Sixteen rows, transposed: element `j` of row `r` is `[j][r]`.
pub(in crate::ops) struct Tile {
    columns: [[f32; ROWS]; WIDEST],
    length: usize,
}

impl Tile {
    /// A tile for rows of this length.
    ///
    /// # Panics
    /// If they are longer than [`WIDEST`].
    #[inline(always)]
    pub fn new(length: usize) -> Tile {
        assert!((1..=WIDEST).contains(&length));
        Tile { columns: [[0.0; ROWS]; WIDEST], length }
    }

    /// Takes at most sixteen rows; the lanes of missing ones keep what they had.
    #[inline(always)]
    pub fn take(&mut self, x: &[f32]) -> &mut Tile {
        assert!(x.len() <= ROWS * self.length);
        for (r, row) in x.chunks_exact(self.length).enumerate() {
            for (column, &v) in self.columns.iter_mut().zip(row) {
                column[r] = v;
            }
        }
        self
    }

    /// Writes the rows back, as many as `y` holds.
    #[inline(always)]
    pub fn put(&self, y: &mut [f32]) {
        for (r, row) in y.chunks_exact_mut(self.length).enumerate() {
            for (column, v) in self.columns.iter().zip(row) {
                *v = column[r];
            }
        }
    }

    /// Element `j` of row `r`.
    #[inline(always)]
    pub fn get(&self, r: usize, j: usize) -> f32 {
        self.columns[j][r]
    }

    /// N rows of column `j`, from row `lane` on.
    #[inline(always)]
    pub fn at<S: Lanes>(&self, s: S, j: usize, lane: usize) -> S::F {
        assert!(lane + S::N <= ROWS);
        // SAFETY: N of the column's elements from `lane` on are inside.
        unsafe { s.load(self.columns[j].as_ptr().add(lane)) }
    }

    #[inline(always)]
    fn set<S: Lanes>(&mut self, s: S, j: usize, lane: usize, x: S::F) {
        assert!(lane + S::N <= ROWS);
        // SAFETY: N of the column's elements from `lane` on are inside.
        unsafe { s.store(self.columns[j].as_mut_ptr().add(lane), x) };
    }

    /// x = f(j, lane, x) for every element, N rows at a time.
    #[inline(always)]
    pub fn map<S: Lanes>(&mut self, s: S, f: impl Fn(usize, usize, S::F) -> S::F) {
        for j in 0..self.length {
            for lane in (0..ROWS).step_by(S::N) {
                let x = self.at(s, j, lane);
                self.set(s, j, lane, f(j, lane, x));
            }
        }
    }

    /// The greatest of each row.
    #[inline(always)]
    pub fn max<S: Lanes>(&self, s: S) -> Row {
        Row::make(
            s,
            #[inline(always)]
            |lane| {
                let mut max = s.splat(f32::NEG_INFINITY);
                for j in 0..self.length {
                    max = Max::lanes(s, max, self.at(s, j, lane));
                }
                max
            },
        )
    }

    /// Σ f(j, lane, x) over each row, in the order of [`reduce`].
    #[inline(always)]
    pub fn sum<S: Lanes>(&self, s: S, f: impl Fn(usize, usize, S::F) -> S::F) -> Row {
        Row::make(
            s,
            #[inline(always)]
            |lane| {
                let mut acc = [s.splat(0.0); reduce::LANES];
                for j in 0..self.length {
                    let a = &mut acc[j % reduce::LANES];
                    *a = s.add(*a, f(j, lane, self.at(s, j, lane)));
                }
                let mut half = reduce::LANES / 2;
                while half > 0 {
                    for i in 0..half {
                        acc[i] = s.add(acc[i], acc[i + half]);
                    }
                    half /= 2;
                }
                acc[0]
            },
        )
    }

    /// Subtracts a number of each row.
    #[inline(always)]
    pub fn shift<S: Lanes>(&mut self, s: S, by: &Row) {
        self.map(
            s,
            #[inline(always)]
            |_, lane, x| s.sub(x, by.at(s, lane)),
        );
    }

    /// Multiplies by a number for each row.
    #[inline(always)]
    pub fn scale<S: Lanes>(&mut self, s: S, by: &Row) {
        self.map(
            s,
            #[inline(always)]
            |_, lane, x| s.mul(x, by.at(s, lane)),
        );
    }

    /// Takes exponentials and gives their sums.
    #[inline(always)]
    pub fn exp<S: Lanes>(&mut self, s: S) -> Row {
        self.map(
            s,
            #[inline(always)]
            |_, _, x| math::exp(s, x),
        );
        self.sum(
            s,
            #[inline(always)]
            |_, _, x| x,
        )
    }

    /// The product of two tiles' elements, summed over each row.
    #[inline(always)]
    pub fn dot<S: Lanes>(&self, s: S, other: &Tile) -> Row {
        self.sum(
            s,
            #[inline(always)]
            |j, lane, x| s.mul(x, other.at(s, j, lane)),
        )
    }

    /// Subtracts another tile.
    #[inline(always)]
    pub fn minus<S: Lanes>(&mut self, s: S, other: &Tile) {
        self.map(
            s,
            #[inline(always)]
            |j, lane, x| s.sub(x, other.at(s, j, lane)),
        );
    }
}

/// A number for each of sixteen rows.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Row(pub [f32; ROWS]);

impl Row {
    #[inline(always)]
    fn make<S: Lanes>(s: S, f: impl Fn(usize) -> S::F) -> Row {
        let mut row = [0.0; ROWS];
        for lane in (0..ROWS).step_by(S::N) {
            // SAFETY: N divides 16, so N elements from `lane` on are inside.
            unsafe { s.store(row.as_mut_ptr().add(lane), f(lane)) };
        }
        Row(row)
    }

    /// N of them, from `lane` on.
    #[inline(always)]
    pub fn at<S: Lanes>(&self, s: S, lane: usize) -> S::F {
        assert!(lane + S::N <= ROWS);
        // SAFETY: N elements from `lane` on are inside.
        unsafe { s.load(self.0.as_ptr().add(lane)) }
    }

    /// f(x, y) of each of two rows' numbers.
    #[inline(always)]
    pub fn with<S: Lanes>(&self, s: S, other: &Row, f: impl Fn(S::F, S::F) -> S::F) -> Row {
        Row::make(
            s,
            #[inline(always)]
            |lane| f(self.at(s, lane), other.at(s, lane)),
        )
    }

    /// 1 / x
    #[inline(always)]
    pub fn inverse<S: Lanes>(&self, s: S) -> Row {
        Row::make(
            s,
            #[inline(always)]
            |lane| s.div(s.splat(1.0), self.at(s, lane)),
        )
    }

    /// log x
    #[inline(always)]
    pub fn log<S: Lanes>(&self, s: S) -> Row {
        Row::make(
            s,
            #[inline(always)]
            |lane| math::log(s, self.at(s, lane)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Level;
    use crate::lanes::Kernel;
    use crate::testing::uniform;

    struct Sums<'a>(&'a [f32], usize);

    impl Kernel for Sums<'_> {
        type Out = (Row, [f32; ROWS]);
        #[inline(always)]
        fn run<S: Lanes>(self, s: S) -> Self::Out {
            let mut alone = [0.0; ROWS];
            for (sum, row) in alone.iter_mut().zip(self.0.chunks(self.1)) {
                *sum = reduce::sum(s, row);
            }
            (
                Tile::new(self.1).take(self.0).sum(
                    s,
                    #[inline(always)]
                    |_, _, x| x,
                ),
                alone,
            )
        }
    }

    #[test]
    fn sums_are_those_of_rows_alone() {
        for level in Level::ALL.into_iter().filter(|l| l.available()) {
            for length in 1..=WIDEST {
                let (together, alone) = level.run(Sums(&uniform(1, 13 * length, -1.0, 1.0), length));
                assert_eq!(together.0.map(f32::to_bits), alone.map(f32::to_bits));
            }
        }
    }

    #[test]
    fn tiles_come_back_as_they_went() {
        let x = uniform(2, 7 * 10, -1.0, 1.0);
        let mut y = vec![0.0; 70];
        let mut tile = Tile::new(10);
        tile.take(&x).put(&mut y);
        assert_eq!(x, y);
        assert_eq!(tile.get(3, 4), x[34]);
    }
}
