"""Ways to damage a dataset: its bytes, its lines and numbers, the structure of its JSON, pickles and archives, its folder."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mutations import mutated

EXTREMES = [
    *(
        "0",
        "-1",
        "1",
        "2147483648",
        "-2147483649",
        "9223372036854775808",
        "18446744073709551616",
        "1e38",
        "-1e39",
        "1e308",
        "1e-320",
    ),
    *("nan", "inf", "-inf", "1e999", "0x10", "1_000", "1,5", "--3", "1.2.3", "", "９", "9" * 60, "-0", "+7", "007", "1e", "True"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 10**30, -(10**18), 1e308, float("nan"), float("inf"), "", "x", "\ud800", "../../x", "<b>"),
    *([], {}, [[]], {"a": {}}, [0] * 7, "a" * 3000, [None], [[1, 2], [3]], ["x", 1]),
]
NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
Mutation = Callable[[bytes, np.random.Generator], bytes]


def pick(rng: np.random.Generator, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def numbers(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three numbers of a text become extreme."""
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(len(data))) if data else 0
        found = NUMBER.search(data, start) or NUMBER.search(data)
        if found:
            data = data[: found.start()] + pick(rng, EXTREMES).encode() + data[found.end() :]
    return data


def lines(data: bytes, rng: np.random.Generator) -> bytes:
    """Lines go, come twice, change places, are cut or joined; words of a line change places."""
    rows = data.split(b"\n")
    at, other = int(rng.integers(len(rows))), int(rng.integers(len(rows)))
    kind = int(rng.integers(7))
    if kind == 0:
        del rows[at]
    elif kind == 1:
        rows.insert(other, rows[at])
    elif kind == 2:
        rows[at], rows[other] = rows[other], rows[at]
    elif kind == 3:
        rows[at] = rows[at][: int(rng.integers(len(rows[at]) + 1))]
    elif kind == 4:
        rows = rows[: at + 1] * int(rng.integers(1, 3)) + rows[at:]
    elif kind == 5:
        rows[at : at + 2] = [b"".join(rows[at : at + 2])]
    else:
        words = re.split(rb"([ ,;\t]+)", rows[at])
        one, two = int(rng.integers(len(words))), int(rng.integers(len(words)))
        words[one], words[two] = words[two], words[one]
        rows[at] = b"".join(words)
    return b"\n".join(rows)


def tree(value: Any, rng: np.random.Generator, depth: int = 0) -> Any:
    """A copy of nested lists, dicts, tuples, arrays and plain values with one place changed."""
    if isinstance(value, np.ndarray):
        return _array(value, rng)
    inside = isinstance(value, dict | list | tuple) and len(value)
    if not inside or (depth and rng.random() < 0.2):
        return pick(rng, VALUES)
    if isinstance(value, dict):
        key, kind = pick(rng, list(value)), int(rng.integers(6))
        changed = {k: v for k, v in value.items() if not (kind == 0 and k == key)}
        if kind == 1:
            changed[pick(rng, ["x", "", "frames", key if isinstance(key, int) else f"{key}2"])] = changed[key]
        if kind > 1:
            changed[key] = tree(changed[key], rng, depth + 1)
        return changed
    rows, at, kind = list(value), int(rng.integers(len(value))), int(rng.integers(6))
    if kind == 0:
        del rows[at]
    elif kind == 1:
        rows.insert(at, rows[int(rng.integers(len(rows)))])
    else:
        rows[at] = tree(rows[at], rng, depth + 1)
    return tuple(rows) if isinstance(value, tuple) else rows


def _array(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another shape or type, or an extreme value."""
    kind = int(rng.integers(6))
    if kind == 0:
        return x[..., :-1] if x.ndim and x.shape[-1] > 1 else x[None]
    if kind == 1:
        return x[None]
    if kind == 2:
        return x[:0] if x.ndim else x
    if kind == 3:
        return x.astype(pick(rng, ["<f2", "<f8", "<i2", "|b1", "<c8", "|S3", "<U3", ">f4"]))
    if kind == 4 and x.size and x.dtype.kind == "f":
        x = x.copy()
        x.flat[int(rng.integers(x.size))] = pick(rng, [np.nan, np.inf, -np.inf, 6e4, 1e-7])
        return x
    return np.asfortranarray(x) if rng.random() < 0.5 else x.T


def json_tree(data: bytes, rng: np.random.Generator) -> bytes:
    """The same JSON with one to three places changed."""
    value = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        value = tree(value, rng)
    return json.dumps(value, ensure_ascii=bool(rng.random() < 0.8)).encode("utf-8", "surrogatepass")


def npy_header(data: bytes, rng: np.random.Generator) -> bytes:
    """A header that claims another shape, type or order than the bytes after it have."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    shape, order, dtype = (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    kind, sizes = int(rng.integers(5)), list(shape)
    descr: Any = dtype.str
    if kind == 0 and sizes:
        sizes[int(rng.integers(len(sizes)))] = pick(rng, [0, 1, 3, 10**6, 10**12, 2**62])
    elif kind == 1:
        sizes = sizes[::-1] if rng.random() < 0.5 else [*sizes, 1]
    elif kind == 2:
        descr = pick(rng, ["<f8", "<f2", "<i4", "|O", "|S7", "<U4", "<c16", "|V3", [("a", "<f4")]])
    elif kind == 3:
        order = not order
    else:
        sizes = sizes[1:]
    head = io.BytesIO()
    np.lib.format.write_array_header_2_0(head, {"descr": descr, "fortran_order": order, "shape": tuple(sizes)})
    return head.getvalue() + file.read()


def archive(data: bytes, rng: np.random.Generator) -> bytes:
    """Members of a zip archive go, come twice, are renamed, damaged (with a fresh checksum) or lie about themselves."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = [(m.filename, old.read(m)) for m in old.infolist()]
    at, kind = int(rng.integers(len(members))), int(rng.integers(7))
    name, content = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append((pick(rng, [name, "x.npy", "../x.npy", name.upper(), "a/" + name]), content))
    elif kind == 2:
        members[at] = (pick(rng, members)[0], content)
    elif kind == 3 and content[:6] == b"\x93NUMPY":
        members[at] = (name, npy_header(content, rng))
    elif kind == 4 and content[:6] == b"\x93NUMPY":
        array = np.load(io.BytesIO(content), allow_pickle=False)
        file = io.BytesIO()
        np.save(file, _array(array, rng))
        members[at] = (name, file.getvalue())
    else:
        members[at] = (name, mutated(content, rng))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as new:
        for member, content in members:
            new.writestr(zipfile.ZipInfo(member), content, new.compression)  # without the time of day
    return file.getvalue()


def pickle_tree(data: bytes, rng: np.random.Generator) -> bytes:
    """The same pickled object with one to three places changed; written by any protocol."""
    value = pickle.loads(data)  # a sample of our own
    for _ in range(int(rng.integers(1, 4))):
        value = tree(value, rng)
    if rng.random() < 0.05:
        value = {"x": _Harm(), "y": value}
    return pickle.dumps(value, protocol=int(rng.integers(0, 6)))


class _Harm:
    """What a hostile pickle does: unpickled by an honest reader, it would leave a file behind."""

    def __reduce__(self) -> Any:
        return (open, ("/tmp/skelbench-fuzz-was-here", "w"))


def pickle_codes(data: bytes, rng: np.random.Generator) -> bytes:
    """Operations of a pickle go, come twice, or change places."""
    starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    codes = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(int(rng.integers(1, 4))):
        at, other, kind = int(rng.integers(len(codes))), int(rng.integers(len(codes))), int(rng.integers(3))
        if kind == 0:
            codes[at] = b""
        elif kind == 1:
            codes.insert(other, codes[at])
        else:
            codes[at], codes[other] = codes[other], codes[at]
    return b"".join(codes)


def for_file(name: str, data: bytes) -> list[Mutation]:
    """The mutations that make sense for a file; the more telling ones stand twice."""
    kinds: list[Mutation] = [mutated]
    if data[:4] == b"PK\x03\x04":
        kinds += [archive, archive]
    elif data[:6] == b"\x93NUMPY":
        kinds += [npy_header, npy_header]
    elif name.endswith((".pkl", ".pickle")):
        kinds += [pickle_tree, pickle_tree, pickle_codes]
    elif b"\x00" not in data[:4096]:
        kinds += [numbers, lines, lines]
        kinds += [json_tree] * 3 if name.endswith((".json", ".jsonl")) and _is_json(data) else []
    return kinds


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def folder(root: Path, rng: np.random.Generator) -> str:
    """Damage the folder itself; says how. Mutates in place."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    one, two = pick(rng, files), pick(rng, files)
    kind = int(rng.integers(8))
    what = f"{one.relative_to(root)}, {two.relative_to(root)}"
    if kind == 0:
        one.unlink()
    elif kind == 1:
        one.write_bytes(b"")
    elif kind == 2:
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)
    elif kind == 3:
        one.rename(one.with_name(pick(rng, ["x" + one.suffix, one.stem, one.name[::-1], one.stem + ".zip", "a" * 200])))
    elif kind == 4:
        shutil.copy(one, one.with_name(pick(rng, ["copy" + one.suffix, one.name.upper() + "x", "._" + one.name])))
    elif kind == 5:
        one.unlink()
        one.mkdir()
    elif kind == 6:
        one.unlink()
        one.symlink_to(pick(rng, [one.name, two.name, "..", "/nowhere"]))
    else:
        (root / "more").mkdir(exist_ok=True)
        shutil.copy(one, root / "more" / two.name)
    return f"folder {kind}: {what}"
