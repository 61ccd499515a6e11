"""Archives of CTR-GCN: every number, lengths, copies, names put back, splits, memory, and damage."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from mutations import mutate_one, mutated
from samples_ctrgcn import rows_of, write_archive, write_sample

from skelbench.data import import_data, make_split
from skelbench.data.formats import ctrgcn, recognise
from skelbench.data.tables import ntu_classes
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology, topology


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def clips_of(path, **options):
    source = ctrgcn.read(path, **options)
    return source, list(source.clips)


def naive(row, *, drop_copy=True):
    """Frame by frame: person, then joint, then x, y, z."""
    frames = list(row)
    while frames and not frames[-1].any():
        frames.pop()
    joints = np.zeros((len(frames), 2, 25, 3), np.float32)
    for t, frame in enumerate(frames):
        for k, value in enumerate(frame):
            joints[t, k // 75, k % 75 // 3, k % 3] = value
    if drop_copy and all(np.array_equal(f[0], f[1]) for f in joints):
        joints[:, 1] = 0
    return joints


def test_every_number(tmp_path, rng):
    names, arrays = write_archive(tmp_path / "NTU60_CS.npz", rng)
    source, clips = clips_of(tmp_path / "NTU60_CS.npz")
    rows = [*arrays["x_train"], *arrays["x_test"]]
    assert (source.total, len(clips), source.bodies) == (12, 12, 2) and source.classes == ntu_classes(60)
    labels = [*arrays["y_train"].argmax(1), *arrays["y_test"].argmax(1)]
    for clip, row, label in zip(clips, rows, labels, strict=True):
        assert np.array_equal(clip.joints, naive(row)) and clip.label == label and clip.topology == topology("kinect_v2_25")
        assert clip.about["copied"] == 0
    assert [c.id for c in clips][:1] == ["train_000000"] and clips[-1].id == f"test_{len(arrays['x_test']) - 1:06d}"
    assert source.presets == (ctrgcn.CENTRED,)


def test_copies_of_the_first_body(tmp_path, rng):
    names, arrays = write_archive(tmp_path / "NTU120_CSub.npz", rng, copies=True)
    rows = [*arrays["x_train"], *arrays["x_test"]]
    source, clips = clips_of(tmp_path / "NTU120_CSub.npz")
    copied = [bool(np.array_equal(r[:, :75], r[:, 75:])) for r in rows]
    assert [bool(c.about["copied"]) for c in clips] == copied and 0 < sum(copied) < 12
    assert all(np.array_equal(c.joints, naive(r)) for c, r in zip(clips, rows, strict=True))
    assert source.provenance["notes"][0].startswith(f"in {sum(copied)} clips the second body is a copy of the first; taken out")
    source, clips = clips_of(tmp_path / "NTU120_CSub.npz", copies=True)
    assert all(np.array_equal(c.joints, naive(r, drop_copy=False)) for c, r in zip(clips, rows, strict=True))
    assert "kept" in source.provenance["notes"][0]


@pytest.mark.parametrize(
    "name, protocol",
    [
        ("NTU60_CS", "xsub"),
        ("NTU60_CV", "xview"),
        ("NTU120_CSub", "xsub"),
        ("NTU120_CSet", "xset"),
        ("PKUv1_XSub", "xsub"),
        ("PKUv2_XView", "xview"),
        ("mine", "official"),
    ],
)
def test_the_split_is_in_the_name(name, protocol, tmp_path, rng, home):
    folder = tmp_path / "in"
    folder.mkdir()
    write_archive(folder / f"{name}.npz", rng)
    store = import_data(folder / f"{name}.npz", "x", progress=False)
    assert list(store.meta.splits) == [protocol]
    split = make_split(store, protocol, allow_missing=True) if len(np.intersect1d(*sides(store))) else None
    train = [r for r in range(12) if store.ids[r].startswith("train")]
    assert store.index[f"split_{protocol}"].tolist() == [1] * len(train) + [2] * (12 - len(train))
    if split is not None:
        assert split.train_all.tolist() == train


def sides(store):
    column = next(k for k in store.index if k.startswith("split_"))
    return [store.labels[store.index[column] == side] for side in (1, 2)]


def test_names_are_put_back(tmp_path, rng, home):
    names, arrays = write_archive(tmp_path / "NTU60_CS.npz", rng)
    (tmp_path / "skes_available_name.txt").write_text("\n".join(names) + "\n")
    store = import_data(tmp_path / "NTU60_CS.npz", "x", names=tmp_path / "skes_available_name.txt", progress=False)
    assert store.ids == [*arrays["ids_train"], *arrays["ids_test"]]
    assert store.index["subject"].tolist() == [int(n[9:12]) for n in store.ids]
    assert store.index["camera"].tolist() == [int(n[5:8]) for n in store.ids]
    assert list(store.meta.splits) == ["xsub", "xview"] and store.meta.splits["xview"]["by"] == "camera"
    assert store.meta.splits["xsub"]["apart"] == "subject" and store.meta.provenance["names"] == "skes_available_name.txt"
    assert any("names=" in m for m in ctrgcn.describe(tmp_path / "NTU60_CS.npz")["missing"])


def test_cameras_in_their_order(tmp_path, rng):
    """Camera 2 precedes 3; within a camera the order of the list holds."""
    names = [f"S001C{c:03d}P{p:03d}R001A{a:03d}" for p in (5, 1) for c in (3, 1, 2) for a in (7, 2)]
    order = {part: [n for c in cameras for n in names if int(n[5:8]) == c] for part, cameras in (("train", (2, 3)), ("test", (1,)))}
    arrays = {f"x_{p}": rows_of(ns, rng) for p, ns in order.items()}
    arrays |= {f"y_{p}": np.eye(60)[[int(n[-3:]) - 1 for n in ns]] for p, ns in order.items()}
    np.savez(tmp_path / "NTU60_CV.npz", **arrays)
    (tmp_path / "names.txt").write_text("\n".join(f"{n}.skeleton" for n in names))
    _, clips = clips_of(tmp_path / "NTU60_CV.npz", names=tmp_path / "names.txt")
    assert [c.id for c in clips] == [*order["train"], *order["test"]]


def test_names_that_do_not_fit(tmp_path, rng):
    names, _ = write_archive(tmp_path / "NTU60_CS.npz", rng)
    path, listed = tmp_path / "NTU60_CS.npz", tmp_path / "names.txt"
    swapped = [names[2], names[1], names[0], *names[3:]]
    for text, match in (
        ("\n".join(names[2:]), r"names.txt: 5 of its names are on the train side of xsub, but 'x_train' has 6 rows"),
        ("S001C001P001R001A1\n", r"names.txt:1: 'S001C001P001R001A1' is no clip of NTU RGB\+D"),
        (f"{names[0]}\n\n{names[0]}\n", r"names.txt:3: S.* stands twice, first in line 1"),
        ("\n".join(n[:-3] + "060" for n in names), r"row \d+ of 'x_train' would be S.*A060, but has the label \d+"),
        (b"\xff\xfe".decode("latin-1"), r"names.txt:1: .* is no clip"),
    ):
        listed.write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=match):
            clips_of(path, names=listed)
    listed.write_text("\n".join(swapped))
    if [int(n[9:12]) for n in (names[0], names[2])].count(int(names[0][9:12])) == 2:
        with pytest.raises(DataError, match="but has the label"):
            clips_of(path, names=listed)
    with pytest.raises(DataError, match=r"none.txt: cannot be read"):
        clips_of(path, names=tmp_path / "none.txt")
    path.rename(tmp_path / "mine.npz")
    with pytest.raises(DataError, match=r"has 60 classes and the split 'official'. Say which with protocol="):
        clips_of(tmp_path / "mine.npz", names=listed)
    listed.write_text("\n".join(names))
    assert clips_of(tmp_path / "mine.npz", names=listed, protocol="xsub")[1][0].id in names
    with pytest.raises(ConfigError, match=r"no protocol 'xall'; there are: xsub"):
        clips_of(tmp_path / "mine.npz", protocol="xall")


def test_classes_and_descriptions(tmp_path, rng, home):
    folder = write_sample(tmp_path / "in", rng)
    assert recognise(folder) == recognise(folder / "NTU60_CS.npz") == "ctrgcn" and len(clips_of(folder)[1]) == 12
    told = ctrgcn.describe(folder)
    assert (told["clips"], told["bodies"], told["splits"]) == (12, 2, ["xsub"]) and told["skeleton"].startswith("kinect_v2_25")
    assert told["classes"] == list(ntu_classes(60)) and "copies" in told["options"]
    (folder / "NTU60_CS.npz").rename(folder / "what.npz")
    told = ctrgcn.describe(folder)
    assert told["classes"][0] == "class 0" and told["missing"][0].startswith("classes: their names")
    assert clips_of(folder, classes="ntu60")[0].classes == ntu_classes(60)
    two = Topology.from_dict({"name": "two", "joints": ["head", "neck"], "parents": [1, -1]})
    full, some = clips_of(folder)[1][1], clips_of(folder, topology=two)[1][1]
    assert np.array_equal(some.joints, full.joints[:, :, [3, 2]])
    write_archive(folder / "NTU60_CV.npz", rng)
    with pytest.raises(DataError, match=r"holds 2 archives of CTR-GCN \(NTU60_CV.npz, what.npz\); wanted one"):
        clips_of(folder)


def test_empty_rows_and_one_side(tmp_path, rng):
    x, y = rows_of(["a"] * 4, rng), np.eye(3)[[0, 1, 2, 0]]
    x[1] = 0
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
    source, clips = clips_of(tmp_path / "a.npz")
    assert [c.id for c in clips] == ["train_000000", "train_000002", "train_000003"] and source.splits == {}
    assert source.provenance["empty"] == ["train_000001"] and "1 clips with nobody" in source.provenance["notes"][-1]
    np.savez(tmp_path / "a.npz", x_train=np.zeros_like(x), y_train=y)
    with pytest.raises(DataError, match=r"a.npz: nobody in any frame of 4 clips"):
        clips_of(tmp_path / "a.npz")


def test_presets_say_only_what_is_there(tmp_path, rng):
    x = rng.normal(size=(4, 5, 150)).astype(np.float32)
    np.savez(tmp_path / "PKUv1_XSub.npz", x_train=x, y_train=np.eye(51)[[0, 1, 2, 50]])
    source, clips = clips_of(tmp_path / "PKUv1_XSub.npz")
    assert source.presets == () and len(source.classes) == 51 and source.classes[0] == "bow"


def test_memory_does_not_grow_with_the_clips(tmp_path, rng, home):
    x = rng.normal(size=(150, 100, 150)).astype(np.float32)  # 9 MB
    np.savez(tmp_path / "big.npz", x_train=x, y_train=np.eye(4)[np.arange(150) % 4])
    tracemalloc.start()
    import_data(tmp_path / "big.npz", "big", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2


BAD = [
    ({"x_train": None}, r"has no array 'x_train'; there are: y_train"),
    ({"y_train": None}, r"'y_train' is missing; there are: x_train"),
    ({"x_train": np.zeros((4, 5, 149), "f4")}, r"'x_train' is float32 \(4, 5, 149\), wanted floats \(clips, frames, 150\)"),
    ({"x_train": np.zeros((4, 750), "f4")}, r"'x_train' is float32 \(4, 750\)"),
    ({"x_train": np.zeros((0, 5, 150), "f4")}, r"'x_train' is float32 \(0, 5, 150\)"),
    ({"x_train": np.zeros((4, 5, 150), int)}, r"'x_train' is int64"),
    ({"x_train": np.asfortranarray(np.ones((4, 5, 150)))}, r"'x_train' is in Fortran order"),
    ({"x_train": np.array([None] * 4)}, r"'x_train' is pickled; save plain arrays"),
    ({"y_train": np.eye(4)[:3]}, r"'y_train' is float64 \(3, 4\), wanted \(4, classes\)"),
    ({"y_train": np.arange(4)}, r"'y_train' is int64 \(4,\), wanted \(4, classes\)"),
    ({"y_train": np.ones((4, 3))}, r"row 0 of 'y_train' is not one-hot; wanted a single 1 among zeros"),
    ({"y_train": np.eye(4) * 2}, r"row 0 of 'y_train' is not one-hot"),
    ({"y_train": np.eye(4) * np.nan}, r"row 0 of 'y_train' is not one-hot"),
    ({"y_train": np.array([[1, 0], [0, 1], [0, 0], [1, 0]])}, r"row 2 of 'y_train' is not one-hot"),
    ({"x_test": np.zeros((1, 5, 150), "f4"), "y_test": np.eye(3)[:1]}, r"'y_train' and 'y_test' have 3 and 4 classes"),
    ({"x_train": np.full((4, 5, 150), np.inf, "f4")}, r"clip 'train_000000', frame 0: joint 0 of body 0 has the coordinate inf"),
    ({"x_train": np.full((4, 5, 150), 1e300)}, r"has the coordinate inf"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_the_door_is_strict(case, tmp_path, rng, home, unchanged):
    change, match = BAD[case]
    arrays = {"x_train": rng.normal(size=(4, 5, 150)).astype(np.float32), "y_train": np.eye(4)} | change
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "a.npz", "a", format="ctrgcn", progress=False)
    for options, match in (({"fps": -1}, "fps must be a number above zero"), ({"path": tmp_path / "home"}, r"holds no .npz with")):
        with pytest.raises(DataError, match=match):
            ctrgcn.read(**({"path": tmp_path / "a.npz"} | options))
    unchanged()


def test_mutated_archives_end_in_clips_or_a_data_error(tmp_path, rng):
    """Bytes of the archive, which its checksums find; and bytes of the arrays in it, which they do not."""
    ended = [0, 0]
    for n in range(120):
        path = write_sample(tmp_path / "in", rng) / "NTU60_CS.npz"
        if n % 2:
            mutate_one(path, rng)
        else:
            with zipfile.ZipFile(path) as archive:
                members = {m: archive.read(m) for m in archive.namelist()}
            unlucky = list(members)[int(rng.integers(len(members)))]
            keep = int(rng.choice([128, 300, 10**6]))
            members[unlucky] = mutated(members[unlucky][:keep], rng) + members[unlucky][keep:]
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
        try:
            ctrgcn.sniff(path)
            ctrgcn.describe(path)
            for _ in ctrgcn.read(path).clips:
                pass
            ended[0] += 1
        except DataError as error:
            assert str(tmp_path) in str(error)
            ended[1] += 1
    assert min(ended) > 0
