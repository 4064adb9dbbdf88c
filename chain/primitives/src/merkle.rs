//! Append-only Merkle trees as in RFC 9162 (section 2.1), with BLAKE2b-256 as the hash: a proof for a
//! leaf of logs and of batches of claims.
//!
//! Leaves and nodes are hashed with different prefixes, so that no node passes for a leaf; the tree's
//! size is part of what is proved, so that no leaf passes at two places.

use crate::{blake2_256, Hash256};
use alloc::vec::Vec;

/// Longest path that is looked at: trees of up to 2^63 leaves.
pub const PATH_MAX: u32 = 63;

/// Hash of a leaf with this content.
pub fn leaf_hash(content: &[u8]) -> Hash256 {
    let mut bytes = Vec::with_capacity(content.len().saturating_add(1));
    bytes.push(0);
    bytes.extend_from_slice(content);
    blake2_256(&bytes)
}

/// Hash of the node over two others.
pub fn node_hash(left: &Hash256, right: &Hash256) -> Hash256 {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    blake2_256(&bytes)
}

/// A tree that only grows, by what is needed to go on: one hash for each bit of its size.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// Roots of the full subtrees, the largest first.
    peaks: Vec<Hash256>,
}

impl Frontier {
    /// Appends a leaf by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Hash256) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root; zeros for a tree without leaves.
    pub fn root(&self) -> Hash256 {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash256::default() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Root of the tree over these leaf hashes; zeros without any.
pub fn root(leaves: &[Hash256]) -> Hash256 {
    let mut tree = Frontier::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// The path from leaf `index` up to the root of the tree over these leaf hashes; `None` where there is
/// no such leaf.
pub fn inclusion_path(leaves: &[Hash256], index: u64) -> Option<Vec<Hash256>> {
    let mut at = usize::try_from(index).ok().filter(|at| *at < leaves.len())?;
    let mut rest = leaves;
    let mut path = Vec::new();
    while rest.len() > 1 {
        // The largest power of two below the number of leaves.
        let split = rest.len().next_power_of_two() / 2;
        let (left, right) = rest.split_at(split);
        if at < split {
            path.push(root(right));
            rest = left;
        } else {
            path.push(root(left));
            rest = right;
            at -= split;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that a path proves a leaf to be under, as in RFC 9162 (section 2.1.3.2); `None` where a
/// tree of `size` has no leaf `index` or the path has not its length. The caller compares it with the
/// root that it knows.
pub fn proved_root(leaf: &Hash256, index: u64, size: u64, path: &[Hash256]) -> Option<Hash256> {
    if index >= size {
        return None;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Hash256> {
        (0..count).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    #[test]
    fn a_tree_of_one_is_its_leaf_and_of_none_zeros() {
        let one = leaves(1);
        assert_eq!(root(&one), one[0]);
        assert_eq!(root(&[]), Hash256::default());
        assert_eq!(inclusion_path(&one, 0), Some(Vec::new()));
        assert_eq!(inclusion_path(&[], 0), None);
    }

    #[test]
    fn three_leaves_as_the_rfc_draws_them() {
        let l = leaves(3);
        assert_eq!(root(&l), node_hash(&node_hash(&l[0], &l[1]), &l[2]));
    }

    #[test]
    fn a_node_does_not_pass_for_a_leaf() {
        let l = leaves(2);
        let content = [l[0], l[1]].concat();
        assert_ne!(leaf_hash(&content), root(&l));
    }

    proptest! {
        #[test]
        fn each_leaf_is_proved_at_its_place_and_nowhere_else(count in 1u64..70, at in 0u64..70, other in 0u64..80, bit in 0usize..256) {
            let l = leaves(count);
            let at = at % count;
            let path = inclusion_path(&l, at).unwrap();
            let leaf = l[at as usize];
            prop_assert_eq!(proved_root(&leaf, at, count, &path), Some(root(&l)));
            if other != at {
                prop_assert_ne!(proved_root(&leaf, other, count, &path), Some(root(&l)));
            }
            let mut wrong = leaf;
            wrong[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(proved_root(&wrong, at, count, &path), Some(root(&l)));
            let longer = [path.as_slice(), &[leaf]].concat();
            prop_assert_eq!(proved_root(&leaf, at, count, &longer), None);
            if let Some((_, shorter)) = path.split_last() {
                prop_assert_eq!(proved_root(&leaf, at, count, shorter), None);
            }
        }

        #[test]
        fn growing_leaf_by_leaf_is_the_tree_over_all(count in 0u64..200) {
            let l = leaves(count);
            let mut tree = Frontier::default();
            for (i, leaf) in l.iter().enumerate() {
                tree.push(*leaf);
                prop_assert_eq!(tree.root(), root(&l[..=i]));
            }
            prop_assert_eq!(tree.size(), count);
        }
    }
}
