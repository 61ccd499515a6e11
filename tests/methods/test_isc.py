"""ISC's step against its equations written out, pair by pair, and against the published loss; what it explains; what it refuses."""

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

from skelbench.errors import ConfigError, DataError
from skelbench.methods import isc
from skelbench.methods.floors import RandomEncoder
from skelbench.methods.isc import ISC, latent
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.topology import Topology, topology

KINECT = topology("kinect_v2_25")
SMALL = {
    "seq": GRU.Config(hidden=6, layers=1, input_norm=False),
    "graph": AGCN.Config(channels=(4, 8), window=3),
    "image": HCN.Config(rows=16, columns=16, channels=(4, 4, 6, 8)),
    "views": Views(frames=8, minimum=8),
    "queue": 12,
    "dim": 5,
}
PAIRS = [("seq", "graph"), ("seq", "image"), ("graph", "image")]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, layout=KINECT, bodies=2, **config):
    config = ISC.Config(**SMALL | config)
    return ISC.build(config, topology=layout, bodies=bodies, coordinates=3, classes=0, generator=generator(seed))


def clips(N=4, T=20, seed=0, V=25, M=2):
    joints = np.random.default_rng(seed).normal(size=(N, T, M, V, 3)).astype(np.float32)
    return batch_of(joints, lengths=[T - 3 * (n % 3) for n in range(N)])


@pytest.mark.parametrize(("mode", "pair"), [("inter", p) for p in PAIRS] + [("intra", ("image",)), ("intra", ("seq", "graph"))])
def test_two_steps_equal_the_equations_in_order(mode, pair):
    method = build(pair=pair, mode=mode, temperature=0.2, momentum=0.9).double()
    with torch.no_grad():
        for p in method.query.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=generator(int(p.numel())), dtype=p.dtype))
    query, key = copy.deepcopy(method.query), copy.deepcopy(method.key)
    queues = {name: [row.clone() for row in method.queue[name].keys] for name in pair}
    pointer, ours, theirs = 0, generator(3), generator(3)
    meets = dict.fromkeys(pair, pair[0]) if len(pair) == 1 else {pair[0]: pair[1], pair[1]: pair[0]}
    meets = {name: name for name in pair} if mode == "intra" else meets
    for step in range(2):
        one, two = (torch.randn(7, 3, 8, 25, 2, dtype=torch.float64, generator=generator(10 + 2 * step + i)) for i in range(2))
        found = method.contrast(one, two, ours)
        assert list(found) == list(pair)
        q = {name: latent(query[name], one, theirs) for name in pair}
        with torch.no_grad():
            for k, p in zip(key.parameters(), query.parameters(), strict=True):
                k.copy_(0.9 * k + 0.1 * p)  # after the queries, before the keys
            k = {name: latent(key[name], two, theirs) for name in pair}
        total = 0.0
        for name in pair:
            other, loss = meets[name], 0.0
            for n in range(7):
                logits = torch.stack([q[name][n] @ k[other][n], *(q[name][n] @ row for row in queues[other])]) / 0.2
                torch.testing.assert_close(found[name].logits[n], logits)
                loss = loss - torch.log(torch.exp(logits[0]) / torch.exp(logits).sum()) / 7
            torch.testing.assert_close(found[name].loss, loss)
            total = total + loss
        for name in pair:
            for n, row in enumerate(k[name]):
                queues[name][(pointer + n) % 12] = row
            torch.testing.assert_close(method.queue[name].keys, torch.stack(queues[name]))
        pointer = (pointer + 7) % 12
        made = torch.autograd.grad(sum(f.loss for f in found.values()), list(method.query.parameters()))
        naive = torch.autograd.grad(total, list(query.parameters()))
        for a, b in zip(made, naive, strict=True):
            torch.testing.assert_close(a, b)
        for mine, copied in ((method.query, query), (method.key, key)):
            for a, b in zip(mine.buffers(), copied.buffers(), strict=True):
                torch.testing.assert_close(a, b)  # every BatchNorm saw its own batches; none is averaged


def test_published_inter_loss(monkeypatch):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "isc_inter_loss_a.npz", allow_pickle=False) as file:
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
        assert "L1 contrasts q with l and queue_2" in json.loads(str(file["meta"]))["notes"]
    method = build(queue=64, dim=128, temperature=float(z["input/temperature"]))
    method.queue["seq"].keys.copy_(z["input/queue_1"].T)
    method.queue["graph"].keys.copy_(z["input/queue_2"].T)
    q, r = z["input/q"].requires_grad_(), z["input/r"].requires_grad_()
    given = {
        id(method.query["seq"]): functional.normalize(q, dim=1),  # the published gradients pass the normalisation
        id(method.query["graph"]): functional.normalize(r, dim=1),
        id(method.key["seq"]): z["input/k"],
        id(method.key["graph"]): z["input/l"],
    }
    monkeypatch.setattr(isc, "latent", lambda branch, x, generator: given[id(branch)])
    found = method.contrast(torch.zeros(1), torch.zeros(1), generator())

    def close(ours, theirs, tolerance=1e-5):
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()

    close(found["seq"].loss, z["output/L1"])
    close(found["graph"].loss, z["output/L2"])
    close(found["seq"].logits, z["output/logits_1"])
    close(found["graph"].logits, z["output/logits_2"])
    (found["seq"].loss + found["graph"].loss).backward()
    close(q.grad, z["output/grad_q"])
    close(r.grad, z["output/grad_r"])
    close(method.queue["seq"].keys, z["output/queue_1_after"].T)
    close(method.queue["graph"].keys, z["output/queue_2_after"].T)
    assert [int(method.queue[n].pointer) for n in ("seq", "graph")] == z["output/pointer_after"].tolist()


def test_both_representations_of_a_view_share_its_augmentation(monkeypatch):
    method, batch, seen = build(), clips(), []
    make = isc.latent
    monkeypatch.setattr(isc, "latent", lambda branch, x, g: seen.append(x) or make(branch, x, g))
    method.step(batch, generator(4))
    again = generator(4)
    one, two = (method.config.views.view(batch.joints, batch.lengths, KINECT, again) for _ in range(2))
    assert [torch.equal(x, one) for x in seen] == [True, True, False, False]
    assert [torch.equal(x, two) for x in seen] == [False, False, True, True]


def test_step_tells_its_parts_and_hangs_on_the_generator_alone():
    made = [build(pair=("graph", "image")).step(clips(), generator(5)) for _ in range(2)]
    assert torch.equal(made[0].loss, made[1].loss)
    assert not torch.equal(made[0].loss, build(pair=("graph", "image")).step(clips(), generator(6)).loss)
    parts, out = made[0].parts, made[0].out
    assert parts["loss_graph"] + parts["loss_image"] == made[0].loss
    assert set(out) == {"query", "key", "query_image", "key_image"}
    # "key" is what "query" is to find: the other representation's
    torch.testing.assert_close(parts["cosine_graph_image"], (out["query"] * out["key"]).sum(dim=1).mean())
    torch.testing.assert_close(parts["cosine_image_graph"], (out["query_image"] * out["key_image"]).sum(dim=1).mean())
    torch.testing.assert_close(parts["cosine_graph_graph"], (out["query"] * out["key_image"]).sum(dim=1).mean())
    assert not any(v.requires_grad for v in (*parts.values(), *out.values()))
    method = build()
    method.step(clips(), generator()).loss.backward()
    assert all(p.grad is not None for p in method.query.parameters())
    assert all(p.grad is None and not p.requires_grad for p in method.key.parameters())


def test_top1_counts_wins_and_chance_is_what_guessing_costs():
    method = build()
    found = method.contrast(*method.views(clips(), generator()), generator())
    for name, one in found.items():
        wins = [all(one.logits[n, 0] > one.logits[n, j] for j in range(1, 13)) for n in range(4)]
        assert method._measures(found)[f"top1_{name}"].item() == pytest.approx(sum(wins) / 4)
    guess = functional.cross_entropy(torch.zeros(4, 13), torch.zeros(4, dtype=torch.int64))
    assert method.chance == pytest.approx(2 * guess.item()) and build(pair=("seq",), mode="intra").chance == pytest.approx(
        math.log(13)
    )


def test_intra_of_two_are_two_separate_learners():
    both = build(pair=("seq", "graph"), mode="intra").double()
    alone = build(pair=("graph",), mode="intra").double()
    for part in ("query", "key", "queue"):
        getattr(alone, part)["graph"].load_state_dict(getattr(both, part)["graph"].state_dict())
    views = [torch.randn(4, 3, 8, 25, 2, dtype=torch.float64, generator=generator(i)) for i in range(2)]
    two, one = both.contrast(*views, generator()), alone.contrast(*views, generator())
    torch.testing.assert_close(two["graph"].loss, one["graph"].loss)
    assert set(both._measures(two)) >= {"cosine_seq_graph", "cosine_graph_graph"} and len(both._measures(two)) == 8


@pytest.mark.parametrize("name", ["seq", "graph", "image"])
def test_features_are_the_query_encoder_at_rest(name):
    pair = ("image", name) if name != "image" else ("seq", name)
    method, batch = build(pair=pair, use=name), clips()
    for _ in range(2):
        method.step(batch, generator())
    before, state = copy.deepcopy(method.state_dict()), method.train()
    features = method.features(batch)
    assert state.training and not features.requires_grad and features.shape == (4, method.width)
    assert all(torch.equal(before[k], v) for k, v in method.state_dict().items())
    encoder = method.query[name].encoder.eval()
    x = centre_crop_resize(batch.joints, batch.lengths, frames=8, ratio=0.95)
    torch.testing.assert_close(features, encoder(x).detach())
    torch.testing.assert_close(method.features_of(name, batch), features)
    other = next(n for n in pair if n != name)
    method.config = replace(method.config, use=other)
    assert method.width == method.widths[other] and torch.equal(method.features(batch), method.features_of(other, batch))
    with pytest.raises(ConfigError, match="representations"):
        method.features_of("video", batch)


def test_default_features_are_those_of_the_first_and_random_is_its_beginning():
    config = ISC.Config(**SMALL | {"pair": ("graph", "seq")})
    assert config.used == "graph" and config.encoder == config.graph and config.stream == "joint"
    shape = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": 0}
    floor = RandomEncoder.build(RandomEncoder.Config.of(config), generator=generator(), **shape)
    start = ISC.build(config, generator=generator(), **shape)
    assert torch.equal(floor.features(clips()), start.features(clips()))


def test_other_skeletons_and_body_counts():
    own = Topology.from_dict({"name": "y", "joints": ["root", "chest", "left", "right"], "parents": [-1, 0, 1, 1]})
    for pair in PAIRS:
        method = build(layout=own, bodies=1, pair=pair)
        method.step(clips(V=4, M=1), generator()).loss.backward()
        assert method.features(clips(V=4, M=1)).shape == (4, method.width)


@pytest.mark.parametrize("pair", PAIRS)
def test_explanation_is_gradient_times_input_and_the_last_graph(pair):
    method, batch = build(pair=pair).double(), clips()
    batch = batch.with_joints(batch.joints.double())
    with torch.no_grad():
        for p in method.query.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator(int(p.numel())), dtype=p.dtype))
    found, step = method.explain(batch), 1e-6
    assert found.joints.shape == (4, 20, 25)
    torch.testing.assert_close(found.joints.sum(dim=(1, 2)), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found.frames, found.joints.sum(dim=2))
    assert found.joints[1, 17:].eq(0).all()  # the padding of a clip of 17 frames

    def half(scale, t, v):
        joints = batch.joints.clone()
        joints[:, :, t, v] *= scale
        return method.features(batch.with_joints(joints)).square().sum(dim=1) / 2

    spots = [(3, 2), (7, 11), (9, 20)]
    slopes = torch.stack([(half(1 + step, *s) - half(1 - step, *s)) / (2 * step) for s in spots], dim=1).abs()  # (N, spots)
    shares = torch.stack([found.joints[:, t, v] for t, v in spots], dim=1)
    torch.testing.assert_close(shares[:, 1:] / shares[:, :1], slopes[:, 1:] / slopes[:, :1], rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in method.parameters())
    if "graph" in pair:
        joints = batch.joints.clone()
        joints[0, ..., 1] = 0  # the second body of the first clip was never there
        alone = method.explain(replace(batch, joints=joints, present=(joints != 0).any(dim=3).any(dim=1)))
        x = centre_crop_resize(joints, batch.lengths, frames=8)
        mixing = method.query["graph"].encoder.eval().adjacency(x)[:, :, -1]
        torch.testing.assert_close(alone.pairs[0], mixing[0, 0])
        torch.testing.assert_close(alone.pairs[1], mixing[1].mean(dim=0))
    else:
        assert found.pairs is None


def test_settings_are_read_afresh_and_bfloat16_leaves_the_sphere_alone():
    method = build(pair=("seq", "image"))
    method.config = replace(method.config, temperature=0.5, momentum=1.0, views=Views(frames=12, minimum=8))
    before = copy.deepcopy(method.key.state_dict())
    made = method.step(clips(), generator())
    assert all(torch.equal(before[k], v) for k, v in method.key.state_dict().items())
    cosine = made.parts["cosine_seq_image"]
    assert made.parts["loss_seq"].item() == pytest.approx(build_loss(method, made, cosine), rel=1e-4)
    assert ISC.live <= set(ISC.Config.__dataclass_fields__)
    with torch.autocast("cpu", torch.bfloat16):
        made = build().step(clips(), generator())
    made.loss.backward()
    assert made.loss.dtype == made.out["query"].dtype == torch.float32
    torch.testing.assert_close(made.out["query_graph"].norm(dim=1), torch.ones(4))
    assert made.loss.item() == pytest.approx(build().step(clips(), generator()).loss.item(), rel=0.1)


def build_loss(method, made, cosine):
    """The first loss from the step's own latents, with the temperature that was just set."""
    fresh = build(pair=("seq", "image")).queue["image"].keys
    logits = torch.cat([(made.out["query"] * made.out["key"]).sum(dim=1, keepdim=True), made.out["query"] @ fresh.T], dim=1) / 0.5
    assert logits[:, 0].mean().item() * 0.5 == pytest.approx(cosine.item(), rel=1e-4)
    return functional.cross_entropy(logits, torch.zeros(4, dtype=torch.int64)).item()


def test_heads_begin_as_their_encoders_do():
    method = build(pair=("graph", "image"), dim=64, graph=AGCN.Config(channels=(64,)))
    graph, image = (method.query[name].head[2] for name in ("graph", "image"))
    assert graph.weight.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.05) and graph.bias.abs().max() > 0
    bound = math.sqrt(6 / (method.widths["image"] + 64))
    assert 0.9 * bound < image.weight.abs().max() <= bound and image.bias.eq(0).all()
    sizes = {
        name: sum(p.numel() for p in isc.head(name, width, 128, generator()).parameters()) for name, width in (("graph", 256),)
    }
    assert 3_454_090 + sizes["graph"] == 3_552_778


def test_paper_defaults():
    config = ISC.Config()
    assert (config.pair, config.mode, config.used) == (("seq", "graph"), "inter", "seq")
    assert (config.queue, config.momentum, config.temperature, config.dim) == (16384, 0.999, 0.07, 128)
    assert config.seq == GRU.Config(hidden=1024, layers=3, input_norm=False) and config.views == Views()
    assert config.graph == AGCN.Config() and config.image == HCN.Config()


@pytest.mark.parametrize(
    "setting",
    [
        {"pair": ("seq",)},
        {"pair": ("seq", "seq")},
        {"pair": ("seq", "video")},
        {"pair": ("seq", "graph", "image")},
        {"pair": ("seq", "graph", "image"), "mode": "intra"},
        {"pair": (), "mode": "intra"},
        {"mode": "both"},
        {"use": "image"},
        {"queue": 0},
        {"momentum": 1.5},
        {"temperature": 0.0},
        {"dim": 1},
    ],
)
def test_settings_out_of_range_are_told(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
        ISC.Config(**setting)


def test_a_batch_of_another_skeleton_is_told():
    method = build(pair=("graph", "image"))
    with pytest.raises(DataError, match=r"V = 25 for topology 'kinect_v2_25'"):
        method.features(clips(V=17))
    with pytest.raises(ConfigError, match=r"built for joints \(N, 3, T, 25, 2\), got \(4, 3, 8, 25, 1\)"):
        method.features(clips(M=1))
