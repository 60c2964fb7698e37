//! Random bits as a function of a key and a counter: Philox4x32-10.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! The state of a generator is (key, counter), both 64 bits. One draw uses the counter as the upper half of Philox's
//! 128-bit counter and numbers its blocks in the lower half; the next draw must find the counter advanced. Blocks are
//! made sixteen at a time, a *group*: word `w` of block `16 g + b` is `group(g)[w][b]`. Vector code wants that order,
//! so it is also the order in which elements take their words: see [`Philox::group`].

/// Blocks in a group.
pub const BLOCKS: usize = 16;

/// 32-bit words in a group.
pub const WORDS: usize = 4 * BLOCKS;

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// The bits of one draw.
#[derive(Clone, Copy, Debug)]
pub struct Philox {
    key: [u32; 2],
    draw: [u32; 2],
}

impl Philox {
    /// The draw that a generator in this state makes.
    #[inline(always)]
    pub fn new(key: u64, counter: u64) -> Philox {
        Philox { key: halves(key), draw: halves(counter) }
    }

    /// Sixteen blocks from block `16 g` on; as words of 32 bits, number `16 w + b` of the group is `[w][b]`.
    #[inline(always)]
    pub fn group(&self, g: u64) -> [[u32; BLOCKS]; 4] {
        let [low, high] = halves(g * BLOCKS as u64);
        // Plain loops: closures over arrays stay calls in builds without link-time optimisation, at ten times the cost.
        let [x, y] = self.draw;
        let (low, high, x, y) = (u64::from(low), u64::from(high), u64::from(x), u64::from(y));
        let mut c = [[low; BLOCKS], [high; BLOCKS], [x; BLOCKS], [y; BLOCKS]];
        for (b, word) in c[0].iter_mut().enumerate() {
            *word += b as u64; // the low four bits are free
        }
        rounds(&mut c, self.key);
        let mut words = [[0u32; BLOCKS]; 4];
        for (words, c) in words.iter_mut().zip(&c) {
            for (word, &wide) in words.iter_mut().zip(c) {
                *word = wide as u32;
            }
        }
        words
    }

    /// Block `n` alone.
    pub fn block(&self, n: u64) -> [u32; 4] {
        let [low, high] = halves(n);
        let mut c = [low, high, self.draw[0], self.draw[1]].map(|word| [u64::from(word)]);
        rounds(&mut c, self.key);
        c.map(|word| word[0] as u32)
    }
}

/// Ten rounds over `N` blocks side by side. The words lie in 64 bits, of which the lower half counts: so vector units
/// multiply without shuffling.
#[inline(always)]
fn rounds<const N: usize>(c: &mut [[u64; N]; 4], mut key: [u32; 2]) {
    const LOW: u64 = 0xffff_ffff;
    for _ in 0..ROUNDS {
        let [a, b, x, y] = *c;
        let (k, l) = (u64::from(key[0]), u64::from(key[1]));
        for i in 0..N {
            let p = (a[i] & LOW) * u64::from(MULTIPLIERS[0]);
            let q = (x[i] & LOW) * u64::from(MULTIPLIERS[1]);
            c[0][i] = (q >> 32) ^ b[i] ^ k;
            c[1][i] = q;
            c[2][i] = (p >> 32) ^ y[i] ^ l;
            c[3][i] = p;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
}

#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
        let mut c = counter.map(|w| [u64::from(w)]);
        rounds(&mut c, key);
        c.map(|w| w[0] as u32)
    }

    /// The known answers published with the paper (Random123's kat_vectors).
    #[test]
    fn known_answers() {
        assert_eq!(block([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(block([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(block(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn groups_are_blocks_in_order() {
        let (key, counter) = (0x0123_4567_89ab_cdef, 0xfeed_f00d_dead_beef);
        let p = Philox::new(key, counter);
        for g in [0u64, 1, 77, 0x1000_0000, 0xfff_ffff_ffff_ffff] {
            let group = p.group(g);
            for b in [0usize, 1, 15] {
                let n = g * 16 + b as u64;
                let want = block([n as u32, (n >> 32) as u32, 0xdead_beef, 0xfeed_f00d], [0x89ab_cdef, 0x0123_4567]);
                assert_eq!([group[0][b], group[1][b], group[2][b], group[3][b]], want);
                assert_eq!(p.block(n), want);
            }
        }
    }
}
