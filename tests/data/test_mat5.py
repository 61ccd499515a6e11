"""MATLAB 5 files: against scipy's reader, against files put together byte by byte, and everything that is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse
from scipy.io import loadmat, savemat

from skelbench.data.formats.mat5 import DTYPES, load_mat, names_in
from skelbench.errors import DataError


def saved(path, table, **options):
    savemat(path, table, **options)
    return path


DTYPE = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
ARRAYS = DTYPE.flatmap(lambda d: npst.arrays(d, npst.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=5)))


@given(array=ARRAYS, word=st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=9), packed=st.booleans())
def test_as_scipy_reads_it(array, word, packed, tmp_path_factory):
    path = saved(tmp_path_factory.getbasetemp() / "a.mat", {"x": array, "word": word, "one": 3}, do_compression=packed)
    theirs, ours = loadmat(path), load_mat(path, ["x", "word", "one"])
    assert names_in(path) == ["x", "word", "one"]
    assert np.array_equal(ours["x"], theirs["x"], equal_nan=True) and ours["x"].shape == theirs["x"].shape
    assert ours["one"].tolist() == theirs["one"].tolist() == [[3]]
    assert ours["word"].rstrip() == theirs["word"][0].rstrip()


# A file put together by hand, as MATLAB writes it: either byte order, doubles stored in the smallest type that holds them.


def element(order, kind, data):
    if 0 < len(data) <= 4:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def variable(order, name, of, kind, content, shape, flags=0):
    head = element(order, 6, struct.pack(order + "II", of | flags, 0)) + element(
        order, 5, struct.pack(f"{order}{len(shape)}i", *shape)
    )
    body = head + element(order, 1, name.encode())
    body += element(order, kind, content)
    return struct.pack(order + "II", 14, len(body)) + body


def file_of(*variables, order="<", version=0x0100, subsystem=bytes(8)):
    text = b"MATLAB 5.0 MAT-file".ljust(116)
    return text + subsystem + struct.pack(order + "H", version) + (b"IM" if order == "<" else b"MI") + b"".join(variables)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", DTYPES)
def test_every_stored_type_in_either_byte_order(order, kind, tmp_path):
    values = np.array([[1, 2, 3], [4, 5, 6]], order + DTYPES[kind])
    content = values.tobytes(order="F")
    word = variable(order, "word", 4, 4, "bowl".encode("utf-16-le" if order == "<" else "utf-16-be"), (1, 4))
    (tmp_path / "a.mat").write_bytes(file_of(variable(order, "x", 6, kind, content, (2, 3)), word, order=order))
    found = load_mat(tmp_path / "a.mat", ["x", "word"])
    assert found["x"].tolist() == values.tolist() and found["word"] == "bowl"


def test_text_in_other_codes(tmp_path):
    for kind, data, length in ((16, "é".encode(), 1), (1, b"abc", 3), (18, "abc".encode("utf-32-le"), 3)):
        (tmp_path / "a.mat").write_bytes(file_of(variable("<", "s", 4, kind, data, (1, length))))
        assert load_mat(tmp_path / "a.mat", ["s"])["s"] in ("é", "abc")


KINDS = {
    "cell array": np.array(["a", 1], object),
    "struct": {"x": 1},
    "sparse matrix": sparse.eye(3).tocsc(),
    "complex": np.array([1 + 2j]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_neither_numbers_nor_text(kind, tmp_path):
    path = saved(tmp_path / "a.mat", {"x": np.eye(2), "odd": KINDS[kind]})
    assert set(names_in(path)) == {"x", "odd"} and load_mat(path, ["x"])["x"].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(DataError, match=f"a.mat: variable 'odd' is (a )?{kind}, wanted"):
        load_mat(path, ["odd"])


def test_functions_and_objects_are_not_read(tmp_path):
    for of, word in ((3, "object"), (16, "function"), (17, "object")):
        (tmp_path / "a.mat").write_bytes(file_of(variable("<", "f", of, 1, b"@(x) x", (1, 1))))
        with pytest.raises(DataError, match=f"variable 'f' is a {word}"):
            load_mat(tmp_path / "a.mat", ["f"])


PLAIN = variable("<", "x", 6, 9, np.arange(6.0).tobytes(), (2, 3))


def packed(data):
    data = zlib.compress(data)
    return struct.pack("<II", 15, len(data)) + data


BAD = [
    (b"\x89HDF\r\n\x1a\n" + bytes(200), "a MATLAB 7.3 file, which is HDF5; save it in MATLAB with save"),
    (file_of(PLAIN, version=0x0200), "a MATLAB 7.3 file"),
    (b"", "a.mat: not a MATLAB 5 file"),
    (b"x" * 300, "a.mat: not a MATLAB 5 file"),
    (file_of(PLAIN)[:126] + b"XX", "not a MATLAB 5 file"),
    (file_of(PLAIN, version=7), "not a MATLAB 5 file"),
    (file_of(PLAIN)[:-20], "a.mat is damaged: an element at byte 128 wants 96 bytes, 76 are left"),
    (file_of(PLAIN) + b"123", "a.mat is damaged: it ends within an element, at byte 232"),
    (file_of(struct.pack("<II", 14, 0xFFFFFFFF)), "wants 4294967295 bytes, 0 are left"),
    (file_of(struct.pack("<II", 9, 0)), "the variable at byte 128 is damaged: it is of type 9, wanted 14"),
    (file_of(struct.pack("<II", 14, 0)), "byte 128 is damaged: it does not begin with flags, size and name"),
    (file_of(PLAIN, PLAIN), "byte 232: 'x' stands twice"),
    (file_of(variable("<", "x", 6, 9, bytes(8), (1 << 30, 1 << 30))), r"'x' is damaged: 8 bytes of type 9 for size \(1073741824"),
    (file_of(variable("<", "x", 6, 9, bytes(8), (-1, -1))), r"\('x'\) is damaged: class 6, size \(-1, -1\)"),
    (file_of(variable("<", "x", 6, 9, bytes(8), (1,))), r"\('x'\) is damaged: class 6, size \(1,\)"),
    (file_of(variable("<", "x", 77, 9, bytes(8), (1, 1))), r"\('x'\) is damaged: class 77"),
    (file_of(variable("<", "x", 6, 99, bytes(8), (1, 1))), "'x' is damaged: 8 bytes of type 99"),
    (file_of(variable("<", "x", 4, 4, bytes(8), (2, 2))), r"'x' is text of size \(2, 2\), wanted one line"),
    (file_of(variable("<", "x", 4, 16, b"\xff\xff\xff", (1, 3))), "'x' is damaged: its text cannot be read"),
    (file_of(packed(PLAIN)[:-9]), "an element at byte 128 wants"),
    (file_of(packed(PLAIN)[:12] + b"\xff" + packed(PLAIN)[13:]), "byte 128 is damaged and cannot be unpacked"),
    (file_of(packed(PLAIN + PLAIN)), "byte 128 is damaged: several are packed there, wanted one"),
    (file_of(packed(b"")), "byte 128 is damaged: nothing is packed there"),
    (file_of(packed(bytes(65 << 20))), "byte 128 is cut short, or the file unpacks to over 67108864 bytes"),
    (file_of(PLAIN, variable("<", "y", 6, 9, bytes(8), (1, 1)))[:128], r"a.mat: no variable 'x'; there are: none"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_damaged_files(case, tmp_path):
    data, match = BAD[case]
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match=match):
        load_mat(tmp_path / "a.mat", ["x"])


def test_a_bomb_in_many_parts(tmp_path):
    parts = [packed(variable("<", f"v{n}", 6, 2, bytes(20 << 20), (1, 20 << 20))) for n in range(4)]
    assert len(parts[0]) < 30_000
    (tmp_path / "a.mat").write_bytes(file_of(*parts))
    with pytest.raises(DataError, match="unpacks to over"):
        load_mat(tmp_path / "a.mat", ["v0"])


def test_mutated_files_end_in_a_data_error(tmp_path):
    rng, refused = np.random.default_rng(3), 0
    files = []
    for compress in (False, True):
        buffer = io.BytesIO()
        savemat(
            buffer,
            {"x": rng.normal(size=(7, 13)), "word": "bowl", "n": 7, "v": np.ones((7, 13), np.uint8)},
            do_compression=compress,
        )
        files.append(buffer.getvalue())
    for n in range(300):
        data = bytearray(files[n % 2])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(124, min(len(data), 500)))
            match rng.integers(4):
                case 0:
                    data[at] ^= 1 << int(rng.integers(8))
                case 1:
                    data[at : at + 4] = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\x01\0\0\0")[rng.integers(4)]
                case 2:
                    del data[at : at + int(rng.integers(1, 9))]
                case _:
                    data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        (tmp_path / "a.mat").write_bytes(data)
        try:
            load_mat(tmp_path / "a.mat", ["x", "word", "n", "v"])
        except DataError as error:
            refused += "a.mat" in str(error)
    assert 200 < refused < 300
