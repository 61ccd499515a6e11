"""STRL against loops over clips, persons, frames and joints in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.nets.gin import GIN, adjacency
from skelbench.nets.strl import SpatialTemporal
from skelbench.nets.temporal import MultiScaleTemporal
from skelbench.skeleton.topology import topology

COCO = topology("coco_17")


def build(
    classes: int = 3, *, width: int = 8, bodies: int = 2, seed: int = 0, encoder: Any = None, **config: Any
) -> SpatialTemporal:
    settings = {"encoder": encoder or GIN.Config(width=width, layers=1), "layers": 2, "frames": 6} | config
    generator = torch.Generator().manual_seed(seed)
    return SpatialTemporal(
        SpatialTemporal.Config(**settings),
        edges=adjacency(COCO),
        bodies=bodies,
        coordinates=2,
        classes=classes,
        generator=generator,
    ).double()


def clips(N: int = 3, T: int = 6, M: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(N, T, M, generator=generator) < 0.7
    present[0, :, 1] = False
    x = torch.randn(N, T, M, 17, 2, generator=generator, dtype=torch.float64)
    return x * present[..., None, None], present


def branch(x: Tensor, layers: Any) -> Tensor:
    """One branch of the temporal module on (D, T, V), joint by joint, in eval mode."""
    for layer in layers:
        D, T, V = x.shape
        if isinstance(layer, torch.nn.Conv2d):
            k, dilation, pad = layer.kernel_size[0], layer.dilation[0], layer.padding[0]
            y = x.new_zeros(layer.out_channels, T, V)
            for t in range(T):
                for v in range(V):
                    y[:, t, v] = layer.bias
                    for i in range(k):
                        at = t - pad + i * dilation
                        if 0 <= at < T:
                            y[:, t, v] += layer.weight[:, :, i, 0] @ x[:, at, v]
            x = y
        elif isinstance(layer, torch.nn.BatchNorm2d):
            scale = layer.weight / torch.sqrt(layer.running_var + 1e-5)
            x = (x - layer.running_mean[:, None, None]) * scale[:, None, None] + layer.bias[:, None, None]
        elif isinstance(layer, torch.nn.MaxPool2d):
            x = torch.stack([x[:, max(t - 1, 0) : t + 2].amax(dim=1) for t in range(T)], dim=1)
        else:
            x = torch.where(x > 0, x, 0)
    return x


def naive(net: SpatialTemporal, joints: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Clip by clip, person by person: (features, logits)."""
    c, features = net.config, []
    for clip, there in zip(joints, present, strict=True):
        T, M, V, _ = clip.shape
        persons = []
        for m in range(M):
            frames = [t for t in range(T) if there[t, m] or c.absent == "zeros"]
            if not frames:
                continue
            W, b = net.embedding.weight, net.embedding.bias
            h = {t: torch.stack([W @ clip[t, m, v] + b + net.position[t] for v in range(V)]) for t in frames}
            for layer in net.layers:
                encoder = layer.encoders[0 if c.tied else m]
                for t in frames:
                    body = encoder(h[t][None])[0].sum(dim=0)
                    own = h[t] @ layer.residual.weight.T + layer.residual.bias
                    both = [torch.cat([body, o]) if c.merge == "concat" else body + o for o in own]
                    h[t] = torch.stack([torch.relu(layer.merge.weight @ b + layer.merge.bias) for b in both])
            placed = torch.zeros(c.encoder.width, T, V, dtype=torch.float64)
            for t in frames:
                placed[:, t] = h[t].T
            y = torch.cat([branch(placed, list(b)) for b in net.temporal.branches])  # (D, T, V)
            persons.append(torch.stack([y[:, t].mean(dim=1) for t in frames]).mean(dim=0))
        features.append(torch.stack(persons).mean(dim=0))
    stacked = torch.stack(features)
    return stacked, net.classifier(stacked)


@pytest.mark.parametrize(
    "config", [{}, {"tied": True, "merge": "concat"}, {"absent": "zeros", "classifier": "mlp"}], ids=["default", "tied", "zeros"]
)
def test_forward_is_the_loop(config: dict[str, Any]) -> None:
    net = build(**config)
    joints, present = clips()
    for _ in range(3):
        net(joints, present)  # moves the running statistics off 0 and 1
    net.eval()
    found = net(joints, present)
    features, logits = naive(net, joints, present)
    torch.testing.assert_close(found.features, features)
    torch.testing.assert_close(found.logits, logits)
    assert found.pooled.shape == found.residual.shape == (2,) and bool((found.pooled > 0).all())


def test_sizes_of_the_reconstruction() -> None:
    def size(classes: int, encoder: GIN.Config | None = None, **config: Any) -> int:
        settings = {"frames": 64, "layers": 3} | config
        net = build(classes, encoder=encoder or GIN.Config(), **settings)
        return sum(p.numel() for p in net.parameters())

    assert [size(99, layers=m) for m in (1, 2, 3, 4)] == [77_487, 137_275, 197_063, 256_851]
    assert (size(99, tied=True), size(99, merge="concat")) == (119_861, 209_351)
    assert [size(c) for c in (48, 60, 120)] == [193_748, 194_528, 198_428]
    assert sum(p.numel() for p in MultiScaleTemporal(64, 64).parameters()) == 6_976


def test_persons_who_are_absent_change_nothing() -> None:
    net = build().eval()
    joints, present = clips()
    noisy = torch.where(present[..., None, None], joints, torch.randn_like(joints))
    torch.testing.assert_close(net(noisy, present).logits, net(joints, present).logits)
    nobody = net(torch.zeros_like(joints), torch.zeros_like(present))
    assert not nobody.features.any() and nobody.logits.isfinite().all()
    net.train()
    one = joints.clone()
    one[:, :, 1] = 0
    out = net(one, present & torch.tensor([True, False]))  # the second encoder has nobody to see, also while training
    out.logits.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in net.layers[0].encoders[1].parameters())
    assert any(p.grad is not None and p.grad.any() for p in net.layers[0].encoders[0].parameters())


def test_the_order_of_frames_and_of_persons_counts() -> None:
    net = build().eval()
    joints, present = clips()
    assert not torch.allclose(net(joints.flip(1), present.flip(1)).logits, net(joints, present).logits)
    assert not torch.allclose(net(joints.flip(2), present.flip(2)).logits, net(joints, present).logits)
    tied = build(tied=True).eval()
    torch.testing.assert_close(tied(joints.flip(2), present.flip(2)).logits, tied(joints, present).logits)


def test_planting_reaches_every_encoder() -> None:
    net = build()
    donor, embedding = (
        GIN(net.config.encoder, edges=adjacency(COCO), generator=torch.Generator().manual_seed(9)),
        torch.nn.Linear(2, 8),
    )
    net.plant(embedding.state_dict(), donor.state_dict())
    assert torch.equal(net.embedding.weight, embedding.weight.double())
    encoders = [encoder for layer in net.layers for encoder in layer.encoders]
    assert len(encoders) == 4
    for encoder in encoders:
        for name, tensor in encoder.state_dict().items():
            assert torch.equal(tensor.float(), donor.state_dict()[name].float())


def test_what_does_not_fit() -> None:
    joints, present = clips()
    with pytest.raises(ConfigError, match="built for 6 frames of 2 persons, got 5 of 2"):
        build()(joints[:, :5], present[:, :5])
    with pytest.raises(ConfigError, match="at least one class"):
        build(0)
    for settings, message in (
        ({"merge": "times"}, "merge='times'"),
        ({"absent": "copy"}, "absent='copy'"),
        ({"classifier": "deep"}, "classifier='deep'"),
        ({"layers": 0}, "layers=0"),
        ({"width": 6}, "divide by 4"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(**settings)
    with pytest.raises(ConfigError, match=r"width=6 must divide"):
        MultiScaleTemporal(6, 6)


def test_stride_halves_the_frames() -> None:
    assert MultiScaleTemporal(8, 12, stride=2)(torch.randn(2, 8, 9, 5)).shape == (2, 12, 5, 5)
