"""Merkle trees of RFC 9162 (section 2.1) with BLAKE2b-256, by the RFC's own definitions."""

import hashlib


def _hash(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def leaf_hash(content):
    return _hash(b"\0" + content)


def node_hash(left, right):
    return _hash(b"\1" + left + right)


def _split(count):
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def root(leaves):
    """Section 2.1.1, over leaf hashes; zeros for a tree without leaves, unlike there."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return node_hash(root(leaves[:split]), root(leaves[split:]))


def inclusion_path(leaves, index):
    """Section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return inclusion_path(leaves[:split], index) + [root(leaves[split:])]
    return inclusion_path(leaves[split:], index - split) + [root(leaves[:split])]


def proved_root(leaf, index, size, path):
    """Section 2.1.3.2: the root that the path leads to, or None."""
    if index >= size:
        return None
    at, last, result = index, size - 1, leaf
    for part in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            result = node_hash(part, result)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            result = node_hash(result, part)
        at, last = at >> 1, last >> 1
    return result if last == 0 else None


def is_consistent(first, second, first_root, second_root, path):
    """Section 2.1.4.2, for 0 < first < second."""
    if not path:
        return False
    if first & (first - 1) == 0:
        path = [first_root] + path
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    older = newer = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            older, newer = node_hash(part, older), node_hash(part, newer)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, part)
        at, last = at >> 1, last >> 1
    return older == first_root and newer == second_root and last == 0
