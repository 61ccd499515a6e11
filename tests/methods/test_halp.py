"""HaLP's schedule (when it generates, from which keys, with which prototypes), its loss in a whole step, and that it learns."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.methods import halp
from skelbench.methods.halp import HaLP
from skelbench.methods.moco import MoCo
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")
SMALL = {
    "encoder": GRU.Config(hidden=6, layers=1),
    "views": Views(frames=8, minimum=8),
    "queue": 10,
    "dim": 5,
    "prototypes": 3,
    "prototypes_from": 8,
    "positives": 6,
    "refresh": 4,
    "plain_epochs": 1,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, bodies=2, **config):
    config = HaLP.Config(**SMALL | config)
    return HaLP.build(config, topology=KINECT, bodies=bodies, coordinates=3, classes=0, generator=generator(seed))


def clips(N=4, seed=0):
    return batch_of(np.random.default_rng(seed).normal(size=(N, 12, 2, 25, 3)).astype(np.float32))


def train(method, steps, draws, *, first=0):
    """Steps as the loop makes them; yields (Step, prototypes after it)."""
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.01)
    for i in range(first, first + steps):
        made = method.step(clips(seed=i), draws)
        optimiser.zero_grad()
        made.loss.backward()
        optimiser.step()
        method.after_step(draws)
        yield made, method.prototypes


def test_schedule_of_generation_and_of_prototypes(monkeypatch):
    """Stage one: 3 steps. Stage two reaches 2K + 1 = 21 samples in its 6th step of 4; prototypes then, and at steps 8, 12 ..."""
    method, draws, clustered = build(), generator(1), []
    cluster = halp.spherical_kmeans

    def spy(points, clusters, **kw):
        clustered.append(points.clone())
        return cluster(points, clusters, **kw)

    monkeypatch.setattr(halp, "spherical_kmeans", spy)
    method.begin_epoch(0)
    assert all("halp" not in made.parts for made, _ in train(method, 3, draws)) and not clustered
    method.begin_epoch(1)
    keys, before, tables = [], 0, []
    for i, (made, prototypes) in enumerate(train(method, 15, draws, first=3)):
        keys += list(made.out["key"])
        on = i >= 5
        assert ("halp" in made.parts) == on == ("positives" in made.out) and method.generating == on
        refreshed = [5] if i == 5 else [i] if on and i % 4 == 0 else []
        assert len(clustered) - before == len(refreshed)
        if refreshed:  # the newest keys, this batch's among them
            assert torch.equal(clustered[-1], torch.stack(keys[-8:]))
        if on:
            used = made.out["prototypes"]
            # the switch-on uses new prototypes at once, a refresh serves the next step
            assert torch.equal(used, prototypes if i == 5 else tables[-1])
        before = len(clustered)
        tables.append(prototypes)
    assert len(clustered) == 3
    method.begin_epoch(2)  # the mini-batches of an epoch are counted from 0
    next(train(method, 1, draws))
    assert len(clustered) == 4


def test_loss_is_moco_plus_weighted_mean_over_all_kept_positives_of_the_keys():
    method, draws = build(plain_epochs=0, weight=1.5), generator(2)
    made = [made for made, _ in train(method, 12, draws)][-1]
    out, parts = made.out, made.parts
    assert parts["kept"].item() == pytest.approx(out["kept"].double().mean().item())
    points = out["positives"].points
    assert points.shape == (4, 6, 5) and out["t"].shape == out["t_max"].shape == out["targets"].shape == (4, 6)
    total = [float(out["query"][n] @ points[n, p]) for n in range(4) for p in range(6) if out["kept"][n, p]]
    assert parts["halp"].item() == pytest.approx(-np.mean(total) / 0.07, rel=1e-5)
    assert parts["similarity_positives"].item() == pytest.approx(np.mean(total), rel=1e-5)
    assert made.loss.item() == pytest.approx(parts["moco"].item() + 1.5 * parts["halp"].item(), rel=1e-5)
    assert torch.equal(out["positives"].anchors, out["key"])
    assert not any(v.requires_grad for v in (*parts.values(), out["query"], points))
    ratio = out["t"][out["t_max"] > 0] / out["t_max"][out["t_max"] > 0]
    assert ratio.min() > 0.2 and ratio.max() <= 1


def test_generation_off_is_moco_to_the_last_bit():
    plain = MoCo.Config(**{k: SMALL[k] for k in ("encoder", "views", "queue", "dim")})
    moco = MoCo.build(plain, topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator())
    ours = [made.loss.item() for made, _ in train(build(), 6, generator(3))]
    theirs = []
    optimiser = torch.optim.SGD([p for p in moco.parameters() if p.requires_grad], lr=0.01)
    draws = generator(3)
    for i in range(6):
        made = moco.step(clips(seed=i), draws)
        optimiser.zero_grad()
        made.loss.backward()
        optimiser.step()
        theirs.append(made.loss.item())
    assert ours == theirs


@pytest.mark.parametrize("stop", [3, 7])
def test_resumed_in_the_warm_up_or_after_it_goes_on_to_the_last_bit(stop):
    method, draws = build(plain_epochs=0), generator(4)
    method.begin_epoch(0)
    for _ in train(method, stop, draws):
        pass
    saved, state = {k: v.clone() for k, v in method.state_dict().items()}, draws.get_state().clone()
    expected = [made.loss.item() for made, _ in train(method, 5, draws, first=stop)]
    other, again = build(seed=9, plain_epochs=0), generator()
    other.load_state_dict(saved)
    again.set_state(state)
    other.begin_epoch(0)  # a run that stopped inside an epoch may say so again
    assert [made.loss.item() for made, _ in train(other, 5, again, first=stop)] == expected
    assert torch.equal(other.prototypes, method.prototypes) and other.progress.tolist() == [0, stop + 5, 4 * (stop + 5)]


def test_settings_are_read_afresh_and_bfloat16_leaves_the_sphere_alone():
    method, draws = build(plain_epochs=0), generator(5)
    for _ in train(method, 8, draws):
        pass
    method.config = replace(method.config, hardness=1.0, positives=9)
    made = method.step(clips(), draws)
    assert torch.equal(made.out["t"], made.out["t_max"]) and made.out["t"].shape == (4, 9)
    method.config = replace(method.config, weight=0.0)
    made = method.step(clips(), draws)
    assert made.loss == made.parts["moco"]
    assert {"hardness", "weight", "temperature"} <= HaLP.live <= set(HaLP.Config.__dataclass_fields__)
    with torch.autocast("cpu", torch.bfloat16):
        made = method.step(clips(), draws)
        method.refresh_prototypes(draws)
    assert made.out["positives"].points.dtype == method.prototypes.dtype == made.loss.dtype == torch.float32
    torch.testing.assert_close(method.prototypes.norm(dim=1), torch.ones(3))


def test_gradient_of_the_whole_step_by_differences():
    method = build(plain_epochs=0).double()
    draws = generator(6)
    with torch.no_grad():
        for i in range(8):
            method.step(batch64(i), draws)
    before, state = copy.deepcopy(method.state_dict()), draws.get_state()

    def loss(weight):
        method.load_state_dict(before)
        draws.set_state(state)
        with torch.no_grad():
            method.query.head[2].weight.copy_(weight)
        made = method.step(batch64(99), draws)
        assert "halp" in made.parts
        return made.loss

    weight = method.query.head[2].weight.detach().clone()
    ours = torch.autograd.grad(loss(weight), method.query.head[2].weight)[0]
    # The key encoder follows the query by 1 - momentum = 0.001, which differences see and the gradient does not: hence momentum 1.
    method.config = replace(method.config, momentum=1.0)
    ours = torch.autograd.grad(loss(weight), method.query.head[2].weight)[0]
    for at in [(0, 0), (2, 7), (4, 11)]:
        bump = torch.zeros_like(weight)
        bump[at] = 1e-6
        with torch.no_grad():
            slope = (loss(weight + bump) - loss(weight - bump)) / 2e-6
        assert ours[at].item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-6)


def batch64(seed):
    batch = clips(seed=seed)
    return batch.with_joints(batch.joints.double())


def test_paper_defaults():
    config = HaLP.Config()
    assert (config.queue, config.prototypes, config.prototypes_from, config.refresh, config.positives) == (16384, 20, 256, 10, 100)
    assert (config.hardness, config.weight, config.plain_epochs, config.nearest) == (0.2, 2.0, 200, 20)
    assert (config.temperature, config.momentum, config.stream) == (0.07, 0.999, "joint")
    assert config.encoder == GRU.Config(hidden=1024, layers=3) and config.dim == 128 and config.views == Views()
    assert build().warm_up == 2 * 10 + 1


@pytest.mark.parametrize(
    "setting",
    [
        {"hardness": 1.2},
        {"weight": -1},
        {"prototypes": 1},
        {"prototypes_from": 3},
        {"prototypes_from": 20_000},
        {"refresh": 0},
        {"positives": 0},
        {"nearest": 0},
        {"plain_epochs": -1},
        {"temperature": 0},
    ],
)
def test_settings_out_of_range_are_told(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
        HaLP.Config(**setting)


def planted(N, seed, classes=6):
    """Clips of six ways to move, each its own directions of all joints; size, start, posture and noise vary from clip to clip."""
    rng = np.random.default_rng(seed)
    posture, ways = (np.random.default_rng(i).normal(size=(n, 25, 3)) for i, n in ((0, 1), (1, classes)))
    labels, time = rng.integers(classes, size=N), np.arange(24) / 24
    swing = rng.uniform(0.2, 0.8, size=(N, 1)) * np.sin(2 * np.pi * (2 * time + rng.uniform(size=(N, 1))))
    x = posture + 0.1 * rng.normal(size=(N, 1, 25, 3)) + swing[:, :, None, None] * ways[labels][:, None]
    return batch_of((x + 0.3 * rng.normal(size=x.shape)).astype(np.float32)[:, :, None], labels=labels)


def one_nn(method, gallery, queries):
    a, b = (torch.nn.functional.normalize(method.features(x), dim=1) for x in (gallery, queries))
    return (gallery.labels[(b @ a.T).argmax(dim=1)] == queries.labels).double().mean().item()


def test_learns_a_planted_problem():
    gallery, queries, draws = planted(96, 1), planted(96, 2), generator(7)
    method = build(
        bodies=1,
        encoder=GRU.Config(hidden=24, layers=1, readout="mean"),
        views=Views(frames=16, minimum=16, p_shear=0.5, p_mask=0.25, p_corrupt=0.0, shear=0.3),
        queue=128,
        dim=16,
        prototypes=8,
        prototypes_from=64,
        positives=20,
        plain_epochs=2,
        weight=0.1,
        momentum=0.98,
        temperature=0.2,
    )
    start, moco, generated = one_nn(method, gallery, queries), [], []
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    for epoch in range(7):
        method.begin_epoch(epoch)
        for i in range(20):
            made = method.step(planted(32, 100 + 20 * epoch + i), draws)
            optimiser.zero_grad()
            made.loss.backward()
            optimiser.step()
            method.after_step(draws)
            moco.append(made.parts["moco"].item())
            generated.append("halp" in made.parts)
    assert generated == [False] * 48 + [True] * 92  # 2 epochs, then 257 samples
    assert np.mean(moco[-10:]) < np.mean(moco[5:15]) - 0.15  # the queue is full of real keys after 4 steps
    assert one_nn(method, gallery, queries) > max(start + 0.2, 0.8)
