"""Costs against counts that were measured on the released networks, and against layers counted one by one."""

import pytest
import torch
from torch import nn

from skelbench.explain.cost import cost
from skelbench.methods import method
from skelbench.methods.psumnet import PSUMNet
from skelbench.nets.agcn import AGCN
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.topology import topology

MEASURED = {  # parameters with 60 classes, multiply-adds and thop in 1e9, M = 2, T = 64
    "kinect_v2_25": {"body": (1_448_418, 1.945, 1.792), "hand": (978_482, 0.657, 0.635), "leg": (499_898, 0.283, 0.277)},
    "ntu_x_67": {"body": (1_471_314, 3.081, 2.724), "hand": (1_018_592, 2.932, 2.521), "leg": (501_146, 0.418, 0.403)},
}


def build(name, config, layout="kinect_v2_25", classes=60):
    made = method(name)
    shape = {"topology": topology(layout), "bodies": 2, "coordinates": 3, "classes": classes}
    return made.build(config, generator=torch.Generator().manual_seed(0), **shape)


@pytest.mark.slow
@pytest.mark.parametrize("layout", MEASURED)
def test_published_sizes_cost_what_was_measured(layout):
    found = {row.stream: row for row in cost(build("psumnet", PSUMNet.Config(), layout)).streams()}
    for name, (parameters, macs, thop) in MEASURED[layout].items():
        row = found[name]
        assert (row.parameters, round(row.multiply_adds / 1e9, 3), round(row.thop / 1e9, 3)) == (parameters, macs, thop)
        assert row.executed < row.multiply_adds


def test_equations_are_the_layers_counted_one_by_one():
    small = {n: CTRGCN.Config(channels=(8, 16)) for n in ("body", "hand", "leg")}
    made = build("psumnet", PSUMNet.Config(**small, frames=8), classes=5)
    found, seen = cost(made), []
    net, V, C = made.nets["leg"], 9, 12

    def count(layer, given, out):
        seen.append(out.numel() * layer.weight[0].numel())

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    net.eval()(torch.zeros(1, C, 8, V, 2))
    for hook in hooks:
        hook.remove()
    T = 8  # both spatial units see all frames
    for given, width, R in ((12, 8, 1), (8, 16, 1)):
        seen += [2 * 3 * (2 * R * given + given * width + width * V) * T * V, 2 * 3 * width * R * V * V]
    assert sum(r.multiply_adds for r in found.rows if r.stream == "leg" and r.block.isdigit()) == sum(seen)
    assert found.total.parameters == sum(p.numel() for p in made.parameters())


def test_other_methods_are_counted_as_they_run():
    config = method("supervised").Config(encoder=AGCN.Config(channels=(8, 16), window=3))
    found = cost(build("supervised", config))
    assert found.total.executed > 0 and found.total.multiply_adds is None
    assert "executed" in str(found) and "<table>" in found._repr_html_()
