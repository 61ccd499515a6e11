"""3D deformable attention as a method: what it reads, losses, views, explanations, presets, and a planted problem."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.data.frames import FrameSettings
from skelbench.errors import ConfigError, DataError
from skelbench.methods.deform3d import Deform3D
from skelbench.nets.deform3d import Block
from skelbench.nets.deform3d_net import Network
from skelbench.nets.video3d import VideoCNN, VideoResNet
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.frame_views import FrameViews
from skelbench.skeleton.topology import topology
from skelbench.train import presets
from skelbench.train.config import RunConfig

LAYOUT = topology("coco_17")
STILL = FrameViews(scale=(1.0, 1.0), mirror=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def clips(n=4, T=4, side=32, bodies=2, labels=None, lengths=None):
    joints = np.random.default_rng(0).normal(size=(n, 12, bodies, 17, 2)).astype(np.float32)
    g = generator()
    frames = {"rgb": torch.rand(n, 3, T, side, side, generator=g)}
    places = 0.1 + 0.8 * torch.rand(n, T, 17, bodies, 2, generator=g)
    labels = np.arange(n) % 4 if labels is None else labels
    return replace(batch_of(joints, labels=labels, lengths=lengths), frames=frames, frame_joints=places)


def build(classes=4, bodies=2, block=None, frames=4, net=None, **edits):
    small = {"width": 16, "heads": 2, "blocks": 2, "groups": 2, "dropout": 0.0, "drop_path": 0.0, **(block or {})}
    video = VideoCNN.Config(widths=(8, 8, 8, 8), groups=4)
    config = Deform3D.Config(
        net=Network.Config(video=video, block=Block.Config(**small), **(net or {})),
        pictures=FrameSettings(modalities=("rgb",), frames=frames, size=32),
        **{"views": STILL, "jitter": 0.0, "smoothing": 0.0, **edits},
    )
    made = Deform3D.build(config, topology=LAYOUT, bodies=bodies, coordinates=2, classes=classes, generator=generator())
    g = generator(8)
    with torch.no_grad():  # away from searches that stand still
        for p in made.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=g))
    return made


def test_video_and_joints_go_into_one_network():
    made, batch = build(smoothing=0.1), clips()
    net = made.nets["both"]
    wanted = net(batch.frames["rgb"], batch.frame_joints, torch.ones(4, 4, 17, 2))
    torch.testing.assert_close(made.logits(batch), wanted.logits.detach())
    torch.testing.assert_close(made.features(batch), wanted.features.detach())
    assert made.features(batch).shape == (4, made.width) == (4, 32) and made.training
    step = made.step(batch, generator())
    torch.testing.assert_close(step.loss, cross_entropy(wanted.logits, batch.labels, label_smoothing=0.1))
    torch.testing.assert_close(made.held_out_loss(batch), cross_entropy(wanted.logits, batch.labels, reduction="none").detach())


@pytest.mark.parametrize("reads", ["both", "rgb", "pose", "late"])
def test_each_kind_reads_what_it_says(reads):
    made, batch = build(reads=reads), clips()
    before = made.logits(batch)
    dark = replace(batch, frames={"rgb": 1 - batch.frames["rgb"]})
    moved = replace(batch, frame_joints=batch.frame_joints.flip(dims=(1,)))
    changes = [bool((made.logits(b) - before).abs().max() > 1e-6) for b in (dark, moved)]
    assert changes == [reads != "pose", reads != "rgb"]
    if reads == "pose":
        made.logits(replace(batch, frame_index=None))
    if reads == "rgb":
        made.logits(replace(batch, frame_joints=None))


def test_late_fusion_is_both_streams_alone():
    made, batch = build(reads="late"), clips()
    rgb, pose = build(reads="rgb"), build(reads="pose")
    for kind, one in (("rgb", rgb), ("pose", pose)):
        one.nets[kind].load_state_dict(made.nets[kind].state_dict())
    torch.testing.assert_close(made.logits(batch), (rgb.logits(batch) + pose.logits(batch)) / 2)
    step = made.step(batch, generator())
    losses = [one.step(batch, generator()).loss for one in (rgb, pose)]
    torch.testing.assert_close(step.loss, losses[0] + losses[1])
    assert set(step.parts) == {"accuracy", "loss_rgb", "loss_pose"} and made.features(batch).shape == (4, made.width)


def test_absent_bodies_and_lost_joints_are_not_seen():
    made, batch = build(), clips()
    places = batch.frame_joints.clone()
    places[:, :, :, 1] = 0
    alone = made.logits(replace(batch, frame_joints=places))
    assert (alone - made.logits(batch)).abs().max() > 1e-6
    places[:, :, :, 1] = torch.nan
    torch.testing.assert_close(made.logits(replace(batch, frame_joints=places)), alone)
    nobody = made.logits(replace(batch, frame_joints=torch.zeros_like(places)))
    assert torch.isfinite(nobody).all()
    some = build(lost=0.5)
    kept = some.inputs(batch, generator(1))[2]
    assert 0.4 < float(kept.mean()) < 0.6 and float(some.inputs(batch)[2].mean()) == 1


def test_pixels_and_joints_are_seen_through_one_window():
    made = build(views=FrameViews(scale=(0.6, 0.9), mirror=1.0))
    centre = (torch.arange(32) + 0.5) / 32
    batch = clips(bodies=1)
    where = torch.full((4, 4, 17, 1, 2), 0.5)
    where[..., 0], where[..., 1] = 0.45, 0.55
    spot = torch.exp(-((centre[None] - 0.45) ** 2 + (centre[:, None] - 0.55) ** 2) / (2 * 0.03**2))
    batch = replace(batch, frames={"rgb": spot.expand(4, 3, 4, 32, 32).contiguous()}, frame_joints=where)
    rgb, places, _ = made.inputs(batch, generator(2))
    mass = rgb[:, 0, 0] / rgb[:, 0, 0].sum(dim=(1, 2), keepdim=True)
    found = torch.stack([(mass.sum(dim=1) * centre).sum(dim=1), (mass.sum(dim=2) * centre).sum(dim=1)], dim=1)
    torch.testing.assert_close(found, places[:, 0, 0, 0], rtol=0, atol=0.01)
    assert (places[:, 0, 0, 0] - 0.5).abs().max() > 0.05


def test_more_or_fewer_pictures_than_it_was_built_for():
    made, batch = build(), clips()
    double = replace(
        batch,
        frames={"rgb": batch.frames["rgb"].repeat_interleave(2, dim=2)},
        frame_joints=batch.frame_joints.repeat_interleave(2, dim=1),
    )
    torch.testing.assert_close(made.logits(double), made.logits(batch))
    half = replace(batch, frames={"rgb": batch.frames["rgb"][:, :, ::2]}, frame_joints=batch.frame_joints[:, ::2])
    rgb, places, _ = made.inputs(half)
    assert torch.equal(rgb[:, :, 1], rgb[:, :, 0]) and places.shape[1] == 4


def test_explanations():
    made, batch = build(frames=8), clips(T=8, lengths=[12, 12, 9, 8])
    found = made.explain(batch)
    assert found.streams == ("rgb", "pose")
    for one, shape in ((found.joints, (4, 12, 17)), (found.frames, (4, 12))):
        assert one.shape == shape
        torch.testing.assert_close(one.flatten(1).sum(dim=1), torch.ones(4))
        assert not one[3, 8:].any() and (one[3, :8] > 0).any()
    # the last of the clip's four token frames stands for its last quarter
    torch.testing.assert_close(found.frames[0, 9:], found.frames[0, 9].expand(3))
    assert (found.frames[0, 9] - found.frames[0, 8]).abs() > 1e-8
    assert found.pairs.shape == (4, 2, 17, 17) and not found.pairs[:, :, 0, 1].any()  # of another phase
    assert found.frame_pairs.shape == (4, 2, 4, 4) and not found.frame_pairs[:, :, 0, 1].any()
    assert found.samples.shape == (4, 2, 2, 8, 3) and found.references.shape == (8, 3) and found.sample_weights.shape == (4, 2, 8)
    reach = torch.tensor([2 / 4, 2 / 4, 2 / 4])  # two tokens of four
    assert ((found.samples - found.references).abs() <= reach + 1e-5).all() and (found.samples != found.references).any()
    assert ((found.references > 0) & (found.references < 1)).all() and (
        (found.sample_weights > 0) & (found.sample_weights < 1)
    ).all()
    with torch.no_grad():
        looks = made.nets["both"](*made.inputs(batch), weights=True).looks
    to = torch.stack([look.to_joints for look in looks]).mean(dim=(0, 2, 3)).sum(dim=2)  # (N, T', J)
    torch.testing.assert_close(found.joints[0, 4], to[0, 1] / (3 * to[0].sum()))
    rgb, pose, full = build(reads="rgb").explain(clips()), build(reads="pose").explain(clips()), build(block={"search": "full"})
    assert rgb.joints is None and rgb.samples is not None and pose.joints is not None and pose.samples is None
    assert full.explain(clips()).samples is None
    late = build(reads="late").explain(clips())
    assert late.joints is not None and late.samples is not None


def test_what_it_refuses():
    batch = clips()
    with pytest.raises(DataError, match=r"clip '0': deform3d reads rgb frames; the batch has no pictures"):
        build().logits(replace(batch, frames=None, frame_joints=None))
    with pytest.raises(DataError, match="there is depth"):
        build().logits(replace(batch, frames={"depth": batch.frames["rgb"][:, :1]}))
    with pytest.raises(DataError, match="joints as they stand in the pictures"):
        build().logits(replace(batch, frame_joints=None))
    with pytest.raises(DataError, match="no label"):
        build().step(clips(labels=[0, 1, -1, 2]), generator())
    with pytest.raises(ConfigError, match=r"built for \(2, 4, 4\) video tokens"):
        build().logits(clips(side=64))
    with pytest.raises(ConfigError, match="at least one class"):
        build(classes=0)
    with pytest.raises(ConfigError, match="needs frames=5 to be a multiple"):
        build(frames=5, net={"join": "concat"})
    for wrong in ({"smoothing": 1.0}, {"lost": -0.1}, {"reads": "sound"}, {"pictures": FrameSettings(modalities=("ir",))}):
        with pytest.raises(ConfigError, match="deform3d"):
            Deform3D.Config(**wrong)


def test_presets_and_settings_survive_json():
    for name in ("smoke", "demo", "paper"):
        config = presets("deform3d", name)
        assert RunConfig.from_dict(json.loads(config.to_json())) == config
    paper = presets("deform3d", "paper").method_config
    assert isinstance(paper.net.video, VideoResNet.Config) and (paper.net.block.width, paper.pictures.size) == (512, 224)
    alone = presets("deform3d").edit(reads="pose", search_range=(0.0, 0.0, 0.0), frames=4)
    assert alone.method_config.reads == "pose" and alone.method_config.pictures.frames == 4


def signals(n, g):
    """There is a bright square in the picture or not, joint 3 stands high or low: four classes, a bit of each stream."""
    a, b = torch.randint(0, 2, (2, n), generator=g)
    rgb = 0.2 + 0.1 * torch.rand(n, 3, 4, 32, 32, generator=g)
    rgb[..., 8:24, 8:24] += 0.5 * a.view(-1, 1, 1, 1, 1)
    places = 0.3 + 0.4 * torch.rand(n, 4, 17, 1, 2, generator=g)
    places[:, :, 3, 0, 1] = 0.2 + 0.6 * b.float()[:, None]
    joints = np.zeros((n, 4, 1, 17, 2), np.float32)
    return replace(batch_of(joints, labels=(2 * a + b).numpy()), frames={"rgb": rgb}, frame_joints=places)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("reads", "low", "high"), [("both", 0.65, 1.0), ("rgb", 0.4, 0.6), ("pose", 0.4, 0.6)])
def test_it_learns_from_both_streams(reads, low, high):
    made, g = build(reads=reads, bodies=1, block={"blocks": 1}), generator(3)
    optimiser = torch.optim.Adam(made.parameters(), lr=3e-3)
    for _ in range(120):
        step = made.step(signals(32, g), g)
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
    batch = signals(300, generator(50))
    assert low <= float((made.logits(batch).argmax(dim=1) == batch.labels).float().mean()) <= high
