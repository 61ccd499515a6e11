"""MoCo's step against the order and the equations written out, and against the published reference step."""

import copy
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.methods.moco import MoCo
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.streams import bone, motion
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, **config):
    settings = {"encoder": GRU.Config(hidden=6, layers=1), "views": Views(frames=8, minimum=8), "queue": 12, "dim": 5} | config
    return MoCo.build(MoCo.Config(**settings), topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator(seed))


def clips(N=4, T=20, seed=0):
    joints = np.random.default_rng(seed).normal(size=(N, T, 2, 25, 3)).astype(np.float32)
    return batch_of(joints, lengths=[T - 3 * (n % 3) for n in range(N)])


def test_two_steps_equal_the_equations_in_order():
    method = build(temperature=0.2, momentum=0.9).double()
    query, key = copy.deepcopy(method.query), copy.deepcopy(method.key)
    slots, pointer = [row.clone() for row in method.queue.keys], 0
    with torch.no_grad():
        for p in (*method.query.parameters(), *query.parameters()):
            p.add_(0.01 * torch.randn(p.shape, generator=generator(int(p.numel())), dtype=p.dtype))
    for step in range(2):
        one, two = (torch.randn(7, 3, 8, 25, 2, dtype=torch.float64, generator=generator(10 + 2 * step + i)) for i in range(2))
        found = method.contrast(one, two)
        q = query(one)
        with torch.no_grad():
            for k, p in zip(key.parameters(), query.parameters(), strict=True):
                k.copy_(0.9 * k + 0.1 * p)  # before the keys are computed
            k = key(two)
        loss = 0.0
        for n in range(7):
            logits = torch.stack([q[n] @ k[n], *(q[n] @ row for row in slots)]) / 0.2
            torch.testing.assert_close(found.logits[n], logits)
            loss = loss - torch.log(torch.exp(logits[0]) / torch.exp(logits).sum()) / 7
        torch.testing.assert_close(found.loss, loss)
        for row in k:  # after the logits
            slots[pointer] = row
            pointer = (pointer + 1) % 12
        torch.testing.assert_close(method.queue.keys, torch.stack(slots))
        ours = torch.autograd.grad(found.loss, list(method.query.parameters()))
        naive = torch.autograd.grad(loss, list(query.parameters()))
        for a, b in zip(ours, naive, strict=True):
            torch.testing.assert_close(a, b)
        # the key's BatchNorm saw its own batches and is not averaged
        torch.testing.assert_close(method.key.encoder.input_norm.running_mean, key.encoder.input_norm.running_mean)
        assert not torch.equal(method.key.encoder.input_norm.running_mean, method.query.encoder.input_norm.running_mean)


def test_step_tells_its_parts_and_hangs_on_the_generator_alone():
    made = [build().step(clips(), generator(5)) for _ in range(2)]
    assert torch.equal(made[0].loss, made[1].loss)
    assert not torch.equal(made[0].loss, build().step(clips(), generator(6)).loss)
    parts, out = made[0].parts, made[0].out
    assert set(parts) == {"moco", "top1", "similarity"} and parts["moco"] == made[0].loss
    torch.testing.assert_close(parts["similarity"], (out["query"] * out["key"]).sum(dim=1).mean())
    assert 0 <= parts["top1"] <= 1 and not any(v.requires_grad for v in (*parts.values(), *out.values()))
    method = build()
    loss = method.step(clips(), generator()).loss
    loss.backward()
    assert all(p.grad is not None for p in method.query.parameters())
    assert all(p.grad is None and not p.requires_grad for p in method.key.parameters())


def test_contrastive_top1_counts_wins():
    method = build()
    found = method.contrast(*method.views(clips(), generator()))
    wins = [all(found.logits[n, 0] > found.logits[n, j] for j in range(1, 13)) for n in range(4)]
    assert method._measures(found)["top1"].item() == pytest.approx(sum(wins) / 4)


def test_views_are_two_draws_in_the_chosen_stream():
    batch = clips()
    for name, turn in {"joint": lambda x: x, "bone": lambda x: bone(x, KINECT), "motion": motion}.items():
        method = build(stream=name)
        one, two = method.views(batch, generator(3))
        g = generator(3)
        for view in (one, two):
            torch.testing.assert_close(view, turn(method.config.views.view(batch.joints, batch.lengths, KINECT, g)))
        assert one.shape == (4, 3, 8, 25, 2) and not torch.equal(one, two)


def test_features_are_frozen_whatever_the_mode():
    method, batch = build(stream="bone"), clips()
    for _ in range(3):
        method.step(batch, generator())
    before = copy.deepcopy(method.state_dict())
    method.train()
    method.query.head.eval()
    features = method.features(batch)
    assert method.training and method.query.encoder.training and method.query.encoder.input_norm.training
    assert not features.requires_grad and features.shape == (4, method.width) == (4, 12)
    assert all(torch.equal(before[k], v) for k, v in method.state_dict().items())
    alone = torch.cat([method.features(clips_of(batch, n)) for n in range(4)])
    torch.testing.assert_close(features, alone)  # running statistics: a clip's features do not hang on its neighbours
    method.eval()
    assert torch.equal(method.features(batch), features) and not method.query.encoder.training
    x = bone(centre_crop_resize(batch.joints, batch.lengths, frames=8, ratio=0.95), KINECT)
    torch.testing.assert_close(features, method.query.encoder(x).detach())


def clips_of(batch, n):
    rows = slice(n, n + 1)
    fields = {k: getattr(batch, k)[rows] for k in ("joints", "lengths", "present", "labels", "ids", "rows")}
    return replace(batch, **fields)


def test_bfloat16_encoder_keeps_the_sphere_in_float32():
    method = build()
    with torch.autocast("cpu", torch.bfloat16):
        made = method.step(clips(), generator())
        assert method.features(clips()).dtype == torch.float32
    made.loss.backward()
    assert made.loss.dtype == made.out["query"].dtype == torch.float32
    torch.testing.assert_close(made.out["query"].norm(dim=1), torch.ones(4))
    assert made.loss.item() == pytest.approx(build().step(clips(), generator()).loss.item(), rel=0.1)


@pytest.mark.parametrize("setting", [{"stream": "joints"}, {"queue": 0}, {"momentum": 1.5}, {"temperature": 0.0}, {"dim": 1}])
def test_settings_out_of_range_are_told(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
        MoCo.Config(**setting)


def test_published_two_steps():
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "halp_moco_step_a.npz", allow_pickle=False) as file:
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
        meta = json.loads(str(file["meta"]))
    config = MoCo.Config(encoder=GRU.Config(hidden=16), queue=8, momentum=0.99)
    method = MoCo.build(config, topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator())
    names = {}
    for ours in method.state_dict():
        branch, _, rest = ours.partition(".")
        theirs = rest.replace("head.", "fc.") if "head." in rest else rest.removeprefix("encoder.")
        theirs = theirs if "input_norm" in theirs or "fc." in theirs else f"encoder.gru.{theirs}"
        names[ours] = f"encoder_{branch[0]}.{theirs}" if branch != "queue" else {"keys": "queue", "pointer": "queue_ptr"}[rest]

    def close(value, theirs, tolerance=1e-5):
        assert (value.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()

    def as_ours(ours, value):
        return value.T if ours == "queue.keys" else value.reshape(()) if ours == "queue.pointer" else value

    method.load_state_dict({ours: as_ours(ours, z[f"weight/{theirs}"]) for ours, theirs in names.items()})
    wide = copy.deepcopy(method).double()
    for step in ("step1", "step2"):
        found = method.contrast(z[f"input/{step}/query_clip"], z[f"input/{step}/key_clip"])
        close(found.logits, z[f"output/{step}/logits"])
        close(found.loss, z[f"output/{step}/loss"])
        compared = 0
        for ours, theirs in names.items():
            if f"output/{step}/state/{theirs}" in z:
                close(method.state_dict()[ours], as_ours(ours, z[f"output/{step}/state/{theirs}"]))
                compared += 1
        assert compared == 37
        again = wide.contrast(z[f"input/{step}/query_clip"].double(), z[f"input/{step}/key_clip"].double())
        wide.zero_grad()
        again.loss.backward()
        norms = {names[f"query.{k}"].removeprefix("encoder_q."): p.grad.norm() for k, p in wide.query.named_parameters()}
        close(torch.stack([norms[k] for k in meta["parameter_order"]]), z[f"output/{step}/query_param_grad_norm"])
