"""Pickles of PYSKL: every number, names, splits, people found row by row, files of their own, the way back, and damage."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from samples_pyskl import NTU, annotation, found_people, three_d, two_d, write_sample

from skelbench.data import import_data, make_split, write_store
from skelbench.data.formats import pyskl, recognise, writer
from skelbench.data.formats.pyskl_file import looks_like
from skelbench.data.tables import ntu_classes, table
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology, topology


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def put(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def clips_of(path, **options):
    source = pyskl.read(path, **options)
    return source, list(source.clips)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_number_of_a_3d_file(tmp_path, rng, protocol):
    wanted = three_d(rng)
    source, clips = clips_of(put(tmp_path / "x.pkl", wanted, protocol))
    assert (source.total, source.bodies, source.units) == (6, 2, "metre") and source.classes == ntu_classes(60)
    for clip, given in zip(clips, wanted["annotations"], strict=True):
        name = given["frame_dir"]
        assert (clip.id, clip.label, clip.topology) == (name, given["label"], topology("kinect_v2_25"))
        assert clip.joints.dtype == np.float32 and np.array_equal(clip.joints.transpose(1, 0, 2, 3), given["keypoint"])
        assert (clip.about["subject"], clip.about["camera"]) == (int(name[9:12]), int(name[5:8]))
        assert (clip.about["setup"], clip.about["replication"]) == (int(name[1:4]), 1)


def test_official_splits(tmp_path, rng, home):
    store = import_data(put(tmp_path / "x.pkl", three_d(rng)), "x", progress=False)
    assert list(store.meta.splits) == ["xsub", "xview"] and store.bodies == 2
    for name, key in (("xsub", slice(8, 12)), ("xview", slice(4, 8))):
        split = make_split(store, name, allow_missing=True)
        train = {store.ids[r] for r in split.train_all}
        assert (
            train == {n for n in NTU if n[key] in ("P001", "C002", "C003")} and split.by == ("subject", "camera")[name == "xview"]
        )
        assert {store.ids[r] for r in split.test} <= set(NTU) - train
    same = store.index["group"][[0, 1]]
    assert same[0] == same[1] == 1001001001  # one performance, two cameras


def test_splits_by_name_where_the_file_has_none(tmp_path, rng, home):
    content = three_d(rng)
    assert list(clips_of(put(tmp_path / "x.pkl", content["annotations"]))[0].splits) == ["xsub", "xview"]
    whole = table("ntu")["one_shot"]["exemplars"]
    clips = [annotation(name, int(name[-3:]) - 1, rng.normal(size=(1, 2, 25, 3))) for name in whole]
    assert list(clips_of(put(tmp_path / "y.pkl", clips))[0].splits) == ["xsub", "xset", "one_shot"]
    assert list(clips_of(put(tmp_path / "y.pkl", clips[1:]))[0].splits) == ["xsub", "xset"]


def test_2d_has_scores_pictures_and_folds(tmp_path, rng, home):
    wanted = two_d(rng)
    source, clips = clips_of(put(tmp_path / "ucf101_hrnet.pkl", wanted))
    assert source.units == "pixel" and source.extra["image"] is True and source.bodies == 3
    for n, (clip, given) in enumerate(zip(clips, wanted["annotations"], strict=True)):
        assert clip.topology == topology("coco_17") and clip.topology.dims == 2 and clip.joints.shape[3] == 3
        assert np.array_equal(clip.joints[..., :2].transpose(1, 0, 2, 3), given["keypoint"])
        assert np.array_equal(clip.joints[..., 2].transpose(1, 0, 2), given["keypoint_score"])
        assert clip.id == f"v_Cut_g{n:02d}_c01" and clip.about == {"width": 320 + n, "height": 240}
    assert source.classes == ("class 0", "class 1", "class 2")
    store = import_data(tmp_path / "ucf101_hrnet.pkl", "u", progress=False)
    first, second = make_split(store, "split1"), make_split(store, "split2")
    assert first.train_all.tolist() == second.test.tolist() == [0, 1, 2] and first.test.tolist() == [3, 4, 5]
    _, clips = clips_of(tmp_path / "ucf101_hrnet.pkl", bodies=1)
    assert {c.joints.shape[1] for c in clips} == {1}


def naive_frames(clip, rows, *, base, bodies, threshold=0.0):
    """Row by row: sort the people of a frame by how sure the detector was."""
    joints = np.zeros((clip["total_frames"], bodies, 17, 3), np.float32)
    for t in range(clip["total_frames"]):
        here = [(-float(s), r) for r, (f, s) in enumerate(zip(clip["frame_inds"], clip["box_score"], strict=True)) if f - base == t]
        for slot, (score, row) in enumerate([h for h in sorted(here) if -h[0] >= threshold][:bodies]):
            joints[t, slot] = rows[row]
    return joints


@pytest.mark.parametrize("options", [{}, {"bodies": 2}, {"threshold": 0.75}])
def test_kinetics_finds_its_people_in_other_files(tmp_path, rng, options):
    index, rows = found_people(rng)
    path = put(tmp_path / "k400_hrnet.pkl", index)
    (tmp_path / "parts").mkdir()
    for part in (0, 1):
        mine = [c["frame_dir"] for c in index["annotations"] if c["raw_file"].endswith(f"{part}.pkl")]
        put(tmp_path / "parts" / f"part_{part}.pkl", {n: rows[n] for n in mine})
    assert not looks_like(tmp_path / "parts" / "part_0.pkl") and recognise(path) == "pyskl"
    told = pyskl.describe(path)
    assert told["coordinates"] == "in files of their own" and any("kpfiles=" in m for m in told["missing"])
    with pytest.raises(DataError, match=r"4 of 4 clips have their coordinates in files of their own, e.g. 'data/k400/kpf"):
        clips_of(path)
    source, clips = clips_of(path, kpfiles=tmp_path / "parts", **options)
    by_id = {c["frame_dir"]: c for c in index["annotations"]}
    busiest = max(np.unique(c["frame_inds"], return_counts=True)[1].max() for c in by_id.values())
    assert source.bodies == min(10, busiest, options.get("bodies", 10)) and "frames counted from 1" in source.provenance["people"]
    order = [n for n in "0213" if not any(n == e[3] for e in source.provenance["empty"])]
    assert [c.id[3] for c in clips] == order and len(order) >= 3 and source.splits["official"]["train_ids"] == list(by_id)[:2]
    for clip in clips:
        threshold = options.get("threshold", 0.0)
        wanted = naive_frames(by_id[clip.id], rows[clip.id]["keypoint"], base=1, bodies=source.bodies, threshold=threshold)
        assert np.array_equal(clip.joints, wanted)
    with pytest.raises(DataError, match=r"wanted a dict with 'split'|holds coordinates without labels \(a kpfile\)"):
        clips_of(tmp_path / "parts" / "part_0.pkl")
    put(tmp_path / "parts" / "part_1.pkl", {"other": rows["abc1_000010_000020"]})
    with pytest.raises(DataError, match=r"part_1.pkl: holds no 'keypoint' of clip 'abc1"):
        clips_of(path, kpfiles=tmp_path / "parts")
    (tmp_path / "parts" / "part_1.pkl").unlink()
    with pytest.raises(DataError, match=r"parts: holds no 'part_1.pkl', in which the coordinates of 'abc1"):
        clips_of(path, kpfiles=tmp_path / "parts")
    with pytest.raises(DataError, match=r"holds no .pkl file with coordinates"):
        (tmp_path / "none").mkdir()
        clips_of(path, kpfiles=tmp_path / "none")


def test_own_videos_compressed_or_not(tmp_path, rng):
    """The form that custom 2D skeletons are saved in: rows of (x, y, score) with the frame of each, counted from 0."""
    index, rows = found_people(rng)
    clips = copy.deepcopy(index["annotations"])
    for clip in clips:
        del clip["raw_file"]
        clip["frame_inds"] = clip["frame_inds"] - 1
        clip["keypoint"] = rows[clip["frame_dir"]]["keypoint"]
    _, found = clips_of(put(tmp_path / "mine.pkl", clips), classes=None)  # a plain list
    for clip, given in zip(found, clips, strict=True):
        assert np.array_equal(clip.joints, naive_frames(given, given["keypoint"], base=0, bodies=clip.joints.shape[1]))
    apart = copy.deepcopy(clips)
    for clip in apart:
        clip["keypoint"], clip["keypoint_score"] = clip["keypoint"][..., :2], clip["keypoint"][..., 2]
    _, again = clips_of(put(tmp_path / "apart.pkl", apart))
    assert all(np.array_equal(a.joints, b.joints) for a, b in zip(found, again, strict=True))


def test_class_names(tmp_path, rng):
    dive = two_d(rng)
    for n, clip in enumerate(dive["annotations"]):
        clip["label"] = n
    assert clips_of(put(tmp_path / "diving48_hrnet.pkl", dive))[0].classes == tuple(table("diving48")["classes"])
    gym = clips_of(put(tmp_path / "gym_hrnet.pkl", dive))[0].classes
    assert len(set(gym)) == 99 and gym[58] == "(BB) salto backward tucked" and gym[70] == "(BB) salto backward tucked (70)"
    path = put(tmp_path / "mine.pkl", dive)
    (tmp_path / "names.txt").write_text("a\nb\n\nc\nd\ne\nf\n")
    (tmp_path / "names.json").write_text('["a", "b", "c", "d", "e", "f"]')
    for given in ("names.txt", "names.json"):
        assert clips_of(path, classes=tmp_path / given)[0].classes == tuple("abcdef")
    assert clips_of(path, classes="nw_ucla")[0].classes == tuple(table("nw_ucla")["classes"])
    (tmp_path / "few.txt").write_text("a\nb\n")
    (tmp_path / "twice.txt").write_text("a\nb\na\nd\ne\nf\n")
    (tmp_path / "empty.txt").write_text("\n")
    for given, match in (
        ("few.txt", r"few.txt: 2 class names, but the labels of .*mine.pkl go up to 5"),
        ("twice.txt", r"twice.txt: the class name 'a' stands twice, for the labels 0 and 2"),
        ("empty.txt", r"empty.txt: holds no class name"),
        ("none.txt", r"none.txt: no such file of class names; wanted one name a line, or one of: ntu60"),
    ):
        with pytest.raises(DataError, match=match):
            clips_of(path, classes=tmp_path / given)
    bigger = three_d(rng)
    bigger["annotations"][-1] |= {"frame_dir": "S018C001P050R001A099", "label": 98}
    assert clips_of(put(tmp_path / "x.pkl", bigger))[0].classes == ntu_classes(120)
    bigger["annotations"][-1]["label"] = 7  # not what the name says
    assert clips_of(put(tmp_path / "x.pkl", bigger))[0].classes[0] == "class 0"


def test_what_the_joints_are(tmp_path, rng):
    clips = [annotation(f"c{n}", 0, rng.normal(size=(1, 4, 20, 3))) for n in range(2)]
    path = put(tmp_path / "x.pkl", clips)
    with pytest.raises(DataError, match=r"20 joints, and the file does not say which; pass topology='kinect_v1_20' or a JSON"):
        clips_of(path)
    assert any(m.startswith("topology: which 20 joints") for m in pyskl.describe(path)["missing"])
    _, found = clips_of(path, topology=topology("kinect_v1_20"))
    assert np.array_equal(found[0].joints[:, 0], clips[0]["keypoint"][0].astype(np.float32))
    full = three_d(rng)
    path = put(tmp_path / "x.pkl", full)
    some = Topology.from_dict({"name": "two", "joints": ["head", "neck"], "parents": [1, -1]})
    _, found = clips_of(path, topology=some)
    assert np.array_equal(found[0].joints, full["annotations"][0]["keypoint"].transpose(1, 0, 2, 3)[:, :, [3, 2]])
    assert clips_of(path, topology=topology("openpose_body25"))[1][0].topology == topology("openpose_body25")
    with pytest.raises(DataError, match=r"topology 'kinect_v1_20' has 20 joints, the file 25"):
        clips_of(path, topology=topology("kinect_v1_20"))


def test_clips_without_anybody(tmp_path, rng):
    content = three_d(rng)
    content["annotations"][0]["keypoint"] = np.zeros((1, 5, 25, 3), np.float16)
    content["annotations"][0]["total_frames"] = 5
    content["annotations"][1] |= {"keypoint": np.zeros((0, 5, 25, 3), np.float16), "total_frames": 5}
    content["annotations"][2] = None
    source, clips = clips_of(put(tmp_path / "x.pkl", content))
    assert len(clips) == 3 and source.provenance["empty"] == NTU[:2]
    assert source.provenance["notes"] == [
        "1 annotations are None (a clip without a body)",
        "2 clips with nobody in any frame left out; see 'empty'",
    ]
    content["annotations"] = content["annotations"][:2]
    with pytest.raises(DataError, match=r"nobody in any frame of 2 clips"):
        clips_of(put(tmp_path / "x.pkl", content))


def test_folders(tmp_path, rng, home):
    path = write_sample(tmp_path / "in", rng)
    assert pyskl.sniff(path) and recognise(path) == "pyskl" and len(clips_of(path)[1]) == 6
    told = pyskl.describe(path)
    assert told["clips"] == 6 and told["bodies"] == 2 and told["splits"] == ["xsub", "xview"] and told["missing"] == []
    assert told["skeleton"] == "kinect_v2_25, 25 joints, 3 coordinates" and "kpfiles" in told["options"]
    put(path / "other.pkl", two_d(rng))
    with pytest.raises(DataError, match=r"holds 2 pickles of PYSKL \(ntu60_3danno.pkl, other.pkl\); wanted one, name the file"):
        clips_of(path)
    for other in ({"a": 1}, (["x.skeleton"], [0]), [1, 2]):
        put(tmp_path / "no.pkl", other)
        assert not pyskl.sniff(tmp_path / "no.pkl")
        with pytest.raises(DataError, match=r"no.pkl: (wanted a dict with|annotation 0: wanted a dict)"):
            clips_of(tmp_path / "no.pkl")
    (tmp_path / "empty").mkdir()
    assert not pyskl.sniff(tmp_path / "empty") and not pyskl.sniff(tmp_path / "gone")
    with pytest.raises(DataError, match=r"empty: holds no pickle of PYSKL"):
        clips_of(tmp_path / "empty")


def test_memory_does_not_grow_with_the_clips(tmp_path, rng, home):
    clips = [annotation(f"c{n}", 0, rng.normal(size=(1, 100, 25, 3)).astype(np.float16)) for n in range(400)]
    path = put(tmp_path / "x.pkl", clips)  # 6 MB
    tracemalloc.start()
    import_data(path, "x", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 3


def damaged(rng, change):
    content = three_d(rng)
    change(content, content["annotations"][1])
    return content


CHANGES = [
    (
        lambda c, a: a.pop("frame_dir"),
        r"annotation 1: has no 'frame_dir' \(the name of the clip\); it has: 'label', 'total_",
    ),
    (lambda c, a: a.update(frame_dir=3), r"annotation 1: 'frame_dir' must be a name, found 3"),
    (lambda c, a: a.update(frame_dir=NTU[0]), r"two annotations are called 'S001C001P001R001A001'"),
    (lambda c, a: a.update(label="x"), r"annotation 1 \('S001C002P001R001A001'\): 'label' must be a whole number .*, found 'x'"),
    (lambda c, a: a.update(label=-2), r"'label' must be a whole number from -1"),
    (lambda c, a: a.update(label=True), r"'label' must be a whole number .*, found True"),
    (lambda c, a: a.update(label=float("nan")), r"'label' must be a whole number .*, found nan"),
    (lambda c, a: a.update(label=1e300), r"'label' must be a whole number"),
    (lambda c, a: a.update(label=10**50), r"'label' must be a whole number .*, found an int"),
    (lambda c, a: a.update(total_frames=99), r"'total_frames' is 99, but 'keypoint' has \d+ frames"),
    (lambda c, a: a.update(keypoint=[[1]]), r"'keypoint' must be an array of floats, shape \(any, any, any, any\); found a list"),
    (lambda c, a: a.update(keypoint=a["keypoint"].astype(int)), r"'keypoint' must be an array of floats, .*; found int64 \(2, "),
    (lambda c, a: a.update(keypoint=a["keypoint"][0]), r"'keypoint' must be an array of floats, .*; found float16 \("),
    (lambda c, a: a.update(keypoint=a["keypoint"].transpose(3, 1, 2, 0)), r"joints of 2 coordinates \(without scores\), the first"),
    (lambda c, a: a.update(keypoint=np.zeros((1, 2, 25, 4))), r"'keypoint' has shape \(1, 2, 25, 4\); wanted 2 or 3 coordinates"),
    (lambda c, a: a.update(keypoint=np.zeros((500, 2, 25, 3))), r"'keypoint' has 500 bodies, wanted up to 100"),
    (lambda c, a: a.update(keypoint=a["keypoint"][:, :, :24]), r"clip '.*' has 24 joints of 3 coordinates .*, the first clip"),
    (lambda c, a: a.update(keypoint_score=np.zeros(3)), r"'keypoint_score' must be an array of floats, shape \(2, \d+, 25\)"),
    (lambda c, a: a.update(img_shape="big"), r"'img_shape' must be the height and width of the picture"),
    (lambda c, a: a.update(img_shape=(0, 10)), r"'img_shape' must be a whole number from 1"),
    (lambda c, a: a.update(img_shape=(1, 2, 3, 4)), r"'img_shape' must be the height and width"),
    (lambda c, a: a.update(frame_inds=np.zeros(3)), r"'frame_inds' must be an array of whole numbers"),
    (lambda c, a: a.update(frame_inds=[0, 10**30]), r"'frame_inds' holds a number that is too large"),
    (lambda c, a: a.pop("keypoint"), r"has neither 'keypoint' nor 'raw_file'"),
    (lambda c, a: (a.pop("keypoint"), a.update(raw_file="x.pkl")), r"has 'raw_file' but no 'frame_inds'"),
    (lambda c, a: c["annotations"].insert(1, 5), r"annotation 1: wanted a dict, found an int"),
    (lambda c, a: c.update(annotations=[]), r"wanted a dict with 'split' and 'annotations' \(a list of dicts\), found a dict"),
    (lambda c, a: c.update(annotations=[None]), r"not a single annotation holds a clip"),
    (lambda c, a: c.update(split=[1]), r"wanted a dict with 'split'"),
    (lambda c, a: c["split"].update(xsub_val=3), r"split 'xsub_val' must be a list of clip names, found an int"),
    (lambda c, a: c["split"].update({1: []}), r"a split must be a name, found 1"),
    (lambda c, a: c["split"].update(xsub_val=["nobody"]), r"split 'xsub': none of its 1 test clips is here"),
    (lambda c, a: c["split"].update(xsub_val=NTU), r"split 'xsub' lists clip 'S001C001P001R001A001' on two sides"),
    (lambda c, a: c.update(classes=3), r"'classes' must be a list of names"),
    (lambda c, a: a["keypoint"].__setitem__((0, 0, 3, 1), np.inf), r"frame 0: joint 3 of body 0 has the coordinate inf"),
]


@pytest.mark.parametrize("case", range(len(CHANGES)))
def test_the_door_is_strict(case, tmp_path, rng, home, unchanged):
    change, match = CHANGES[case]
    path = put(tmp_path / "x.pkl", damaged(rng, change))
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(path, "x", format="pyskl", progress=False)
    unchanged()


PEOPLE = [
    (lambda a: a.update(frame_inds=a["frame_inds"] + 99), r"'frame_inds' goes from \d+ to \d+, but there are 6 frames"),
    (lambda a: a.update(frame_inds=a["frame_inds"] - 5), r"'frame_inds' goes from -?\d+ to \d+"),
    (lambda a: a.update(total_frames=10**6), r"'total_frames' is 1000000, with \d+ people found in all of them"),
    (lambda a: a.update(box_score=np.zeros(50)), r"'box_score' has 50 entries, wanted one for each of the \d+ people"),
    (lambda a: a.update(keypoint=np.zeros((len(a["frame_inds"]), 17, 2))), r"need x, y and a score for every joint"),
    (lambda a: a.update(keypoint=np.zeros((50, 17, 3))), r"'frame_inds' has \d+ entries, wanted one for each of the 50 people"),
]


@pytest.mark.parametrize("case", range(len(PEOPLE)))
def test_people_that_do_not_fit(case, tmp_path, rng):
    change, match = PEOPLE[case]
    index, rows = found_people(rng)
    for clip in index["annotations"]:
        clip["keypoint"] = rows[clip["frame_dir"]]["keypoint"]
    change(index["annotations"][1])
    with pytest.raises(DataError, match=match):
        clips_of(put(tmp_path / "x.pkl", index))
    for options, match in (({"bodies": 0}, "bodies must be at least 1"), ({"fps": 0}, "fps must be a number above zero")):
        with pytest.raises(DataError, match=match):
            clips_of(tmp_path / "x.pkl", **options)


def test_there_and_back(tmp_path, rng, home):
    for make in (three_d, two_d):
        first = import_data(put(tmp_path / "x.pkl", make(rng)), "first", progress=False, overwrite=True)
        path = pyskl.write_pyskl(first, tmp_path / "out", overwrite=True)
        assert path == tmp_path / "out.pkl" and recognise(path) == "pyskl"
        again = import_data(path, "again", progress=False, overwrite=True)
        assert again.ids == first.ids and again.classes == first.classes and again.meta.units == first.meta.units
        assert np.array_equal(again.frames, first.frames) and again.topology == first.topology
        assert set(again.index) == set(first.index)
        assert all(np.array_equal(again.index[k], first.index[k]) for k in first.index if k != "group")
        assert again.meta.splits == first.meta.splits and again.meta.extra == first.meta.extra
        half = pyskl.write_pyskl(first, tmp_path / "half.pkl", half=True, overwrite=True)
        assert half.stat().st_size < 0.7 * path.stat().st_size
        assert np.array_equal(import_data(half, "half", progress=False, overwrite=True).frames, first.frames)  # it was float16
    assert writer("pyskl") is pyskl.write_pyskl


@pytest.mark.parametrize("make", [three_d, two_d])
def test_plain_pickle_reads_what_is_written(tmp_path, rng, home, make):
    wanted = make(rng)
    store = import_data(put(tmp_path / "x.pkl", wanted), "x", progress=False)
    path = pyskl.write_pyskl(store, tmp_path / "out.pkl", half=True)
    assert b"numpy._core" not in path.read_bytes()  # which NumPy below 2 does not have
    found = pickle.loads(path.read_bytes())
    assert found["split"] == {k: [n.replace("/", "_") for n in v] for k, v in wanted["split"].items()}
    assert found["classes"] == list(store.classes) and len(found["annotations"]) == 6
    for given, clip in zip(wanted["annotations"], found["annotations"], strict=True):
        assert given["frame_dir"].replace("/", "_") == clip["frame_dir"]
        assert set(clip) == set(given) and (clip["label"], clip["total_frames"]) == (given["label"], given["total_frames"])
        for key in ("keypoint", "keypoint_score"):
            if key in given:
                assert clip[key].dtype == np.float16 and np.array_equal(clip[key], given[key])
        assert clip.get("img_shape") == given.get("img_shape")


def test_writing_ends_whole_or_not_at_all(tmp_path, rng, home, unchanged):
    store = import_data(put(tmp_path / "x.pkl", two_d(rng)), "x", progress=False)
    plain = [Clip(joints=c.joints, topology=c.topology, label=c.label, id=c.id) for c in store]
    bare = write_store(tmp_path / "bare", plain, classes=store.classes, units="pixel")
    (tmp_path / "there.pkl").write_text("")
    unchanged()
    with pytest.raises(DataError, match=r"clip 'v_Cut_g00_c01': the size of its picture is not known.*pass picture="):
        pyskl.write_pyskl(bare, tmp_path / "out.pkl")
    with pytest.raises(DataError, match=r"there.pkl exists already"):
        pyskl.write_pyskl(store, tmp_path / "there")
    large = write_store(
        tmp_path / "home" / "large", (Clip(joints=c.joints * 1e4, topology=c.topology) for c in store), classes=["a"]
    )
    unchanged_names = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(DataError, match=r"too large for float16; write it with half=False"):
        pyskl.write_pyskl(large, tmp_path / "out.pkl", half=True, picture=(1, 1))
    assert sorted(p.name for p in tmp_path.iterdir()) == unchanged_names
    written = pyskl.write_pyskl(bare, tmp_path / "out.pkl", picture=(240, 320))
    assert clips_of(written)[1][0].about == {"width": 320, "height": 240}


def test_writing_keeps_nothing_in_memory(tmp_path, rng):
    clips = (
        Clip(joints=rng.normal(size=(100, 1, 25, 3)).astype(np.float32), topology=topology("kinect_v2_25")) for _ in range(400)
    )
    store = write_store(tmp_path / "big", clips, classes=["a"])  # 12 MB
    tracemalloc.start()
    path = pyskl.write_pyskl(store, tmp_path / "big.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 10


def test_mutated_files_end_in_clips_or_a_data_error(tmp_path, rng):
    """The values change, not the pickle language: that is tested where it is read."""
    ended = {"read": 0, "refused": 0}
    odd = [None, -1, 0, 1e300, float("nan"), 2**70, "x", "", b"y" * 300, [], [1, 2], {}, (3,), True, np.zeros(0), np.zeros((2, 3))]
    odd += [np.full((1, 2, 25, 3), np.nan), np.array(["a"]), np.float16(3), {"a": {"b": [1]}}, np.zeros((0, 10**6, 25, 3), "f2")]
    for n in range(250):
        index, rows = found_people(rng)
        content = (three_d(rng), two_d(rng), index)[n % 3]
        if n % 3 == 2 and n % 2:
            for clip in index["annotations"]:
                clip["keypoint"] = rows[clip["frame_dir"]]["keypoint"]
        for _ in range(int(rng.integers(1, 3))):
            place = [content, content["split"], *content["annotations"]][int(rng.integers(0, 6))]
            if not isinstance(place, dict):
                continue
            key = list(place)[int(rng.integers(len(place)))]
            place[key] = odd[int(rng.integers(len(odd)))]
            if not isinstance(content.get("annotations"), list) or not isinstance(content.get("split"), dict):
                break
        put(tmp_path / "x.pkl", content)
        try:
            pyskl.describe(tmp_path / "x.pkl")
            for _ in pyskl.read(tmp_path / "x.pkl").clips:
                pass
            ended["read"] += 1
        except DataError as error:
            assert str(tmp_path) in str(error) and len(str(error)) < 600
            ended["refused"] += 1
    assert min(ended.values()) > 8
