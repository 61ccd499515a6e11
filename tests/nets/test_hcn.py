"""HCN against its sequence of steps, body by body, and against the published tensors."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

from skelbench.errors import ConfigError
from skelbench.nets.hcn import HCN
from skelbench.nets.heads import ProjectionHead
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(layout=KINECT, *, bodies=2, coordinates=3, seed=0, **config):
    settings = {"rows": 16, "columns": 16, "channels": (4, 6, 8, 10)} | config
    net = HCN(HCN.Config(**settings), topology=layout, bodies=bodies, coordinates=coordinates, generator=generator(seed)).double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim == 1:
                p.add_(0.3 * torch.randn(p.shape, generator=generator(len(name)), dtype=p.dtype))
    return net


def stretched(x, frames):
    """Linear in time with half-pixel centres, frame by frame: (C, T, V) -> (C, frames, V)."""
    T, rows = x.shape[1], []
    for i in range(frames):
        at = min(max((i + 0.5) * T / frames - 0.5, 0), T - 1)
        low = int(at)
        rows.append(x[:, low] + (at - low) * (x[:, min(low + 1, T - 1)] - x[:, low]))
    return torch.stack(rows, dim=1)


def naive(net, x, kept=None):
    """One clip and body at a time; ``kept`` are the factors of the four dropouts, (N * M, channels) each."""
    answers = []
    for n in range(len(x)):
        bodies = []
        for m in range(x.shape[4]):
            factors = [1.0] * 4 if kept is None else [k[n * x.shape[4] + m].view(1, -1, 1, 1) for k in kept]
            places = x[n, ..., m]  # (C, T, V)
            places = places if places.shape[1] == net.config.rows else stretched(places, net.config.rows)
            steps = stretched(places[:, 1:] - places[:, :-1], net.config.rows)
            seen = []
            for stream, picture, factor in ((net.joint, places, factors[0]), (net.motion, steps, factors[1])):
                y = relu(conv2d(picture[None], stream.point.weight, stream.point.bias))  # (1, columns, T, V)
                y = conv2d(y, stream.time.weight.transpose(2, 3), stream.time.bias, padding=(1, 0))
                y = y.permute(0, 3, 2, 1)  # (1, V, T, columns)
                y = max_pool2d(conv2d(y, stream.first.weight, stream.first.bias, padding=1), 2)
                y = conv2d(y, stream.second.weight, stream.second.bias, padding=1) * factor
                seen.append(max_pool2d(y, 2))
            y = torch.cat(seen, dim=1)
            for conv, factor in ((net.join, factors[2]), (net.last, factors[3])):
                y = max_pool2d(relu(conv2d(y, conv.weight, conv.bias, padding=1)) * factor, 2)
            bodies.append(y.flatten())
        answers.append(torch.stack(bodies).amax(dim=0))
    return torch.stack(answers)


@pytest.mark.parametrize(("name", "bodies", "coordinates", "frames"), [("kinect_v2_25", 2, 3, 16), ("coco_17", 1, 3, 11)])
def test_equals_its_steps_with_gradients(name, bodies, coordinates, frames):
    layout = topology(name)
    net = build(layout, bodies=bodies, coordinates=coordinates, rows=16 if frames == 16 else 33).eval()
    x = torch.randn(3, coordinates, frames, layout.V, bodies, dtype=torch.float64, generator=generator(1), requires_grad=True)
    expected = naive(net, x)
    assert expected.shape == (3, net.width)
    torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-11)
    weights = [x, *net.parameters()]
    ours, theirs = (torch.autograd.grad(y.square().sum(), weights) for y in (net(x), expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_dropout_takes_whole_channels_before_the_pooling_and_draws_from_the_generator():
    net, draws = build(dropout=0.25), generator(5)
    x = torch.randn(3, 3, 16, 25, 2, dtype=torch.float64, generator=generator(2))
    made = net.train()(x, draws)
    again, kept = generator(5), []
    for channels in (6, 6, 8, 10):
        kept.append((torch.rand(6, channels, 1, 1, generator=again) >= 0.25).double().flatten(1) / 0.75)
    torch.testing.assert_close(made, naive(net, x, kept))
    assert torch.equal(draws.get_state(), again.get_state())
    assert 0.6 < torch.cat(kept, dim=1).bool().double().mean() < 0.9
    state = draws.get_state()
    torch.testing.assert_close(net.eval()(x, draws), naive(net, x))
    assert torch.equal(draws.get_state(), state)  # nothing is drawn when nothing drops
    with pytest.raises(ConfigError, match="where the draws come from"):
        net.train()(x)
    build(dropout=0.0).train()(x)


def test_the_largest_body_counts_and_an_absent_one_is_a_body_at_rest():
    net = build().eval()
    x = torch.randn(2, 3, 16, 25, 2, dtype=torch.float64, generator=generator(3))
    swapped = net(x.flip(4))
    torch.testing.assert_close(net(x), swapped)
    twice = torch.stack([x[..., 0], x[..., 0]], dim=4)
    one = build(bodies=1).eval()
    one.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(twice), one(x[..., :1]))


def test_starts_as_published():
    net = HCN(HCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator())
    assert sum(p.numel() for p in net.parameters()) == 519_424 and net.width == 4096
    for name, p in net.named_parameters():
        if p.ndim == 1:
            assert p.eq(0).all()
        else:
            bound = (6 / (p.shape[2] * p.shape[3] * (p.shape[0] + p.shape[1]))) ** 0.5
            assert 0.95 * bound < p.abs().max() <= bound and p.var().item() == pytest.approx(bound**2 / 3, rel=0.3), name


def test_what_does_not_fit_is_told():
    for shape in ((2, 3, 16, 17, 2), (2, 3, 1, 25, 2)):
        with pytest.raises(ConfigError, match=r"\(N, 3, T, 25, 2\)"):
            build().eval()(torch.zeros(shape, dtype=torch.float64))
    for setting in ({"rows": 8}, {"columns": 15}, {"channels": (4, 4, 4)}, {"channels": (4, 4, 4, 0)}, {"dropout": 1.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
            HCN.Config(**setting)


# -- the published reference tensors ---------------------------------------------------------------------------------------------

LAYERS = {"point": "conv1{}.0", "time": "conv2{}", "first": "conv3{}.0", "second": "conv4{}.0"}
PLACES = {f"{s}.{ours}": theirs.format(e) for s, e in (("joint", ""), ("motion", "m")) for ours, theirs in LAYERS.items()}
PLACES |= {"join": "conv5.0", "last": "conv6.0"}


def close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert (ours.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()


def test_published_encoder():
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "isc_hcn_a.npz", allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
    net = HCN(HCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=generator()).eval()
    head = ProjectionHead(4096, 128, generator=generator())
    theirs = {f"{ours}.{p}": f"{name}.{p}" for ours, name in PLACES.items() for p in ("weight", "bias")}
    turned = lambda name, value: value.transpose(2, 3) if name.endswith((".point.weight", ".time.weight")) else value  # noqa: E731
    net.load_state_dict({ours: turned(ours, z[f"weight/{key}"]) for ours, key in theirs.items()})
    head.load_state_dict({k.removeprefix("weight/fc."): v for k, v in z.items() if k.startswith("weight/fc.")})
    for dtype in (torch.float32, torch.float64):
        net, head = net.to(dtype), head.to(dtype)
        absent = z["input/x"].detach().to(dtype).clone()
        absent[0, ..., 1] = 0
        close(net(absent), z["output/absent/features"])
        close(head(net(absent)), z["output/absent/projection"])
        x = z["input/x"].detach().to(dtype).requires_grad_()
        features = net(x)
        projection = head(features)
        close(features, z["output/features"])
        close(projection, z["output/projection"])
    (projection * z["input/cotangent"]).sum().backward()
    close(x.grad, z["output/grad_input"])
    gradients = {theirs[k]: p.grad for k, p in net.named_parameters()} | {f"fc.{k}": p.grad for k, p in head.named_parameters()}
    close(torch.stack([gradients[k].norm() for k in meta["parameter_order"]]), z["output/param_grad_norm"])
