#!/usr/bin/env python3
"""Checks the test vectors in docs/protocol/vectors with nothing of Casemate's own code.

This is a second implementation of docs/protocol/usage-record.md, by that page alone: Python's
standard library, and Ed25519 as RFC 8032 writes it down. `cargo xtask test` runs it. After the
vectors themselves it checks itself: every vector is altered in every byte, and each of these must
be refused.

Usage: check.py [FOLDER]
"""

import copy
import functools
import hashlib
import json
import pathlib
import sys

import ed25519
import merkle
import record as records


class Wrong(Exception):
    """A vector is not what it says."""


def demand(holds, what):
    if not holds:
        raise Wrong(what)


def blake2_256(data):
    return hashlib.blake2b(data, digest_size=32).digest()


# Signing and checking take milliseconds in Python; the same bytes come up thousands of times.
sign = functools.lru_cache(maxsize=None)(ed25519.sign)
verify = functools.lru_cache(maxsize=None)(ed25519.verify)
public_key = functools.lru_cache(maxsize=None)(ed25519.public_key)


def hexed(text):
    """Bytes of lower-case hex, and of nothing else."""
    data = bytes.fromhex(text)
    demand(data.hex() == text, f"`{text}` is no lower-case hex")
    return data


def payload(head, encoding, context=None, genesis=None):
    context = head["signing_context"].encode() if context is None else context
    genesis = hexed(head["genesis_hash"]) if genesis is None else genesis
    return records.compact(len(context)) + context + genesis + encoding


def evidence_id(head, fields):
    """What all evidence of the key is about."""
    context = b"casemate/evidence-id/v1"
    pod = int(fields["lease"]).to_bytes(8, "little") + int(fields["replica"]).to_bytes(2, "little")
    about = hexed(head["genesis_hash"]) + pod + hexed(head["manifest_hash"]) + hexed(head["key"])
    return blake2_256(records.compact(len(context)) + context + about).hex()


def check_head(document, head):
    """The rest says what the head must be."""
    demand(head["signing_context"] == "casemate/usage-record/v2", "another signing context")
    demand(public_key(hexed(head["seed"])) == hexed(head["key"]), "the key is not the seed's")
    for vector in document["records"]:
        check_record(head, vector)
    for vector in document["refused"]:
        check_refused(head, document["records"][1], vector)


def check_record(head, vector):
    encoding = hexed(vector["encoding"])
    demand(records.encode(vector["fields"]) == encoding, "the fields have another encoding")
    demand(records.decode(encoding) == vector["fields"], "the encoding has other fields")
    demand(blake2_256(encoding).hex() == vector["hash"], "another hash")
    # The record that is all zeros and the one that is all ones are of no agent that runs.
    if len(set(vector["fields"]["evidence"])) > 1:
        demand(evidence_id(head, vector["fields"]) == vector["fields"]["evidence"], "other evidence")
    signed = payload(head, encoding)
    demand(signed.hex() == vector["signing_payload"], "another payload is signed")
    signature = hexed(vector["signature"])
    demand(sign(hexed(head["seed"]), signed) == signature, "another signature")
    demand(verify(hexed(head["key"]), signed, signature), "the signature does not verify")


def refused_cases(head, good):
    """What each refused vector must be: encoding, key and signature, made from a good one."""
    encoding, signature = hexed(good["encoding"]), hexed(good["signature"])
    key, seed = hexed(head["key"]), hexed(head["seed"])
    state = records.offset_of("state")
    other_lease = records.decode(encoding)
    other_lease["lease"] = str(int(other_lease["lease"]) + 1)
    no_point = next(y for y in range(256) if ed25519.decompress(y.to_bytes(32, "little")) is None)
    scalar = int.from_bytes(signature[32:], "little") + ed25519.ORDER

    def by(signed):
        return sign(seed, signed)

    return {
        "truncated": (encoding[:-1], key, signature),
        "one byte too long": (encoding + b"\0", key, signature),
        "unknown state": (encoding[:state] + b"\3" + encoding[state + 1 :], key, signature),
        "signed for another lease": (records.encode(other_lease), key, signature),
        "signed for another chain": (
            encoding,
            key,
            by(payload(head, encoding, genesis=hexed(head["other_genesis_hash"]))),
        ),
        "signed without context": (encoding, key, by(encoding)),
        "signed in the context of version 1": (
            encoding,
            key,
            by(payload(head, encoding, context=b"casemate/usage-record/v1")),
        ),
        "signed by another key": (
            encoding,
            key,
            sign(hexed(head["other_seed"]), payload(head, encoding)),
        ),
        "key is no point": (encoding, no_point.to_bytes(32, "little"), signature),
        "s not below the group order": (
            encoding,
            key,
            signature[:32] + scalar.to_bytes(32, "little"),
        ),
    }


def check_refused(head, good, vector):
    case = refused_cases(head, good).get(vector["why"])
    demand(case is not None, f"nothing is known of `{vector['why']}`")
    encoding, key, signature = (hexed(vector[part]) for part in ("encoding", "key", "signature"))
    demand((encoding, key, signature) == case, f"it is not a record `{vector['why']}`")
    try:
        records.decode(encoding)
    except records.Malformed:
        return
    demand(not verify(key, payload(head, encoding), signature), "it is a good record")


def check_pair(head, vector):
    both = []
    for half in (vector["a"], vector["b"]):
        encoding = hexed(half["encoding"])
        demand(blake2_256(encoding).hex() == half["hash"], "another hash")
        signature = hexed(half["signature"])
        demand(sign(hexed(head["seed"]), payload(head, encoding)) == signature, "other signature")
        both.append(records.decode(encoding))
    first, second = both
    demand(records.contradiction(first, second) == vector["contradiction"], "says otherwise")
    demand(records.contradiction(second, first) == vector["contradiction"], "order matters")
    demand(vector["b_follows_a"] is records.follows(first, second), "follows or not")


def check_log(_head, log):
    leaves = []
    for index, chunk in enumerate(log):
        demand(chunk["index"] == str(index), "not the next chunk")
        encoding = records.encode_chunk(chunk)
        demand(encoding.hex() == chunk["encoding"], "another encoding")
        leaves.append(merkle.leaf_hash(encoding))
        demand(leaves[-1].hex() == chunk["leaf_hash"], "another leaf")
        demand(merkle.root(leaves).hex() == chunk["root_so_far"], "another root")


def check_batch(signed, batch):
    leaves = []
    demand(len(batch) <= len(signed), "leaves of nothing")
    for vector, leaf in zip(signed, batch):
        demand(vector["encoding"] + vector["signature"] == leaf["content"], "another leaf")
        leaves.append(merkle.leaf_hash(hexed(leaf["content"])))
        demand(leaves[-1].hex() == leaf["hash"], "another hash")
        demand(merkle.root(leaves).hex() == leaf["root_so_far"], "another root")


def check_tree(vector):
    leaves = [merkle.leaf_hash(hexed(leaf)) for leaf in vector["leaves"]]
    demand([leaf.hex() for leaf in leaves] == vector["leaf_hashes"], "other leaf hashes")
    root = merkle.root(leaves)
    demand(root.hex() == vector["root"], "another root")
    demand(len(vector["inclusion"]) == len(leaves), "not a path for each leaf")
    for index, shown in enumerate(vector["inclusion"]):
        path = [hexed(part) for part in shown]
        proved = merkle.proved_root(leaves[index], index, len(leaves), path)
        demand(proved == root, f"leaf {index} is not proved")
    sizes = [shown["size"] for shown in vector["consistency"]]
    demand(sizes == [str(size) for size in range(1, len(leaves))], "not each older tree, once")
    for size, shown in enumerate(vector["consistency"], start=1):
        older = hexed(shown["root"])
        demand(merkle.root(leaves[:size]) == older, "another older root")
        path = [hexed(part) for part in shown["path"]]
        demand(merkle.is_consistent(size, len(leaves), older, root, path), "not consistent")


def refused_proof_cases():
    """What each refused proof must be, made from the good one of leaf 4 of 13."""
    leaves = [merkle.leaf_hash(bytes([i]) * (i * i)) for i in range(13)]
    path = merkle.inclusion_path(leaves, 4)
    root = merkle.root(leaves)
    as_leaf = merkle.leaf_hash(leaves[4] + leaves[5])
    cases = {
        "path too short": (leaves[4], 4, 13, path[:-1]),
        "path too long": (leaves[4], 4, 13, path + [root]),
        "path in another order": (leaves[4], 4, 13, [path[1], path[0]] + path[2:]),
        "another index": (leaves[4], 5, 13, path),
        "index not below the size": (leaves[4], 13, 13, path),
        "smaller tree": (leaves[4], 4, 7, path),
        "another leaf": (leaves[5], 4, 13, path),
        "a node for a leaf": (as_leaf, 2, 7, path[1:]),
    }
    return root, cases


def check_refused_proof(vector):
    root, cases = refused_proof_cases()
    case = cases.get(vector["why"])
    demand(case is not None, f"nothing is known of `{vector['why']}`")
    leaf, index, size, path = case
    shown = {
        "why": vector["why"],
        "leaf_hash": leaf.hex(),
        "index": str(index),
        "size": str(size),
        "path": [part.hex() for part in path],
        "root": root.hex(),
    }
    demand(shown == vector, f"it is not a proof with `{vector['why']}`")
    demand(merkle.proved_root(leaf, index, size, path) != root, "it is a good proof")


def units(document, trees):
    """Everything there is to check: a name, the vector, and what checks it."""
    head = {name: value for name, value in document.items() if isinstance(value, str)}
    head.pop("about")
    good = document["records"][1]
    yield "head", head, functools.partial(check_head, document)
    for vector in document["records"]:
        yield vector["name"], vector, functools.partial(check_record, head)
    for vector in document["refused"]:
        yield vector["why"], vector, functools.partial(check_refused, head, good)
    for vector in document["pairs"]:
        yield vector["name"], vector, functools.partial(check_pair, head)
    yield "log", document["log"], functools.partial(check_log, head)
    yield "batch", document["batch"], functools.partial(check_batch, document["records"])
    for vector in trees["trees"]:
        yield f"tree of {len(vector['leaves'])}", vector, check_tree
    for vector in trees["refused_proofs"]:
        yield vector["why"], vector, check_refused_proof
    demand_all(document, trees, head, good)


def demand_all(document, trees, head, good):
    """That no case was left out."""
    reasons = [vector["why"] for vector in document["refused"]]
    demand(reasons == list(refused_cases(head, good)), "not each refused record, once")
    reasons = [vector["why"] for vector in trees["refused_proofs"]]
    demand(reasons == list(refused_proof_cases()[1]), "not each refused proof, once")
    found = {vector["contradiction"] for vector in document["pairs"]}
    demand(found == {None, "forked", "after the end", "span", "total", "log", "link"}, "not each contradiction")


def altered(value):
    """The value with each of its bytes altered, one after the other; names are only for people."""
    if isinstance(value, dict):
        for name in value:
            if name != "name":
                for other in altered(value[name]):
                    yield {**value, name: other}
    elif isinstance(value, list):
        for at, part in enumerate(value):
            for other in altered(part):
                yield value[:at] + [other] + value[at + 1 :]
            yield value[:at] + [part] + value[at:]
    elif isinstance(value, bool):
        yield not value
    elif value is None:
        yield "forked"
    else:
        for at, char in enumerate(value):
            yield value[:at] + ("1" if char == "0" else "0") + value[at + 1 :]
        yield value + "0"
        if value:
            yield value[:-1]


def is_refused(check, vector):
    try:
        check(vector)
    except (Wrong, records.Malformed, ValueError, KeyError, OverflowError):
        return True
    return False


def check_all(document, trees):
    """Checks every vector; then that every altered one is refused."""
    vectors, changes = 0, 0
    for name, vector, check in list(units(document, trees)):
        before = copy.deepcopy(vector)
        try:
            check(vector)
        except (Wrong, records.Malformed, ValueError, KeyError) as err:
            raise Wrong(f"{name}: {err}") from err
        vectors += 1
        for other in altered(vector):
            demand(is_refused(check, other), f"{name}: an altered byte was not seen: {other}")
            changes += 1
        demand(vector == before, "the checks have changed a vector")
    return vectors, changes


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "docs/protocol/vectors"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    ed25519.self_test()
    try:
        document = json.loads((folder / "usage-record.json").read_text())
        trees = json.loads((folder / "merkle.json").read_text())
        vectors, changes = check_all(document, trees)
    except (Wrong, OSError, json.JSONDecodeError) as err:
        print(f"error: test vectors in `{folder}`: {err}", file=sys.stderr)
        return 1
    print(f"{vectors} test vectors hold; {changes} altered ones are refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
