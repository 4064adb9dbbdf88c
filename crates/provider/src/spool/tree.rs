//! Paths in a Merkle tree whose full subtrees are stored, so that neither a new leaf nor a proof
//! costs more than the tree's height.
//!
//! A node at `level` and `position` is the root over the leaves from `position << level` on, as many
//! as `1 << level`. Only full ones are stored; the ragged right edge is put together when asked for.
//! The trees are those of [`casemate_primitives::merkle`].

use casemate_primitives::{Hash256, merkle::node_hash};

/// Where stored nodes are read. `None` is a node that is missing.
pub(super) type Read<'a, E> = dyn FnMut(u32, u64) -> Result<Option<Hash256>, E> + 'a;

/// The nodes that are full once leaf `index` is there, the leaf itself first.
pub(super) fn append<E>(
    index: u64,
    leaf: Hash256,
    read: &mut Read<'_, E>,
) -> Result<Option<Vec<(u32, u64, Hash256)>>, E> {
    let mut nodes = vec![(0, index, leaf)];
    let mut hash = leaf;
    for level in 0..index.trailing_ones() {
        let Some(left) = read(level, (index >> level) - 1)? else { return Ok(None) };
        hash = node_hash(&left, &hash);
        nodes.push((level + 1, index >> (level + 1), hash));
    }
    Ok(Some(nodes))
}

/// The path from leaf `index` to the root over the first `size` leaves; `None` where there is no
/// such leaf or a node is missing.
pub(super) fn path<E>(
    index: u64,
    size: u64,
    read: &mut Read<'_, E>,
) -> Result<Option<Vec<Hash256>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut first, mut count) = (0, size);
    let mut path = Vec::new();
    while count > 1 {
        let split = split(count);
        let (sibling, sibling_count) = if index - first < split {
            let sibling = (first + split, count - split);
            count = split;
            sibling
        } else {
            let sibling = (first, split);
            first += split;
            count -= split;
            sibling
        };
        let Some(hash) = root(sibling, sibling_count, read)? else { return Ok(None) };
        path.push(hash);
    }
    path.reverse();
    Ok(Some(path))
}

/// Root over `count` leaves from `first` on, which is a multiple of the power of two that is not
/// below `count`.
fn root<E>(first: u64, count: u64, read: &mut Read<'_, E>) -> Result<Option<Hash256>, E> {
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return read(level, first >> level);
    }
    let split = split(count);
    let (Some(left), Some(right)) =
        (root(first, split, read)?, root(first + split, count - split, read)?)
    else {
        return Ok(None);
    };
    Ok(Some(node_hash(&left, &right)))
}

/// The largest power of two below `count`, which is above 1.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, convert::Infallible};

    use casemate_primitives::merkle;

    use super::*;

    /// Every path in every tree up to a size is that of the plain tree; and none costs more nodes
    /// than twice its height.
    #[test]
    fn paths_are_those_of_the_plain_tree() {
        let leaves: Vec<_> = (0..130u64).map(|i| merkle::leaf_hash(&i.to_le_bytes())).collect();
        let mut nodes = HashMap::new();
        for (size, leaf) in (1..).zip(&leaves) {
            let mut read = |level, at| Ok::<_, Infallible>(nodes.get(&(level, at)).copied());
            let new = append(size - 1, *leaf, &mut read).unwrap().unwrap();
            nodes.extend(new.into_iter().map(|(level, at, hash)| ((level, at), hash)));
            let plain = &leaves[..usize::try_from(size).unwrap()];
            for index in 0..size {
                let mut reads = 0;
                let mut read = |level, at| {
                    reads += 1;
                    Ok::<_, Infallible>(nodes.get(&(level, at)).copied())
                };
                let path = path(index, size, &mut read).unwrap();
                assert_eq!(path, merkle::inclusion_path(plain, index), "{index} of {size}");
                assert!(reads <= 2 * (size.ilog2() + 1), "{reads} for {index} of {size}");
            }
            let mut none = |_, _| Ok::<_, Infallible>(None);
            assert_eq!(path(size, size, &mut none).unwrap(), None);
            assert_eq!(path(0, size + 2, &mut none).unwrap(), None, "nodes are missing");
        }
    }
}
