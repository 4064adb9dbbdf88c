"""Usage records and chunks of logs as docs/protocol/usage-record.md and logs.md lay them out.

Fields are as in the test vectors: integers as decimal text, bytes as hex."""

import hashlib


class Malformed(Exception):
    """These bytes are no record."""


QUANTITIES = [
    ("cpu_millicore_seconds", 8),
    ("memory_mib_seconds", 8),
    ("storage_mib_seconds", 8),
    ("gpu_seconds", 8),
    ("egress_mib", 8),
    ("ingress_mib", 8),
]
STATES = {"running": b"\0", "sleeping": b"\1"}
STATES.update({f"ended {code}": bytes([2, code]) for code in range(256)})

# Field and kind: a number is the width of an unsigned integer, little endian.
RECORD = [
    ("lease", 8),
    ("replica", 2),
    ("sequence", 8),
    ("previous", "hash"),
    ("from", 8),
    ("to", 8),
    ("state", "state"),
    ("running_seconds", 8),
    ("total", "quantities"),
    ("actual", "quantities"),
    ("host_measured", 1),
    ("log_root", "hash"),
    ("log_chunks", 8),
    ("evidence", "hash"),
]
CHUNK_HEADER = [
    ("lease", 8),
    ("replica", 2),
    ("key", "hash"),
    ("index", 8),
    ("from_ms", 8),
    ("to_ms", 8),
    ("first_line", 8),
    ("lines", 4),
    ("dropped", 8),
]


def compact(number):
    """SCALE's compact integers, below 2^30."""
    if number < 1 << 6:
        return (number << 2).to_bytes(1, "little")
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 2).to_bytes(4, "little")
    raise ValueError("no length in here is so large")


def _encode(layout, fields):
    data = b""
    for name, kind in layout:
        value = fields[name]
        if kind == "hash":
            part = bytes.fromhex(value)
            if len(part) != 32 or part.hex() != value:
                raise ValueError(f"`{name}` is no hash")
        elif kind == "state":
            part = STATES[value]
        elif kind == "quantities":
            if list(value) != [quantity for quantity, _ in QUANTITIES]:
                raise ValueError(f"`{name}` has other quantities")
            part = _encode(QUANTITIES, value)
        else:
            part = int(value).to_bytes(kind, "little")
            if str(int(value)) != value:
                raise ValueError(f"`{name}` is a number in another form")
        data += part
    return data


def encode(fields):
    if list(fields) != [name for name, _ in RECORD]:
        raise ValueError("other fields than a record's")
    return _encode(RECORD, fields)


def encode_chunk(chunk):
    body = bytes.fromhex(chunk["body"])
    if body.hex() != chunk["body"]:
        raise ValueError("the body is no lower-case hex")
    return _encode(CHUNK_HEADER, chunk) + compact(len(body)) + body


def _width(kind):
    widths = {"hash": 32, "state": 1, "quantities": 48}
    return widths.get(kind, kind)


def offset_of(field):
    """Of a record before its end: the one state with a code comes last."""
    offset = 0
    for name, kind in RECORD:
        if name == field:
            return offset
        offset += _width(kind)
    raise KeyError(field)


def _decode(layout, data):
    fields, at = {}, 0
    for name, kind in layout:
        width = _width(kind)
        if kind == "state" and data[at : at + 1] == b"\2":
            width = 2
        part = data[at : at + width]
        at += width
        if len(part) != width:
            raise Malformed("truncated")
        if kind == "hash":
            fields[name] = part.hex()
        elif kind == "state":
            states = [state for state, encoded in STATES.items() if encoded == part]
            if not states:
                raise Malformed("unknown state")
            fields[name] = states[0]
        elif kind == "quantities":
            fields[name] = _decode(QUANTITIES, part)
        else:
            fields[name] = str(int.from_bytes(part, "little"))
    if at != len(data):
        raise Malformed("more bytes than a record has")
    return fields


def decode(data):
    return _decode(RECORD, data)


def _grows(before, after):
    return all(int(after[name]) >= int(before[name]) for name, _ in QUANTITIES)


def _hash(fields):
    return hashlib.blake2b(encode(fields), digest_size=32).hexdigest()


def _numbers(fields):
    names = ["sequence", "from", "to", "running_seconds", "log_chunks"]
    return [int(fields[name]) for name in names]


def _is_one_pod(a, b):
    return (a["lease"], a["replica"]) == (b["lease"], b["replica"])


def follows(a, b):
    """Whether `b` is the link right after `a`."""
    if a["state"].startswith("ended"):
        return False
    a_sequence, _, a_to, a_running, a_chunks = _numbers(a)
    b_sequence, b_from, b_to, b_running, b_chunks = _numbers(b)
    return (
        _is_one_pod(a, b)
        and b_sequence == a_sequence + 1
        and b["previous"] == _hash(a)
        and b_from == a_to
        and b_to >= b_from
        and _grows(a["total"], b["total"])
        and _grows(a["actual"], b["actual"])
        and b_running >= a_running
        and b_chunks >= a_chunks
    )


def contradiction(a, b):
    """Why both can't be true, or None."""
    if not _is_one_pod(a, b) or a == b:
        return None
    if int(a["sequence"]) > int(b["sequence"]):
        a, b = b, a
    a_sequence, _, a_to, a_running, a_chunks = _numbers(a)
    b_sequence, b_from, b_to, b_running, b_chunks = _numbers(b)
    if a_sequence == b_sequence:
        return "forked"
    if a["state"].startswith("ended"):
        return "after the end"
    if b_from < a_to or b_to < b_from:
        return "span"
    if not (_grows(a["total"], b["total"]) and _grows(a["actual"], b["actual"])):
        return "total"
    if b_running < a_running:
        return "total"
    if b_chunks < a_chunks or (b_chunks == a_chunks and b["log_root"] != a["log_root"]):
        return "log"
    if b_sequence == a_sequence + 1 and not follows(a, b):
        return "link"
    return None
