//! Walking over strided operands.

use crate::view::MAX_RANK;

/// Axes of `K` operands that are walked together: sizes, and each operand's strides in elements. Axes of size 1 are
/// left out, and neighbours that every operand lays out as one are one.
#[derive(Clone, Copy)]
pub struct Axes<const K: usize> {
    rank: usize,
    sizes: [usize; MAX_RANK],
    strides: [[isize; K]; MAX_RANK],
}

impl<const K: usize> Axes<K> {
    /// No axes: one place, at offset 0.
    pub fn new() -> Self {
        Axes { rank: 0, sizes: [1; MAX_RANK], strides: [[0; K]; MAX_RANK] }
    }

    /// These axes, outermost first: `strides[k][i]` is operand k's stride along axis i.
    pub fn of(sizes: &[usize], strides: [&[isize]; K]) -> Self {
        let mut axes = Axes::new();
        for (i, &size) in sizes.iter().enumerate() {
            axes.push(size, strides.map(|s| s[i]));
        }
        axes
    }

    /// Adds an axis inside of the others.
    pub fn push(&mut self, size: usize, strides: [isize; K]) {
        if size == 1 {
            return;
        }
        if let Some(last) = self.rank.checked_sub(1)
            && (0..K).all(|k| self.strides[last][k] == strides[k] * size as isize)
        {
            self.sizes[last] *= size;
            self.strides[last] = strides;
            return;
        }
        self.sizes[self.rank] = size;
        self.strides[self.rank] = strides;
        self.rank += 1;
    }

    /// Takes axis `i` out.
    pub fn remove(&mut self, i: usize) -> (usize, [isize; K]) {
        let axis = (self.sizes[i], self.strides[i]);
        self.sizes.copy_within(i + 1..self.rank, i);
        self.strides.copy_within(i + 1..self.rank, i);
        self.rank -= 1;
        axis
    }

    /// Takes the innermost axis out; one of size 1 if there is none.
    pub fn pop(&mut self) -> (usize, [isize; K]) {
        if self.rank == 0 { (1, [0; K]) } else { self.remove(self.rank - 1) }
    }

    /// How many axes are left.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Size and strides of axis `i`.
    pub fn axis(&self, i: usize) -> (usize, [isize; K]) {
        (self.sizes[i], self.strides[i])
    }

    /// The number of places.
    pub fn count(&self) -> usize {
        self.sizes[..self.rank].iter().product()
    }

    /// The operands' offsets at the `index`-th place in row-major order.
    pub fn at(&self, index: usize) -> [isize; K] {
        self.walk(index).offsets
    }

    /// A walk in row-major order from the `index`-th place on.
    pub fn walk(&self, mut index: usize) -> Walk<'_, K> {
        let mut walk = Walk { axes: self, index: [0; MAX_RANK], offsets: [0; K] };
        for i in (0..self.rank).rev() {
            let place = index % self.sizes[i].max(1);
            index /= self.sizes[i].max(1);
            walk.index[i] = place;
            walk.offsets = std::array::from_fn(|k| walk.offsets[k] + place as isize * self.strides[i][k]);
        }
        walk
    }
}

/// A place on a walk.
pub struct Walk<'a, const K: usize> {
    axes: &'a Axes<K>,
    index: [usize; MAX_RANK],
    offsets: [isize; K],
}

impl<const K: usize> Walk<'_, K> {
    /// The operands' offsets here; then goes one place on. After the last place comes the first.
    #[inline(always)]
    pub fn step(&mut self) -> [isize; K] {
        let here = self.offsets;
        for i in (0..self.axes.rank).rev() {
            let (size, strides) = self.axes.axis(i);
            self.index[i] += 1;
            if self.index[i] < size {
                self.offsets = std::array::from_fn(|k| self.offsets[k] + strides[k]);
                break;
            }
            self.index[i] = 0;
            self.offsets = std::array::from_fn(|k| self.offsets[k] - (size as isize - 1) * strides[k]);
        }
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_what_lies_together() {
        let dense = Axes::of(&[2, 3, 4], [&[12, 4, 1]]);
        assert_eq!((dense.rank(), dense.axis(0)), (1, (24, [1])));
        let with_ones = Axes::of(&[2, 1, 3], [&[3, 77, 1]]);
        assert_eq!((with_ones.rank(), with_ones.count()), (1, 6));
        let transposed = Axes::of(&[3, 2], [&[2, 1], &[1, 3]]);
        assert_eq!(transposed.rank(), 2);
        assert_eq!(Axes::of(&[], [&[]]).count(), 1);
        assert_eq!(Axes::of(&[4, 0], [&[0, 1]]).count(), 0);
        let repeated = Axes::of(&[4, 5], [&[0, 0]]);
        assert_eq!(repeated.axis(0), (20, [0]));
    }

    #[test]
    fn steps_agree_with_places() {
        let axes = Axes::of(&[3, 2, 5], [&[10, -5, 1], &[1, 3, 6]]);
        for from in [0, 7, 29] {
            let mut walk = axes.walk(from);
            for i in from..30 {
                let (a, b, c) = ((i / 10) as isize, (i / 5 % 2) as isize, (i % 5) as isize);
                assert_eq!(walk.step(), [10 * a - 5 * b + c, a + 3 * b + 6 * c]);
                assert_eq!(axes.at(i), [10 * a - 5 * b + c, a + 3 * b + 6 * c]);
            }
            assert_eq!(walk.step(), [0, 0]);
        }
    }
}
