"""Plain data comes out as it went in, from every protocol; nothing else comes out, nothing is run, and nothing fills the memory."""

import builtins
import collections
import datetime
import decimal
import functools
import io
import operator
import os
import pathlib
import pickle
import random
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.data.formats.unpickle import load_pickle
from skelbench.errors import DataError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary(max_size=400)
)
KEYS = st.text() | st.integers(-(1 << 62), 1 << 62) | st.tuples(st.text(max_size=3), st.booleans())
DTYPES = ("f2", "f4", "f8", ">f4", "i1", "<i2", ">i8", "u2", "?", "U3", "S4", ">U2")


@st.composite
def arrays(draw):
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    array = np.frombuffer(draw(st.binary(min_size=432, max_size=432)), "u1")[: int(np.prod(shape))] % 100
    array = array.reshape(shape).astype(draw(st.sampled_from(DTYPES)))
    return array.transpose(draw(st.permutations(range(array.ndim))))


PLAIN = st.recursive(
    SCALARS | arrays() | arrays().filter(lambda a: a.size).map(lambda a: a.flat[0]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=3).map(collections.OrderedDict)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal in type and value, through all containers; long bytes may come as a view of the file."""
    if isinstance(a, bytes | bytearray):
        return isinstance(b, bytes | memoryview) and bytes(a) == bytes(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@settings(max_examples=100, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_data_comes_out_as_it_went_in(value, protocol):
    assert same(value, load_pickle(pickle.dumps(value, protocol)))


def test_a_mapped_file_gives_views_of_it(tmp_path):
    clips = [{"keypoint": np.random.default_rng(n).normal(size=(2, 50, 25, 3)).astype(np.float16), "n": n} for n in range(400)]
    whole = tmp_path / "whole.pkl"
    for protocol in (2, 3, 4, 5):
        whole.write_bytes(pickle.dumps(clips, protocol))
        size = whole.stat().st_size
        tracemalloc.start()
        found = load_pickle(whole)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert all(same(a, b) for a, b in zip(clips, found, strict=True))
        assert protocol == 2 or peak < size / 4  # protocol 2 writes bytes as text
        assert not found[0]["keypoint"].flags.writeable


def python2(protocol):
    """What Python 2 writes for (["S001.skeleton", u"\\xfc"], [0, 1L], float32 [1, 2], set(["a"]))."""
    raw = np.array([1, 2], "<f4").tobytes()
    if protocol == 2:
        return (
            b"\x80\x02(]q\x00(U\x0dS001.skeletonq\x01X\x02\x00\x00\x00\xc3\xbce]q\x02(K\x00\x8a\x01\x01ecnumpy.core.multiarray\n"
            b"_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01b\x87Rq\x06(K\x01K\x02\x85cnumpy\ndtype\nq\x07U\x02f4K\x00"
            b"K\x01\x87Rq\x08(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + raw + b"tbc__builtin__\nset\n"
            b"]U\x01aa\x85Rt."
        )
    text = repr(raw)[1:].encode()
    return (
        b"((lp0\nS'S001.skeleton'\np1\naV\\u00fc\na(lp2\nI0\naL1L\nacnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n"
        b"(I0\ntp5\nS'b'\np6\ntp7\nRp8\n(I1\n(I2\ntcnumpy\ndtype\np9\n(S'f4'\nI0\nI1\ntRp10\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS"
        + text
        + b"\ntbc__builtin__\nset\n((lS'a'\natRt."
    )


@pytest.mark.parametrize("protocol", [0, 2])
def test_pickles_of_python_2(protocol):
    content = python2(protocol)
    wanted = pickle.loads(content, encoding="latin1")
    assert wanted[0] == ["S001.skeleton", "ü"]
    assert same(wanted, load_pickle(content))


class Calls:
    """Pickled, it asks for ``call(*args)``."""

    def __init__(self, call, *args):
        self.how = call, args

    def __reduce__(self):
        return self.how


class Point:
    def __init__(self):
        self.x = 1


def written(module, name, rest, protocol=4):
    """A pickle that begins with a global."""
    head = struct.pack("<B", len(module)) + module.encode() + b"\x8c" + struct.pack("<B", len(name)) + name.encode()
    return b"\x80\x04\x8c" + head + b"\x93" + rest if protocol == 4 else f"c{module}\n{name}\n".encode() + rest


def torch_saved():
    file = io.BytesIO()
    torch.save({"a": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


FOUR, WORD = pickle.dumps(np.zeros(4), 3), pickle.dumps(np.array(["ab"]), 3)
RECORD = np.array([(1, 2.0)], [("a", "i4"), ("b", "f4")])
SHAPE_BOMB = written("numpy.core.multiarray", "_reconstruct", written("numpy", "ndarray", b"J\xff\xff\xff\x7f\x85C\x01b\x87R."))
HOSTILE = {
    "system": (Calls(os.system, "touch touched"), r"posix\.system"),
    "open": (Calls(open, "touched", "w"), r"(_io|io)\.open"),
    "popen": (Calls(subprocess.Popen, "touch touched"), r"(subprocess|commands)\.Popen"),
    "eval": (Calls(eval, "1"), r"builtin(s|__)\.eval"),
    "exec": (Calls(exec, "1"), r"builtin(s|__)\.exec"),
    "getattr": (Calls(getattr, "", "join"), r"builtin(s|__)\.getattr"),
    "import": (Calls(builtins.__import__, "os"), r"builtin(s|__)\.__import__"),
    "chain": (Calls(map, os.system, ["x"]), r"builtins\.map|itertools\.imap"),
    "partial": (functools.partial(os.system, "touch touched"), r"functools\.partial"),
    "multiplied list": (Calls(operator.mul, [0], 10**12), r"_operator\.mul"),
    "multiplied bytes": (Calls(bytes, 10**12), r"bytes made from something that is neither"),
    "bytearray of a size": (Calls(bytearray, 10**12), r"bytes made from something that is neither"),
    "range": (range(10), r"builtin(s|__)\.x?range"),
    "list of a range": (Calls(list, "abc"), r"builtin(s|__)\.list"),
    "set of text": (Calls(set, "abc"), r"a set made from something that is not a list"),
    "an object": (Point(), r"Point|copy_reg"),
    "the object class": (Calls(object), r"builtin(s|__)\.object"),
    "a path": (pathlib.PurePosixPath("/etc"), r"pathlib"),
    "a date": (datetime.date(2020, 1, 1), r"datetime\.date"),
    "a decimal": (decimal.Decimal(1), r"decimal\.Decimal"),
    "a default table": (collections.defaultdict(list), r"collections\.defaultdict"),
    "a queue": (collections.deque([1]), r"collections\.deque"),
    "a class": (dict, r"builtin(s|__)\.dict"),
    "a function": (len, r"builtin(s|__)\.len"),
    "numpy.load": (Calls(np.load, "x.npy"), r"numpy\.load"),
    "objects": (np.array([1, "a"], object), r"an? (NumPy array of Python objects).*save numbers or text"),
    "records": (RECORD, r"NumPy type 'V8'"),
    "numpy.matrix": (np.zeros((1, 1)).view(np.matrix), r"numpy(\.matrixlib\.defmatrix)?\.matrix"),
    "numpy.ndarray of a shape": (Calls(np.ndarray, (10**12,)), r"a call of something that is not to be called \(ndarray\)"),
    "a date array": (np.zeros(2, "M8[s]"), r"NumPy type 'M8'"),
    "complex array": (np.zeros(2, complex), r"NumPy type 'c16'"),
    "a bare type": (np.dtype("f4"), r"a PendingType that is no value"),
    "masked array": (np.ma.masked_array([1]), r"numpy\.ma"),
    "tensor": (torch.ones(2), r"torch\._utils\._rebuild_tensor_v2"),
    "codecs": (Calls(__import__("codecs").encode, "a", "rot13"), r"a call of _codecs.encode that is not the one"),
}
RAW = {
    "dotted name": (written("builtins", "dict.fromkeys", b"."), r"builtins\.dict\.fromkeys"),
    "dotted allowed name": (written("numpy", "ndarray.tofile", b"."), r"numpy\.ndarray\.tofile"),
    "module of a module": (written("numpy.core.multiarray", "fromfile", b"."), r"numpy\.core\.multiarray\.fromfile"),
    "name that is a list": (b"\x80\x04]]\x93.", r"a name that is no text"),
    "name that is a number": (b"\x80\x04\x8c\x08builtinsK\x01\x93.", r"a name that is no text"),
    "name from the memo": (b"\x80\x04\x8c\x06system\x94\x8c\x05posixh\x00\x93.", r"posix\.system"),
    "name with a line end": (written("os\nsystem", "x", b"."), r"os\\nsystem\.x"),
    "instance": (b"(ios\nsystem\n.", r"an object of a class"),
    "obj": (b"(cos\nsystem\nS'x'\no.", r"os\.system"),
    "new object": (written("numpy", "ndarray", b"K\x05\x85\x81."), r"an object of a class"),
    "new object with names": (written("numpy", "ndarray", b")}\x92."), r"an object of a class"),
    "rebuilding": (b"ccopy_reg\n_reconstructor\n(c__main__\nP\nc__builtin__\nobject\nNtR.", r"copy_reg\._reconstructor"),
    "changed table": (b"}}S'x'\nI1\nsb.", r"an instruction that changes a dict from inside"),
    "changed list": (b"]}b.", r"an instruction that changes a list from inside"),
    "changed name": (written("numpy", "ndarray", b"}b."), r"an instruction that changes a Name from inside"),
    "a name alone": (written("collections", "OrderedDict", b"."), r"a Name that is no value"),
    "a name in a list": (b"]" + written("collections", "OrderedDict", b"a.", 0), r"a Name that is no value"),
    "half an array": (SHAPE_BOMB.replace(b"J\xff\xff\xff\x7f", b"K\x00"), r"a PendingArray that is no value"),
    "array of a size": (SHAPE_BOMB, r"a NumPy array of an unusual kind"),
    "persistent id": (b"Pos.system\n.", r"a persistent id"),
    "binary persistent id": (b"K\x01Q.", r"a persistent id"),
    "registry": (b"\x82\x01.", r"extension registry"),
    "buffer outside": (b"\x80\x05\x97.", r"a buffer that lies outside the file"),
    "called list": (b"])R.", r"a call of something that is not to be called \(list\)"),
    "called without a tuple": (written("collections", "OrderedDict", b"]R."), r"a call of something"),
    "filled tuple": (b")K\x01a.", r"fills a tuple like a list"),
    "filled list": (b"]K\x01K\x02s.", r"fills a list like a table"),
    "filled set": (b"](K\x01\x90.", r"fills a list like a set"),
    "holds itself": (b"]\x94h\x00a.", r"holds itself"),
    "holds itself far below": (b"]\x94]]h\x00aaa.", r"holds itself"),
    "table in itself": (b"}\x94K\x01h\x00s.", r"holds itself"),
    "deep lists": (b"]" * 5000 + b"a" * 4999 + b".", r"nested deeper than 100"),
    "deep tuples": (b"N" + b"\x85" * 200_000 + b".", r"nested deeper than 100"),
    "deep key": (b"}N" + b"\x85" * 200_000 + b"Ns.", r"a table whose key is a tuple"),
    "deep member": (b"\x8f(N" + b"\x85" * 200_000 + b"\x90.", r"a table whose key is a tuple"),
    "marks": (b"(" * 200_000 + b".", r"cut short or damaged"),
    "deep axes": (
        written("numpy.core.numeric", "_frombuffer", b"(C\x00N)\x8c\x01KN" + b"\x85" * 100_000 + b"tR."),
        r"a NumPy array whose axes",
    ),
    "doubling": (b"]\x94" + b"".join(b"0](h%ch%ce\x94" % (n, n) for n in range(60)) + b".", r"more values than its size allows"),
    "doubling key": (b"}K\x01\x85" + b"2\x86" * 80 + b"Ns.", r"a table whose key is a tuple"),
    "long number": (b"\x8b\xff\xff\xff\x7f.", r"a whole number of 2147483647 bytes"),
    "negative length": (b"\x8b\xff\xff\xff\xff.", r"a whole number of 4294967295 bytes"),
    "digits": (b"I" + b"9" * 5000 + b"\n.", r"damaged at byte"),
    "bytes": (b"\x8e" + struct.pack("<Q", 1 << 62) + b"x.", r"cut short"),
    "text": (b"\x8d" + struct.pack("<Q", 1 << 40) + b"x.", r"cut short"),
    "byte array": (b"\x96" + struct.pack("<Q", 1 << 35) + b"x.", r"cut short"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", r"cut short"),
    "memo": (b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.", r"asks for value 4294967294, which was never kept"),
    "half a pair": (b"V\\ud800\n.", r"damaged at byte"),
    "half a pair in UTF-8": (b"X\x03\x00\x00\x00\xed\xa0\x80.", r"damaged at byte"),
    "text array of no text": (
        pickle.dumps(np.array(["ab"]), 4).replace(b"a\0\0\0", b"a\0\xff\0"),
        r"text with characters that do not exist",
    ),
    "array of another size": (FOUR.replace(b"K\x04\x85", b"K\x05\x85"), r"40 bytes are needed and 32"),
    "array of a huge size": (
        FOUR.replace(b"K\x04\x85", b"\x8a\x08" + b"\x7f" * 8 + b"\x85"),
        r"are needed",
    ),
    "array of size minus one": (FOUR.replace(b"K\x04\x85", b"J\xff\xff\xff\xff\x85"), r"whole numbers"),
    "huge element": (
        WORD.replace(b"X\x02\x00\x00\x00U2", b"X\x0a\x00\x00\x00U999999999"),
        r"NumPy type",
    ),
    "type that does not exist": (FOUR.replace(b"f8", b"f7"), r"'f7', which does not exist"),
    "protocol": (b"\x80\x09N.", r"a protocol above 5"),
    "empty": (b"", r"cut short"),
    "nothing": (b".", r"cut short"),
    "too much": (b"NN.", r"cut short"),
    "stack": (b"a.", r"cut short"),
    "zip": (b"PK\x03\x04", r"a zip archive, not a pickle"),
    "words": (b"hello world", r"never kept"),
    "html": (b"<!doctype html>", r"0x3c stands for nothing"),
    "old torch file": (torch_saved(), r"^$"),
}


@pytest.mark.parametrize("name", [n for n in HOSTILE])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, match = HOSTILE[name]
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps([value], protocol))
    with pytest.raises(DataError, match=match) as told:
        load_pickle(tmp_path / "bad.pkl")
    assert str(told.value).startswith(str(tmp_path / "bad.pkl")) and "nothing was run" in str(told.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pkl"]


@pytest.mark.parametrize("name", [n for n in RAW if n != "old torch file"])
def test_tricks_with_instructions(name):
    content, match = RAW[name]
    tracemalloc.start()
    with pytest.raises(DataError, match=match):
        load_pickle(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_an_old_torch_file_gives_no_tensor():
    assert load_pickle(RAW["old torch file"][0]) == 119547037146038801333356  # its first pickle: a number; the storages come later


def test_the_same_copy_again_and_again_is_counted(monkeypatch):
    """A megabyte of text, turned into bytes a thousand times by five bytes each."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    head = b"c_codecs\nencode\nq\x01X\x06\x00\x00\x00latin1q\x02"
    tracemalloc.start()
    with pytest.raises(DataError, match="made to fill the memory"):
        load_pickle(text + head + b"(" + b"h\x01h\x00h\x02\x86R" * 1000 + b"l.")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6


def test_keys_that_collide():
    """Whole numbers that all fall into one slot take quadratic time; their number is bounded."""
    keys = b"".join(b"\x8a\x08" + struct.pack("<q", n * ((1 << 61) - 1)) + b"N" for n in range(-3, 4))
    assert len(load_pickle(b"}(" + keys + b"u.")) == 7
    with pytest.raises(DataError, match="more than 1000 keys that are no text"):
        load_pickle(b"}(" + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(1001)) + b"u.")
    one_by_one = b"}" + b"".join(b"M" + struct.pack("<H", n) + b"Ns" for n in range(1001)) + b"."
    with pytest.raises(DataError, match="more than 1000 keys that are no text"):
        load_pickle(one_by_one)
    with pytest.raises(DataError, match="a table whose key is a int"):
        load_pickle(b"}\x8a\x10" + b"\x7f" * 16 + b"Ns.")


def test_limits_and_files(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps("x" * 1000))
    with pytest.raises(DataError, match=r"a.pkl: 1018 bytes, more than the 1000 allowed"):
        load_pickle(path, limit=1000)
    with pytest.raises(DataError, match=r"pickle: \d+ bytes, more than the 10 allowed"):
        load_pickle(b"N" * 11, limit=10)
    with pytest.raises(DataError, match=r"none.pkl: cannot be read \(No such file"):
        load_pickle(tmp_path / "none.pkl")
    with pytest.raises(DataError, match=r"cannot be read"):
        load_pickle(tmp_path)
    assert load_pickle(path) == "x" * 1000


def seeds():
    rng = np.random.default_rng(0)
    data = {
        "split": {"train": ["a", "b"], "test": ["c"]},
        "annotations": [{"label": 1, "keypoint": rng.normal(size=(1, 3, 4, 2)).astype(np.float16), "shape": (3, np.int64(4))}],
        "rest": (None, True, 1.5, 2**70, b"x" * 300, {1, 2}, collections.OrderedDict(a=np.array(["ü", "b"]))),
    }
    return [*(pickle.dumps(data, p) for p in range(6)), python2(0), python2(2), *(v[0] for v in RAW.values() if len(v[0]) < 2000)]


def mutated(content, rng):
    """Bytes flipped, cut, doubled or inserted."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif kind == 1 and content:
            content[at % len(content)] = rng.choice(b"(.0125Rbcio\x80\x81\x85\x86\x87\x8a\x8b\x93\x94\x95hjqrst\xff\x00")
        elif kind == 2:
            del content[at : at + rng.choice([1, 2, 8, 1000])]
        elif kind == 3:
            content[at:at] = rng.choice([b"\xff\xff\xff\x7f", b"\x85" * 50, b"2\x86" * 30, b"h\x00", bytes(8), b"]\x94h\x00a"])
        else:
            content[at:at] = content[at : at + rng.choice([1, 4, 40])]
    return bytes(content)


def test_mutated_pickles_end_in_data_or_a_data_error():
    rng = random.Random(0)
    given, ended = seeds(), {"read": 0, "refused": 0}
    tracemalloc.start()
    for _ in range(3000):
        try:
            load_pickle(mutated(rng.choice(given), rng))
            ended["read"] += 1
        except DataError as error:
            assert str(error).startswith("pickle: ") and len(str(error)) < 500
            ended["refused"] += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(ended.values()) > 50 and peak < 100e6
