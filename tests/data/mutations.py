"""Damaged copies of a file: flipped, cut, doubled and moved bytes, words no reader wants, deep nesting."""

from pathlib import Path

import numpy as np

WORDS = [
    b"nan",
    b"NaN",
    b"-inf",
    b"Infinity",
    b"1e999",
    b"-1",
    b"0",
    b"1e300",
    b"99999999999999999999",
    b"9" * 400,
    b"null",
    b"true",
    b'"x"',
    b"{}",
    b"[]",
    b"[" * 500,
    b'{"a":' * 300,
    b",",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"}",
    b"]",
    b"1_0",
    b"\xef\xbb\xbf",
]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three random changes."""
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            return data
        at = int(rng.integers(len(data)))
        to = min(len(data), at + int(rng.integers(1, 40)))
        kind = int(rng.integers(6))
        if kind == 0:
            data = data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + WORDS[int(rng.integers(len(WORDS)))] + data[at:]
        elif kind == 3:
            data = data[:at] + WORDS[int(rng.integers(len(WORDS)))] + data[to:]
        elif kind == 4:
            data = data[:at] + data[to:]
        else:
            data = data[:at] + data[at:to] * int(rng.integers(2, 5)) + data[to:]
    return data


def mutate_one(folder: Path, rng: np.random.Generator) -> Path:
    """Damage one file of a sample, in place; hands it back."""
    files = sorted(p for p in (folder.rglob("*") if folder.is_dir() else [folder]) if p.is_file())
    file = files[int(rng.integers(len(files)))]
    file.write_bytes(mutated(file.read_bytes(), rng))
    return file
