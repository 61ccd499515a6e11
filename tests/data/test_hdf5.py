"""HDF5 of unknown origin: the last array as it was stored, and everything that is refused before it is read."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from skelbench.data.formats.hdf5 import is_hdf5, last_array, last_shape
from skelbench.errors import DataError

X = np.random.default_rng(0).normal(size=(3, 4, 67, 2))

STORED = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "all filters": {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (2, 3, 50, 1)},
    "growing": {"maxshape": (3, None, 67, 2)},
    "float16": {"dtype": "f2"},
    "big-endian": {"dtype": ">f4"},
    "whole": {"dtype": "i4"},
}


@pytest.mark.parametrize("case", STORED)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_arrays_as_they_were_stored(case, libver, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        file.create_dataset("b", data=X, **STORED[case])
        file.create_dataset("a", data=np.arange(5))
    wanted = X.astype(STORED[case].get("dtype", "f8"))
    assert last_shape(tmp_path / "a.h5") == X.shape
    assert np.array_equal(last_array(tmp_path / "a.h5"), wanted)


def test_many_zeros_pack_well(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros((3, 2000, 67, 2), np.float32), compression="gzip", compression_opts=9)
    assert not last_array(tmp_path / "a.h5").any()


def odd(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


def virtual(file):
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2, 2))
    file.create_virtual_dataset("x", layout)


ODD = [
    (lambda f: None, "a.h5: holds no array"),
    (lambda f: f.create_group("g"), "a.h5: 'g' is no array that lies in this file"),
    (lambda f: f.__setitem__("x", h5py.ExternalLink("b.h5", "/x")), "a.h5: 'x' is no array that lies in this file"),
    (lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "a.h5: 'x' is no array that lies in this file"),
    (lambda f: f.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)]), "a.h5: array 'x' lies in another file"),
    (virtual, "a.h5: array 'x' lies in another file"),
    (lambda f: f.create_dataset("x", data="text"), "a.h5: array 'x' holds object, wanted real numbers"),
    (lambda f: f.create_dataset("x", data=[1 + 2j]), "a.h5: array 'x' holds complex128"),
    (lambda f: f.create_dataset("x", data=h5py.Empty("f4")), "a.h5: array 'x' holds float32, wanted real numbers"),
    (
        lambda f: f.create_dataset("x", (1 << 40,), "f8"),
        r"should have size \(1099511627776,\), 8796093022208 bytes, but 0",
    ),
    (lambda f: f.create_dataset("x", (1 << 20, 1 << 20), "f8", chunks=(1, 1 << 20), fillvalue=1.0), "but 0 are stored"),
]


@pytest.mark.parametrize("case", range(len(ODD)))
def test_what_is_not_read(case, tmp_path):
    make, match = ODD[case]
    with pytest.raises(DataError, match=match):
        last_array(odd(tmp_path / "a.h5", make))


def test_a_header_that_promises_more_than_is_stored(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        grown = file.create_dataset("x", data=np.ones((1, 1000)), maxshape=(None, 1000), compression="gzip", chunks=(1, 1000))
        grown.resize((1 << 20, 1000))
    with pytest.raises(DataError, match="the file is damaged"):
        last_array(tmp_path / "a.h5")


def test_other_files(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"not HDF5 at all")
    for name, match in (("a.h5", "a.h5: not an HDF5 file"), ("b.h5", "b.h5: cannot be read as a file"), ("", "cannot be read as")):
        assert not is_hdf5(tmp_path / name)
        with pytest.raises(DataError, match=match):
            last_array(tmp_path / name)


FUZZ = """
import sys
from pathlib import Path
import h5py, numpy as np
from skelbench.data.formats.hdf5 import last_array
from skelbench.errors import DataError
rng, folder, files = np.random.default_rng(7), Path(sys.argv[1]), []
many = dict(shuffle=True, fletcher32=True, chunks=(3, 2, 67, 1))
for options in ({}, dict(compression="gzip"), many, {**many, "compression": "gzip"}):
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", data=rng.random((3, 4, 67, 2)), **options)
    files.append((folder / "a.h5").read_bytes())
refused = 0
for n in range(800):
    data = bytearray(files[n % 4])
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(min(len(data), 4000)))
        data[at : at + 4] = (bytes([rng.integers(256)]), bytes(4), b"\\xff" * 4, b"")[rng.integers(4)]
    (folder / "m.h5").write_bytes(data)
    try:
        last_array(folder / "m.h5")
    except DataError as error:
        refused += "m.h5" in str(error)
at = files[2].rfind((1612).to_bytes(4, "little"))  # the stored size of a piece in the list of pieces
for size in range(8):
    (folder / "m.h5").write_bytes(files[2][:at] + size.to_bytes(4, "little") + files[2][at + 4 :])
    try:
        last_array(folder / "m.h5")
        print("read a piece of", size)
    except DataError as error:
        refused += "m.h5" in str(error)
print("refused", refused)
"""


def test_mutated_files_never_end_the_process(tmp_path):
    run = subprocess.run([sys.executable, "-c", FUZZ, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    word, _, count = run.stdout.strip().rpartition(" ")
    assert word == "refused" and 200 < int(count) < 808
