"""Three streams that teach each other: the distillation by loops and against the published numbers, the whole step, settings."""

import copy
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.methods.floors import RandomEncoder, Untrained
from skelbench.methods.halp import HaLP
from skelbench.methods.halp_cmd import THREE, HaLP3s, distillation
from skelbench.nets.gru import GRU
from skelbench.parts.infonce import info_nce
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.streams import stream
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
    "plain_epochs": 0,
    "distil_from": 6,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, **config):
    config = HaLP3s.Config(**SMALL | config)
    return HaLP3s.build(config, topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator(seed))


def clips(N=4, seed=0):
    return batch_of(np.random.default_rng(seed).normal(size=(N, 12, 2, 25, 3)).astype(np.float32))


def train(method, steps, draws, *, first=0):
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.01)
    for i in range(first, first + steps):
        made = method.step(clips(seed=i), draws)
        optimiser.zero_grad()
        made.loss.backward()
        optimiser.step()
        method.after_step(draws)
        yield made


def by_loops(q, k, queue, top, teacher_t, student_t):
    """CMD's sum, one clip, one pair of streams, one neighbour at a time."""
    total = 0.0
    for a in q:
        for b in q:
            if a == b:
                continue
            for n in range(len(q[a])):
                near = sorted(range(len(queue[a])), key=lambda j: -float(k[a][n] @ queue[a][j]))[:top]
                p = [math.exp(float(k[a][n] @ queue[a][j]) / teacher_t) for j in near]
                s = torch.stack([torch.exp(q[b][n] @ queue[b][j] / student_t) for j in near])
                for i in range(top):
                    share = p[i] / sum(p)
                    total = total + share * (math.log(share) - torch.log(s[i] / s.sum())) / len(q[a])
    return total


def unit(*shape, seed):
    return functional.normalize(torch.randn(*shape, dtype=torch.float64, generator=generator(seed)), dim=1)


def test_distillation_equals_its_loops_with_gradients():
    q, k, queue = ({m: unit(n, 6, seed=10 * i + j) for j, m in enumerate(THREE)} for i, n in enumerate((4, 4, 9)))
    for values in q.values():
        values.requires_grad_()
    ours = distillation(
        {m: q[m] @ queue[m].T for m in THREE},
        {m: k[m] @ queue[m].T for m in THREE},
        top=5,
        teacher_temperature=0.05,
        student_temperature=0.1,
    )
    naive = by_loops(q, k, queue, 5, 0.05, 0.1)
    torch.testing.assert_close(ours, naive)
    for a, b in zip(*(torch.autograd.grad(loss, list(q.values())) for loss in (ours, naive)), strict=True):
        torch.testing.assert_close(a, b)


def test_published_losses():
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "halp_cmd_loss_a.npz", allow_pickle=False) as file:
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
        meta = json.loads(str(file["meta"]))["constructor"]

    def close(ours, theirs, tolerance=1e-5):
        assert ours.shape == theirs.shape and (ours - theirs).abs().max() <= tolerance * theirs.abs().max()

    raw = {m: z[f"input/{m}/q"].requires_grad_() for m in THREE}
    q = {m: functional.normalize(raw[m], dim=1) for m in THREE}  # the published gradients pass the normalisation
    k, queue = ({m: z[f"input/{m}/{what}"] for m in THREE} for what in ("k", "queue"))
    for m in THREE:
        loss, logits = info_nce(q[m], k[m], queue[m].T, meta["T"])
        close(loss, z[f"output/{m}/moco_loss"])
        close(logits, z[f"output/{m}/logits"])
    ours = distillation(
        {m: q[m] @ queue[m] for m in THREE},
        {m: k[m] @ queue[m] for m in THREE},
        top=meta["topk"],
        teacher_temperature=meta["teacher_T"],
        student_temperature=meta["student_T"],
    )
    close(ours, z["output/cmd_loss"])
    ours.backward()
    for m in THREE:
        close(raw[m].grad, z[f"output/{m}/cmd_grad_q"])


def test_step_is_three_halps_of_the_same_views_and_the_distillation():
    method, draws = build(distil=1.5, weight=0.7), generator(1)
    for _ in train(method, 8, draws):
        pass
    apart, state = {name: copy.deepcopy(method.halp(name)) for name in THREE}, draws.get_state().clone()
    made = method.step(clips(seed=50), draws)
    again, batch = generator(), clips(seed=50)
    again.set_state(state)
    views = [method.config.views.view(batch.joints, batch.lengths, KINECT, again) for _ in range(2)]
    found, queues = {}, {name: apart[name].queue.keys.clone() for name in THREE}
    for name in THREE:
        found[name] = apart[name].contrast(*(stream(name, view, KINECT) for view in views))
    steps = {name: apart[name].with_positives(found[name], again) for name in THREE}
    taught = by_loops({m: found[m].q for m in THREE}, {m: found[m].k for m in THREE}, queues, 6, 0.05, 0.1)
    loss = sum(one.loss for one in steps.values()) + 1.5 * taught
    assert all("halp" in one.parts for one in steps.values())
    torch.testing.assert_close(made.loss, loss, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made.parts["distil"], taught.detach(), rtol=1e-4, atol=1e-5)
    for name in THREE:
        torch.testing.assert_close(made.parts[f"moco_{name}"], steps[name].parts["moco"])
        torch.testing.assert_close(made.parts[f"halp_{name}"], steps[name].parts["halp"])
    assert torch.equal(draws.get_state(), again.get_state())
    ours = torch.autograd.grad(made.loss, [method.halp(n).query.head[2].weight for n in THREE])
    naive = torch.autograd.grad(loss, [apart[n].query.head[2].weight for n in THREE])
    for a, b in zip(ours, naive, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert {"query", "key", "query_motion", "key_bone", "positives_bone"} <= set(made.out)


def test_without_distillation_the_streams_are_strangers():
    method = build(distil=0.0, plain_epochs=5)
    made = method.step(clips(), generator(2))
    assert made.loss == sum(made.parts[f"moco_{name}"] for name in THREE)
    alone = HaLP.build(
        method.config.of("joint"), topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator()
    )  # joint is built first, so it begins alike
    assert torch.equal(alone.step(clips(), generator(2)).parts["moco"], made.parts["moco_joint"])


def test_resumed_it_goes_on_to_the_last_bit():
    method, draws = build(), generator(4)
    method.begin_epoch(0)
    for _ in train(method, 7, draws):
        pass
    saved, state = {k: v.clone() for k, v in method.state_dict().items()}, draws.get_state().clone()
    expected = [made.loss.item() for made in train(method, 4, draws, first=7)]
    other, again = build(seed=9), generator()
    other.load_state_dict(saved)
    again.set_state(state)
    other.begin_epoch(0)
    assert [made.loss.item() for made in train(other, 4, again, first=7)] == expected


def test_settings_of_the_streams_follow_live():
    method, draws = build(), generator(5)
    for _ in train(method, 7, draws):
        pass
    method.config = replace(method.config, hardness=1.0, temperature=0.5, distil=0.0)
    assert [method.halp(n).config.hardness for n in THREE] == [1.0] * 3
    assert [method.halp(n).config.stream for n in THREE] == list(THREE)
    made = method.step(clips(), draws)
    assert torch.equal(made.out["t_motion"], made.out["t_max_motion"])
    wanted = sum(made.parts[f"moco_{n}"] + 2 * made.parts[f"halp_{n}"] for n in THREE)
    torch.testing.assert_close(made.loss.detach(), wanted)
    assert HaLP3s.live <= set(HaLP3s.Config.__dataclass_fields__)


def test_features_are_those_of_the_streams_side_by_side_or_of_one():
    method, batch = build(), clips()
    parts = [method.halp(name).features(batch) for name in THREE]
    assert torch.equal(method.features(batch), torch.cat(parts, dim=1)) and method.width == 36
    for name, part in zip(THREE, parts, strict=True):
        method.config = replace(method.config, use=name)
        assert torch.equal(method.features(batch), part) and method.width == 12
    assert not torch.equal(parts[0], parts[1])


def test_one_stream_alone_shares_the_weights_and_leaves_the_method_as_it_is():
    method, batch = build(), clips()
    alone = {name: method.alone(name) for name in THREE}
    assert method.config.use is None and method.width == 36
    assert torch.equal(torch.cat([one.features(batch) for one in alone.values()], dim=1), method.features(batch))
    own = dict(method.named_parameters())
    assert all(p is own[name] for one in alone.values() for name, p in one.named_parameters())
    with pytest.raises(ConfigError, match="use='depth' is none of joint, motion, bone"):
        method.alone("depth")


def test_its_floor_is_itself_untrained():
    assert RandomEncoder.Config.fits(HaLP.Config()) and not RandomEncoder.Config.fits(HaLP3s.Config(use="motion"))
    config = HaLP3s.Config(**SMALL)
    floor = Untrained.beside(config, topology=KINECT, bodies=2, coordinates=3, classes=0, generator=generator())
    assert torch.equal(floor.features(clips()), build().features(clips())) and config.frames == 8


def test_paper_defaults():
    config = HaLP3s.Config()
    assert (config.distil, config.distil_from, config.teacher_temperature, config.student_temperature) == (1.0, 8192, 0.05, 0.1)
    assert config.of("bone") == HaLP.Config(stream="bone") and config.queue == 16384 and config.streams == THREE


@pytest.mark.parametrize(
    "setting",
    [
        {"stream": "bone"},
        {"distil": -1.0},
        {"distil_from": 0},
        {"distil_from": 20_000},
        {"teacher_temperature": 0.0},
        {"student_temperature": 0.0},
        {"use": "all"},
        {"hardness": 2.0},
    ],
)
def test_settings_out_of_range_are_told(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
        HaLP3s.Config(**setting)
