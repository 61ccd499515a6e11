"""PKU-MMD: clips against the text, intervals that overlap or reach too far, official lists, and damaged files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples_pku import write_sample, write_skeleton, write_split

from skelbench.data import make_split, write_store
from skelbench.data.formats import pku
from skelbench.data.formats.pku_text import read_intervals, read_split
from skelbench.data.tables import table
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import topology


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "pku", np.random.default_rng(0))


def clips_of(path, **options):
    source = pku.read(path, **options)
    return source, list(source.clips)


def store_of(path, target, **options):
    source = pku.read(path, **options)
    return write_store(target, source.clips, classes=source.classes, bodies=source.bodies, splits=source.splits, extra=source.extra)


def one(tmp_path, labels, *, T=20, joints=None, **options):
    """One recording with this label file; frame t has the value t + 1 everywhere."""
    joints = np.ones((T, 2, 25, 3)) * np.arange(1, T + 1)[:, None, None, None] if joints is None else joints
    write_skeleton(tmp_path / "0002-L.txt", joints)
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "0002-L.txt").write_text(labels)
    return clips_of(tmp_path, **options)


def frames_of(clip):
    return (clip.joints[:, 0, 0, 0] - 1).astype(int).tolist()


def test_every_number_of_every_clip(folder):
    source, clips = clips_of(folder)
    assert (len(clips), source.total, source.bodies) == (36, 36, 2) and source.provenance["notes"] == []
    by_id = {c.id: c for c in clips}
    for file in sorted((folder / "Label").iterdir()):
        rows = [list(map(float, line.split())) for line in (folder / "Skeleton" / file.name).read_text().splitlines()]
        for n, line in enumerate(file.read_text().splitlines(), 1):
            label, start, end, sure = map(int, line.split(","))
            clip = by_id[f"{file.stem}_{n:03d}"]
            assert clip.label == label - 1 and clip.about["confidence"] == sure and clip.about["first_frame"] == start
            assert clip.topology == topology("kinect_v2_25") and clip.joints.dtype == np.float32
            for t, row in enumerate(rows[start:end]):
                for m in range(2):
                    for v in range(25):
                        assert np.allclose(clip.joints[t, m, v], row[75 * m + 3 * v : 75 * m + 3 * v + 3])
            assert len(clip) == end - start
    assert clips[0].about["camera"] == 0 and by_id["0291-R_001"].about["camera"] == 2
    assert clips[0].about["group"] == "0002" and clips[0].about["video"] == 2


def test_official_lists(folder, tmp_path):
    store = store_of(folder, tmp_path / "store")
    for name, test in (("xsub", lambda i: i >= "0291"), ("xview", lambda i: "-L" in i)):
        split = make_split(store, name)
        assert sorted(store.ids[r] for r in split.test) == sorted(i for i in store.ids if test(i))
        assert sorted(store.ids[r] for r in split.train_all) == sorted(i for i in store.ids if not test(i))
    assert store.meta.extra["names"]["camera"] == ["L", "M", "R"] and len(store.classes) == 51


def test_stray_recordings_take_no_part(folder, tmp_path):
    names = sorted(f.stem for f in (folder / "Label").iterdir())
    write_split(folder / "cross-subject.txt", [n for n in names if n < "0004"], [n for n in names if n > "0291"] + ["0999-M"])
    source, _ = clips_of(folder)
    assert source.provenance["not there"] == ["1 recordings on the list cross-subject.txt, the first is 0999-M"]
    split = make_split(store_of(folder, tmp_path / "store"), "xsub")
    assert len(split.train_all) == 12 and len(split.test) == 12 and "12 clips on no list left out" in split.note


def test_without_lists_the_paper_decides(folder, tmp_path):
    for file in folder.glob("cross*"):
        file.unlink()
    missing = pku.describe(folder)["missing"]
    assert (
        missing[0] == "cross-subject.txt, the official list (without it, recordings 0291 to 0334 test, as the dataset's paper says)"
    )
    assert missing[1].startswith("cross-view.txt") and missing[2] == "1058 of the 1076 recordings of phase I"
    store = store_of(folder, tmp_path / "store")
    assert {store.ids[r][:4] for r in make_split(store, "xsub").test} == {"0291", "0292"}
    assert {store.ids[r][5] for r in make_split(store, "xview").test} == {"L"}


def test_phase_two(tmp_path):
    for name in ("A01N02-L", "A01N02-R", "A12N13-M"):
        write_skeleton(tmp_path / f"{name}.skeleton", np.ones((9, 2, 25, 3)))
        (tmp_path / f"{name}.txt").write_text("51,1,4,2\n7,3,9,1\n")
    source, clips = clips_of(tmp_path)
    assert source.splits == {} and len(clips) == 6 and source.provenance["phase"] == 2
    assert clips[-1].about == {"camera": 1, "group": "A12N13", "a": 12, "n": 13, "first_frame": 3, "confidence": 1}
    assert [m for m in pku.describe(tmp_path)["missing"] if "official list" in m] == [
        "cross-subject_v2.txt, the official list",
        "cross-view_v2.txt, the official list",
    ]
    write_split(tmp_path / "cross_subject_v2.txt", ["A01N02-L", "A01N02-R"], ["A12N13-M"])
    write_split(tmp_path / "cross_subject.txt", ["0002-L"], ["0003-L"])  # of the other phase
    source, clips = clips_of(tmp_path)
    assert [c.about["split_xsub"] for c in clips] == [1, 1, 1, 1, 2, 2]
    write_skeleton(tmp_path / "0002-L.txt", np.ones((9, 2, 25, 3)))
    with pytest.raises(DataError, match="recordings of both phases, such as 0002-L and A01N02-L; import them apart"):
        pku.read(tmp_path)


def test_a_label_file_of_one_line_and_loose_writing(tmp_path):
    for text in ("12,3,7,2", "12.0,3.0,7.0,2.0\r\n", " 12 , 3 , 7 , 2 \n\n", "\ufeff12 3 7 2\n"):
        _, (clip,) = one(tmp_path, text)
        assert (clip.label, frames_of(clip), clip.about["confidence"]) == (11, [3, 4, 5, 6], 2)
    _, (clip,) = one(tmp_path, "12,3,7\n")
    assert clip.about["confidence"] == -1


def test_intervals_beyond_the_recording_are_clamped(tmp_path):
    source, clips = one(tmp_path, "1,-5,3,1\n2,18,25,1\n3,20,25,1\n4,9,9,1\n5,9,4,1\n6,0,20,1\n")
    assert [(c.label, frames_of(c)) for c in clips] == [(0, [0, 1, 2]), (1, [18, 19]), (5, list(range(20)))]
    assert source.provenance["notes"] == [
        "3 intervals reach beyond their recording and were clamped, the first is 0002-L.txt:1, 20 frames",
        "1 intervals overlap an earlier line (keep), the first is 0002-L.txt:6",
        "3 intervals without a frame left out, the first is 0002-L.txt:3",
    ]
    assert source.total == 6


def test_overlaps(tmp_path):
    labels = "1,0,10,1\n2,8,15,1\n3,2,3,1\n4,8,15,1\n"
    _, clips = one(tmp_path, labels)
    assert [frames_of(c) for c in clips] == [list(range(10)), list(range(8, 15)), [2], list(range(8, 15))]
    source, clips = one(tmp_path, labels, overlap="later")
    assert [(c.label, frames_of(c)) for c in clips] == [(0, [3, 4, 5, 6, 7]), (2, [2]), (3, list(range(8, 15)))]
    assert "3 intervals overlap an earlier line (later), the first is 0002-L.txt:2" in source.provenance["notes"]


@given(spans=st.lists(st.tuples(st.integers(-5, 25), st.integers(-5, 25)), min_size=1, max_size=6), T=st.integers(0, 20))
def test_cutting_against_a_walk_over_the_frames(spans, T):
    intervals = tuple(pku.Interval(label=1, start=a, end=b, confidence=1, line=n) for n, (a, b) in enumerate(spans))
    recording = pku.Recording(name="x", skeleton=None, labels=type("File", (), {"name": "x"}), intervals=intervals)
    for overlap in ("keep", "later"):
        wanted = []
        for n, (a, b) in enumerate(spans):
            frames = [t for t in range(T) if a <= t < b]
            if overlap == "later":
                frames = [t for t in frames if not any(c <= t < d for c, d in spans[n + 1 :])]
            runs = [[]]
            for t in frames:
                runs = [*runs[:-1], [*runs[-1], t]] if not runs[-1] or runs[-1][-1] == t - 1 else [*runs, [t]]
            if best := max(runs, key=len):
                wanted.append((n, best[0], best[-1] + 1))
        found = [(i.line, a, b) for i, a, b in pku._spans(recording, T, pku.Cutting(overlap=overlap), pku.Tally())]
        assert found == wanted


def test_context_and_the_number_of_the_first_frame(tmp_path):
    _, (a, b) = one(tmp_path, "1,2,5,1\n2,16,18,1", context=4)
    assert frames_of(a) == list(range(0, 9)) and frames_of(b) == list(range(12, 20)) and b.about["first_frame"] == 12
    _, (a,) = one(tmp_path, "1,1,5,1\n", base=1)
    assert frames_of(a) == [0, 1, 2, 3]
    for options in ({"context": -1}, {"base": 2}, {"overlap": "first"}):
        with pytest.raises(ConfigError, match="wanted context of 0 or more, base 0 or 1, overlap 'keep' or 'later'"):
            one(tmp_path, "1,1,5,1\n", **options)
    with pytest.raises(DataError, match="fps must be a number above zero"):
        one(tmp_path, "1,1,5,1\n", fps=float("nan"))


def test_clips_in_which_nobody_is_seen(tmp_path):
    joints = np.ones((20, 2, 25, 3))
    joints[5:15], joints[:, 1] = 0, 0
    source, clips = one(tmp_path, "1,0,5,1\n2,6,12,1\n3,12,16,1", joints=joints)
    assert [c.label for c in clips] == [0, 2] and clips[0].present.tolist() == [[True, False]] * 5
    assert source.provenance["notes"] == ["1 intervals in which nobody is seen left out, the first is 0002-L.txt:2"]
    source, clips = one(tmp_path, "1,0,5,1\n2,6,12,1\n3,12,16,1", joints=joints, drop_empty=False)
    assert [c.label for c in clips] == [0, 1, 2] and source.provenance["notes"] == []


def test_labels_that_lie_elsewhere_or_lack(folder, tmp_path):
    (folder / "Label").rename(tmp_path / "elsewhere")
    assert pku.describe(folder)["missing"][0] == "label files of 18 recordings, the first is 0002-L; or pass labels= (their folder)"
    with pytest.raises(DataError, match="pku: no interval is labelled; put the label files there, or pass labels="):
        pku.read(folder)
    assert len(clips_of(folder, labels=tmp_path / "elsewhere")[1]) == 36
    (tmp_path / "elsewhere" / "0003-M.txt").unlink()
    (tmp_path / "elsewhere" / "0003-L.txt").write_text("")
    source, clips = clips_of(folder, labels=str(tmp_path / "elsewhere"))
    assert len(clips) == 32 and source.provenance["notes"] == [
        "1 recordings without a label file left out, the first is 0003-M",
        "1 recordings without an interval, the first is 0003-L",
    ]
    one_file = clips_of(folder / "Skeleton" / "0002-L.txt", labels=tmp_path / "elsewhere", lists=folder)
    assert [c.about["split_xsub"] for c in one_file[1]] == [1, 1]


def test_describe_and_sniff(folder, tmp_path):
    facts = pku.describe(folder)
    assert (facts["recordings"], facts["clips"], facts["bodies"], facts["phase"]) == (18, 36, 2, "I")
    assert facts["classes"] == ["bow", "brushing hair", "wipe face", "writing"] and facts["splits"] == ["xsub", "xview"]
    assert {"labels", "lists", "context", "base", "overlap", "drop_empty", "fps"} < set(facts["options"])
    assert pku.sniff(folder) and pku.sniff(folder / "Skeleton" / "0002-L.txt")
    assert not pku.sniff(folder / "Label") and not pku.sniff(folder / "cross-view.txt") and not pku.sniff(tmp_path / "none")
    assert len(table("pku_mmd")["classes"]) == 51


SKELETON = "Skeleton/0003-L.txt"
BAD = [
    ("Label/0003-L.txt", "1,2,3,1\n52,2,3,1\n", r"0003-L.txt:2: label 52, but there are 51 classes, counted from 1"),
    ("Label/0003-L.txt", "0,2,3,1\n", r"0003-L.txt:1: label 0, but there are 51"),
    ("Label/0003-L.txt", "1,2\n", r"0003-L.txt:1: 2 words, wanted label,start,end,confidence"),
    ("Label/0003-L.txt", "1,2,x,1\n", r"0003-L.txt:1: 'x' is not a number"),
    ("Label/0003-L.txt", "1,2,3.5,1\n", r"0003-L.txt:1: '3.5', wanted a whole number"),
    ("Label/0003-L.txt", "1,nan,3,1\n", r"0003-L.txt:1: 'nan', wanted a whole number"),
    ("Label/0003-L.txt", "1,1e300,3,1\n", r"0003-L.txt:1: '1e300', wanted a whole number"),
    ("Label/0003-L.txt", b"1,2,3,\xff\n", r"0003-L.txt: not UTF-8 text \(byte 6\)"),
    (
        SKELETON,
        "1 2 3 4 5 6\n",
        r"Skeleton/0003-L.txt: of the same recording as .*Label/0003-L.txt",
    ),  # too few numbers for a skeleton: a second label file
    (SKELETON, "0 " * 150 + "\n" + "0 " * 149, r"0003-L.txt:2: 149 numbers, wanted 150"),
    (SKELETON, "0 " * 149 + "x\n", r"0003-L.txt:1: 'x' is not a number"),
    (SKELETON, "0 " * 149 + "nan\n", r"0003-L.txt:1: holds a number that is not finite"),
    ("Skeleton/0002-L.skeleton", "0 " * 150, r"0002-L.txt: of the same recording as .*0002-L.skeleton; keep one"),
    ("cross-subject.txt", "Training\n0002-L\n", r"cross-subject.txt: 1 lines with names of recordings, wanted two"),
    ("cross-subject.txt", "x\n0002-L, video\nx\n0003-L\n", r"cross-subject.txt:2: 'video' among the names of recordings"),
    (
        "cross-subject.txt",
        "x\n0002-L\nx\n0002-L, 0003-L\n",
        r"t.txt: lists 0002-L for training and for validation, and 0",
    ),
    (
        "cross-subject.txt",
        "x\n0902-L\nx\n0903-L\n",
        r"t.txt: lists 2 recordings, none of them is here; the first is 0902",
    ),
    ("cross_subject.txt", "x\n0002-L\nx\n0003-L\n", r"cross_subject.txt: a second list like .*cross-subject.txt; keep one"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_damaged_files_name_file_and_line(case, folder):
    name, text, match = BAD[case]
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=match):
        clips_of(folder)


def test_nothing_there(folder, tmp_path):
    with pytest.raises(DataError, match=r"Label: holds no skeleton file of PKU-MMD, called 0002-L.txt or A01N02-L.txt"):
        pku.read(folder / "Label")
    for path in (tmp_path / "none", folder):
        with pytest.raises(DataError, match="none: no such file or folder"):
            pku.read(path, labels=tmp_path / "none")
    with pytest.raises(DataError, match=r"none.txt: cannot be read"):
        read_intervals(tmp_path / "none.txt")
    assert read_split(folder / "cross-view.txt")[1] == [f"{n}-L" for n in ("0002", "0003", "0004", "0005", "0291", "0292")]
