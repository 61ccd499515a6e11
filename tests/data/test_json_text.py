"""JSON of unknown origin: what is read, what is refused, and that nothing but a DataError comes out."""

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.data.formats.json_text import load_json, number_array
from skelbench.errors import DataError


def load(path, text, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_json(path, **options)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4),
    max_leaves=20,
)


@given(value=VALUES, ascii=st.booleans())
def test_whatever_json_writes_is_read_again(value, ascii, tmp_path_factory):
    try:
        text = json.dumps(value, ensure_ascii=ascii).encode()
    except UnicodeEncodeError:
        text = json.dumps(value).encode()
    path = tmp_path_factory.getbasetemp() / "value.json"
    path.write_bytes(text)
    assert load_json(path) == value


def test_signs_inside_strings_do_not_count(tmp_path):
    text = json.dumps({"a": "[" * 99 + "NaN", 'q"': '\\"{{' * 99})
    assert load(tmp_path / "a.json", text)["a"].endswith("NaN")
    assert load(tmp_path / "a.json", b"\xef\xbb\xbf[1]") == [1]
    assert load(tmp_path / "a.json", '"\\ud83d\\ude00"') == "\U0001f600"


def test_tokens_for_missing_values(tmp_path):
    for token in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(DataError, match=rf"a.json:2: holds {token}, which is not a JSON number"):
            load(tmp_path / "a.json", f'{{"a":\n[1, {token}]}}')
        value = load(tmp_path / "a.json", f"[1, {token}]", nan=True)
        assert value[0] == 1 and math.isnan(value[1])


BAD = [
    ("", r"a.json:1: not valid JSON \(Expecting value"),
    ('{"a":\n1,}', r"a.json:2: not valid JSON"),
    ("[1, 2", r"a.json:1: not valid JSON"),
    ('{"a": 1, "a": 2}', r"a.json: the key 'a' stands twice in one object"),
    ('[{"b": [{"c": 1, "d": 2, "c": 1}]}]', r"a.json: the key 'c' stands twice"),
    (b'{"a":\n"\xff"}', r"a.json:2: not UTF-8 text \(byte 7\)"),
    ('"\\ud800"', r"a.json: a string holds half of a surrogate pair"),
    ("9" * 5000, r"a.json: holds a number that cannot be read"),
    ("\n" + "[" * 100_000, r"a.json:2: more than 32 brackets inside each other"),
    ('[1,\n{"a":' * 20, r"a.json:17: more than 32 brackets inside each other"),
    ('"' + '\\"' * 200_000, r"a.json:1: not valid JSON \(Unterminated string"),
    ("[" * 10 + "]" * 11, r"a.json:1: not valid JSON"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_what_is_refused(case, tmp_path):
    text, match = BAD[case]
    with pytest.raises(DataError, match=match):
        load(tmp_path / "a.json", text)


def test_bounds(tmp_path):
    assert load(tmp_path / "a.json", "[[[1]]]", depth=3, limit=7) == [[[1]]]
    with pytest.raises(DataError, match=r"a.json:1: more than 2 brackets"):
        load(tmp_path / "a.json", "[[[1]]]", depth=2)
    with pytest.raises(DataError, match=r"a.json: 7 bytes are more than is read at once \(6\)"):
        load(tmp_path / "a.json", "[[[1]]]", limit=6)
    many = "[" + "[]," * 600_000 + "[[]]]"  # more brackets than are counted in one go
    assert len(load(tmp_path / "a.json", many)) == 600_001
    with pytest.raises(DataError, match="more than 2 brackets"):
        load(tmp_path / "a.json", many, depth=2)


def test_what_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"none.json: cannot be read \(No such file"):
        load_json(tmp_path / "none.json")
    with pytest.raises(DataError, match="is not a file"):
        load_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait forever
    with pytest.raises(DataError, match="pipe: is not a file"):
        load_json(tmp_path / "pipe")


def test_mutated_files_end_in_a_data_error_or_a_value(tmp_path):
    base = b'{"skeletons": [[[1.5, -2e3, 0], [1, 2, 3]]], "name": "a\\u00e9", "ok": true, "n": null}'
    rng, refused = np.random.default_rng(5), 0
    pieces = (b"[", b"{", b'"', b"NaN", b"9" * 5000, b"\\ud8", b"[[[[" * 20, b"\n", b"1e999", b"\x00", b"\xff")
    for _ in range(600):
        data = bytearray(base)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(data) + 1))
            match rng.integers(4):
                case 0:
                    data[at : at + 1] = bytes([rng.integers(256)])
                case 1:
                    del data[at : at + int(rng.integers(1, 9))]
                case 2:
                    data[at:at] = pieces[rng.integers(len(pieces))]
                case _:
                    del data[at:]
        try:
            load(tmp_path / "a.json", bytes(data))
        except DataError as error:
            refused += 1
            assert "a.json" in str(error)
    assert 300 < refused < 600


def test_arrays_of_numbers(rng=np.random.default_rng(0)):
    x = rng.normal(size=(4, 3, 2))
    assert np.array_equal(number_array(x.tolist(), (None, 3, 2), "x"), x)
    assert number_array([], (None, 3, 2), "x").shape == (0, 3, 2)
    assert np.isnan(number_array([1, None], (2,), "x")[1])


@pytest.mark.parametrize(
    "value, shape, match",
    [
        ({"a": 1}, (3,), "x: found an object, wanted a list of numbers, 3"),
        (None, (3,), "x: found null, wanted a list"),
        (True, (3,), "x: found true, wanted a list"),
        ("nan", (3,), "x: found the text 'nan', wanted a list"),
        ([[1, 2], [3]], (None, 2), r"x: item \[1\] is a list of 1; wanted numbers, any number x 2"),
        ([[1, 2], 3], (None, 2), r"x: item \[1\] is the number 3; wanted"),
        ([["a", 2]], (None, 2), r"x: item \[0\]\[0\] is the text 'a'"),
        ([[{}, 2]], (None, 2), r"x: item \[0\]\[0\] is an object"),
        ([[10**400, 2]], (None, 2), r"x: item \[0\]\[0\] is the number of over 300 digits"),
        ([[[1]]], (None, 1), r"x: item \[0\]\[0\] is a list of 1"),
        ([[1, 2, 3]], (None, 2), r"x: item \[0\] is a list of 3"),
        ([[], []], (None, 2), r"x: item \[0\] is a list of 0"),
        ([1, 2], (3,), "x: found a list of 2; wanted numbers, 3"),
        ([[1], [2, 3]], (None, None), "x: rows of different sizes"),
        (eval("[" * 80 + "1" + "]" * 80), (None, 2), r"x: item \[0\] is a list of 1"),
    ],
)
def test_arrays_that_do_not_fit(value, shape, match):
    with pytest.raises(DataError, match=match):
        number_array(value, shape, "x")
