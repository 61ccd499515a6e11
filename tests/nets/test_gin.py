"""GIN against loops over graphs, joints and neighbours in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.nets.gin import GIN, GINLayer, adjacency
from skelbench.skeleton.topology import topologies, topology

COCO = topology("coco_17")


def build(layers: int = 2, *, width: int = 5, seed: int = 0, **config: object) -> GIN:
    net = GIN(
        GIN.Config(width=width, layers=layers, **config),  # type: ignore[arg-type]
        edges=adjacency(COCO),
        generator=torch.Generator().manual_seed(seed),
    ).double()
    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in net.named_parameters():  # BatchNorms and slopes off their first values
        if "norm" in name or "act" in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean += 0.2 * torch.randn(width, generator=generator, dtype=torch.float64)
            module.running_var *= 1.7
    return net


def naive(net: GIN, x: Tensor, edges: list[tuple[int, int]]) -> Tensor:
    """Graph by graph, joint by joint, neighbour by neighbour."""
    G, V, _ = x.shape

    def normed(y: Tensor, norm: torch.nn.BatchNorm1d) -> Tensor:
        flat = y.reshape(G * V, -1)
        mean, var = norm.running_mean, norm.running_var
        if net.training:
            mean = sum(flat[i] for i in range(G * V)) / (G * V)
            var = sum((flat[i] - mean) ** 2 for i in range(G * V)) / (G * V)
        return (y - mean) / torch.sqrt(var + 1e-5) * norm.weight + norm.bias

    def act(y: Tensor, how: torch.nn.Module) -> Tensor:
        slope = how.weight if isinstance(how, torch.nn.PReLU) else 0.0
        return torch.where(y > 0, y, slope * y)

    for layer in net.layers:
        total = torch.zeros_like(x)
        for g in range(G):
            for i in range(V):
                total[g, i] = (1 + layer.epsilon) * x[g, i]
                for a, b in edges:
                    if i in (a, b):
                        total[g, i] += x[g, b if i == a else a]
        p = layer.perceptron
        y = act(normed(total @ p.one.weight.T + p.one.bias, p.norm), p.act) @ p.two.weight.T + p.two.bias
        x = act(normed(y, layer.norm), layer.act) if layer.norm is not None else y
    return x


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("config", [{}, {"epsilon": 0.4, "activation": "relu"}])
def test_layers_are_those_of_the_loop(training: bool, config: dict[str, object]) -> None:
    net = build(**config).train(training)
    x = torch.randn(4, 17, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    wanted = naive(net, x, list(COCO.edges["skeletonmae_graph"])).detach()
    assert torch.allclose(net(x), wanted, atol=1e-12)


def test_gradients() -> None:
    net = build(1, width=3)
    x = torch.randn(2, 17, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x,))


def test_the_drawn_graph_has_18_edges_and_others_can_be_had() -> None:
    sizes = {name: int(adjacency(COCO, name).sum()) // 2 for name in ("auto", "pyskl_graph", "coco_annotation_skeleton", "tree")}
    assert sizes == {"auto": 18, "pyskl_graph": 16, "coco_annotation_skeleton": 19, "tree": 16}
    for name in topologies():
        matrix = adjacency(topology(name))
        assert torch.equal(matrix, matrix.T) and not matrix.diagonal().any() and set(matrix.unique().tolist()) == {0.0, 1.0}
    with pytest.raises(ConfigError, match=r"no edge list.*auto, pyskl_graph"):
        adjacency(COCO, "nonsense")


@pytest.mark.parametrize(("layers", "wanted"), [(1, 8578), (2, 17156), (3, 25734), (4, 34312)])
def test_sizes(layers: int, wanted: int) -> None:
    net = GIN(GIN.Config(layers=layers), edges=adjacency(COCO), generator=torch.Generator())
    assert sum(p.numel() for p in net.parameters()) == wanted
    assert sum(p.numel() for p in GINLayer(64, 64, outer=False).parameters()) == 8449


def test_a_joint_hears_of_joints_at_most_as_many_bones_away_as_there_are_layers() -> None:
    for layers in (1, 2, 3):
        net = build(layers).eval()
        x = torch.randn(1, 17, 5, dtype=torch.float64)
        moved = x.clone()
        moved[0, COCO.joint("left_wrist")] += 1
        heard = ((net(x) - net(moved)).abs().amax(dim=(0, 2)) > 1e-12).nonzero().flatten().tolist()
        reach = torch.linalg.matrix_power(adjacency(COCO) + torch.eye(17), layers)[COCO.joint("left_wrist")]
        assert heard == reach.nonzero().flatten().tolist()


def test_frames_do_not_hear_of_each_other_in_eval_mode_and_numbering_joints_anew_changes_nothing() -> None:
    net = build().eval()
    x = torch.randn(3, 17, 5, dtype=torch.float64)
    assert torch.allclose(net(x)[1:], net(x[1:]), atol=1e-12)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    other = build().eval()
    other.edges = net.edges[order][:, order]
    assert torch.allclose(other(x[:, order]), net(x)[:, order], atol=1e-12)


def test_weights_come_from_the_generator_alone() -> None:
    one, two, three = (build(seed=s) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.layers[0].perceptron.one.weight, three.layers[0].perceptron.one.weight)
    bound = 1 / 5**0.5
    assert float(one.layers[0].perceptron.one.weight.detach().abs().max()) <= bound


def test_no_graph_is_no_error_and_another_skeleton_is_one() -> None:
    net = build().train()
    assert net(torch.zeros(0, 17, 5, dtype=torch.float64)).shape == (0, 17, 5)
    with pytest.raises(ConfigError, match=r"built for joints \(graphs, 17, 5\), got \(2, 18, 5\)"):
        net(torch.zeros(2, 18, 5, dtype=torch.float64))
    with pytest.raises(ConfigError, match="layers=0"):
        GIN.Config(layers=0)
    with pytest.raises(ConfigError, match="activation='gelu'"):
        GIN.Config(activation="gelu")  # type: ignore[arg-type]
