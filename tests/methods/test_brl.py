"""BRL: its counts, its stages, mixing clip by clip in float64, its streams as published, and a planted long tail."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from skelbench.data import Store, write_store
from skelbench.data.longtail import profile
from skelbench.data.repeats import Repeats
from skelbench.errors import ConfigError, DataError
from skelbench.methods import method
from skelbench.methods.backbone import classifier
from skelbench.methods.brl import BRL
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.parts.partial_mixup import draw_pairs, halves
from skelbench.parts.rebalance import class_weights, rebalanced_repeats
from skelbench.skeleton.augment import mirror
from skelbench.skeleton.clip import Batch, Clip, batch_of
from skelbench.skeleton.normalise import preset
from skelbench.skeleton.sampling import uniform_test_frames
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import topology
from skelbench.skeleton.turn import random_turn
from skelbench.train import presets, start

KINECT = topology("kinect_v2_25")
NAMES = ("a", "b", "c", "d")
COUNTS = [40, 12, 5, 2]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels_of(counts: list[int]) -> Tensor:
    return torch.tensor([c for c, n in enumerate(counts) for _ in range(n)])


def build(layout: Any = KINECT, *, classes: int = 4, coordinates: int = 3, counts: Any = COUNTS, **edits: Any) -> BRL:
    small = {"encoder": STGCNPP.Config(channels=(8, 8)), "frames": 8, "test_clips": 2}
    made = BRL.build(
        BRL.Config(**(small | edits)), topology=layout, bodies=2, coordinates=coordinates, classes=classes, generator=generator()
    )
    if counts is not None:
        made.meet(labels_of(counts), tuple("abcdefgh"[:classes]))
    return made


def clips(n: int = 6, *, V: int = 25, C: int = 3, labels: Any = None, T: int = 14) -> Batch:
    x = np.random.default_rng(0).normal(size=(n, T, 2, V, C)).astype(np.float32)
    lengths = [T - i % 3 for i in range(n)]
    for i, length in enumerate(lengths):
        x[i, length:] = 0
    return batch_of(x, lengths=lengths, labels=np.arange(n) % 4 if labels is None else labels)


# --- the published numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "largest", "imbalance", "total", "tail"),
    [(60, 600, 100, 98106, 3000), (120, 600, 100, 195257, 3000), (120, 400, 100, 130103, 2000), (10, 100, 10, 3720, 500)],
)
def test_published_number_of_clips_an_epoch(classes: int, largest: int, imbalance: float, total: int, tail: int) -> None:
    counts = profile(classes, imbalance=imbalance, largest=largest).tolist()
    made = build(classes=classes, counts=None, repeat=5.0)
    labels = labels_of(counts)
    times = made.meet(labels, tuple(map(str, range(classes))))
    assert times is not None
    shown = Repeats(times.numpy(), labels.numpy())
    assert shown.total == total
    per_class = np.bincount(labels.numpy()[shown.drawn(generator())], minlength=classes)
    first = 2 * (classes // 3)
    assert set(per_class[first:]) <= {tail, tail - 1} and per_class[:first].tolist() == [5 * n for n in counts[:first]]
    plain = build(classes=classes, counts=None, repeat=5.0, sampler=False).meet(labels, tuple(map(str, range(classes))))
    assert plain is not None and plain.unique().numel() == 1
    assert total - classes <= Repeats(plain.numpy(), labels.numpy()).total <= total  # as long, all clips alike


def test_published_network() -> None:
    made = BRL.build(BRL.Config(), topology=KINECT, bodies=2, coordinates=3, classes=60, generator=generator())
    assert sum(p.numel() for p in made.parameters()) == 1_403_144
    assert made.head.weight.std().item() == pytest.approx(0.01, rel=0.05) and made.head.bias.abs().max() == 0
    batch = clips(1)
    assert made.encoder.mapped(made.view(batch, generator())).shape == (1, 2, 256, 16, 25)
    paper = presets("brl", "paper")
    own, train = paper.method_config, paper.train
    assert (train.lr, train.batch, train.epochs, train.cosine, train.weight_decay) == (0.0125, 16, 24, True, 5e-4)
    assert (own.switch, own.repeat, own.mixup, own.kappa, own.frames, own.test_clips) == (19, 5.0, 1 / 16, 3.0, 64, 10)
    assert type(paper).from_dict(paper.to_dict()) == paper and method("brl") is BRL


@pytest.mark.parametrize("name", list(STREAMS))
def test_published_test_clips_of_every_stream(name: str) -> None:
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    key = {"joint": "j", "bone": "b", "skip": "k", "motion": "jm", "bone_motion": "bm", "skip_motion": "km"}[name]
    with np.load(Path(folder) / "brl_data_a.npz", allow_pickle=False) as file:
        z = {k: np.asarray(file[k]) for k in file.files if k != "meta"}
    raw = torch.from_numpy(z["input/keypoint"]).permute(3, 1, 2, 0)[None]  # (1, C, T, V, M)
    joints, lengths = preset("brl").run(raw, torch.tensor([70]), KINECT)
    theirs = torch.from_numpy(z[f"output/test_clips/{key}"]).permute(0, 4, 2, 3, 1)  # (clips, C, 64, V, M)
    batch = batch_of(joints.permute(0, 2, 4, 3, 1).numpy(), lengths=lengths)
    made = build(stream=name, frames=64, test_clips=len(theirs))
    frames = uniform_test_frames(lengths, 64, clips=len(theirs))
    ours = torch.cat([made.view(batch, index=frames[:, k]) for k in range(len(theirs))])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-4)


# --- what the network sees -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_stream_is_of_the_frames_as_recorded(name: str) -> None:
    """The stream of every whole clip by itself, then the frames; the last frame of a clip does not move."""
    made, batch = build(stream=name), clips()
    index = torch.stack([torch.tensor([0, 1, 3, 4, 7, 9, 10, int(n) - 1]) for n in batch.lengths])
    seen = made.view(batch, index=index)
    for n, length in enumerate(batch.lengths.tolist()):
        whole = stream(name, batch.joints[n : n + 1, :, :length], KINECT)
        torch.testing.assert_close(seen[n], whole[0][:, index[n]])


def test_backwards_is_the_stream_of_the_reversed_clip() -> None:
    made = build(stream="bone_motion", reverse=1.0, scale=0.0, turn=0.0, flip=0.0)
    batch = clips(n=3, T=40, labels=[0, 1, 2])
    turned = torch.stack([torch.cat([x[:, :n].flip(1), x[:, n:]], dim=1) for x, n in zip(batch.joints, batch.lengths, strict=True)])
    forth = build(stream="bone_motion", scale=0.0, turn=0.0, flip=0.0)
    g, h = generator(3), generator(3)
    seen = made.view(batch, g)
    torch.testing.assert_close(seen, forth.view(batch.with_joints(turned), h))


def test_augmentations_one_by_one() -> None:
    x = clips().joints[:, :, :4]
    scaled = build(turn=0.0, flip=0.0, scale=0.1).augmented(x, generator(2))
    factors = 1 + 0.1 * (2 * torch.rand(6, 3, generator=generator(2), dtype=torch.float64) - 1)
    torch.testing.assert_close(scaled, x * factors.float()[:, :, None, None, None])
    turned = build(scale=0.0, flip=0.0).augmented(x, generator(2))
    torch.testing.assert_close(turned, random_turn(x, limit=0.3, generator=generator(2)))
    named = build(scale=0.0, turn=0.0, flip=1.0).augmented(x, generator())
    assert torch.equal(named, x[:, :, :, list(KINECT.flip_index)])
    image = build(scale=0.0, turn=0.0, flip=1.0, negate=True).augmented(x, generator())
    torch.testing.assert_close(image, mirror(x, KINECT, 0))
    half = build(scale=0.0, turn=0.0, flip=0.5).augmented(x, generator(1))
    hit = torch.rand(6, generator=generator(1), dtype=torch.float64) < 0.5
    assert 0 < int(hit.sum()) < 6
    assert torch.equal(half, torch.where(hit[:, None, None, None, None], named, x))


# --- the loss --------------------------------------------------------------------------------------------------------------


def naive_entropy(z: list[float], y: int) -> float:
    top = max(z)
    return top + math.log(sum(math.exp(v - top) for v in z)) - z[y]


@pytest.mark.parametrize("epoch", [0, 19])
@pytest.mark.parametrize("order", ["preserve", "official"])
def test_step_is_the_weighted_mean_over_both_labels_clip_by_clip(epoch: int, order: str) -> None:
    made, batch = build(mixup=0.5, order=order, turn=0.0, flip=0.0, scale=0.0), clips(labels=[0, 3, 1, 1, 2, 0])
    made = made.double()
    batch = batch.with_joints(batch.joints.double())
    made.begin_epoch(epoch)
    step = made.step(batch, generator(4))
    # the same draws, then everything by hand
    g = generator(4)
    x = made.view(batch, g)
    anchors, partners = draw_pairs(6, ratio=0.5, generator=g)
    assert torch.equal(step.out["anchors"], anchors)
    upper, lower = halves(KINECT)
    slots = list(range(25)) if order == "preserve" else [*upper, *lower]
    mixed, below = x.clone(), batch.labels.tolist()
    for a, b in zip(anchors.tolist(), partners.tolist(), strict=True):
        for slot, joint in enumerate(slots):
            mixed[a, :, :, slot] = x[a if joint in upper else b, :, :, joint]
        below[a] = int(batch.labels[b])
    logits = made.head(made.encoder(mixed)).tolist()
    beta = [0.99 + 0.0099 * (n - 2) / 38 for n in COUNTS]
    raw = [(1 - b) / (1 - b**n) for b, n in zip(beta, COUNTS, strict=True)]
    w = [4 * r / sum(raw) for r in raw] if epoch >= 19 else [1.0] * 4
    above, total, weight = batch.labels.tolist(), 0.0, 0.0
    for i in range(6):
        na, nb = COUNTS[above[i]], COUNTS[below[i]]
        share = 1.0 if above[i] == below[i] else 0.0 if na > 3 * nb else 1.0 if nb > 3 * na else 16 / 25
        for part, y in ((share, above[i]), (1 - share, below[i])):
            total += part * w[y] * naive_entropy(logits[i], y)
            weight += part * w[y]
    assert float(step.loss.detach()) == pytest.approx(total / weight, rel=1e-9)
    assert float(step.parts["mixed"]) == 0.5


def test_everything_off_is_plain_cross_entropy() -> None:
    made, batch = build(loss="ce", sampler=False, mixup=0.0), clips()
    made.begin_epoch(99)
    step = made.step(batch, generator(1))
    logits = made.head(made.encoder(made.view(batch, generator(1))))
    torch.testing.assert_close(step.loss, functional.cross_entropy(logits, batch.labels))
    plain = build(counts=None, loss="ce", sampler=False, mixup=0.0, repeat=1.0)
    assert plain.meet(labels_of([5, 5, 5, 5]), NAMES).tolist() == [1.0] * 20  # nothing to balance


@pytest.mark.parametrize("loss", ["class_balanced", "focal", "ldam", "balanced_softmax"])
def test_the_other_losses_hold_from_the_switch_on(loss: str) -> None:
    made, batch = build(loss=loss, mixup=0.0, switch=3), clips()
    z = made.head(made.encoder(made.view(batch, generator(1)))).detach().double()
    n, y = torch.tensor(COUNTS).double(), batch.labels
    own = functional.one_hot(y, 4)
    shifted = {"ldam": 30 * (z - own * 0.5 * ((n.min() / n) ** 0.25)[y][:, None]), "balanced_softmax": z + n.log()}.get(loss, z)
    entropy = functional.cross_entropy(shifted, y, reduction="none")
    w = class_weights(loss, torch.tensor(COUNTS))[y]
    late = (1 - (-entropy).exp()) ** 2 * entropy if loss == "focal" else entropy
    early = entropy if loss in ("ldam", "balanced_softmax") else functional.cross_entropy(z, y, reduction="none")
    for epoch, expected in ((2, early.mean()), (3, (w * late).sum() / w.sum())):
        made.begin_epoch(epoch)
        assert float(made.step(batch, generator(1)).loss.detach()) == pytest.approx(float(expected), rel=1e-4)


def test_a_class_without_clips_takes_no_part() -> None:
    """As the class did not exist: same loss, same weights of the others, and it is never the answer."""
    batch = clips(labels=[0, 3, 3, 2, 0, 3])
    for loss in ("action_aware", "ldam", "balanced_softmax"):
        five = build(classes=5, counts=[40, 0, 5, 2, 0], loss=loss, switch=0, mixup=0.0)
        three = build(classes=3, counts=[40, 5, 2], loss=loss, switch=0, mixup=0.0)
        three.encoder.load_state_dict(five.encoder.state_dict())
        three.head.weight.data, three.head.bias.data = five.head.weight.data[[0, 2, 3]], five.head.bias.data[[0, 2, 3]]
        assert five.weights[[1, 4]].tolist() == [0, 0]
        torch.testing.assert_close(five.weights[[0, 2, 3]], three.weights)
        renamed = batch_of(batch.joints.permute(0, 2, 4, 3, 1).numpy(), lengths=batch.lengths, labels=[0, 2, 2, 1, 0, 2])
        torch.testing.assert_close(five.step(batch, generator(2)).loss, three.step(renamed, generator(2)).loss)
        five.head.bias.data[1] = 50.0
        assert not (five.logits(batch).argmax(dim=1) == 1).any() and five.logits(batch).isfinite().all()
    times = five.meet(torch.tensor([0] * 9 + [2] * 3 + [3]), tuple("abcde"))
    assert times is not None and times.tolist() == [5.0] * 12 + [45.0]


# --- what it says ----------------------------------------------------------------------------------------------------------


def test_probabilities_are_averaged_over_test_clips() -> None:
    made, batch = build(stream="skip", test_clips=3), clips(T=30)
    frames = uniform_test_frames(batch.lengths, 8, clips=3)
    made.eval()
    seen = [made.encoder(made.view(batch, index=frames[:, k])).detach() for k in range(3)]
    made.train()
    torch.testing.assert_close(made.features(batch), torch.stack(seen).mean(dim=0))
    expected = torch.stack([made.head(f).softmax(dim=1) for f in seen]).mean(dim=0).log().detach()
    torch.testing.assert_close(made.logits(batch), expected)
    torch.testing.assert_close(made.held_out_loss(batch), -expected[torch.arange(6), batch.labels])
    assert made.training and made.width == 8


def test_the_score_channel_of_a_picture_is_left_out() -> None:
    made, batch = build(topology("coco_17"), coordinates=3), clips(V=17)
    other = batch.with_joints(torch.cat([batch.joints[:, :2], batch.joints[:, 2:] + 1], dim=1))
    torch.testing.assert_close(made.logits(batch), made.logits(other))
    on_top = classifier(made, classes=3, generator=generator())
    assert on_top.logits(batch).shape == (6, 3)


def test_explanations() -> None:
    made, batch = build(), clips()
    made.head.weight.data *= 50
    found = made.explain(batch)
    assert found.joints is not None and found.frames is not None and found.pairs is not None
    torch.testing.assert_close(found.joints.sum(dim=(1, 2)), torch.ones(6))
    torch.testing.assert_close(found.frames, found.joints.sum(dim=2))
    assert torch.equal(found.pairs[3], made.encoder.learned[-1])


def test_what_it_refuses() -> None:
    with pytest.raises(DataError, match="no label"):
        build().step(clips(labels=[0, 1, -1, 2, 3, 0]), generator())
    with pytest.raises(ConfigError, match="has not met them"):
        build(counts=None).step(clips(), generator())
    with pytest.raises(DataError, match="none of these clips has a label"):
        build(counts=None).meet(torch.tensor([-1, -1]), NAMES)
    with pytest.raises(DataError, match="names no left_leg"):
        build(topology("shrec17_hand_22"))
    assert build(topology("shrec17_hand_22"), mixup=0.0).logits(clips(V=22)).shape == (6, 4)
    with pytest.raises(ConfigError, match="at least one class"):
        build(classes=0, counts=None)
    for wrong in ({"loss": "kps"}, {"stream": "hop"}, {"order": "any"}, {"mixup": 2.0}, {"kappa": 0.5}, {"repeat": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            BRL.Config(**wrong)


# --- a planted long tail ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tailed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four classes of overlapping gestures, 64 to 4 clips to train on and 24 of each to test on."""
    train, test = [64, 32, 8, 4], 24

    def made() -> Any:
        rng = np.random.default_rng(0)
        for label in range(4):
            for i in range(train[label] + test):
                T = int(rng.integers(20, 30))
                x = 0.1 * rng.normal(size=(T, 1, 25, 3)) + rng.normal(size=(1, 1, 25, 3)) * 0.05
                swing = np.sin(np.linspace(0, 2 * np.pi * rng.uniform(0.8, 1.2), T))
                hand = (7, 21, 22)[label % 2 :] if label < 2 else (11, 23, 24)[label % 2 :]
                x[:, 0, hand, 1 + label % 2] += (0.9 * swing)[:, None]
                about = {"subject": int(i >= train[label])}
                yield Clip(joints=x.astype(np.float32), topology=KINECT, label=label, id=f"{label}-{i}", about=about)

    folder = tmp_path_factory.mktemp("data") / "tailed"
    return write_store(folder, made(), classes=["a", "b", "c", "d"], splits={"xsub": {"by": "subject", "train": [0]}})


def test_rare_classes_are_learned_where_plain_training_misses_them(tailed: Store, runs: Path) -> None:
    found = {}
    how: dict[str, Any] = {"epochs": 10, "switch": 8, "batch": 16, "lr": 0.1, "cosine": True, "flip": 0.0, "refit": True}
    for name, edits in {"plain": {"loss": "ce", "sampler": False, "mixup": 0.0}, "brl": {"weigh": "shown"}}.items():
        run = start(
            "brl", tailed, "smoke", split="xsub", folder=runs / name, probe_every=0, normalise="none", save_every=0, **how, **edits
        )
        run.run(progress=False)
        batch = tailed.batch(run.split.test)
        right = (run.method.logits(batch).argmax(dim=1) == batch.labels).double()
        found[name] = [float(right[batch.labels == c].mean()) for c in range(4)]
    assert found["brl"][3] > found["plain"][3] + 0.3, found
    assert np.mean(found["brl"]) > np.mean(found["plain"]), found


def test_weights_by_what_is_shown_give_every_class_the_same_say() -> None:
    """Clips shown times weight: the same for all where the weight is 1 / n, and n_max / n_c too much as published."""
    made = build(weigh="shown", switch=0, loss="class_balanced", repeat=1.0)
    times = rebalanced_repeats(torch.tensor(COUNTS))
    assert made.shown.tolist() == pytest.approx([40, 12, 40, 40]) and times.tolist() == [1, 1, 8, 20]
    torch.testing.assert_close(made.weights, class_weights("class_balanced", made.shown))
    say = made.shown * made.weights
    assert float(say.max() / say.min()) < 1.02
    published = build(switch=0, loss="class_balanced", repeat=1.0)
    torch.testing.assert_close(published.weights, class_weights("class_balanced", torch.tensor(COUNTS)))
    assert float((published.shown * published.weights)[3] / (published.shown * published.weights)[0]) > 19
