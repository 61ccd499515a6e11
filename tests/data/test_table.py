"""Own tables: long and wide, CSV and parquet against the arrays they were made of; columns, joints, labels, and bad input."""

import builtins

import numpy as np
import pytest
from mutations import mutate_one
from samples_table import JOINTS, long_rows, sample_rows, wide_rows, write_csv, write_parquet, write_sample

from skelbench.data import describe, import_data
from skelbench.data.formats import recognise, table, table_file
from skelbench.data.formats.table_columns import find_roles
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topology

RNG = np.random.default_rng(0)
CLIPS = {f"c{n}": RNG.normal(size=(3 + n, 2, 13, 3)) for n in range(4)}
WORDS = {"c0": "sit", "c1": "run", "c2": "sit", "c3": "fall"}
PENN = topology("penn_action_13")


def rows_of(make, **more):
    return [row for id, joints in CLIPS.items() for row in make(id, joints, label=WORDS[id], **more)]


def read(path, **options):
    source = table.read(path, **options)
    return source, {c.id: c for c in source.clips}


def same(clips, wanted=CLIPS):
    return list(clips) == list(wanted) and all(np.allclose(clips[i].joints, wanted[i], atol=1e-6) for i in wanted)


@pytest.mark.parametrize("make", [long_rows, wide_rows])
@pytest.mark.parametrize("rows", [3, 7, 4096])
def test_tables_hold_what_was_written(make, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "ROWS", rows)
    monkeypatch.setattr(table_file.chunks, "__kwdefaults__", {"rows": rows})
    made = rows_of(make, subject="ann", camera=2)
    files = [
        write_csv(tmp_path / "a.csv", made),
        write_csv(tmp_path / "a.tsv", made, delimiter="\t"),
        write_csv(tmp_path / "semicolon.csv", made, delimiter=";"),
        write_parquet(tmp_path / "a.parquet", made, row_group_size=5),
    ]
    lines = files[0].read_text().split("\n")
    lines[40:-1] = [",".join(f'"{w}"' for w in line.split(",")) for line in lines[40:-1]]
    quoted = tmp_path / "quoted.csv"
    quoted.write_text("\n".join([*lines[:9], "", *lines[9:60], "", *lines[60:]]))
    for file in [*files, quoted]:
        assert table.sniff(file)
        source, clips = read(file)
        assert same(clips), file
        assert source.classes == ("fall", "run", "sit") and [c.label for c in clips.values()] == [2, 1, 2, 0]
        assert source.total == 4 and source.bodies == 2 and source.units == "metre"
        assert clips["c0"].about == {"subject": "ann", "camera": "2"} and clips["c0"].topology == topology(
            "penn_action_13"
        ).__class__(**{**{f: getattr(PENN, f) for f in PENN.__dataclass_fields__}, "dims": 3, "units": "metre"})


def test_rows_of_a_clip_may_stand_in_any_order(tmp_path):
    shuffled = []
    for id, joints in CLIPS.items():
        rows = long_rows(id, joints, label=WORDS[id])
        RNG.shuffle(rows)
        shuffled += rows
    _, clips = read(write_csv(tmp_path / "a.csv", shuffled))
    assert same(clips)
    apart = rows_of(long_rows)
    apart.append(apart.pop(0))
    with pytest.raises(DataError, match=r"a.csv:469: rows of clip 'c0' stand apart from each other; sort the table by clip"):
        read(write_csv(tmp_path / "a.csv", apart))


def test_columns_are_found_without_case_and_punctuation_or_told(tmp_path):
    names = {
        "clip": "Video ID",
        "frame": "Frame-Index",
        "body": "TRACK_ID",
        "joint": "Body.Part",
        "x": "X",
        "y": "pos_y",
        "z": "Z_coord",
    }
    rows = [{names.get(k, k): v for k, v in row.items()} for row in rows_of(long_rows)]
    source, clips = read(write_csv(tmp_path / "a.csv", rows))
    assert same(clips) and source.provenance["columns"]["joint"] == "Body.Part"
    odd = {"clip": "a", "frame": "b", "body": "c", "joint": "d", "x": "e", "y": "f", "z": "g", "label": "h"}
    rows = [{odd[k]: v for k, v in row.items()} for row in rows_of(long_rows)]
    file = write_csv(tmp_path / "b.csv", rows)
    assert not table.sniff(file)
    with pytest.raises(DataError, match=r"b.csv:1: wanted the columns frame, joint, x, y .*There are: a, b, c, d, e, f, g, h"):
        read(file)
    source, clips = read(file, **odd)
    assert same(clips) and source.classes == ("fall", "run", "sit")
    with pytest.raises(DataError, match=r"b.csv:1: no column 'q' for frame=; there are: a, b, c"):
        read(file, frame="q")


@pytest.mark.parametrize(
    "columns, joints, axes",
    [
        (["frame", "j0_x", "j0_y", "j1_x", "j1_y", "j2_x", "j2_y"], ["j0", "j1", "j2"], "xy"),
        (["Frame", *(f"{a}{j}" for j in range(4) for a in "xyzv")], ["0", "1", "2", "3"], "xyzs"),
        (["hip.x", "hip.y", "hip.z", "knee.x", "knee.y", "knee.z", "toe.x", "toe.y", "toe.z"], ["hip", "knee", "toe"], "xyz"),
        ([f"{j}{a}" for j in ("Nose", "Neck", "Hip") for a in ("X", "Y", "_confidence")], ["Nose", "Neck", "Hip"], "xys"),
        ([f"{a} {j}" for j in ("Nose", "Neck", "Hip") for a in ("x", "y", "visibility")], ["Nose", "Neck", "Hip"], "xys"),
    ],
)
def test_wide_columns(columns, joints, axes, tmp_path):
    roles = find_roles(tmp_path, columns, {})
    assert list(roles.wide) == joints and roles.axes == axes
    assert roles.values == columns[len(columns) - len(joints) * len(axes) :]


def test_files_that_are_one_clip_each(home, tmp_path):
    for id in CLIPS:
        folder = tmp_path / "in" / WORDS[id]
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{k: v for k, v in row.items() if k not in ("clip", "label")} for row in wide_rows(id, CLIPS[id])]
        write_csv(folder / f"{id}.csv", rows)
    assert recognise(tmp_path / "in") == "table"
    store = import_data(tmp_path / "in", "own", progress=False)
    assert (
        store.classes == ("fall", "run", "sit") and store.ids == ["c3", "c1", "c0", "c2"] and store.labels.tolist() == [0, 1, 2, 2]
    )
    assert np.allclose(store[1].joints, CLIPS["c1"], atol=1e-6)
    (tmp_path / "in" / "labels.csv").write_text("file,class,subject\nc0,a,7\nc3,b,8\n")
    source, clips = read(tmp_path / "in", labels=tmp_path / "in" / "labels.csv")
    assert [(c.label, c.about["subject"]) for c in clips.values()] == [(1, "8"), (0, "7")] and source.classes == ("a", "b")
    with pytest.raises(DataError, match=r"some files lie in class folders and some, like labels.csv, do not|labels only"):
        read(tmp_path / "in")
    # Without frame numbers the rows are the frames.
    rows = [{k: v for k, v in row.items() if "_" in k} for row in wide_rows("a", CLIPS["c0"][:, :1])]
    _, clips = read(write_csv(tmp_path / "alone.csv", rows))
    assert np.allclose(clips["alone"].joints, CLIPS["c0"][:, :1], atol=1e-6)


def test_a_folder_of_tables_with_many_clips(tmp_path):
    (tmp_path / "in").mkdir()
    for n, id in enumerate(CLIPS):
        write_csv(tmp_path / "in" / f"part{n}.csv", long_rows(id, CLIPS[id], label=WORDS[id]))
    source, clips = read(tmp_path / "in")
    assert same(clips) and source.provenance["files"] == 4
    write_csv(tmp_path / "in" / "part9.csv", long_rows("c0", CLIPS["c0"], label="sit"))
    with pytest.raises(DataError, match=r"part9.csv:2: rows of clip 'c0' stand here and in .*part0.csv; sort the table by clip"):
        read(tmp_path / "in")
    write_csv(tmp_path / "in" / "part9.csv", wide_rows("c9", CLIPS["c0"], label="sit"))
    with pytest.raises(DataError, match=r"part9.csv:1: other columns .* than .*part0.csv; import them apart"):
        read(tmp_path / "in")
    (tmp_path / "in" / "part9.csv").rename(tmp_path / "in" / "part9.tsv")
    with pytest.raises(DataError, match=r"holds tables of several kinds, .csv and .tsv; keep one"):
        read(tmp_path / "in")


def test_labels(tmp_path):
    def file(**words):
        rows = [row for id in CLIPS for row in long_rows(id, CLIPS[id], **{k: v[id] for k, v in words.items()})]
        return write_csv(tmp_path / "a.csv", rows)

    numbers = {"c0": 2, "c1": 0, "c2": 2, "c3": 1}
    source, clips = read(file(action=numbers))
    assert source.classes == ("class 0", "class 1", "class 2") and [c.label for c in clips.values()] == [2, 0, 2, 1]
    (tmp_path / "names.txt").write_text("run\nfall\nsit\n")
    assert read(tmp_path / "a.csv", classes=tmp_path / "names.txt")[0].classes == ("run", "fall", "sit")
    source, _ = read(file(label=numbers, class_name=WORDS))  # names say more than numbers
    assert source.classes == ("fall", "run", "sit")
    source, clips = read(file())
    assert source.classes == ("unlabelled",) and clips["c3"].label == 0
    (tmp_path / "labels.csv").write_text("file,class,subject,take\nc3,b,ann,4\nc0,a,bob,5\n")
    source, clips = read(tmp_path / "a.csv", labels=tmp_path / "labels.csv")
    assert list(clips) == ["c0", "c3"] and [c.label for c in clips.values()] == [0, 1] and source.total == 2
    assert clips["c3"].about == {"subject": "ann", "take": 4} and np.allclose(clips["c3"].joints, CLIPS["c3"], atol=1e-6)
    assert source.provenance["notes"] == ["2 clips not listed in labels.csv left out"]
    for text, match in (
        ("file,class\nc9,a\n", r"labels.csv:2: clip 'c9' stands in no table"),
        ("file,class\nc0,a\nc0,a\n", r"labels.csv:3: clip 'c0' is listed twice"),
        ("file,class,take\nc0,a,x\n", r"labels.csv:2: column 'take' holds 'x', wanted a whole number"),
    ):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(DataError, match=match):
            read(tmp_path / "a.csv", labels=tmp_path / "labels.csv")
    with pytest.raises(DataError, match=r"a.csv: clip 'c1' has an empty 'label'"):
        read(file(label={**WORDS, "c1": ""}))
    rows = rows_of(long_rows)
    rows[30]["label"] = "stand"
    with pytest.raises(DataError, match=r"a.csv:32: clip 'c0' has label 'stand', before that 'sit'"):
        read(write_csv(tmp_path / "a.csv", rows))


def test_joints_by_name_and_by_number(tmp_path):
    def file(name):
        rows = rows_of(long_rows)
        for row in rows:
            row["joint"] = name(JOINTS.index(row["joint"]))
        return write_csv(tmp_path / "a.csv", rows)

    for name in (lambda v: v, lambda v: v + 1, lambda v: f"joint_{v:02d}"):
        with pytest.raises(DataError, match=r"joints are numbers, [01] to 1[23], which do not say what they are; pass topology="):
            read(file(name))
        assert "topology: a layout with these joints" in table.describe(tmp_path / "a.csv")["missing"][0]
        _, clips = read(tmp_path / "a.csv", topology=PENN)
        assert same(clips)
    with pytest.raises(DataError, match=r"joints 0 to 20 do not go with the 13 joints of topology 'penn_action_13'"):
        read(file(lambda v: v if v < 12 else 20), topology=PENN)
    _, clips = read(file(lambda v: JOINTS[v].upper().replace("_", " ")))
    assert same(clips)
    arm = Topology.from_dict({"name": "arm", "joints": ["LeftWrist", "LeftElbow"], "parents": [1, -1]})
    source, clips = read(tmp_path / "a.csv", topology=arm)
    assert same(clips, {i: j[:, :, [5, 3]] for i, j in CLIPS.items()})
    assert "joints left out: HEAD, " in source.provenance["notes"][0]
    tail = Topology.from_dict({"name": "tail", "joints": ["head", "tail"], "parents": [-1, 0]})
    with pytest.raises(DataError, match="topology 'tail' wants 1 joints the table does not have, the first is 'tail'"):
        read(tmp_path / "a.csv", topology=tail)
    with pytest.raises(DataError, match=r"no built-in layout has exactly these 13 joints; pass topology= .* They are: q0a, q1b"):
        read(file(lambda v: f"q{v}" + "abcdefghijklmnop"[v]))
    with pytest.raises(DataError, match="joints whose names differ only in case or punctuation, or are empty: head, HEAD"):
        read(file(lambda v: ("head", "HEAD", *JOINTS[2:])[v]))


def test_what_was_not_seen(tmp_path):
    rows = long_rows("a", CLIPS["c0"][:, :1])
    want = CLIPS["c0"][:, :1].copy()
    rows[5].update(x="", y="", z="nan")
    want[0, 0, 5] = 0
    gone = rows.pop(13 + 7)
    want[1, 0, JOINTS.index(gone["joint"])] = 0
    rows = [{**r, "frame": r["frame"] + (10 if r["frame"] == 2 else 4)} for r in rows]  # frames 4, 5 and 12
    source, clips = read(write_csv(tmp_path / "a.csv", rows))
    assert clips["a"].joints.shape[0] == 9 and not clips["a"].joints[2:8].any()
    assert np.allclose(clips["a"].joints[[0, 1, 8]], want, atol=1e-6)
    assert "1 joints with empty positions and 1 without a row are zero" in source.provenance["notes"]
    rows[7]["y"] = ""
    with pytest.raises(DataError, match=r"clip 'a', frame 0: joint 7 of body 0 has the coordinate nan"):
        import_data(write_csv(tmp_path / "a.csv", rows), "a", progress=False)
    empty = [{**r, "x": "", "y": "", "z": ""} for r in long_rows("b", CLIPS["c1"])]
    source, clips = read(write_csv(tmp_path / "b.csv", long_rows("a", CLIPS["c0"]) + empty))
    assert list(clips) == ["a"] and source.provenance["empty"] == ["b"]
    with pytest.raises(DataError, match="nobody in any of 1 clips, all positions are empty or zero"):
        read(write_csv(tmp_path / "c.csv", empty))


def test_bodies(tmp_path):
    joints = RNG.normal(size=(6, 3, 13, 3))
    rows = [
        r for r in long_rows("a", joints) if not (r["body"] == 0 and r["frame"] > 1) and not (r["body"] == 2 and r["frame"] < 2)
    ]
    for r in rows:
        r["body"] = (100, 20, 3)[r["body"]]
    _, clips = read(write_csv(tmp_path / "a.csv", rows))
    assert clips["a"].joints.shape == (6, 3, 13, 3) and np.allclose(clips["a"].joints[:, 1], joints[:, 1], atol=1e-6)
    assert np.allclose(clips["a"].joints[2:, 0], joints[2:, 2], atol=1e-6)  # in the order of their numbers
    _, clips = read(tmp_path / "a.csv", bodies=2)  # 20 is there always; 3 and 100 share the other slot
    assert np.allclose(clips["a"].joints[:, 0], joints[:, 1], atol=1e-6)
    assert np.allclose(clips["a"].joints[:2, 1], joints[:2, 0], atol=1e-6)
    assert np.allclose(clips["a"].joints[2:, 1], joints[2:, 2], atol=1e-6)
    crowd = [r for m in range(9) for r in [{**r, "body": f"p{m}"} for r in long_rows("a", joints[:1, :1])]]
    with pytest.raises(DataError, match=r"9 bodies in one clip; say how many to keep with bodies="):
        read(write_csv(tmp_path / "b.csv", crowd))
    for r in rows:
        r["body"] = 0
    with pytest.raises(DataError, match=r"clip 'a', frame 0, joint 'head': the same joint of the same body stands twice"):
        read(write_csv(tmp_path / "a.csv", rows))
    wide = wide_rows("a", joints[:2, :1])
    with pytest.raises(DataError, match=r"frame 0: a row of the same body stands twice"):
        read(write_csv(tmp_path / "w.csv", [*wide, wide[0]]))


def test_frame_numbers_in_steps(tmp_path):
    rows = [{**r, "frame": 7 + 4 * r["frame"]} for r in long_rows("a", CLIPS["c0"][:, :1])]
    source, clips = read(write_csv(tmp_path / "a.csv", rows))
    assert len(clips["a"]) == 9 and "frame numbers go in steps of 4; pass step=4 to leave no gaps" in source.provenance["notes"]
    _, clips = read(tmp_path / "a.csv", step=4)
    assert np.allclose(clips["a"].joints, CLIPS["c0"][:, :1], atol=1e-6)
    with pytest.raises(DataError, match=r"frame numbers are not all 3 apart, as step= says"):
        read(tmp_path / "a.csv", step=3)
    _, clips = read(tmp_path / "a.csv", step=4, rate=60.0, fps=30.0)
    assert clips["a"].fps == 30 and len(clips["a"]) == 2
    far = [{**r, "frame": 10**8 * r["frame"]} for r in long_rows("a", CLIPS["c0"][:2, :1])]
    with pytest.raises(DataError, match="frames 0 to 100000000, but only 2 of them are listed"):
        read(write_csv(tmp_path / "b.csv", far))


def test_pictures_scores_units_and_which_way_is_up(tmp_path):
    rows = [{k: v for k, v in r.items() if k != "z"} | {"Confidence": 0.5} for r in long_rows("a", 300 * np.abs(CLIPS["c0"]))]
    source, clips = read(write_csv(tmp_path / "a.csv", rows))
    assert clips["a"].joints.shape == (3, 2, 13, 3) and (clips["a"].joints[..., 2] == 0.5).all()
    assert source.units == "pixel" and source.extra == {"image": True} and clips["a"].topology == PENN
    x, y, z = np.moveaxis(CLIPS["c0"], 3, 0)
    _, clips = read(write_csv(tmp_path / "b.csv", long_rows("a", CLIPS["c0"])), up="z", scale=0.01)
    assert np.allclose(clips["a"].joints, np.stack([y, z, x], axis=3) / 100, atol=1e-6)
    for options in ({"step": 0}, {"bodies": 0}):
        with pytest.raises(DataError, match="wanted step from 1 up and bodies from 1 to 100"):
            read(tmp_path / "b.csv", **options)


def test_a_sample_becomes_a_store(home, tmp_path):
    (tmp_path / "in").mkdir()
    folder = write_csv(tmp_path / "in" / "poses.csv", sample_rows(long_rows, np.random.default_rng(1))).parent
    store = import_data(folder, "own", progress=False)
    assert store.meta.provenance["format"] == "table" and store.classes == ("clap", "jump") and store.labels.tolist() == [1, 0, 1]
    assert store.index["subject"].tolist() == [1, 2, 3] and store.bodies == 2
    facts = table.describe(folder)
    assert facts["clips"] == "3" and facts["classes"] == ["jump", "clap"] and facts["missing"] == []
    assert facts["skeleton"].startswith("penn_action_13, 13 joints: head, ") and facts["bodies"] == "2"
    assert "a joint, xyz" in str(describe(folder))
    (tmp_path / "other.csv").write_text("file,class\na,b\n")
    assert not table.sniff(tmp_path / "other.csv")


GOOD = "clip,frame,joint,x,y\n" + "".join(f"a,{t},{j},0.5,0.5\n" for t in range(2) for j in JOINTS)
BAD = [
    ("", r"a.csv:1: no columns; wanted a first line with a name for every column"),
    ("clip,frame,joint,x,y\n", r"a.csv: no rows below the first line"),
    ("clip,clip,frame,joint,x,y\n", r"a.csv:1: the column 'clip' stands twice"),
    (GOOD.replace("a,1,head,0.5,0.5", "a,1,head,0.5"), r"a.csv:15: 4 cells, wanted 5 as in the first line"),
    (GOOD.replace("a,1,head,0.5,0.5", 'a,1,"head",0.5'), r"a.csv:15: 4 cells, wanted 5 as in the first line"),
    (GOOD.replace("a,1,head,0.5", "a,1,head,half"), r"a.csv:15: 'half' in column 'x' is not a number"),
    (GOOD.replace("a,1,head,0.5", "a,1,head,1_0"), r"a.csv:15: '1_0' in column 'x' is not a number"),
    (GOOD.replace(",", ";").replace("a;1;head;0.5", "a;1;head;0,5"), r"a.csv:15: '0,5' in column 'x' is not a number \(a comma as"),
    (GOOD.replace("a,1,head", "a,1.5,head"), r"a.csv:15: 1.5 in column 'frame' is not a whole number from 0 up"),
    (GOOD.replace("a,1,head", "a,,head"), r"a.csv:15: nan in column 'frame' is not a whole number"),
    (GOOD.replace("a,1,head", "a,-1,head"), r"a.csv:15: -1 in column 'frame' is not a whole number"),
    (GOOD.replace("a,", "a/b,"), r"a.csv:2: 'a/b' cannot name a clip"),
    (GOOD.replace("a,0,head", "a,0,nose"), r"a.csv: no built-in layout has exactly these 14 joints"),
    (GOOD.replace("a,0,head,0.5", "a,0,head,inf"), r"clip 'a', frame 0: joint 0 of body 0 has the coordinate inf"),
    (GOOD + '"', r"a.csv:28: 1 cells, wanted 5"),
    (GOOD + "x" * (1 << 20) + "y", r"a.csv:28: a line of over 1048576 characters|a.csv:1: a line of over"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_broken_tables_name_file_and_line(case, home, tmp_path, unchanged):
    text, match = BAD[case]
    (tmp_path / "a.csv").write_text(text)
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "a.csv", "broken", format="table", progress=False)
    unchanged()


def test_broken_parquet(tmp_path, monkeypatch):
    file = write_parquet(tmp_path / "a.parquet", rows_of(long_rows))
    data = file.read_bytes()
    for broken, match in (
        (data[:-20], "a.parquet: cannot be read as parquet"),
        (b"PAR1" + bytes(100) + b"PAR1", "a.parquet: cannot be read as parquet"),
        (data[:200] + bytes(200) + data[400:], r"a.parquet: damaged near row \d+|a.parquet: cannot be read"),
    ):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=match):
            read(file)
    rows = [{**r, "x": [1.0]} for r in rows_of(long_rows)]
    with pytest.raises(DataError, match=r"column 'x' is of type list"):
        read(write_parquet(file, rows))
    rows = [{**r, "frame": 0.5} for r in rows_of(long_rows)]
    with pytest.raises(DataError, match=r"a.parquet, row 1: 0.5 in column 'frame' is not a whole number"):
        read(write_parquet(file, rows))
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    write_parquet(file, rows_of(long_rows))
    monkeypatch.setattr(builtins, "__import__", without)
    assert table.sniff(file)
    with pytest.raises(DataError, match=r"reading parquet needs pyarrow; pip install 'skelbench\[parquet\]'"):
        read(file)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_end_in_a_data_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = write_sample(tmp_path / "in", rng)
    mutate_one(folder, rng)
    table.sniff(folder)
    for ask in (lambda: table.describe(folder), lambda: read(folder)):
        try:
            ask()
        except DataError as error:
            assert "poses." in str(error)
