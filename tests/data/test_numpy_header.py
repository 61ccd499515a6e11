"""Headers say what the file must hold; a lie is found before memory is taken, and no array of objects is ever read."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from skelbench.data.formats.numpy_header import map_npy, npy_header, npz_headers, read_header, read_rows, stream_rows
from skelbench.errors import DataError


def header(text, *, version=1, payload=b""):
    raw = text.encode("latin-1").ljust(100) + b"\n"
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(raw)) + raw + payload


def said(shape, descr="'<f4'", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f8", "i1", "u2", "?", "U5", "S3", "c8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (4, 1)])
def test_headers_as_numpy_writes_and_reads_them(dtype, shape, tmp_path):
    array = np.zeros(shape, dtype)
    for order in ("C", "F"):
        np.save(tmp_path / "a.npy", np.asarray(array, order=order))
        found = npy_header(tmp_path / "a.npy")
        assert found.shape == shape and found.dtype == array.dtype
        assert found.size == (tmp_path / "a.npy").stat().st_size
        assert np.array_equal(map_npy(tmp_path / "a.npy"), np.load(tmp_path / "a.npy"))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_and_spellings(version):
    for text in (
        said("(2L, 3L)"),
        '{"shape":(2,3),"fortran_order":False,"descr":"<f4"}',
        "{'fortran_order' : False, 'descr' :'<f4','shape': ( 2 , 3 )}",
    ):
        found = read_header(io.BytesIO(header(text, version=version)), "x")
        assert (found.shape, found.dtype, found.fortran) == ((2, 3), np.dtype("f4"), False)


def test_fortran_order_is_mapped_as_it_is(tmp_path):
    array = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    assert npy_header(tmp_path / "a.npy").fortran and np.array_equal(map_npy(tmp_path / "a.npy"), array)
    np.savez(tmp_path / "a.npz", a=np.asfortranarray(array))
    with pytest.raises(DataError, match=r"'a' is in Fortran order"):
        npz_headers(tmp_path / "a.npz")


BAD = [
    (b"", r"a.npy: not an npy array, or cut short"),
    (b"\x93NUMPY\x01", r"not an npy array"),
    (b"\x93NUMPY\x04\x00\x10\x00", r"not an npy array"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", r"the header of the array is damaged \(4294967295 bytes long\)"),
    (b"\x93NUMPY\x01\x00\x00\x00", r"the header of the array is damaged \(0 bytes long\)"),
    (header("{'descr': '<f4'}"), r"the header of the array is damaged"),
    (header(said("(-1,)")), r"the header of the array is damaged"),
    (header(said("(1.5,)")), r"the header of the array is damaged"),
    (header(said("('a',)")), r"the header of the array is damaged"),
    (header(said("(" * 500)), r"the header of the array is damaged"),
    (header(said("(" + "1," * 40 + ")")), r"damaged \(40 axes\)"),
    (header(said("(3,)", "'f7'")), r"damaged \(type 'f7'\)"),
    (header(said("(3,)", "'U999999999'")), r"damaged \(type 'U999999999'\)"),
    (header(said("(3,)", "'__import__(1)'")), r"damaged \(type '__import__\(1\)'\)"),
    (header(said("(3,)", "'|O'")), r"a.npy is pickled; save plain arrays"),
    (header(said("(3,)", "[('a', '<f4')]")), r"an array of records"),
    (header(said("(3,)", "'|V8'")), r"an array of records"),
    (header(said("(1000000000000,)")), r"should be float32 \(1000000000000,\), which takes 4000000000111 bytes, and has 111"),
    (header(said("(" + "9" * 60 + ",)")), r"should be float32 \(9999"),
    (header(said("(3,)"), payload=bytes(11)), r"takes 123 bytes, and has 122; is it whole"),
    (header(said("(3,)"), payload=bytes(13)), r"takes 123 bytes, and has 124"),
    (header(said("(0, 3)")), r"an empty array, float32 \(0, 3\)"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_lies_are_found_before_memory_is_taken(case, tmp_path):
    content, match = BAD[case]
    (tmp_path / "a.npy").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=match):
        map_npy(tmp_path / "a.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_objects_are_refused_with_advice(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    for read in (lambda: map_npy(tmp_path / "a.npy"), lambda: npz_headers(tmp_path / "a.npz")):
        with pytest.raises(DataError, match=r"is pickled; save plain arrays: load it where it was made"):
            read()
    with pytest.raises(DataError, match=r"none.npy: cannot be read"):
        map_npy(tmp_path / "none.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_of_an_archive_a_few_at_a_time(save, tmp_path):
    array = np.random.default_rng(0).normal(size=(100, 40, 150)).astype(np.float32)  # 2.4 MB
    save(tmp_path / "a.npz", a=array, b=np.arange(5.0))
    assert {k: h.shape for k, h in npz_headers(tmp_path / "a.npz").items()} == {"a": array.shape, "b": (5,)}
    blocks = list(stream_rows(tmp_path / "a.npz", "a"))
    assert len(blocks) == 3 and np.array_equal(np.concatenate(blocks), array)
    del blocks
    tracemalloc.start()
    total = sum(float(row[0, 0]) for row in read_rows(tmp_path / "a.npz", "a"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(total - array[:, 0, 0].sum()) < 1e-3
    assert list(read_rows(tmp_path / "a.npz", "b")) == [0, 1, 2, 3, 4]
    big = np.concatenate([array] * 4)
    save(tmp_path / "b.npz", a=big)
    tracemalloc.start()
    assert sum(1 for _ in read_rows(tmp_path / "b.npz", "a")) == 400
    assert tracemalloc.get_traced_memory()[1] < 1.5 * peak
    tracemalloc.stop()


def archive(path, content, *, times=1):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for _ in range(times):
            file.writestr("a.npy", content)
    return path


def test_bombs_in_an_archive(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(DataError, match=r"'a' should be \(1000000000000,\), which the \d+ bytes in the file do not hold"):
        npz_headers(archive(path, header(said("(1000000000000,)"), payload=bytes(1000))))
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(DataError, match=r"the array 'a' stands twice"):
        npz_headers(archive(path, header(said("(1,)"), payload=bytes(4)), times=2))
    # The directory claims as much as the header: only unpacking can tell, and it stops where the bytes do.
    count, noise = 10_000, np.random.default_rng(0).bytes(40_000)
    archive(path, header(said("(90000,)"), payload=noise))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", len(header(said("(90000,)"))) + 4 * 90_000)
    path.write_bytes(content)
    assert npz_headers(path)["a"].shape == (90_000,)
    with pytest.raises(DataError, match=rf"'a' (ends in row {count} of 90000|is damaged)"):
        list(stream_rows(path, "a"))
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"no.npz: cannot be read as .npz"):
        npz_headers(tmp_path / "no.npz")
    with pytest.raises(DataError, match=r"'b' is damaged"):
        list(stream_rows(path, "b"))


def test_mutated_files_end_in_data_or_a_data_error(tmp_path, rng_bytes):
    array = np.random.default_rng(0).normal(size=(4, 3, 150)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array, b=np.eye(4))
    npy, npz = (tmp_path / "a.npy").read_bytes(), (tmp_path / "a.npz").read_bytes()
    ended = [0, 0]
    for _ in range(200):
        (tmp_path / "m.npy").write_bytes(rng_bytes(npy[:200]) + npy[200:])
        (tmp_path / "m.npz").write_bytes(rng_bytes(npz))
        for read in (lambda: map_npy(tmp_path / "m.npy"), lambda: [list(stream_rows(tmp_path / "m.npz", k)) for k in "ab"]):
            try:
                if read() is not None:
                    npz_headers(tmp_path / "m.npz")
                ended[0] += 1
            except DataError:
                ended[1] += 1
    assert min(ended) > 3


@pytest.fixture
def rng_bytes():
    """Bytes flipped, cut out, doubled."""
    rng = np.random.default_rng(7)

    def change(content):
        content = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(content)))
            kind = rng.integers(4)
            if kind < 2:
                content[at] = int(rng.integers(256)) if kind else content[at] ^ (1 << int(rng.integers(8)))
            elif kind == 2:
                del content[at : at + int(rng.choice([1, 3, 50]))]
            else:
                content[at:at] = content[at : at + int(rng.choice([1, 4, 30]))]
            content = content or bytearray(b"x")
        return bytes(content)

    return change
