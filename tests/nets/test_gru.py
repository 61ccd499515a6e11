"""The GRU encoder against a frame-by-frame loop in float64, and against the published reference tensors where they are at hand."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.nets.gru import GRU
from skelbench.nets.heads import ProjectionHead
from skelbench.skeleton.streams import stream
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def build(dtype=torch.float64, bodies=2, seed=0, layout=KINECT, **config):
    generator = torch.Generator().manual_seed(seed)
    config = GRU.Config(**{"hidden": 5, "layers": 2} | config)
    gru = GRU(config, topology=layout, bodies=bodies, coordinates=3, generator=generator)
    return gru.to(dtype)


def cell_loop(gru, x):
    """Every stream of every layer, one frame after the other, gate by gate: (N, C, T, V, M) -> (N, T, 2H)."""
    p, H, c = dict(gru.named_parameters()), gru.config.hidden, gru.config
    N, C, T, V, M = x.shape
    y = x.new_zeros(N, T, V * C * M)
    for coordinate in range(C):
        for joint in range(V):
            for body in range(M):
                y[:, :, C * M * joint + M * coordinate + body] = x[:, coordinate, :, joint, body]
    if c.input_norm:
        mean, var = gru.input_norm.running_mean, gru.input_norm.running_var
        if gru.training:
            mean, var = y.mean(dim=(0, 1)), y.var(dim=(0, 1), unbiased=False)
        y = (y - mean) / torch.sqrt(var + 1e-5) * gru.input_norm.weight + gru.input_norm.bias
    for layer in range(c.layers):
        outs = []
        for end in ("", "_reverse"):
            backwards = bool(end) and c.true_bidirectional
            h, out = x.new_zeros(N, H), [None] * T
            for t in reversed(range(T)) if backwards else range(T):
                i = y[:, t] @ p[f"weight_ih_l{layer}{end}"].T + p[f"bias_ih_l{layer}{end}"]
                g = h @ p[f"weight_hh_l{layer}{end}"].T + p[f"bias_hh_l{layer}{end}"]
                r = torch.sigmoid(i[:, :H] + g[:, :H])
                z = torch.sigmoid(i[:, H : 2 * H] + g[:, H : 2 * H])
                n = torch.tanh(i[:, 2 * H :] + r * g[:, 2 * H :])
                h = (1 - z) * n + z * h
                out[t] = h
            outs.append(torch.stack(out, dim=1))
        y = torch.cat(outs, dim=2)
    return y


@pytest.mark.parametrize("two_way", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_whole_sequence_equals_frame_by_frame(two_way, training):
    gru = build(true_bidirectional=two_way).train(training)
    x = torch.randn(3, 3, 7, 25, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 + 0.3
    expected = cell_loop(gru, x)
    torch.testing.assert_close(gru.sequence(x), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gru(x), expected[:, -1], rtol=1e-10, atol=1e-12)
    gru.config = replace(gru.config, readout="mean")
    torch.testing.assert_close(gru(x), expected.mean(dim=1), rtol=1e-10, atol=1e-12)
    gru.config = replace(gru.config, readout="quarters")
    parts = torch.cat([expected[:, a:b].mean(dim=1) for a, b in ((0, 2), (2, 4), (4, 6), (6, 7))], dim=1)
    torch.testing.assert_close(gru(x), parts, rtol=1e-10, atol=1e-12)
    assert gru.width == parts.shape[1]


def test_gradients_equal_those_of_the_loop():
    gru = build(layers=3).train()
    x = torch.randn(2, 3, 5, 25, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    weights = [x, *gru.parameters()]
    ours = torch.autograd.grad(gru(x).square().sum(), weights)
    naive = torch.autograd.grad(cell_loop(gru, x)[:, -1].square().sum(), weights)
    for a, b in zip(ours, naive, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_two_forward_streams_are_not_a_bidirectional_gru():
    x = torch.randn(2, 3, 6, 25, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    forward, both = build(), build(true_bidirectional=True)
    assert not torch.allclose(forward(x)[:, 5:], both(x)[:, 5:])
    native = torch.nn.GRU(150, 5, 2, bidirectional=True, batch_first=True).double()
    native.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("input_norm")})
    normed = both.eval().input_norm(both.sequence_layout(x).flatten(0, 1)).view(2, 6, 150)
    torch.testing.assert_close(native(normed)[0], both.sequence(x))


def test_any_skeleton_and_body_count_and_the_start_is_the_generators():
    layout = topology("cmu_asf_31")
    gru = build(torch.float32, bodies=1, layout=layout)
    assert gru(torch.randn(2, 3, 4, layout.V, 1)).shape == (2, gru.width) == (2, 10)
    for a, b in zip(build(seed=4).parameters(), build(seed=4).parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(build(seed=4).weight_hh_l0, build(seed=5).weight_hh_l0)


def test_initial_weights_are_xavier_uniform_and_biases_torchs_own():
    gru = build(hidden=64)
    for name, p in gru.named_parameters():
        if not name.startswith("input_norm"):
            bound = (6 / sum(p.shape)) ** 0.5 if p.ndim == 2 else 64**-0.5
            assert 0.97 * bound < p.abs().max() <= bound
            assert p.var().item() == pytest.approx(bound**2 / 3, rel=0.2)
    head = ProjectionHead(64, 16, generator=torch.Generator().manual_seed(0))
    for name, bound in {"0.weight": 1 / 8, "0.bias": 1 / 8, "2.weight": (6 / 80) ** 0.5, "2.bias": 1 / 8}.items():
        largest = head.get_parameter(name).abs().max()
        assert 0.8 * bound < largest <= bound
    x = torch.randn(3, 64)
    expected = torch.relu(x @ head[0].weight.T + head[0].bias) @ head[2].weight.T + head[2].bias
    torch.testing.assert_close(head(x), expected)


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"\(N, 3, T, 25, 2\).*\(2, 3, 4, 25, 1\)"):
        build()(torch.zeros(2, 3, 4, 25, 1, dtype=torch.float64))
    with pytest.raises(ConfigError, match="hidden=0"):
        GRU.Config(hidden=0)
    with pytest.raises(ConfigError, match="'first'"):
        GRU.Config(readout="first")
    with pytest.raises(ConfigError, match="four frames"):
        build(readout="quarters")(torch.zeros(2, 3, 3, 25, 2, dtype=torch.float64))


# -- the published reference tensors ---------------------------------------------------------------------------------------------


def reference(name):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / name, allow_pickle=False) as z:
        meta = json.loads(str(z["meta"]))
        return meta, {k: torch.from_numpy(z[k]) for k in z.files if k != "meta"}


def published(arrays, dtype):
    generator = torch.Generator().manual_seed(0)
    gru = GRU(GRU.Config(hidden=32), topology=KINECT, bodies=2, coordinates=3, generator=generator)
    head = ProjectionHead(64, 128, generator=generator)
    weights = {k.removeprefix("weight/"): v for k, v in arrays.items() if k.startswith("weight/")}
    gru.load_state_dict({k.removeprefix("encoder.gru."): v for k, v in weights.items() if not k.startswith("fc.")})
    head.load_state_dict({k.removeprefix("fc."): v for k, v in weights.items() if k.startswith("fc.")})
    return torch.nn.ModuleDict({"gru": gru, "head": head}).to(dtype)


def close(ours, theirs, tolerance=1e-5):
    largest = theirs.abs().max()
    assert (ours.double() - theirs.double()).abs().max() <= tolerance * largest


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
@pytest.mark.parametrize("training", [False, True])
def test_published_encoder(name, training):
    meta, arrays = reference("halp_bigru_a.npz")
    out = {k.removeprefix(f"output/{name}/"): v for k, v in arrays.items() if k.startswith(f"output/{name}/")}
    where = "train/" if training else ""
    x = stream(name, arrays["input/clip"], KINECT)
    for dtype in (torch.float32, torch.float64):
        net = published(arrays, dtype).train(training)
        joints = x.detach().to(dtype).requires_grad_()
        close(net.gru.sequence_layout(joints), out["stream"])
        features = net.gru(joints)
        projection = net.head(features)
        close(features, out[f"{where}features"])
        close(projection, out[f"{where}projection"])
    if training:
        close(net.gru.input_norm.running_mean, out["train/state/input_norm.running_mean"])
        close(net.gru.input_norm.running_var, out["train/state/input_norm.running_var"])
    else:
        close(torch.nn.functional.normalize(projection, dim=1), out["projection_unit"])
    (projection * arrays["input/cotangent"]).sum().backward()
    close(net.gru.sequence_layout(joints.grad), out[f"{where}grad_input"])
    norms = {f"encoder.gru.{k}" if not k.startswith("input_norm") else k: p.grad.norm() for k, p in net.gru.named_parameters()}
    norms |= {f"fc.{k}": p.grad.norm() for k, p in net.head.named_parameters()}
    close(torch.stack([norms[k] for k in meta["parameter_order"]]), out[f"{where}param_grad_norm"])
