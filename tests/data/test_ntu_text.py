"""The text of .skeleton files: every number as Python reads it, every line accounted for, every damage told with its line."""

import math
import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from samples_ntu import BIG, body_lines, person, text

from skelbench.data.formats import ntu_text
from skelbench.data.formats.ntu_digits import SPACE, Marks, columns
from skelbench.data.formats.ntu_text import parse
from skelbench.errors import DataError

RNG = np.random.default_rng(5)


def naive(data):
    """frame, place, id, (25, 3) of every body, value by value."""
    lines = data.decode("utf-8-sig").splitlines()
    at, out = 1, []
    for t in range(int(lines[0])):
        bodies, at = int(lines[at]), at + 1
        for m in range(bodies):
            joints = [[float(w) for w in line.split()[:3]] for line in lines[at + 2 : at + 27]]
            out.append((t, m, int(lines[at].split()[0]), joints))
            at += 27
    assert not "".join(lines[at:]).strip()
    return out


def check(data, **options):
    """Both readers agree with the plain one; hands back what they found."""
    fast = ntu_text._at_once(ntu_text._ended(data), options.get("states", False))
    slow = ntu_text._line_by_line(data, "x", options.get("states", False))
    found = parse(data, "x", **options)
    wanted = naive(data)
    for one in [slow, found] + [fast] * (fast is not None):
        assert list(zip(one.frame.tolist(), one.place.tolist(), one.ids, strict=True)) == [w[:3] for w in wanted]
        joints = np.asarray([w[3] for w in wanted]).reshape(-1, 25, 3).astype(np.float32)
        lost = np.isnan(joints).any(axis=-1)
        joints[lost] = 0
        assert one.lost == lost.sum() and one.joints.dtype == np.float32
        np.testing.assert_array_equal(one.joints[..., :3], joints)
        assert np.array_equal(np.signbit(one.joints[..., :3]), np.signbit(joints))
    return found, fast is not None


def sample(frames=6, bodies=2, **more):
    people = [person(RNG, frames, at=m) for m in range(bodies)]
    return text([[(BIG + m, p[t]) for m, p in enumerate(people)] for t in range(frames)], **more)


# --- grammar --------------------------------------------------------------------------------------------------------------


def test_bodies_come_and_go():
    """0, 1 and 2 bodies; ids that are one number as float; a NaN; line ends of Windows."""
    a, b = person(RNG, 3), person(RNG, 3, at=1)
    a[1, 4, 1] = np.nan
    data = text([[], [(BIG + 1, a[1])], [(BIG + 2, b[2]), (BIG + 1, a[2])]])
    assert b"\r\n" in data and b"nan" in data and float(BIG + 1) == float(BIG + 2)
    found, fast = check(data)
    assert fast and len(data.splitlines()) == 1 + 3 + 3 * 27
    assert found.frames == 3 and found.frame.tolist() == [1, 2, 2] and found.ids == [BIG + 1, BIG + 2, BIG + 1]
    assert found.lost == 1 and not found.joints[0, 4].any() and found.joints[0, 3].all()
    one, two = found.tracks()
    assert (one.id, one.frames.tolist(), one.places.tolist()) == (BIG + 1, [1, 2], [0, 1])
    assert (two.id, two.frames.tolist(), two.places.tolist()) == (BIG + 2, [2], [0])
    np.testing.assert_allclose(one.joints[1], a[2], rtol=1e-6)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bodies", [1, 2, 6])
def test_line_ends_and_bodies(end, bodies):
    for data in (sample(bodies=bodies, end=end), sample(bodies=bodies, end=end).rstrip()):
        _, fast = check(data)
        assert fast


def test_unusual_but_right():
    plain = sample(bodies=2)
    wanted = parse(plain, "x")
    tabs = plain.replace(b" ", b"\t")
    blanks = plain.replace(b" 250.1", b"   250.1 ")
    for data in (
        tabs,
        blanks,
        b" " + plain,
        plain.replace(b"\r\n", b" \r\n"),
        plain + b"\r\n \r\n",
        b"\xef\xbb\xbf" + plain,
        plain.replace(b"\r\n", b"\n", 7),
        plain.replace(b" 0.9 2", b" 0." + b"9" * 300 + b" 2"),
    ):
        found = parse(data, "x")
        assert found.ids == wanted.ids and np.array_equal(found.joints, wanted.joints)
        slow = ntu_text._line_by_line(data.removeprefix(b"\xef\xbb\xbf"), "x", False)
        assert np.array_equal(slow.joints, wanted.joints)


def test_more_than_nine_bodies():
    found, fast = check(sample(frames=2, bodies=12))
    assert not fast and found.place.tolist() == [*range(12)] * 2


def test_a_single_number_on_the_body_line():
    """An id may be anything a whole number can be."""
    for id in (0, -5, 9223372036854775807, 18446744073709551615, 10**19):
        found, fast = check(text([[(id, person(RNG, 1)[0])]]))
        assert fast and found.ids == [id]


def test_tracking_states():
    xyz = person(RNG, 1)[0]
    lines = ["1", "1", *body_lines(xyz)]
    for j in range(25):
        lines[4 + j] = lines[4 + j][:-1] + str(j % 3)
    lines[4] = lines[4].replace(lines[4].split()[0], "NaN", 1)
    for end in ("\r\n", "\n"):
        data = end.join([*lines, ""]).encode()
        found, fast = check(data, states=True)
        assert fast and found.joints.shape == (1, 25, 4)
        assert found.joints[0, 1:, 3].tolist() == [(j % 3) / 2 for j in range(1, 25)]
        assert not found.joints[0, 0].any()  # a joint without a place was not tracked
    for state in ("3", "2.5", "x", "22"):
        bad = end.join([*lines[:6], lines[6][:-1] + state, *lines[7:], ""]).encode()
        with pytest.raises(
            DataError, match=rf"x:7: joint 2 of body 0 of frame 0 has the tracking state '{state}', wanted 0, 1 or 2"
        ):
            parse(bad, "x", states=True)
        assert len(parse(bad, "x").ids) == 1  # nobody asked


# --- numbers --------------------------------------------------------------------------------------------------------------


def with_words(words):
    """A file whose coordinates are these words."""
    words = [*words, *["0.5"] * (-len(words) % 75)]
    lines = [str(len(words) // 75)]
    for at in range(0, len(words), 75):
        lines += ["1", f"{BIG} 0 1 1 1 1 0 0 0 2", "25"]
        lines += [" ".join(words[at + 3 * j : at + 3 * j + 3]) + " 1 2 3 4 5 6 7 8 2" for j in range(25)]
    return "\n".join([*lines, ""]).encode()


def test_numbers_are_those_of_python():
    rng = np.random.default_rng(0)
    value = rng.normal(size=2000) * 10.0 ** rng.integers(-9, 4, 2000)
    forms = [f"{{:.{d}g}}" for d in range(1, 18)] + [f"{{:.{d}f}}" for d in range(16)] + ["{:.3e}", "{:+.5f}", "{:09.4f}"]
    for form in forms:
        words = [form.format(v) for v in value[rng.integers(0, 2000, 300)]]
        data = with_words(words)
        found, _ = check(data)
        wanted = np.asarray([np.float32(float(w)) for w in words])
        np.testing.assert_array_equal(found.joints.ravel()[: len(words)], wanted, err_msg=form)


def test_plain_numbers_are_exact_as_doubles():
    """Up to 14 digits after the point, all within float64's reach: not only float32 agrees."""
    rng = np.random.default_rng(1)
    words = []
    for _ in range(5000):
        digits = int(rng.integers(0, 15))
        tail = "".join(rng.choice(list("0123456789"), digits))
        words.append(f"{rng.choice(['', '-'])}{rng.integers(10)}.{tail}")
    body = (
        b"x" * 16
        + b"\n"
        + "\n".join(f"{a} {b} {c} end" for a, b, c in zip(*[iter(words[:4998])] * 3, strict=True)).encode()
        + b"\n"
    )
    body += b" " * 64
    raw = np.frombuffer(body, np.uint8)
    starts = np.flatnonzero(raw == 10)[:-1] + 1
    starts = starts[: len(words) // 3]
    numbers = columns(body, Marks(raw, SPACE), starts, 3)
    assert numbers is not None
    value, odd = numbers
    assert not odd.any()
    assert value.T.ravel().tolist() == [float(w) for w in words[:4998]]


@pytest.mark.parametrize(
    "word",
    ["0", "-0", "1e-05", "-4.371139E-08", "12.5", "-123.25", "+1.5", ".5", "-.25", "7.", "1" * 30, "0." + "1" * 40, "3E0", "00.5"],
)
def test_odd_numbers(word):
    found, fast = check(with_words(["0.25", word, "0.75"]))
    assert found.joints[0, 0].tolist() == [0.25, np.float32(float(word)), 0.75]
    assert fast or len(word) > 29


@pytest.mark.parametrize("word", ["NaN", "nan", "-nan", "-1.#IND", "1.#QNAN", "-1.#IND00"])
def test_not_a_number_means_not_tracked(word):
    data = with_words(["0.25", word, "0.75"])
    for found in (parse(data, "x"), ntu_text._line_by_line(data, "x", False)):
        assert found.lost == 1 and not found.joints[0, 0].any() and found.joints[0, 1].all()


@pytest.mark.parametrize(
    "word",
    ["abc", "1_0", "0x10", "1e999", "inf", "-Infinity", "1,5", "1.2.3", "--1", "1-", "-", ".", "1e", "\u0661", "9" * 50, "1e39"],
)
def test_words_that_are_no_coordinate(word):
    data = with_words(["0.25", "0.5", "0.75", "1.0", word, "2.0"])
    with pytest.raises(DataError, match=r"clip.skeleton:6: ") as error:
        parse(data, "clip.skeleton")
    if word.isascii():
        assert re.search(
            rf"{re.escape(word[:40])}' is not a coordinate in metres, of joint 1 of body 0 of frame 0", str(error.value)
        )
    assert ("comma" in str(error.value)) == ("," in word)


def test_columns_that_do_not_fit_a_look():
    """Three columns of more than 57 bytes go to the slow reader."""
    word = f"0.{'123456789' * 3}"
    found, fast = check(with_words([word, word, word]))
    assert not fast and found.joints[0, 0].tolist() == [np.float32(float(word))] * 3


def test_marks_against_counting():
    rng = np.random.default_rng(2)
    for length in (1, 7, 8, 63, 64, 65, 127, 128, 1000):
        raw = rng.choice(np.frombuffer(b" ab", np.uint8), length)
        marks = Marks(raw, SPACE)
        at = np.arange(length)
        assert marks.before(at).tolist() == [int((raw[:n] == SPACE).sum()) for n in at]
        assert marks.doubled == (b"  " in raw.tobytes())
        for n, word in zip(at, marks.after(at).tolist(), strict=True):
            assert [bool(word >> k & 1) for k in range(min(57, length - n))] == (raw[n : n + 57] == SPACE).tolist()
    for n in range(1, 130):  # a pair across the edges of words
        assert Marks(np.frombuffer(b"a" * n + b"  b", np.uint8), SPACE).doubled
        assert not Marks(np.frombuffer(b"a" * n + b" b ", np.uint8), SPACE).doubled


# --- damage ---------------------------------------------------------------------------------------------------------------


def line(data, n, new):
    lines = data.split(b"\r\n")
    lines[n - 1 : n] = new
    return b"\r\n".join(lines)


def damaged():
    good = sample(frames=3, bodies=1)  # lines: 1; 2 head, 3 body, 4 "25", 5-29 joints; 30 head ...
    return [
        (b"", r"x:0: the file ends where the number of frames should stand"),
        (b"\n\n", r"x:0: the file ends where the number of frames"),
        (line(good, 1, [b"0"]), r"x:1: 0 frames; wanted 1 to 100000"),
        (line(good, 1, [b"2"]), r"x:58: the file goes on after its 2 frames"),
        (line(good, 1, [b"4"]), r"x:85: the file ends where the number of bodies in frame 3 should stand"),
        (
            line(good, 1, [b"99999999999999999999"]),
            r"x:1: found '99999999999999999999', wanted the number of frames, a whole number",
        ),
        (line(good, 1, [b"200000"]), r"x:1: 200000 frames; wanted 1 to 100000"),
        (line(good, 1, [b"3 3"]), r"x:1: more values, wanted 1: the number of frames"),
        (line(good, 1, [b"-3"]), r"x:1: found '-3', wanted the number of frames"),
        (line(good, 2, [b"2"]), r"x:30: 1 value, wanted 10: body 1 of frame 0"),
        (line(good, 2, [b"0"]), r"x:3: more values, wanted 1: the number of bodies in frame 1"),
        (line(good, 2, [b"999999999"]), r"x:30: 1 value, wanted 10: body 1 of frame 0"),
        (line(good, 2, []), r"x:2: more values, wanted 1: the number of bodies in frame 0"),
        (line(good, 3, [b"1 2 3"]), r"x:3: 3 values, wanted 10: body 0 of frame 0 \(id, clipped edges"),
        (line(good, 3, [b"x 0 1 1 1 1 0 0 0 2"]), r"x:3: found 'x', wanted the id of body 0 of frame 0"),
        (line(good, 3, [b"7.2e16 0 1 1 1 1 0 0 0 2"]), r"x:3: found '7.2e16', wanted the id"),
        (line(good, 4, [b"24"]), r"x:4: body 0 of frame 0 has 24 joints, wanted 25"),
        (line(good, 4, [b"26"]), r"x:4: body 0 of frame 0 has 26 joints, wanted 25"),
        (line(good, 4, [b""]), r"x:4: 0 values, wanted 1: the number of joints of body 0 of frame 0"),
        (line(good, 7, [b"1 2 3 4 5 6 7 8 9 10 11"]), r"x:7: 11 values, wanted 12: joint 2 of body 0 of frame 0 \(x, y, z"),
        (line(good, 7, [b"1 2 3 4 5 6 7 8 9 10 11 12 13"]), r"x:7: more values, wanted 12: joint 2"),
        (line(good, 7, [b"1  3 4 5 6 7 8 9 10 11 12"]), r"x:7: 11 values, wanted 12"),
        (line(good, 7, [b""]), r"x:7: 0 values, wanted 12"),
        (good + b"7", r"x:86: the file goes on after its 3 frames; the number of frames is wrong, or two files are in one"),
        (good + good, r"x:86: the file goes on after its 3 frames"),
        (good[: len(good) // 2], r"x:4\d: "),
        (good.replace(b"250.1", b"250\x00.1", 1), r"x:5: holds the byte 0x00, so it is not a text of numbers"),
        (good.replace(b"250.1", b"250\xc3\xa9", 1), r"x:5: holds the byte 0xc3"),
        (b"PK\x03\x04" + bytes(RNG.integers(0, 256, 500, dtype=np.uint8)), r"x:1: holds the byte 0x03"),
    ]


@pytest.mark.parametrize("data, match", damaged(), ids=range(len(damaged())))
def test_damage_is_told_with_its_line(data, match):
    with pytest.raises(DataError, match=match):
        parse(data, "x")
    assert ntu_text._at_once(data + b"\n", False) is None


def test_one_number_twice_in_a_frame():
    xyz = person(RNG, 1)[0]
    found = parse(text([[(7, xyz)], [(7, xyz), (8, xyz), (7, xyz)]]), "x")
    with pytest.raises(DataError, match=r"body 7 stands twice in frame 1 \(counted from 0\)"):
        found.tracks()


@pytest.mark.parametrize(
    "data",
    [b"99999\n" + b"0\n" * 50, b"1\n999999999\n" + b"1 2 3 4 5 6 7 8 9 10\n25\n", b"100000\n" + b"\n" * 300_000, b"1 " * 500_000],
)
def test_a_header_claims_no_memory(data):
    tracemalloc.start()
    with pytest.raises(DataError):
        parse(data, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * len(data) + 2_000_000


def test_files_that_are_too_large(monkeypatch):
    monkeypatch.setattr(ntu_text, "LARGEST", 1000)
    with pytest.raises(DataError, match=r"x: 0 MB, more than a .skeleton file can have"):
        parse(sample(), "x")


def test_damage_at_random():
    """Whatever happens to a file, it is read alike by both readers, or refused in words."""
    rng = np.random.default_rng(11)
    people = person(rng, 3), person(rng, 3, at=1)
    base = [text([[(BIG + m, p[t]) for m, p in enumerate(people[: 1 + t % 2])] for t in range(3)], end=e) for e in ("\n", "\r\n")]
    read = refused = 0
    for n in range(1500):
        data = mutated(base[n % 2], rng)
        states = n % 3 == 0
        try:
            found = parse(data, "x", states=states)
        except DataError as error:
            assert re.match(r"x:\d+: ", str(error)), error
            refused += 1
            continue
        slow = ntu_text._line_by_line(data.removeprefix(b"\xef\xbb\xbf"), "x", states)
        assert (slow.frames, list(slow.ids), slow.lost) == (found.frames, list(found.ids), found.lost)
        np.testing.assert_array_equal(slow.joints, found.joints)
        assert np.array_equal(slow.frame, found.frame) and np.isfinite(found.joints).all()
        read += 1
    assert read > 80 and refused > 300


def test_published_files():
    """The eight situations of the reference texts, by the quick reader."""
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    case = np.load(Path(folder) / "ntu_skeleton_file_a.npz", allow_pickle=False)
    texts = [case[k].tobytes() for k in case.files if k.startswith("input/text/")]
    assert len(texts) == 8
    for data in texts:
        _, fast = check(data)
        assert fast and not math.isnan(parse(data, "x").joints.sum())
