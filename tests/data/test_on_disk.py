"""Files found by name with bounds, and lines of numbers against a reading word by word."""

import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.data.formats.on_disk import LOOK, TRIES, files_named, first_line, holds, number_lines, whole_file
from skelbench.errors import DataError

TXT = re.compile(r".*\.txt")


def numbers(path, text, width=2):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return number_lines(path, width)


BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])
ENDS = st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\n \t\n"])
NUMBERS = (
    st.floats(-1e6, 1e6).map(repr) | st.integers(-(10**6), 10**6).map(str) | st.sampled_from(["+1.", ".5", "-2E+03", "1e-400"])
)


@given(
    rows=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), max_size=5), blank=BLANKS, end=ENDS, lead=st.sampled_from(["", " "])
)
def test_numbers_against_a_walk_over_the_words(rows, blank, end, lead, tmp_path_factory):
    text = "".join(lead + blank.join(row) + end for row in rows)
    found = numbers(tmp_path_factory.getbasetemp() / "numbers.txt", text, 3)
    assert np.array_equal(found, np.array([[float(w) for w in row] for row in rows]).reshape(-1, 3))


def test_loose_writing(tmp_path):
    for text in ("1 2\r3 4", "1 2\n3 4", b"\xef\xbb\xbf1 2\n3 4\n", "\n1 2\n\n\n3\t4   "):
        assert numbers(tmp_path / "a.txt", text).tolist() == [[1, 2], [3, 4]]
    for text in ("", "\n \n", " "):
        assert numbers(tmp_path / "a.txt", text).shape == (0, 2)


@pytest.mark.parametrize(
    "text, match",
    [
        ("1 2\n3", "a.txt:2: 1 numbers, wanted 2; is the file cut short"),
        ("1 2\n\n3 4 5\n6", "a.txt:3: 3 numbers, wanted 2"),
        ("1 2\n3 x", "a.txt:2: 'x' is not a number"),
        ("1 2\n\n3 1,5", r"a.txt:3: '1,5' is not a number \(a comma as decimal mark\? write a point\)"),
        ("1 2\n3-4 5", "a.txt:2: '3-4' is not a number"),  # glued numbers would shift all that follow
        ("1 2\n3 nan", "a.txt:2: holds a number that is not finite"),
        ("1 2\n\ninf 4", "a.txt:3: holds a number that is not finite"),
        ("1 2\n3 1e39", "a.txt:2: holds a number that is not finite in single precision"),
        ("1 2\n3 1e400", "a.txt:2: holds a number that is not finite"),
        ("1 0x10", "a.txt:1: '0x10' is not a number"),
        ("1 1_0", "a.txt:1: '1_0' is not a number"),
        ("1 ٣", "a.txt:1: '٣' is not a number"),
        (b"1 2\n3 4\x00", r"a.txt:2: '4\\x00' is not a number"),
        (b"1 \xff", "a.txt:1: '\ufffd' is not a number"),
        ("1 2".encode("utf-16"), "a.txt:1: "),
    ],
)
def test_lines_that_are_refused(text, match, tmp_path):
    with pytest.raises(DataError, match=match):
        numbers(tmp_path / "a.txt", text)


def test_whole_files(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert whole_file(tmp_path / "a", limit=5) == b"12345"
    with pytest.raises(DataError, match=r"a: 5 bytes are more than is read at once \(4\)"):
        whole_file(tmp_path / "a", limit=4)
    with pytest.raises(DataError, match="b: cannot be read"):
        whole_file(tmp_path / "b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is not a file"):
        whole_file(tmp_path / "pipe")


def test_files_by_name(tmp_path):
    for name in ("b.txt", "a/c.txt", "a/.hidden.txt", ".git/d.txt", "a/e.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    (tmp_path / "folder.txt").mkdir()
    assert [f.relative_to(tmp_path).as_posix() for f in files_named(tmp_path, TXT)] == ["a/c.txt", "b.txt"]
    assert files_named(tmp_path / "b.txt", TXT) == [tmp_path / "b.txt"] and files_named(tmp_path / "a" / "e.csv", TXT) == []
    with pytest.raises(DataError, match="none: no such file or folder"):
        files_named(tmp_path / "none", TXT)


def test_looking_into_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not holds(tmp_path, TXT) and not holds(tmp_path / "none", TXT)
    (tmp_path / "a" / "b" / "c.txt").write_text("\n\n  first\nsecond")
    assert holds(tmp_path, TXT) and holds(tmp_path / "a" / "b" / "c.txt", TXT)
    assert holds(tmp_path, TXT, lambda f: first_line(f) == "  first") and not holds(tmp_path, TXT, lambda f: False)
    assert first_line(tmp_path / "none") == ""
    tried = []
    for n in range(20):
        (tmp_path / f"{n}.txt").write_text("")
    assert not holds(tmp_path, TXT, lambda f: bool(tried.append(f)))
    assert len(tried) == TRIES + 1  # some of the upper folder, the one of the lower


def test_a_large_folder_is_not_walked_to_its_end(tmp_path, monkeypatch):
    import skelbench.data.formats.on_disk as on_disk

    assert LOOK > 1000
    monkeypatch.setattr(on_disk, "LOOK", 10)
    for n in range(11):
        (tmp_path / f"{n}.csv").write_text("")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "a.txt").write_text("")
    assert not holds(tmp_path, TXT)
    monkeypatch.setattr(on_disk, "LOOK", 14)
    assert holds(tmp_path, TXT)
