"""A-GCN against its equations, one subset, body and joint pair at a time, and against the published tensors."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, relu

from skelbench.errors import ConfigError
from skelbench.nets.agcn import AGCN, spatial_graph
from skelbench.nets.heads import ProjectionHead
from skelbench.skeleton.topology import Topology, topology

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(layout=KINECT, *, bodies=2, coordinates=3, channels=(8, 8, 16, 16), window=5, seed=0, stirred=True):
    """A small network in float64; ``stirred`` gives every weight that starts at a constant a value of its own."""
    config = AGCN.Config(channels=channels, window=window)
    net = AGCN(config, topology=layout, bodies=bodies, coordinates=coordinates, generator=generator(seed)).double()
    if stirred:
        with torch.no_grad():
            for name, p in net.named_parameters():
                if p.ndim == 1 or "bias" in name or "learned" in name:
                    p.add_(0.5 * torch.randn(p.shape, generator=generator(len(name)), dtype=p.dtype))
            for name, b in net.named_buffers():
                if "running" in name:
                    b.add_(torch.rand(b.shape, generator=generator(len(name)), dtype=b.dtype))
    return net


def norm(bn, x, axis):
    """BatchNorm along ``axis`` of x, from its definition."""
    mean, var = bn.running_mean, bn.running_var
    if bn.training:
        others = [d for d in range(x.ndim) if d != axis]
        mean, var = x.mean(dim=others), x.var(dim=others, unbiased=False)
    shape = [-1 if d == axis else 1 for d in range(x.ndim)]
    y = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5)
    return y * bn.weight.view(shape) + bn.bias.view(shape)


def naive(net, x):
    """The network as the paper writes it, (B, C, T, V), body by body into one batch; features, adjacencies."""
    N, C, T, V, M = x.shape
    channels = torch.stack([x[:, c, :, v, m] for m in range(M) for v in range(V) for c in range(C)], dim=1)  # (N, M*V*C, T)
    channels = norm(net.input_norm, channels, 1).view(N, M, V, C, T)
    x = torch.stack([channels[n, m].permute(1, 2, 0) for n in range(N) for m in range(M)])  # (B, C, T, V)
    tables = []
    for i, block in enumerate(net.blocks):
        s = block.spatial
        out, found = 0, []
        for k in range(3):
            theta = torch.einsum("oc,bctv->botv", s.theta[k], x) + s.theta_bias[k].view(1, -1, 1, 1)
            phi = torch.einsum("oc,bctv->botv", s.phi[k], x) + s.phi_bias[k].view(1, -1, 1, 1)
            score = torch.einsum("bctv,bctw->bvw", theta, phi) / (theta.shape[1] * theta.shape[2])
            attention = score.exp() / score.exp().sum(dim=1, keepdim=True)
            A = attention + net.graph[k] + s.learned[k]
            y = torch.einsum("bctv,bvw->bctw", x, A)  # joints first, channels after, as in the paper
            out = out + torch.einsum("oc,bctw->botw", s.mix[k], y) + s.mix_bias[k].view(1, -1, 1, 1)
            found.append(A)
        tables.append(torch.stack(found, dim=1))

        def conv(part, x, pad=0, stride=1):
            y = conv2d(x, part[0].weight.transpose(2, 3), part[0].bias, padding=(pad, 0), stride=(stride, 1))
            return norm(part[1], y, 1)

        shortcut = x if s.shortcut is None else conv(s.shortcut, x)
        y = relu(norm(s.norm, out, 1) + shortcut)
        stride = 2 if i and out.shape[1] > x.shape[1] else 1
        y = conv(block.temporal, y, pad=net.config.window // 2, stride=stride)
        if i:
            y = y + (x if block.residual is None else conv(block.residual, x, stride=stride))
        x = relu(y)
    return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1), torch.stack(tables, dim=1).view(N, M, len(net.blocks), 3, V, V)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "bodies", "coordinates", "frames"), [("kinect_v2_25", 2, 3, 9), ("coco_17", 1, 3, 6)])
def test_equals_its_equations_with_gradients(training, name, bodies, coordinates, frames):
    layout = topology(name)
    net = build(layout, bodies=bodies, coordinates=coordinates).train(training)
    x = torch.randn(3, coordinates, frames, layout.V, bodies, dtype=torch.float64, generator=generator(1), requires_grad=True)
    features, tables = naive(net, x)
    torch.testing.assert_close(net(x), features, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(net.adjacency(x), tables, rtol=1e-9, atol=1e-11)
    weights = [x, *net.parameters()]
    ours = torch.autograd.grad(net(x).square().sum(), weights)
    theirs = torch.autograd.grad(features.square().sum(), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_learned_and_fixed_graph_stand_apart():
    net = build().eval()
    x = torch.randn(2, 3, 8, 25, 2, dtype=torch.float64, generator=generator(2))
    attention = net.adjacency(x) - net.graph - net.learned
    torch.testing.assert_close(attention.sum(dim=-2), torch.ones_like(attention[..., 0, :]))
    assert net.learned.shape == (4, 3, 25, 25) and (attention > 0).all()
    assert "graph" not in net.state_dict() and "blocks.0.spatial.learned" in net.state_dict()


def test_fixed_graph_of_the_published_layout_and_of_a_small_one():
    graph = spatial_graph(KINECT)
    assert graph.sum(dim=(1, 2)).tolist() == [25, 24, 20]
    own = Topology.from_dict({"name": "y", "joints": ["root", "chest", "left", "right"], "parents": [-1, 0, 1, 1]})
    inward, outward = spatial_graph(own)[1:]
    assert inward.tolist() == [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]  # row: the parent, column: its child
    assert outward.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0.5, 0, 0]]


def test_starts_as_published():
    net = AGCN(AGCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    assert sum(p.numel() for p in net.parameters()) == 3_454_090 and net.width == 256
    for i, block in enumerate(net.blocks):
        s = block.spatial
        assert s.learned.eq(1e-6).all() and s.norm.weight.eq(1e-6).all() and s.norm.bias.eq(0).all()
        assert s.mix.std().item() == pytest.approx(math.sqrt(2 / s.mix.numel()), rel=0.1)
        assert s.theta.std().item() == pytest.approx(math.sqrt(2 / s.theta.shape[1]), rel=0.15)
        conv = block.temporal[0]
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * conv.out_channels)), rel=0.05)
        assert conv.stride == (1, 2 if i in (4, 7) else 1) and conv.bias.eq(0).all()
        assert (s.shortcut is None) == (i not in (0, 4, 7)) and (block.residual is None) == (i not in (4, 7))
    again = AGCN(AGCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_autocast_gives_finite_features_near_those_of_float32():
    net = build().float().eval()
    x = torch.randn(2, 3, 8, 25, 2, generator=generator(3))
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x)
    torch.testing.assert_close(half.float(), net(x), rtol=0.1, atol=0.1)


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"\(N, 3, T, 25, 2\).*\(2, 3, 4, 17, 2\)"):
        build()(torch.zeros(2, 3, 4, 17, 2, dtype=torch.float64))
    for setting in ({"channels": ()}, {"channels": (6,)}, {"window": 4}):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
            AGCN.Config(**setting)


# -- the published reference tensors ---------------------------------------------------------------------------------------------


def place(key):
    """Where a published tensor stands here: (name, subset or None)."""
    if found := re.fullmatch(r"l(\d+)\.gcn1\.conv_([abd])\.(\d)\.(weight|bias)", key):
        block, kind, subset, what = found.groups()
        name = {"a": "theta", "b": "phi", "d": "mix"}[kind] + ("_bias" if what == "bias" else "")
        return f"blocks.{int(block) - 1}.spatial.{name}", int(subset)
    if found := re.fullmatch(r"l(\d+)\.(.*)", key):
        rest = found[2].replace("gcn1.PA", "spatial.learned").replace("gcn1.bn", "spatial.norm")
        rest = rest.replace("gcn1.down", "spatial.shortcut").replace("tcn1", "temporal").replace(".conv", ".0").replace(".bn", ".1")
        return f"blocks.{int(found[1]) - 1}.{rest}", None
    return key.replace("data_bn", "input_norm"), None


def close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert (ours.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("training", [False, True])
def test_published_encoder(training):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "isc_agcn_a.npz", allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
    net = AGCN(AGCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    head = ProjectionHead(256, 128, generator=generator())
    state = net.state_dict()
    for key, value in z.items():
        key = key.removeprefix("weight/")
        if key.startswith(("input/", "output/", "fc.")):
            continue
        name, subset = place(key)
        value = value.flatten(1) if subset is not None and value.ndim == 4 else value
        value = value.transpose(2, 3) if value.ndim == 4 else value
        (state[name] if subset is None else state[name][subset]).copy_(value)
    head.load_state_dict({k.removeprefix("weight/fc."): v for k, v in z.items() if k.startswith("weight/fc.")})
    out = {k.removeprefix("output/"): v for k, v in z.items() if k.startswith("output/")}
    where = "train/" if training else ""
    for dtype in (torch.float32, torch.float64):
        net, head = net.to(dtype).train(training), head.to(dtype)
        x = z["input/x"].detach().to(dtype).requires_grad_()
        if not training:
            y = net.normed(x)
            for i, block in enumerate(net.blocks, start=1):
                y = block(y, net.graph)
                close(y.mean(dim=(2, 3)), out[f"block_mean/{i:02}"])
        net.zero_grad()
        features = net(x)
        close(features, out[f"{where}features"])
        projection = head(features)
        close(projection, out[f"{where}projection"])
        if training and dtype == torch.float32:
            states = [k for k in out if k.startswith("train/state/")]
            assert len(states) == 52
            for key in states:
                close(net.state_dict()[place(key.removeprefix("train/state/"))[0]], out[key])
    (projection * z["input/cotangent"]).sum().backward()
    close(x.grad, out[f"{where}grad_input"])
    gradients = {k: p.grad for k, p in net.named_parameters()} | {f"fc.{k}": p.grad for k, p in head.named_parameters()}
    norms = []
    for key in meta["parameter_order"]:
        name, subset = place(key)
        norms.append((gradients[name] if subset is None else gradients[name][subset]).norm())
    close(torch.stack(norms), out[f"{where}param_grad_norm"])
