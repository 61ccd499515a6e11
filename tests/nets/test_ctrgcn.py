"""The network with a graph for every channel against its equations, one joint pair at a time, and against the published tensors."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

from skelbench.errors import ConfigError
from skelbench.methods.weights_psumnet import net_sources, psumnet_from
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.topology import topology

V = 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(channels=(8, 8, 16), coordinates=12):
    """A small network in float64, every weight that starts at a constant stirred."""
    graph = torch.rand(3, V, V, generator=generator(9))
    net = CTRGCN(CTRGCN.Config(channels=channels), graph=graph, bodies=2, coordinates=coordinates, generator=generator()).double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim == 1 or "bias" in name:
                p.add_(0.5 * torch.randn(p.shape, generator=generator(len(name)), dtype=p.dtype))
        for name, b in net.named_buffers():
            if "running" in name:
                b.add_(torch.rand(b.shape, generator=generator(len(name)), dtype=b.dtype))
    return net


def norm(bn, x):
    mean, var = bn.running_mean, bn.running_var
    if bn.training:
        others = [d for d in range(x.ndim) if d != 1]
        mean, var = x.mean(dim=others), x.var(dim=others, unbiased=False)
    shape = [1, -1] + [1] * (x.ndim - 2)
    return (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5) * bn.weight.view(shape) + bn.bias.view(shape)


def point(weight, bias, x):
    return torch.einsum("oc,bctv->botv", weight.flatten(1), x) + bias.view(1, -1, 1, 1)


def naive(net, x):
    """Features (N, D) as the equations stand: convolution before the mean, graph by graph, joint by joint."""
    N, C, T, _, M = x.shape
    flat = torch.stack([x[:, c, :, v, m] for m in range(M) for v in range(V) for c in range(C)], dim=1)
    flat = norm(net.input_norm, flat).view(N, M, V, C, T)
    x = torch.stack([flat[n, m].permute(1, 2, 0) for n in range(N) for m in range(M)])
    for i, block in enumerate(net.blocks):
        s, z = block.spatial, 0
        for k in range(3):
            a = point(s.theta[k], s.theta_bias[k], x).mean(dim=2)  # (B, R, V)
            b = point(s.phi[k], s.phi_bias[k], x).mean(dim=2)
            y = point(s.value[k], s.value_bias[k], x)
            columns = []
            for u in range(V):
                taken = 0
                for v in range(V):
                    D = torch.tanh(a[:, :, u] - b[:, :, v])  # (B, R)
                    Q = D @ s.relation[k].T + s.relation_bias[k]
                    taken = taken + (s.alpha * Q + s.learned[k, u, v])[:, :, None] * y[:, :, :, v]
                columns.append(taken)
            z = z + torch.stack(columns, dim=3)
        shortcut = x if s.shortcut is None else norm(s.shortcut[1], point(s.shortcut[0].weight, s.shortcut[0].bias, x))
        y = relu(norm(s.norm, z) + shortcut)
        step, seen = 2 if i and block.residual is not None else 1, []
        for j, branch in enumerate(block.temporal.branches):
            first = point(branch[0].weight, branch[0].bias, y)
            if j == 3:
                seen.append(norm(branch[1], first[:, :, ::step]))
                continue
            h = relu(norm(branch[1], first))
            if j == 2:
                h = max_pool2d(h, (3, 1), stride=(step, 1), padding=(1, 0))
            else:
                h = conv2d(h, branch[3].weight, branch[3].bias, stride=(step, 1), padding=(2 * (j + 1), 0), dilation=(j + 1, 1))
            seen.append(norm(branch[4], h))
        y = torch.cat(seen, dim=1)
        if i:
            r = block.residual
            y = y + (x if r is None else norm(r[1], point(r[0].weight, r[0].bias, x[:, :, ::step])))
        x = relu(y)
    return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)


@pytest.mark.parametrize("training", [False, True])
def test_features_are_those_of_the_equations(training):
    net, x = build().train(training), torch.randn(2, 12, 6, V, 2, generator=generator(1), dtype=torch.float64)
    wanted = naive(net, x)
    torch.testing.assert_close(net(x), wanted, rtol=1e-10, atol=1e-10)


def test_adjacency_is_what_the_last_block_mixes_along():
    net, x = build(channels=(8,)).eval(), torch.randn(2, 12, 6, V, 2, generator=generator(1), dtype=torch.float64)
    found, s, y = net.adjacency(x), net.blocks[0].spatial, net.normed(x)
    a, b = (point(w[1], c[1], y).mean(dim=2) for w, c in ((s.theta, s.theta_bias), (s.phi, s.phi_bias)))
    Q = (torch.tanh(a[:, :, 3] - b[:, :, 0]) @ s.relation[1].T + s.relation_bias[1]).mean(dim=1)
    torch.testing.assert_close(found[:, :, 1, 3, 0].flatten(), s.alpha * Q + s.learned[1, 3, 0])


def test_the_beginning_of_training():
    graph = torch.rand(3, V, V, generator=generator(9))
    net = CTRGCN(CTRGCN.Config(channels=(8, 16)), graph=graph, bodies=1, coordinates=12, generator=generator())
    assert net.alpha.tolist() == [0, 0] and torch.equal(net.learned, graph.expand(2, 3, V, V))
    assert net.blocks[0].spatial.theta.shape == (3, 1, 12)  # twelve inputs have one relation channel
    net(torch.randn(2, 12, 8, V, 1, generator=generator())).sum().backward()
    s = net.blocks[1].spatial
    assert s.theta.grad.abs().max() == 0 and s.relation.grad.abs().max() == 0 and s.alpha.grad.abs().max() > 0


def test_wrong_shapes_and_settings_are_told():
    with pytest.raises(ConfigError, match=r"built for inputs \(N, 12, T, 4, 2\)"):
        build()(torch.zeros(1, 12, 6, V, 1, dtype=torch.float64))
    with pytest.raises(ConfigError, match="multiples of 4"):
        CTRGCN.Config(channels=(6,))
    with pytest.raises(ConfigError, match="three graphs"):
        CTRGCN(CTRGCN.Config(), graph=torch.zeros(2, V, V), bodies=1, coordinates=3, generator=generator())


def case(name):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    return np.load(Path(folder) / f"psumnet_{name}_a.npz", allow_pickle=False)


def relative(found, wanted):
    return float(np.abs(found.detach().numpy() - wanted).max() / np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("body", 1_448_418), ("hand", 978_482), ("leg", 499_898)])
def test_published_tensors(name, size):
    z = case(name)
    weights = {k.removeprefix("weight/"): torch.from_numpy(z[k]) for k in z.files if k.startswith("weight/")}
    made = psumnet_from({name: (Path(name), weights)}, topology("kinect_v2_25")).eval()
    assert sum(p.numel() for p in made.parameters()) == size
    net, head, x = made.nets[name], made.heads[name], torch.from_numpy(z["input/x"])
    means = []
    hooks = [b.register_forward_hook(lambda _, __, y: means.append(y.mean(dim=(2, 3)))) for b in net.blocks]
    with torch.no_grad():
        features = net(x)
    for hook in hooks:
        hook.remove()
    for i, mean in enumerate(means):
        assert relative(mean, z[f"output/block_mean/{i + 1:02d}"]) < 1e-5, f"block {i + 1}"
    alone = x.clone()
    alone[0, ..., 1] = 0
    for ending, y in (("", features), ("absent/", net(alone))):
        assert relative(y, z[f"output/{ending}features"]) < 1e-5 and relative(head(y), z[f"output/{ending}logits"]) < 1e-5
    order = json.loads(str(z["meta"]))["parameter_order"]
    for mode in ("", "train/"):
        double = psumnet_from({name: (Path(name), weights)}, topology("kinect_v2_25")).double().train(bool(mode))
        x = torch.from_numpy(z["input/x"]).double().requires_grad_()
        logits = double.heads[name](double.nets[name](x))
        (logits * torch.from_numpy(z["input/cotangent"])).sum().backward()
        assert relative(logits, z[f"output/{mode}logits"]) < 1e-5 and relative(x.grad, z[f"output/{mode}grad_input"]) < 1e-5
        norms = {f"fc.{key}": p.grad.norm() for key, p in double.heads[name].named_parameters()}
        for key, p in double.nets[name].named_parameters():
            sources = net_sources(key)
            norms |= {s: (p.grad if len(sources) == 1 else p.grad[i]).norm() for i, s in enumerate(sources)}
        assert relative(torch.stack([norms[key] for key in order]), z[f"output/{mode}param_grad_norm"]) < 1e-5
    for key, buffer in double.nets[name].named_buffers():
        if "running" in key:
            assert relative(buffer, z[f"output/train/state/{net_sources(key)[0]}"]) < 1e-5, key
