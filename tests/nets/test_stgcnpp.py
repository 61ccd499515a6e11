"""ST-GCN++ against its equations, one graph, branch and joint pair at a time, and against the published tensors."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from skelbench.errors import ConfigError
from skelbench.nets.stgcnpp import STGCNPP, published_graph
from skelbench.skeleton.topology import Topology, topology

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(layout=KINECT, *, bodies=2, coordinates=3, **settings):
    """A small network in float64 in which every weight has a value of its own."""
    config = STGCNPP.Config(**{"channels": (13, 13, 20), "window": 3, "dilations": (1, 2)} | settings)
    net = STGCNPP(config, topology=layout, bodies=bodies, coordinates=coordinates, generator=generator()).double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim == 1 or "graph" in name:
                p.add_(0.5 * torch.randn(p.shape, generator=generator(len(name)), dtype=p.dtype))
        for name, b in net.named_buffers():
            if "running" in name:
                b.add_(torch.rand(b.shape, generator=generator(len(name)), dtype=b.dtype))
    return net


def norm(bn, x):
    """BatchNorm along axis 1, from its definition."""
    mean, var = bn.running_mean, bn.running_var
    if bn.training:
        others = [d for d in range(x.ndim) if d != 1]
        mean, var = x.mean(dim=others), x.var(dim=others, unbiased=False)
    shape = [-1 if d == 1 else 1 for d in range(x.ndim)]
    return (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5) * bn.weight.view(shape) + bn.bias.view(shape)


def pointwise(conv, x, stride=1):
    return torch.einsum("oc,bctv->botv", conv.weight[:, :, 0, 0], x[:, :, ::stride]) + conv.bias.view(1, -1, 1, 1)


def naive_temporal(unit, x, stride, window, dilations):
    found, T = [], x.shape[2]
    for branch, dilation in zip(unit.branches, dilations, strict=False):
        y = relu(norm(branch[1], pointwise(branch[0], x)))
        reach = dilation * (window // 2)
        padded = torch.cat([y.new_zeros(*y.shape[:2], reach, y.shape[3]), y, y.new_zeros(*y.shape[:2], reach, y.shape[3])], dim=2)
        steps = []
        for t in range(0, T, stride):
            taps = [
                torch.einsum("oc,bcv->bov", branch[3].weight[:, :, k, 0], padded[:, :, t + k * dilation]) for k in range(window)
            ]
            steps.append(sum(taps) + branch[3].bias.view(1, -1, 1))
        found.append(torch.stack(steps, dim=2))
    y = relu(norm(unit.branches[-2][1], pointwise(unit.branches[-2][0], x)))
    half = window // 2
    found.append(torch.stack([y[:, :, max(0, t - half) : t + half + 1].amax(dim=2) for t in range(0, T, stride)], dim=2))
    found.append(pointwise(unit.branches[-1][0], x, stride))
    y = relu(norm(unit.join[0], torch.cat(found, dim=1)))
    return norm(unit.join[3], pointwise(unit.join[2], y))


def naive(net, x):
    """The network as published (N, C, T, V, M), in the order of its equations."""
    N, C, T, V, M = x.shape
    rows = torch.stack([torch.stack([x[n, c, :, v, m] for v in range(V) for c in range(C)]) for n in range(N) for m in range(M)])
    rows = norm(net.input_norm, rows)  # (B, V * C, T)
    y = torch.stack([rows[:, [v * C + c for v in range(V)]].transpose(1, 2) for c in range(C)], dim=1)  # (B, C, T, V)
    for i, block in enumerate(net.blocks):
        s, given, width = block.spatial, y.shape[1], block.spatial.norm.num_features
        mixed = pointwise(s.mix, y)
        z = sum(torch.einsum("bctv,vw->bctw", mixed[:, k * width : (k + 1) * width], s.graph[k]) for k in range(3))
        shortcut = y if s.shortcut is None else norm(s.shortcut[1], pointwise(s.shortcut[0], y))
        g = relu(norm(s.norm, z) + shortcut)
        stride = 2 if i and width > given else 1
        out = naive_temporal(block.temporal, g, stride, net.config.window, net.config.dilations)
        if i:
            out = out + (y if block.residual is None else norm(block.residual[1], pointwise(block.residual[0], y, stride)))
        y = relu(out)
    return y.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "bodies", "coordinates", "frames", "settings"),
    [
        ("kinect_v2_25", 2, 3, 7, {}),
        ("coco_17", 1, 3, 6, {"window": 5, "dilations": (1, 2, 3), "channels": (9, 16)}),
        ("shrec17_hand_22", 1, 3, 5, {"dilations": (), "channels": (5, 8)}),
    ],
)
def test_equals_its_equations_with_gradients(training, name, bodies, coordinates, frames, settings):
    layout = topology(name)
    net = build(layout, bodies=bodies, coordinates=coordinates, **settings).train(training)
    x = torch.randn(3, coordinates, frames, layout.V, bodies, dtype=torch.float64, generator=generator(1), requires_grad=True)
    expected = naive(net, x)
    torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-11)
    weights = [x, *net.parameters()]
    ours = torch.autograd.grad(net(x).square().sum(), weights)
    theirs = torch.autograd.grad(expected.square().sum(), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_starts_as_published():
    net = STGCNPP(STGCNPP.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    head = nn.Linear(net.width, 60)
    assert sum(p.numel() for p in [*net.parameters(), *head.parameters()]) == 1_403_144
    assert net.mapped(torch.zeros(1, 3, 64, 25, 2)).shape == (1, 2, 256, 16, 25)
    assert [b.branches[0][0].out_channels for b in (net.blocks[i].temporal for i in (0, 4, 7))] == [14, 23, 46]
    assert net.learned.eq(published_graph(KINECT)).all() and net.learned.shape == (10, 3, 25, 25)
    for i, block in enumerate(net.blocks):
        assert (block.spatial.shortcut is None) == (i not in (0, 4, 7)) and (block.residual is None) == (i not in (4, 7))
        bound = block.spatial.mix.in_channels**-0.5
        assert 0.9 * bound < block.spatial.mix.weight.abs().max() <= bound
    again = STGCNPP(STGCNPP.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_graph_of_the_published_layout_and_of_a_small_one():
    given = published_graph(KINECT)[1]
    assert [given[:, tip].nonzero().item() for tip in (21, 22, 23, 24)] == [7, 7, 11, 11]  # tip and thumb hang on the hand
    own = Topology.from_dict({"name": "y", "joints": ["root", "chest", "left", "right"], "parents": [-1, 0, 1, 1]})
    inward, outward = published_graph(own)[1:]
    assert inward.tolist() == [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]  # row: the parent, column: its child
    assert outward.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0.5, 0, 0]]


def test_autocast_gives_features_near_those_of_float32():
    net = build().float().eval()
    x = torch.randn(2, 3, 8, 25, 2, generator=generator(3))
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x)
    torch.testing.assert_close(half.float(), net(x), rtol=0.1, atol=0.1)


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"\(N, 3, T, 25, 2\).*\(2, 3, 4, 17, 2\)"):
        build()(torch.zeros(2, 3, 4, 17, 2, dtype=torch.float64))
    for setting in ({"channels": ()}, {"channels": (5,)}, {"window": 4}, {"dilations": (0,)}):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
            STGCNPP.Config(**setting)


# -- the published reference tensors ---------------------------------------------------------------------------------------------


def place(key):
    """Where a published tensor stands here."""
    key = key.removeprefix("backbone.").replace("data_bn", "input_norm").replace("cls_head.fc_cls", "head")
    if found := re.fullmatch(r"gcn\.(\d+)\.(.*)", key):
        rest = found[2].replace("gcn.A", "spatial.graph").replace("gcn.bn", "spatial.norm").replace("gcn.conv", "spatial.mix")
        rest = rest.replace("gcn.down", "spatial.shortcut").replace("3.conv", "3").replace("residual.conv", "residual.0")
        rest = rest.replace("residual.bn", "residual.1").replace("tcn.branches.5", "tcn.branches.5.0")
        rest = rest.replace("tcn.transform", "tcn.join").replace("tcn.bn", "tcn.join.3").replace("tcn.", "temporal.")
        return f"blocks.{found[1]}.{rest}"
    return key


def close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert (ours.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("training", [False, True])
def test_published_network(training):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "brl_stgcnpp_a.npz", allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
    net = STGCNPP(STGCNPP.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    net.add_module("head", nn.Linear(256, 60))
    net.load_state_dict({place(k.removeprefix("weight/")): v for k, v in z.items() if k.startswith("weight/")})  # all of them
    head, where = net.get_submodule("head"), "train/" if training else ""
    out = {k.removeprefix("output/"): v for k, v in z.items() if k.startswith("output/")}
    if training:  # what BatchNorm remembers of one pass
        with torch.no_grad():
            net.train()(z["input/x"].permute(0, 4, 2, 3, 1))
        states = {place(k.removeprefix("train/state/")): v for k, v in out.items() if k.startswith("train/state/")}
        assert set(states) == {k for k in net.state_dict() if "running" in k}
        for key, value in states.items():
            close(net.state_dict()[key], value)
    else:
        alone = z["input/x"].clone()
        alone[0, 1] = 0
        with torch.no_grad():
            both = net.eval()(torch.cat([z["input/x"], alone]).permute(0, 4, 2, 3, 1))
            close(both, torch.cat([out["features"], out["absent/features"]]))
            close(head(both[2:]), out["absent/logits"])
            close(head(both[:2]).softmax(dim=1).mean(dim=0, keepdim=True), out["probability_mean_over_clips"])
    net = net.double()
    given = z["input/x"].double().requires_grad_()  # (N, M, T, V, C)
    y = net.normed(given.permute(0, 4, 2, 3, 1))
    for i, block in enumerate(net.blocks, start=1):
        y = block(y)
        if not training:
            close(y.mean(dim=(2, 3)), out[f"block_mean/{i:02}"])
    features = y.mean(dim=(2, 3)).unflatten(0, (-1, 2)).mean(dim=1)
    logits = head(features)
    close(features, out[f"{where}features"])
    close(logits, out[f"{where}logits"])
    (logits * z["input/cotangent"]).sum().backward()
    close(given.grad, out[f"{where}grad_input"])
    gradients = {k: p.grad for k, p in net.named_parameters()}
    close(torch.stack([gradients[place(key)].norm() for key in meta["parameter_order"]]), out[f"{where}param_grad_norm"])
