"""M-Mixer as a method: losses, missing modalities, views shared by all, explanations, presets, and a planted problem."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.data.frames import FrameSettings
from skelbench.errors import ConfigError, DataError
from skelbench.methods.mmixer import MMixer, jittered, left_out
from skelbench.nets.mmixer import Mixer
from skelbench.nets.video import FrameCNN, ResNet
from skelbench.skeleton.clip import CHANNELS, batch_of
from skelbench.skeleton.frame_views import FrameViews
from skelbench.skeleton.topology import topology
from skelbench.train import presets
from skelbench.train.config import RunConfig

LAYOUT = topology("coco_17")
STILL = FrameViews(scale=(1.0, 1.0), mirror=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def clips(n=6, T=4, side=16, names=("rgb", "depth", "ir"), labels=None, seed=0):
    joints = np.random.default_rng(0).normal(size=(n, 12, 1, 17, 2)).astype(np.float32)
    g = generator(seed)
    frames = {name: torch.rand(n, CHANNELS[name], T, side, side, generator=g) for name in names}
    places = torch.rand(n, T, 17, 1, 2, generator=g)
    return replace(batch_of(joints, labels=np.arange(n) % 4 if labels is None else labels), frames=frames, frame_joints=places)


def build(names=("rgb", "depth", "ir"), classes=4, mixer=None, **edits):
    small = {"width": 16, "heads": 2, "dropout": 0.0, **(mixer or {})}
    config = MMixer.Config(
        extractor=FrameCNN.Config(widths=(8, 8), groups=2, features=12),
        mixer=Mixer.Config(**small),
        pictures=FrameSettings(modalities=names, frames=4, size=16),
        **{"views": STILL, "jitter": 0.0, "smoothing": 0.0, **edits},
    )
    return MMixer.build(config, topology=LAYOUT, bodies=1, coordinates=2, classes=classes, generator=generator())


def by_hand(made, batch):
    """Extractors one by one, then the mixer."""
    rows = []
    for name in made.modalities:
        frames = batch.frames[name]
        rows.append(torch.stack([made.extractors[name](frames[:, :, t]) for t in range(frames.shape[2])], dim=1))
    return made.mixer(torch.stack(rows, dim=1))


def test_every_modality_has_its_extractor_and_the_mixer_reads_them_in_order():
    made, batch = build(), clips()
    assert [made.extractors[n].stages[0].in_channels for n in ("rgb", "depth", "ir")] == [3, 1, 1]
    with torch.no_grad():
        wanted = by_hand(made, batch)
    torch.testing.assert_close(made.logits(batch), wanted.logits)
    torch.testing.assert_close(made.features(batch), wanted.features)
    assert made.features(batch).shape == (6, made.width) == (6, 48)
    torch.testing.assert_close(made.held_out_loss(batch), cross_entropy(wanted.logits, batch.labels, reduction="none"))
    assert made.training


@pytest.mark.parametrize("auxiliary", [0.0, 0.3])
def test_loss(auxiliary):
    made, batch = build(auxiliary=auxiliary, smoothing=0.1), clips()
    found = by_hand(made, batch)
    wanted = cross_entropy(found.logits, batch.labels, label_smoothing=0.1)
    if auxiliary:
        each = [cross_entropy(found.each[:, i], batch.labels, label_smoothing=0.1) for i in range(3)]
        wanted = wanted + 0.3 * sum(each)
    step = made.step(batch, generator())
    torch.testing.assert_close(step.loss, wanted)
    assert set(step.parts) == {"accuracy", "mix_rgb", "mix_depth", "mix_ir"}
    step.loss.backward()
    assert all(p.grad is not None for n, p in made.named_parameters() if auxiliary or "heads" not in n)


@pytest.mark.parametrize("fusion", ["late", "mean"])
def test_late_fusion_trains_every_modality_as_if_it_were_alone(fusion):
    made, batch = build(mixer={"fusion": fusion}), clips()
    step = made.step(batch, generator())
    step.loss.backward()
    scores = made.modality_logits(batch)
    torch.testing.assert_close(made.logits(batch), sum(scores.values()) / 3)
    torch.testing.assert_close(step.loss.detach(), sum(cross_entropy(s, batch.labels) for s in scores.values()))
    for i, name in enumerate(made.modalities):
        one = build((name,), mixer={"fusion": fusion})
        one.extractors[name].load_state_dict(made.extractors[name].state_dict())
        parts = {n.replace(".0.", f".{i}."): n for n in one.mixer.state_dict()}
        one.mixer.load_state_dict({new: made.mixer.state_dict()[old] for old, new in parts.items()})
        torch.testing.assert_close(one.logits(batch), scores[name])
        one.step(batch, generator()).loss.backward()
        for key, p in one.extractors[name].named_parameters():
            torch.testing.assert_close(p.grad, made.extractors[name].get_parameter(key).grad)
    assert all(p.grad is not None for p in made.parameters())
    with pytest.raises(ConfigError, match="no classifier on single modalities"):
        build().modality_logits(batch)


def test_extractors_learn_alone_first():
    made, batch = build(alone=2), clips()
    made.begin_epoch(0)
    step = made.step(batch, generator())
    rows = []
    for i, name in enumerate(made.modalities):
        x = torch.stack([made.extractors[name](batch.frames[name][:, :, t]) for t in range(4)], dim=1)
        mean = made.mixer.norms[i](made.mixer.embed[i](x)).mean(dim=1)
        rows.append(cross_entropy(made.mixer.heads[i](mean), batch.labels))
    torch.testing.assert_close(step.loss, sum(rows))
    step.loss.backward()
    assert all(p.grad is None for p in made.mixer.units.parameters())
    made.begin_epoch(2)
    assert "mix_rgb" in made.step(batch, generator()).parts
    again = build(alone=2)
    again.load_state_dict(made.state_dict())  # a run that goes on in the middle of an epoch
    assert "mix_rgb" in again.step(batch, generator()).parts


def test_a_modality_that_is_missing_is_the_same_however_it_is_missing():
    made, batch = build(), clips()
    lacks = replace(batch, frames={k: v for k, v in batch.frames.items() if k != "depth"})
    dark = replace(batch, frames={**batch.frames, "depth": torch.zeros_like(batch.frames["depth"])})
    off = build(without=("depth",))
    off.load_state_dict(made.state_dict())
    one, other, third = made.logits(lacks), made.logits(dark), off.logits(batch)
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one, third)
    assert (one - made.logits(batch)).abs().max() > 1e-4
    assert made.features(lacks).shape == (6, 48) and not made.features(lacks)[:, 16:32].any()
    assert off.pictures.modalities == ("rgb", "ir")
    mixed = batch.frames["depth"].clone()
    mixed[0] = 0
    some = made.logits(replace(batch, frames={**batch.frames, "depth": mixed}))
    torch.testing.assert_close(some[0], one[0])
    torch.testing.assert_close(some[1:], made.logits(batch)[1:])
    made.step(lacks, generator()).loss.backward()


def test_late_fusion_averages_those_that_are_there():
    made, batch = build(mixer={"fusion": "late"}), clips()
    scores = made.modality_logits(batch)
    lacks = replace(batch, frames={k: v for k, v in batch.frames.items() if k != "ir"})
    torch.testing.assert_close(made.logits(lacks), (scores["rgb"] + scores["depth"]) / 2)


def test_what_is_left_out_in_training():
    there = torch.ones(4000, 3, dtype=torch.bool)
    there[:1000, 1] = False
    kept = left_out(there, 0.4, generator())
    assert not (kept & ~there).any() and kept.any(dim=1).all()
    assert abs(float(kept[1000:, 0].float().mean()) - (0.6 + 0.4**3 / 3)) < 0.03
    assert torch.equal(left_out(there, 0.0, generator()), there)


def test_every_modality_is_seen_through_one_window():
    batch = clips(names=("rgb", "depth", "ir"), n=5, side=32)
    ramp = torch.linspace(0.1, 0.9, 32).expand(5, 1, 4, 32, 32)
    batch = replace(batch, frames={"rgb": ramp.expand(5, 3, 4, 32, 32).contiguous(), "ir": ramp.contiguous()})
    made = build(("rgb", "ir"), views=FrameViews(scale=(0.5, 0.9), mirror=0.5))
    frames, _ = made.streams(batch, generator(4))
    torch.testing.assert_close(frames["rgb"][:, :1], frames["ir"])
    torch.testing.assert_close(frames["ir"][:, :, 0], frames["ir"][:, :, 3])  # and every picture of a clip
    assert (frames["ir"][0] - frames["ir"][1]).abs().max() > 0.01
    again, _ = made.streams(batch, generator(4))
    assert torch.equal(frames["ir"], again["ir"])


def test_colour_changes_once_a_clip():
    rgb = 0.4 + 0.2 * torch.rand(3, 3, 4, 8, 8, generator=generator())
    found = jittered(rgb, 0.3, generator(1))
    for n in range(3):
        a, b = rgb[n].flatten(), found[n].flatten()
        gain = (b[1] - b[0]) / (a[1] - a[0])
        assert 0.7 <= gain <= 1.3
        torch.testing.assert_close(b, (a - a.mean()) * gain + b.mean(), rtol=1e-3, atol=1e-3)


def test_explanations():
    made, batch = build(), clips()
    found = made.explain(replace(batch, frames={k: v for k, v in batch.frames.items() if k != "ir"}))
    assert found.streams == ("rgb", "depth", "ir")
    assert found.modalities.shape == (6, 4, 3) and not found.modalities[:, :, 2].any()
    assert ((found.modalities[:, :, :2] > 0) & (found.modalities[:, :, :2] < 1)).all()
    assert found.exchange.shape == (6, 3, 3, 4)
    torch.testing.assert_close(found.exchange[:, :2].sum(dim=(2, 3)), torch.ones(6, 2))
    assert not found.exchange[:, 0, 0].any() and not found.exchange[:, :, 2].any()  # not itself, not what is missing
    assert build(mixer={"content": "mean"}).explain(batch).exchange is None


def test_what_it_refuses():
    batch = clips()
    with pytest.raises(DataError, match=r"clip '0': M-Mixer reads rgb, depth, ir; the batch has no pictures"):
        build().logits(replace(batch, frames=None, frame_joints=None))
    with pytest.raises(DataError, match=r"reads depth, ir; there is rgb"):
        build(("depth", "ir")).logits(replace(batch, frames={"rgb": batch.frames["rgb"]}))
    with pytest.raises(DataError, match="clip '2': no modality is there"):
        dark = {k: torch.where(torch.arange(6).view(-1, 1, 1, 1, 1) == 2, 0.0, v) for k, v in batch.frames.items()}
        build().logits(replace(batch, frames=dark))
    with pytest.raises(DataError, match="no label"):
        build().step(clips(labels=[0, 1, -1, 2, 3, 0]), generator())
    with pytest.raises(ConfigError, match="two or more"):
        build(("rgb",))
    with pytest.raises(ConfigError, match="at least one class"):
        build(classes=0)
    for wrong in (
        {"smoothing": 1.0},
        {"missing": -0.1},
        {"without": ("rgb", "depth", "ir")},
        {"without": ("sound",)},
        {"alone": -1},
    ):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
            build(**wrong)


def test_presets_and_settings_survive_json():
    for name in ("smoke", "demo", "paper"):
        config = presets("mmixer", name)
        assert RunConfig.from_dict(json.loads(config.to_json())) == config
    assert isinstance(presets("mmixer", "paper").method_config.extractor, ResNet.Config)
    single = presets("mmixer").edit(modalities=("rgb",), fusion="late")
    assert single.method_config.pictures.modalities == ("rgb",)


def test_resnets_as_extractors():
    config = replace(build().config, extractor=ResNet.Config(depth=18), pictures=FrameSettings(modalities=("rgb", "ir"), size=32))
    made = MMixer.build(config, topology=LAYOUT, bodies=1, coordinates=2, classes=4, generator=generator())
    assert made.logits(clips(n=2, T=2, side=32, names=("rgb", "ir"))).shape == (2, 4)


def squares(n, g, *, product):
    """In colour there is a bright square or not, in infrared too; the class is both bits, or whether they agree."""
    a, b = torch.randint(0, 2, (2, n), generator=g)
    frames = {}
    for name, bit in (("rgb", a), ("ir", b)):
        video = 0.1 * torch.rand(n, CHANNELS[name], 4, 16, 16, generator=g) + 0.2
        video[..., 4:12, 4:12] += 0.5 * bit.view(-1, 1, 1, 1, 1)
        frames[name] = video
    labels = a ^ b if product else 2 * a + b
    return replace(batch_of(np.zeros((n, 4, 1, 17, 2), np.float32), labels=labels.numpy()), frames=frames)


def taught(made, steps, *, product, seed=3):
    optimiser, g = torch.optim.Adam(made.parameters(), lr=3e-3), generator(seed)
    for _ in range(steps):
        step = made.step(squares(32, g, product=product), g)
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
    batch = squares(300, generator(50), product=product)
    return made, float((made.logits(batch).argmax(dim=1) == batch.labels).float().mean())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_learns_both_bits_and_only_mixing_their_product():
    seeing, right = taught(build(("rgb", "ir"), classes=4), 60, product=False)
    assert right > 0.95
    found = {}
    for fusion in ("mixer", "late"):
        made = build(("rgb", "ir"), classes=2, mixer={"fusion": fusion, "width": 32})
        made.extractors.load_state_dict(seeing.extractors.state_dict())  # each knows its own bit, which is worth nothing alone
        found[fusion] = taught(made, 80, product=True)[1]
    assert found["mixer"] > 0.95 and found["late"] < 0.8  # a sum of two scores is right in three of the four cases at most
