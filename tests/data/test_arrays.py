"""Plain numpy: every order of axes reads the same, labels and columns of all kinds, what must be told, and bad input."""

import itertools
import zipfile

import numpy as np
import pytest
from mutations import mutate_one
from samples_arrays import OPTIONS, STICK, write_sample

from skelbench.data import import_data
from skelbench.data.formats import arrays, recognise
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology

RNG = np.random.default_rng(0)
CLIPS = RNG.normal(size=(11, 13, 2, 7, 3)).astype(np.float32)  # N T M V C


def read(path, **options):
    source = arrays.read(path, **{**OPTIONS, **options})
    return source, list(source.clips)


def save(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("NTMVC")][::7] + ["NCTVM", "NMTVC"])
def test_any_order_of_axes_reads_the_same(order, tmp_path):
    file = save(tmp_path / "many.npy", CLIPS.transpose(["NTMVC".index(a) for a in order]))
    source, clips = read(file, axes=order)
    assert len(clips) == source.total == 11 and source.bodies == 2
    assert all(np.array_equal(c.joints, CLIPS[n]) for n, c in enumerate(clips))
    assert [c.id for c in clips][:2] == ["many_000000", "many_000001"]


def test_the_usual_orders_are_found(tmp_path):
    solo = CLIPS[:, :, :1]
    for order in ("NCTVM", "NTVC", "NCTV"):
        array = (CLIPS if "M" in order else solo[:, :, 0]).transpose(
            [("NTMVC" if "M" in order else "NTVC").index(a) for a in order]
        )
        for file in (save(tmp_path / "a.npy", array), tmp_path / "a.npz"):
            np.savez_compressed(tmp_path / "a.npz", x=array, labels=np.arange(11))
            source, clips = read(file)
            assert source.provenance["axes"] == order
            assert all(np.array_equal(c.joints, (CLIPS if "M" in order else solo)[n]) for n, c in enumerate(clips))
    for order in ("TVC", "CTV"):
        _, (clip,) = read(save(tmp_path / "one.npy", solo[0, :, 0].transpose(["TVC".index(a) for a in order])))
        assert np.array_equal(clip.joints, solo[0]) and clip.id == "one"
    np.savez(tmp_path / "one.npz", data=solo[0, :, 0], hello=np.zeros(3))
    _, (clip,) = read(tmp_path / "one.npz")
    assert np.array_equal(clip.joints, solo[0])
    _, (clip,) = read(save(tmp_path / "f.npy", np.asfortranarray(solo[0, :, 0])))
    assert np.array_equal(clip.joints, solo[0])


def test_orders_that_cannot_be_told_apart(tmp_path):
    file = save(tmp_path / "a.npy", np.ones((9, 2, 7, 3)))
    with pytest.raises(DataError, match=r"a.npy: 9 x 2 x 7 x 3 with 7 joints may be TMVC or NTVC; say which axis is which"):
        read(file)
    assert len(read(file, axes="ntvc")[1]) == 9 and len(read(file, axes="T, M, V, C")[1]) == 1
    assert "axes: TMVC or NTVC (axes=)" in arrays.describe(file)["missing"]
    for axes, match in (
        ("NTV", "wanted one letter of N C T V M for each of 4 axes"),
        ("NTVX", "wanted one letter of N C T V M"),
        ("NNVC", "wanted one letter of N C T V M"),
        ("NTCV", "9 x 2 x 7 x 3 as NTCV has 3 joints of 7 numbers; wanted 7 joints of 2 to 4 numbers"),
    ):
        with pytest.raises(DataError, match=match):
            read(file, axes=axes)
    with pytest.raises(DataError, match=r"9 x 2 x 7 x 3 with 25 joints is none of TMVC, MTVC, CTVM, NTVC, NCTV; say which"):
        read(file, topology=topology("kinect_v2_25"))
    with pytest.raises(DataError, match=r"arrays do not say what the joints are; pass topology= \(a name or a JSON file\)"):
        arrays.read(file)


def test_folders_of_clips(home, tmp_path):
    for n, word in enumerate(("run", "run", "sit")):
        (tmp_path / "in" / word).mkdir(parents=True, exist_ok=True)
        save(tmp_path / "in" / word / f"clip{n}.npy", CLIPS[n, : 3 + n, 0])
    assert recognise(tmp_path / "in") == "arrays"
    store = import_data(tmp_path / "in", "own", topology=STICK, progress=False)
    assert store.classes == ("run", "sit") and store.labels.tolist() == [0, 0, 1] and store.index["length"].tolist() == [3, 4, 5]
    assert np.array_equal(store[2].joints[:, 0], CLIPS[2, :5, 0])
    facts = arrays.describe(tmp_path / "in")
    assert (
        facts["clips"] == 3 and facts["axes"] == "TVC" and facts["missing"][0].startswith("topology: a JSON file with 'joints' (7")
    )
    (tmp_path / "labels.csv").write_text("file,class,subject\nclip0,a,ann\nclip2,b,bob\n")
    source, clips = read(tmp_path / "in", labels=tmp_path / "labels.csv")
    assert source.classes == ("a", "b") and [c.about["subject"] for c in clips] == ["ann", "bob"]
    save(tmp_path / "in" / "sit" / "clip3.npy", CLIPS[0])
    with pytest.raises(DataError, match=r"clip3.npy: float32 \(13, 2, 7, 3\); wanted numbers with the axes TVC as in .*clip0.npy"):
        read(tmp_path / "in")
    save(tmp_path / "in" / "sit" / "clip3.npy", CLIPS[0, :, 0, :6])
    with pytest.raises(DataError, match=r"clip3.npy: \(6, 3\) joints and numbers, but .*clip0.npy has \(7, 3\)"):
        read(tmp_path / "in")
    with pytest.raises(DataError, match=r"but a .npy of a folder is one clip"):
        read(save_many(tmp_path / "many"), axes="NTVC")
    with pytest.raises(DataError, match="classes= names numbered labels"):
        read(tmp_path / "in", classes="ntu60")


def save_many(folder):
    folder.mkdir()
    save(folder / "a.npy", CLIPS[:, :, 0])
    return folder


def test_labels_of_every_kind(tmp_path):
    file = save(tmp_path / "a.npy", CLIPS[:4, :, 0])
    words = np.array(["sit", "run", "sit", "fall"])
    hot = np.eye(3)[[2, 1, 2, 0]]
    (tmp_path / "names.txt").write_text("fall\nrun\nsit\n")
    for array in (np.array([2, 1, 2, 0]), np.array([2.0, 1, 2, 0]), np.array([[2], [1], [2], [0]], np.uint8), hot, words):
        labels = save(tmp_path / "labels.npy", array)
        source, clips = read(file, labels=labels, classes=tmp_path / "names.txt", axes="NTVC")
        assert source.classes == ("fall", "run", "sit") and [c.label for c in clips] == [2, 1, 2, 0]
        np.savez(tmp_path / "a.npz", joints=CLIPS[:4, :, 0], y=array)
        source, clips = read(tmp_path / "a.npz", classes=tmp_path / "names.txt", axes="NTVC")
        assert source.classes == ("fall", "run", "sit") and [c.label for c in clips] == [2, 1, 2, 0]
    for text, classes in (("sit\nrun\n\nsit\nfall\n", ("fall", "run", "sit")), ("2\n1\n2\n0\n", ("class 0", "class 1", "class 2"))):
        (tmp_path / "labels.txt").write_text(text)
        source, clips = read(file, labels=tmp_path / "labels.txt", axes="NTVC")
        assert source.classes == classes and [c.label for c in clips] == [2, 1, 2, 0]
    source, clips = read(file, axes="NTVC")
    assert source.classes == ("unlabelled",) and source.provenance["labels"] == "no labels given"
    assert [c.label for c in read(file, labels=save(tmp_path / "l.npy", np.array([-1, 0, 1, 1])), axes="NTVC")[1]] == [-1, 0, 1, 1]


@pytest.mark.parametrize(
    "array, match",
    [
        (np.arange(3), r"l.npy: 3 labels for 4 clips"),
        (
            np.array([0, 1, 2, -2]),
            r"l.npy: labels must be words, or whole numbers from 0 \(-1 unknown\) up to 100000; they are int64",
        ),
        (np.array([0, 1, 2, 10**12]), "labels must be words, or whole numbers"),
        (np.array([0.5, 1, 2, 3]), "labels must be words, or whole numbers"),
        (np.array([np.nan, 1, 2, 3]), "labels must be words, or whole numbers"),
        (np.array([1j, 1, 2, 3]), "labels must be words, or whole numbers"),
        (np.ones((4, 3)), r"labels of shape \(4, 3\) must have a single one in every row"),
        (np.array(["a", "", "b", "c"]), "clip 1 has an empty label"),
        (np.array([["a"], ["b"], ["c"], ["d"]]), "labels must be words, or whole numbers"),
        (np.array([97, 0x110000, 98, 99], np.uint32).view("U1"), "a word holds something that is no character"),
        (np.array([97, 0xD800, 98, 99], np.uint32).view("U1"), "a word holds something that is no character"),
    ],
)
def test_labels_that_do_not_fit(array, match, tmp_path):
    file = save(tmp_path / "a.npy", CLIPS[:4, :, 0])
    with pytest.raises(DataError, match=match):
        read(file, labels=save(tmp_path / "l.npy", array), axes="NTVC")


def test_label_files_of_other_kinds(tmp_path):
    file = save(tmp_path / "a.npy", CLIPS[:4, :, 0])
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(DataError, match=r"labels of an array come as .npy or as .txt with one label a line"):
        read(file, labels=tmp_path / "labels.json", axes="NTVC")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="1 labels for 4 clips"):
        read(file, labels=tmp_path / "empty.txt", axes="NTVC")


def test_columns_beside_the_joints(home, tmp_path):
    lengths = np.array([13, 4, 1])
    columns = {
        "subjects": np.array([3, 3, 9]),
        "cameras": np.array([1, 2, 1]),
        "clips": np.array([0, 0, 1]),
        "good": np.array([1, 0, 1]),
    }
    more = {"ids": np.array(["a", "b", "c"]), "weights": np.ones(3), "mean": np.zeros(7)}
    np.savez(tmp_path / "own.npz", joints=CLIPS[:3, :, 0], labels=np.array([0, 1, 0]), lengths=lengths, **columns, **more)
    store = import_data(tmp_path / "own.npz", "own", topology=STICK, axes="NTVC", progress=False)
    assert store.ids == ["a", "b", "c"] and store.index["length"].tolist() == [13, 4, 1]
    assert store.index["subject"].tolist() == [3, 3, 9] and store.index["camera"].tolist() == [1, 2, 1]
    assert store.index["group"].tolist() == [0, 0, 1] and store.index["good"].tolist() == [1, 0, 1]
    assert store.meta.provenance["notes"] == ["arrays left out, not one whole number a clip: mean, weights"]
    for bad, match in (
        ({"lengths": np.array([14, 1, 1])}, r"clip 0 has a length of 14; wanted whole numbers from 1 to the 13 frames"),
        ({"lengths": np.array([1.5, 1, 1])}, "clip 0 has a length of 1.5"),
        ({"ids": np.array(["a", "a", "b"])}, "names of clips are different words .* 'a' stands twice"),
        ({"ids": np.array(["a/b", "a", "b"])}, "names of clips are different words .* 'a/b' is none"),
    ):
        np.savez(tmp_path / "bad.npz", joints=CLIPS[:3, :, 0], **bad)
        with pytest.raises(DataError, match=match):
            read(tmp_path / "bad.npz", axes="NTVC")


def test_which_array_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", x=CLIPS[0, :, 0], other=CLIPS[1, :, 0], labels=np.array([0]))
    _, (clip,) = read(tmp_path / "a.npz")
    assert np.array_equal(clip.joints[:, 0], CLIPS[0, :, 0])
    _, (clip,) = read(tmp_path / "a.npz", key="other")
    assert np.array_equal(clip.joints[:, 0], CLIPS[1, :, 0])
    with pytest.raises(DataError, match=r"a.npz: no array 'z'; there are: x, other, labels"):
        read(tmp_path / "a.npz", key="z")
    with pytest.raises(DataError, match=r"a.npz: 'labels': int64 \(1,\); wanted numbers with 3 to 5 axes"):
        read(tmp_path / "a.npz", key="labels")
    np.savez(tmp_path / "b.npz", one=CLIPS[0, :, 0], two=CLIPS[1, :, 0])
    with pytest.raises(DataError, match=r"b.npz: one and two may be joints; say which with key="):
        read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=CLIPS[:, :, 0].transpose(1, 0, 2, 3))
    with pytest.raises(DataError, match=r"axes in the order TNVC, but an .npz is unpacked clip by clip, so that N must come first"):
        read(tmp_path / "c.npz", axes="TNVC")


def test_padding_and_empty_clips(tmp_path):
    array = CLIPS[:4, :, 0].copy()
    array[0, 5:] = 0
    array[1, 3:6] = 0  # a gap is no padding
    array[2] = 0
    source, clips = read(save(tmp_path / "a.npy", array), axes="NTVC")
    assert [len(c) for c in clips] == [5, 13, 13] and source.provenance["empty"] == ["a_000002"]
    assert "1 clips of zeros left out; see 'empty'" in source.provenance["notes"]
    assert [len(c) for c in read(tmp_path / "a.npy", axes="NTVC", trim=False)[1]] == [13, 13, 13]
    with pytest.raises(DataError, match="nobody in any of 2 clips, all numbers are zero"):
        read(save(tmp_path / "z.npy", np.zeros((2, 13, 7, 3))), axes="NTVC")


def test_scores_units_and_which_way_is_up(tmp_path):
    four = RNG.uniform(0.1, 1, (9, 7, 4)).astype(np.float32)
    four[2, 3, 3] = 0
    source, (clip,) = read(save(tmp_path / "a.npy", four), up="z", scale=0.001)
    x, y, z, s = np.moveaxis(four, 2, 0)
    want = np.stack([y / 1000, z / 1000, x / 1000, s], axis=2) * (s[..., None] > 0)
    assert np.allclose(clip.joints[:, 0], want, atol=1e-7) and clip.topology.dims == 3 and source.units == "metre"
    _, (clip,) = read(tmp_path / "a.npy", up="-y")
    assert np.allclose(clip.joints[0, 0], four[0] * [1, -1, -1, 1])
    # x, y and a score, where the layout has two dimensions or the user says so.
    coco = RNG.uniform(1, 400, (9, 17, 3))
    source, (clip,) = read(save(tmp_path / "b.npy", coco), topology=topology("coco_17"))
    assert source.units == "pixel" and source.extra == {"image": True} and clip.topology.dims == 2
    source, (clip,) = read(tmp_path / "b.npy", topology=topology("coco_17"), score=False)
    assert source.units == "metre" and source.extra == {} and clip.topology.dims == 3
    source, (clip,) = read(save(tmp_path / "c.npy", four[..., :3]), score=True)
    assert source.units == "image" and clip.topology.dims == 2
    source, (clip,) = read(save(tmp_path / "d.npy", four[..., :2]), units="metre")
    assert source.units == "metre" and source.extra == {} and clip.joints.shape == (9, 1, 7, 2)
    for options, match in (
        ({"score": True}, "2 numbers a joint with a score; wanted x, y or x, y, z"),
        ({"up": "z"}, "up='z' turns data of three dimensions, these have two"),
        ({"up": "x"}, r"wanted up='y', 'z' or '-y' and units=.*got up='x', units=None"),
        ({"units": "inch"}, "got up='y', units='inch'"),
        ({"scale": -1.0}, "scale must be a length in metres above zero, got -1"),
        ({"rate": 0.0}, "rate must be a number of frames a second above zero"),
        ({"fps": -1.0}, "fps must be above zero"),
    ):
        with pytest.raises(DataError, match=match):
            read(tmp_path / "d.npy", **options)


def test_joints_that_are_nan_were_not_seen(home, tmp_path):
    array = CLIPS[0, :, 0].copy()
    array[2, 3] = np.nan
    source, (clip,) = read(save(tmp_path / "a.npy", array))
    assert not clip.joints[2, 0, 3].any() and source.provenance["notes"] == ["1 joints were NaN and are zero now"]
    array[4, 1, 2] = np.nan
    with pytest.raises(DataError, match=r"clip 'a', frame 4: joint 1 of body 0 has the coordinate nan"):
        import_data(save(tmp_path / "a.npy", array), "a", topology=STICK, progress=False)
    array[4, 1, 2] = np.inf
    with pytest.raises(DataError, match=r"clip 'a', frame 4: joint 1 of body 0 has the coordinate inf"):
        import_data(save(tmp_path / "a.npy", array), "a", topology=STICK, progress=False)


def test_frames_are_thinned(tmp_path):
    _, (clip,) = read(save(tmp_path / "a.npy", CLIPS[0, :, 0]), rate=60.0, fps=30.0)
    assert clip.fps == 30 and np.array_equal(clip.joints[:, 0], CLIPS[0, ::2, 0])


def test_a_sample_becomes_a_store_and_other_formats_are_left_alone(home, tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(1))
    store = import_data(folder, "own", topology=STICK, progress=False)
    assert store.meta.provenance["format"] == "arrays" and len(store) == 5 and store.classes == ("class 0", "class 1", "class 2")
    assert store.index["subject"].tolist() == [1, 1, 2, 2, 1]
    np.savez(tmp_path / "ctr.npz", x_train=np.zeros((2, 300, 150)), y_train=np.eye(2))
    np.save(tmp_path / "flat.npy", np.zeros((3, 4)))
    np.save(tmp_path / "words.npy", np.array([[["a"]]]))
    assert not any(arrays.sniff(tmp_path / n) for n in ("ctr.npz", "flat.npy", "words.npy", "gone.npy"))


def test_broken_files(home, tmp_path, unchanged):
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    save(tmp_path / "cut.npy", CLIPS[0])
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    save(tmp_path / "none.npy", np.zeros((0, 7, 3)))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 100, 7, 3)})
        member.write(bytes(1000))
    (tmp_path / "none").mkdir()
    unchanged()
    for name, match in (
        ("pickled.npy", r"pickled.npy is pickled; save plain arrays"),
        ("cut.npy", r"cut.npy: should be float32 \(13, 2, 7, 3\), which takes"),
        ("text.npy", r"text.npy: not an npy array"),
        ("text.npz", r"text.npz: cannot be read as .npz"),
        ("none.npy", r"none.npy: float64 \(0, 7, 3\); wanted numbers with 3 to 5 axes"),
        ("bomb.npz", r"bomb.npz: 'x' should be \(1000000000, 100, 7, 3\), which the .* bytes in the file do not hold"),
        ("gone.npy", "no such file or folder"),
        ("none", r"none: holds no .npy file and no .npz"),
    ):
        assert not arrays.sniff(tmp_path / name)
        for ask in (lambda n: import_data(tmp_path / n, "x", format="arrays", topology=STICK, progress=False), arrays.describe):
            with pytest.raises(DataError, match=match):
                ask(tmp_path / name if ask is arrays.describe else name)
    unchanged()


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_end_in_a_data_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = write_sample(tmp_path / "in", rng)
    mutate_one(folder, rng)
    arrays.sniff(folder)
    for ask in (lambda: arrays.describe(folder), lambda: read(folder)):
        try:
            ask()
        except DataError as error:
            assert "own.npz" in str(error)
