"""The three layouts of a clip: every picture is there, the links are the strongest ones, the networks are left as they were."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.nets.agcn import AGCN
from skelbench.nets.hcn import HCN
from skelbench.skeleton.topology import topology
from skelbench.widgets.layouts_picture import layouts

SVG = "{http://www.w3.org/2000/svg}"


def made(name="kinect_v2_25", bodies=2, coordinates=3):
    layout, g = topology(name), torch.Generator().manual_seed(0)
    shape = {"topology": layout, "bodies": bodies, "coordinates": coordinates, "generator": g}
    graph, image = AGCN(AGCN.Config(channels=(8, 8)), **shape), HCN(HCN.Config(rows=16, columns=16, channels=(4, 4, 4, 4)), **shape)
    return layout, graph, image, torch.randn(coordinates, 20, layout.V, bodies, generator=g)


@pytest.mark.parametrize(
    ("name", "bodies", "coordinates"), [("kinect_v2_25", 2, 3), ("coco_17", 1, 3), ("mediapipe_hand_21", 1, 2)]
)
def test_every_layout_is_drawn(name, bodies, coordinates):
    layout, graph, image, joints = made(name, bodies, coordinates)
    graph.train(), image.train()
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    picture = layouts(joints, layout, graph=graph, image=image, title="a <clip>", up="y", links=5)
    assert graph.training and image.training and all(torch.equal(before[k], v) for k, v in graph.state_dict().items())
    root = ET.fromstring(picture.svg)
    assert len(list(root.iter(f"{SVG}image"))) == 1 + 3 + layout.V
    words = " ".join(t.text or "" for t in root.iter(f"{SVG}text"))
    assert f"{layout.V * bodies * coordinates} numbers a frame" in words and "a <clip>" in words
    dashed = [p for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray") == "3 2"]
    assert len(dashed) == 5
    with torch.no_grad():
        mixing = (graph.eval().adjacency(joints[None])[0, 0, -1] - graph.graph).abs().sum(dim=0).numpy()
    np.fill_diagonal(mixing, 0)
    order = np.sort(mixing, axis=None)[::-1]
    widths = [float(p.get("stroke-width")) for p in dashed]
    assert widths == pytest.approx([2 * w / order[0] for w in order[:5]], abs=0.06)  # a tenth of a pixel


def test_a_still_body_and_a_batch():
    layout, graph, image, joints = made()
    still = joints[:, :1].expand(-1, 20, -1, -1)
    ET.fromstring(layouts(torch.zeros_like(still), layout, graph=graph, image=image).svg)
    with pytest.raises(ConfigError, match=r"one clip, joints \(C, T, V, M\)"):
        layouts(joints[None], layout, graph=graph, image=image)
    with pytest.raises(DataError, match="V = 25"):
        layouts(joints[:, :, :20], layout, graph=graph, image=image)
