"""Parts on a body and learned graphs: what is drawn is what the streams and the network hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.part_streams import part_streams
from skelbench.skeleton.topology import Topology, topology
from skelbench.widgets.palette import BAD, GOOD
from skelbench.widgets.parts_picture import learned_graphs, parts_on_body

SVG = "{http://www.w3.org/2000/svg}"


def clip(layout: Topology, frames: int = 3) -> Clip:
    joints = np.random.default_rng(0).normal(size=(frames, 1, layout.V, 3)).astype(np.float32)
    return Clip(joints=joints, topology=layout, id="c")


@pytest.mark.parametrize(
    ("name", "reading", "odd"), [("kinect_v2_25", "fixed", 0), ("kinect_v2_25", "faithful", 2), ("cmu_asf_31", "faithful", 0)]
)
def test_every_pair_is_a_line_and_wrong_ones_stand_out(name: str, reading: str, odd: int) -> None:
    layout = topology(name)
    root = ET.fromstring(parts_on_body(clip(layout), reading=reading).svg)
    streams = part_streams(layout, reading=reading)
    lines = [p for p in root.iter(f"{SVG}path") if p.get("stroke") in (GOOD, BAD) and p.get("stroke-width") in ("2", "3")]
    assert len(lines) == sum(len(part.pairs) for part in streams.values())
    assert sum(p.get("stroke") == BAD for p in lines) == odd
    assert (len(list(root.iter(f"{SVG}circle"))) > 0) == (odd > 0)  # the right foot hangs on nothing
    words = " ".join(root.itertext())
    for stream, part in streams.items():
        assert f"{stream}: {part.V} joints" in words


def test_bodies_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ConfigError, match="frame=7: the clip has 3"):
        parts_on_body(clip(topology("cmu_asf_31")), frame=7)
    with pytest.raises(DataError, match="no parts"):
        parts_on_body(clip(Topology(name="worm", joints=("a", "b"), parents=(-1, 0))))


def test_the_largest_changes_are_told() -> None:
    part = part_streams(topology("kinect_v2_25"))["leg"]
    net = CTRGCN(CTRGCN.Config(channels=(4, 8)), graph=part.graph(), bodies=1, coordinates=12, generator=torch.Generator())
    with torch.no_grad():
        net.each()[0].spatial.learned[1, 2, 5] += 0.75
        net.each()[0].spatial.alpha += 0.125
    names = tuple(topology("kinect_v2_25").joints[j] for j in part.joints)
    text = learned_graphs(net, part.graph(), block=0, names=names, most=1).svg
    first, second = names[2].replace("_", " "), names[5].replace("_", " ")
    assert f"{first} takes +0.75 from {second} (inward)" in text and "alpha = +0.125" in text
    assert len(re.findall("<image", text)) == 9 and "Block 1 of 2" in text
    with pytest.raises(ConfigError, match="block=2: the network has 2"):
        learned_graphs(net, part.graph(), block=2)
    with pytest.raises(ConfigError, match="the initial ones"):
        learned_graphs(net, torch.zeros(3, 4, 4))
