"""Real video beside a store: small clips encoded here, whole ones and broken ones."""

import shutil
import struct
import zlib

import numpy as np
import pytest
import torch

from skelbench.cli import main
from skelbench.data import FrameSettings, frames_of, write_store
from skelbench.data.loader import Loader
from skelbench.data.video import KINECT_V2, Lens, attach_video, find_video
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.frame_views import FrameViews
from skelbench.skeleton.topology import topology

av = pytest.importorskip("av")

KINECT = topology("kinect_v2_25")
IDS = ("S001C001P001R001A001", "S001C001P002R001A002", "S001C002P001R001A001")
T, W, H = 20, 160, 120
LENS = Lens(fx=1.0, fy=W / H, cx=0.5, cy=0.5)


def film(path, pictures, *, codec="ffv1", pixels="bgr0", rate=30):
    """A video file of pictures (H, W, 3) or (H, W) uint8, without loss where the codec has none."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24" if picture.ndim == 3 else "gray")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode())


def png(path, values):
    """A greyscale PNG of uint8 or uint16 (H, W), by hand."""
    bits = 8 * values.dtype.itemsize
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def place_of(t, n):
    """Pixel of the bright square of clip n in frame t: a walk through the picture."""
    return 50 + 2 * t + 4 * n, 40 + t


def scene(n, frames=T):
    """rgb, depth (mm), ir of a clip: a square that moves over a still background; its colour tells the frame."""
    rgb = np.full((frames, H, W, 3), 30, np.uint8)
    depth, ir = np.full((frames, H, W), 4000, np.uint16), np.full((frames, H, W), 50, np.uint8)
    for t in range(frames):
        x, y = place_of(t * T / frames, n)
        x, y = int(x), int(y)
        area = np.s_[t, y - 5 : y + 6, x - 5 : x + 6]
        rgb[area], depth[area], ir[area] = (200, 10 * (t + 1) % 250, 40), 1000 + t, 220
    return rgb, depth, ir


def skeletons():
    """All joints in the corners of a still box but the right hand, which is where the square is, 2 m away."""
    for n, name in enumerate(IDS):
        joints = np.zeros((T, 1, 25, 3), np.float32)
        rng = np.random.default_rng(n)
        joints[..., :2] = rng.uniform(-0.4, 0.4, (25, 2))
        joints[..., 2] = 2.0
        for t in range(T):
            x, y = place_of(t, n)
            joints[t, 0, KINECT.joint("right_hand"), :2] = 2.0 * ((x + 0.5) / W - 0.5), -2.0 * ((y + 0.5) / H - 0.5) * H / W
        yield Clip(joints=joints, topology=KINECT, label=n % 2, id=name, about={"subject": n})


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "ntu", skeletons(), classes=["a", "b"])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    there = tmp_path_factory.mktemp("encoded") / "films"
    (there / "rgb").mkdir(parents=True)
    (there / "depth").mkdir()
    for n, name in enumerate(IDS):
        rgb, depth, ir = scene(n)
        film(there / "rgb" / f"{name}_rgb.avi", rgb)
        film(there / f"{name}_ir.avi", ir, pixels="gray")
        (there / "depth" / name).mkdir()
        for t, values in enumerate(depth):
            png(there / "depth" / name / f"MDepth-{t + 1:08d}.png", values)
    return there


@pytest.fixture
def folder(films, tmp_path):
    return shutil.copytree(films, tmp_path / "films")


def attach(store, folder, **how):
    lens = {m: LENS for m in ("rgb", "depth", "ir")}
    return attach_video(store, folder, **{"lens": lens, "frames": 5, "size": 32, "progress": False, **how})


def test_streams_are_found_by_name(folder):
    found = find_video(folder, IDS)
    assert {m: set(streams) for m, streams in found.items()} == {m: set(IDS) for m in ("rgb", "depth", "ir")}
    assert found["depth"][IDS[0]].is_dir() and found["ir"][IDS[1]].name == f"{IDS[1]}_ir.avi"
    (folder / f"{IDS[0]}.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=f"clip '{IDS[0]}': two rgb streams"):
        find_video(folder, IDS)


def test_pictures_show_the_frames_they_say_at_the_place_the_joints_say(store, folder):
    kept = attach(store, folder)
    assert kept.modalities == ("rgb", "depth", "ir") and len(kept) == 3 and kept.kept == 5
    hand = KINECT.joint("right_hand")
    for n in range(3):
        assert kept.index[n].tolist() == [2, 6, 10, 14, 18]  # middles of five stretches of 20 frames
        for k, t in enumerate(kept.index[n].tolist()):
            x, y = kept.arrays["places"][n, k, hand, 0]
            i, j = int(y * 32), int(x * 32)
            assert 0 < i < 31 and 0 < j < 31
            red, green, blue = kept.arrays["rgb"][n, k, :, i, j].tolist()
            assert abs(red - 200) < 25 and abs(green - 10 * (t + 1) % 250) < 25 and abs(blue - 40) < 25
            assert kept.arrays["depth"][n, k, 0, i, j] == 1000 + t  # millimetres, to the last bit, of that frame
            assert kept.arrays["ir"][n, k, 0, i, j] > 190
        assert set(np.unique(kept.arrays["depth"][n])) <= {0, 4000, *(1000 + t for t in range(T))}
        assert kept.distance[n] == pytest.approx(2.0)


def test_batches_and_one_window_for_all_modalities(store, folder):
    attach(store, folder, frames=10)
    settings = FrameSettings(frames=5, size=32, stored=10)
    assert frames_of(store, settings).settings["kind"] == "video"  # auto takes the video that is there
    batch = next(Loader(store, range(3), batch_size=3, preset="none", frames=settings).epoch(torch.Generator().manual_seed(0)))
    assert {k: tuple(v.shape) for k, v in batch.frames.items()} == {
        "rgb": (3, 3, 5, 32, 32),
        "depth": (3, 1, 5, 32, 32),
        "ir": (3, 1, 5, 32, 32),
    }
    seen = FrameViews(scale=(0.7, 0.9), mirror=1.0).view(batch, KINECT, torch.Generator().manual_seed(1))
    hand, checked = KINECT.joint("left_hand"), 0  # of the mirrored person
    for n in range(3):
        for k in range(5):
            x, y = seen.frame_joints[n, k, hand, 0].tolist()
            if 0.1 < x < 0.9 and 0.1 < y < 0.9:
                i, j, checked = int(y * 32), int(x * 32), checked + 1
                assert float(seen.frames["rgb"][n, 0, k, i, j]) > 0.6 and float(seen.frames["ir"][n, 0, k, i, j]) > 0.7
                assert float(seen.frames["depth"][n, 0, k, i, j]) == pytest.approx((1.01 - 2.0) / 3 + 0.5, abs=0.01)
    assert checked > 5


def test_streams_that_differ_by_some_frames_are_read_at_the_same_share(store, folder):
    name = IDS[1]
    (folder / "rgb" / f"{name}_rgb.avi").unlink()
    rgb, _, _ = scene(1, frames=22)
    film(folder / f"{name}_rgb.mkv", rgb)
    kept = attach(store, folder, modalities=("rgb",))
    for k, t in enumerate(kept.index[1].tolist()):
        wanted = min(int((t + 0.5) * 22 / 20), 21)
        x, y = kept.arrays["places"][1, k, KINECT.joint("right_hand"), 0]
        green = int(kept.arrays["rgb"][1, k, 1, int(y * 32), int(x * 32)])
        assert abs(green - 10 * (wanted + 1) % 250) < 25


def test_mpeg4_in_an_avi_as_ntu_has_it(store, folder):
    for n, name in enumerate(IDS):
        film(folder / "rgb" / f"{name}_rgb.avi", scene(n)[0], codec="mpeg4", pixels="yuv420p")
    kept = attach(store, folder, modalities=("rgb",))
    x, y = kept.arrays["places"][0, 2, KINECT.joint("right_hand"), 0]
    assert kept.arrays["rgb"][0, 2, 0, int(y * 32), int(x * 32)] > 130


def test_without_a_lens_the_middle_is_kept_and_places_are_unknown(store, folder):
    kept = attach(store, folder, lens="none", modalities=("rgb", "depth"), size=30)
    batch = kept.add_to(store.batch([0]), ("rgb",), 5)
    assert batch.frame_joints is None and batch.frame_index is not None
    t = int(kept.index[0, 0])
    rgb = scene(0)[0][t, :, 20:140]  # the middle square of 160 x 120
    wanted = rgb.reshape(30, 4, 30, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(kept.arrays["rgb"][0, 0].astype(float) - wanted).max() <= 1
    assert kept.distance[0] == pytest.approx(4.0)  # of the pictures, where the skeleton's camera is not known


def test_the_nominal_kinect_lens_sees_a_point_where_ntu_files_say():
    """x to the sensor's left is x to the right in the sensor's mirrored pictures."""
    u, v = KINECT_V2["depth"].places(np.array([0.2181153, 0.1725972, 3.785547]))
    assert (u * 512, v * 424) == pytest.approx((277.4, 191.8), abs=1.5)


def test_pixels_of_a_picture_need_no_lens(tmp_path, folder):
    coco = topology("coco_17")
    clips = []
    for n, name in enumerate(IDS):
        joints = np.ones((T, 1, 17, 3), np.float32)
        for t in range(T):
            joints[t, 0, :, :2] = np.array(place_of(t, n)) + 0.5 + np.random.default_rng(n).uniform(-30, 30, (17, 2))
            joints[t, 0, 0, :2] = np.array(place_of(t, n)) + 0.5
        clips.append(Clip(joints=joints, topology=coco, label=0, id=name, about={"width": W, "height": H}))
    flat = write_store(tmp_path / "flat", clips, classes=["a"], units="pixel")
    kept = attach_video(flat, folder, modalities=("rgb",), frames=4, size=32, progress=False)
    x, y = kept.arrays["places"][2, 1, 0, 0]
    assert kept.arrays["rgb"][2, 1, 0, int(y * 32), int(x * 32)] > 150


# ---- broken ones


def test_a_missing_stream_names_the_clip_and_the_way_out(store, folder):
    (folder / f"{IDS[2]}_ir.avi").unlink()
    with pytest.raises(DataError, match=rf"clip '{IDS[2]}' has no ir .*1 of 3 clips.*--modalities rgb depth"):
        attach(store, folder)
    assert attach(store, folder, modalities=("rgb", "depth")).modalities == ("rgb", "depth")
    with pytest.raises(DataError, match=r"is rgb, depth.*wanted rgb, ir"):
        frames_of(store, FrameSettings(modalities=("rgb", "ir"), frames=5, size=32))
    with pytest.raises(DataError, match="no video of any clip"):
        attach(store, folder / "depth" / IDS[0])
    with pytest.raises(DataError, match="no such folder"):
        attach(store, folder / "nowhere")


@pytest.mark.parametrize("content", (b"", b"this is no video", b"RIFF" + bytes(200)))
def test_a_file_that_is_no_video(store, folder, content):
    (folder / "rgb" / f"{IDS[1]}_rgb.avi").write_bytes(content)
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', rgb: .*_rgb.avi"):
        attach(store, folder)
    assert not list(store.path.parent.glob(".frames/*"))  # nothing half-written


def test_a_video_that_was_cut_short(store, folder):
    file = folder / "rgb" / f"{IDS[1]}_rgb.avi"
    file.unlink()
    film(file.with_suffix(".mkv"), scene(1)[0])
    whole = file.with_suffix(".mkv").read_bytes()
    file.with_suffix(".mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', rgb: .*(damaged|frames|cannot be read)"):
        attach(store, folder, modalities=("rgb",))


def test_bytes_in_the_middle_that_are_wrong(store, folder):
    """Whatever a decoder makes of it: an error that names the clip, or pictures; never a crash, never half a folder."""
    file = folder / "rgb" / f"{IDS[1]}_rgb.avi"
    whole = file.read_bytes()
    refused = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 40):
            broken[at] = int(rng.integers(256))
        file.write_bytes(bytes(broken))
        try:
            kept = attach(store, folder, modalities=("rgb",))
        except DataError as error:
            refused += 1
            assert IDS[1] in str(error) and "_rgb.avi" in str(error)
        else:
            assert kept.arrays["rgb"].shape == (3, 5, 3, 32, 32)
    assert refused


def test_another_number_of_frames_than_the_skeleton(store, folder):
    rgb, _, _ = scene(1, frames=32)
    film(folder / "rgb" / f"{IDS[1]}_rgb.avi", rgb)
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', rgb: .* has 32 frames, the skeleton 20"):
        attach(store, folder)
    assert attach(store, folder, tolerance=1.0).kept == 5
    for t in range(12):
        (folder / "depth" / IDS[0] / f"MDepth-{t + 1:08d}.png").unlink()
    with pytest.raises(DataError, match=rf"clip '{IDS[0]}', depth: .* has 8 frames, the skeleton 20"):
        attach(store, folder, modalities=("depth",))


def test_depth_of_eight_bits(store, folder):
    for t in range(T):
        png(folder / "depth" / IDS[1] / f"MDepth-{t + 1:08d}.png", np.full((H, W), 90, np.uint8))
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', depth: .*MDepth-\d+.png is gray, 8 bits of 1 channels"):
        attach(store, folder)


def test_a_damaged_depth_picture_and_one_of_another_size(store, folder):
    file = folder / "depth" / IDS[1] / "MDepth-00000011.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:20])
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', depth: .*MDepth-00000011.png cannot be read"):
        attach(store, folder)
    png(file, np.full((H // 2, W), 2000, np.uint16))
    with pytest.raises(DataError, match=rf"clip '{IDS[1]}', depth: .*different sizes"):
        attach(store, folder)


def test_settings_that_make_no_sense(store, folder):
    with pytest.raises(ConfigError, match="no lens 'fisheye'"):
        attach(store, folder, lens="fisheye")
    with pytest.raises(ConfigError, match="no modality 'sound'"):
        attach(store, folder, modalities=("sound",))
    with pytest.raises(ConfigError, match="frames = 0"):
        attach(store, folder, frames=0)


def test_from_the_shell(store, folder, capsys):
    assert main(["data", "frames", str(store.path), "--from", str(folder), "--size", "32", "--frames", "4"]) == 0
    assert "FrameStore(video: 3 clips x 4 pictures of 32 x 32, rgb, depth, ir" in capsys.readouterr().out
    assert main(["data", "render", str(store.path), "--size", "16", "--frames", "2"]) == 0
    assert "FrameStore(rendered: 3 clips x 2 pictures of 16 x 16" in capsys.readouterr().out
    assert main(["data", "frames", str(store.path), "--from", str(folder / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
