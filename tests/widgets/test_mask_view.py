"""MaskView: what a click does in Python, what travels, and the still picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import traitlets

from skelbench.errors import ConfigError
from skelbench.explain.masking import MaskStudy, ReadOut
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.nets.gin import GIN
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.topology import Topology, topology
from skelbench.widgets.mask_view import MaskView, _some

KINECT = topology("kinect_v2_25")


def study(layout: Topology = KINECT, *, unit: str = "metre", frames: int = 12, **config: Any) -> MaskStudy:
    """A clip of two bodies, the second one there for half of it, and a read-out of made-up weights."""
    generator = torch.Generator().manual_seed(0)
    settings = {"encoder": GIN.Config(width=8, layers=2), "masking": "random_parts" if layout.V >= 6 else "joints"} | config
    shape: dict[str, Any] = {"topology": layout, "bodies": 2, "coordinates": 3, "classes": 0}
    method = SkeletonMAE.build(SkeletonMAE.Config(**settings), generator=generator, **shape)
    joints = np.random.default_rng(0).normal(size=(1, frames, 2, layout.V, 3)).astype(np.float32)
    joints[:, frames // 2 :, 1] = 0
    weight = torch.randn(layout.V, 9, 3, generator=generator)
    readout = ReadOut(weight=weight, error=0.2, joints=np.full(layout.V, 0.2), mean_pose=0.5, untrained=0.3, clips=7)
    return MaskStudy(method, batch_of(joints, ids=["<clip>"]), readout, unit=unit)


def test_it_begins_with_an_arm_or_with_what_was_asked_for() -> None:
    arm = list(study().parts["left_arm"])
    assert MaskView(study()).masked == sorted(arm)
    trained = MaskView(study(masking="parts", parts=(0, 5)))
    assert trained.masked == sorted([*trained.study.parts["head"], *trained.study.parts["right_leg"]])
    assert MaskView(study(), parts=[], joints=["head"]).masked == [KINECT.joint("head")]
    assert MaskView(study(), parts=["torso"]).hide(3, joints=[0]).masked == sorted({0, *study().parts["right_arm"]})
    with pytest.raises(ConfigError, match="no part 'tail'"):
        MaskView(study(), parts=["tail"])


def test_a_click_brings_another_guess_and_other_numbers() -> None:
    view = MaskView(study(), parts=["left_arm"])
    scene, numbers, found = view._scene, view.numbers, view.reconstruction
    view.masked = sorted(view.study.parts["right_leg"])
    assert view._scene["data"] != scene["data"] and view._scene["clips"][0]["hidden"] != scene["clips"][0]["hidden"]
    assert view.numbers["hidden"] == view.masked != numbers["hidden"]
    wanted = view.study.reconstruct(view.study.hidden(parts=["right_leg"]))
    assert np.array_equal(view.reconstruction.joints, wanted.joints, equal_nan=True) and view.reconstruction is not found
    assert view.numbers["mean"]["distance"] == pytest.approx(100 * wanted.mean(), rel=1e-3)
    for j, value in enumerate(view.numbers["joints"]["cosine"]):
        mine = wanted.by_joint("cosine")[j]
        assert (value is None and np.isnan(mine)) or value == pytest.approx(mine, rel=1e-3)
    assert len(view.numbers["frames"]["distance"]) == 12 and view.numbers["units"]["distance"] == "cm"
    view.hide()
    assert view.masked == [] and view.numbers["mean"]["distance"] is None and not any(view._scene["clips"][0]["hidden"])


def test_truth_and_guess_travel_in_one_frame_of_reference() -> None:
    view = MaskView(study(), parts=["left_arm"])
    table = view._scene["clips"][0]
    assert (table["bodies"], table["frames"], table["joints"]) == (4, 12, 25)
    packed = np.frombuffer(view._scene["data"], "<f2").astype(float).reshape(12, 4, 25, 3) * table["scale"]
    truth, guess = packed[:, :2], packed[:, 2:]
    hidden = view.reconstruction.hidden
    np.testing.assert_allclose(guess[:6][:, :, ~hidden], truth[:6][:, :, ~hidden], atol=2e-3 * table["scale"])
    assert np.isnan(packed[6:, [1, 3]]).all() and np.isfinite(packed[6:, [0, 2]]).all()  # who is gone is gone in both
    far = np.linalg.norm(guess - truth, axis=-1)
    np.testing.assert_allclose(far[:6], view.reconstruction.distance[:6], atol=0.01 * np.nanmax(far))  # the turn keeps lengths
    colours = np.frombuffer(view._scene["colours"], np.uint8).reshape(12, 2, 25)
    share = np.clip(np.nan_to_num(view.reconstruction.distance) / (2.5 * 0.2), 0, 1)
    np.testing.assert_allclose(colours / 255, share, atol=0.003)
    other = MaskView(study(), parts=["right_leg"])._scene["clips"][0]
    assert {k: other[k] for k in ("scale", "half", "floor")} == {k: table[k] for k in ("scale", "half", "floor")}  # nothing jumps


def test_random_joints_grow_with_the_ratio_and_change_with_the_draw() -> None:
    view = MaskView(study())
    view.ratio = 0.4
    first = set(view.masked)
    view.ratio = 0.8
    assert len(first) == 10 and len(view.masked) == 20 and first < set(view.masked)
    view.draw = 5
    assert len(view.masked) == 20 and not first < set(view.masked)
    view.ratio = 7.0  # whatever a page may send
    assert len(view.masked) == 24


def test_switches() -> None:
    view = MaskView(study(), parts=["left_arm"])
    plain = view.reconstruction.joints
    view.remask = True
    assert not np.array_equal(view.reconstruction.joints, plain, equal_nan=True) and view.numbers["far"] >= 0
    colours = view._scene["colours"]
    view.colour = "cosine"
    assert view._scene["colours"] != colours and view._scene["range"] == [0.0, 0.25]
    with pytest.raises(traitlets.TraitError):
        view.colour = "rainbow"
    assert MaskView(study(remask=True)).remask  # as the method was trained


def test_what_a_page_must_not_ask_for() -> None:
    view = MaskView(study(), parts=["left_arm"])
    before = list(view.masked)
    for asked in (list(range(25)), [25], [-1], [3, 3, 99]):
        with pytest.raises(ConfigError, match=r"joints are 0 \.\. 24, and one at least"):
            view.masked = asked
        assert view.masked == before and view.numbers["hidden"] == before


def test_state_comes_back() -> None:
    view = MaskView(study(), parts=["head"])
    view.over, view.frame, view.single = True, 4, True
    other = MaskView(study())
    other.state = view.state
    assert other.state == view.state and other.numbers["hidden"] == view.masked
    with pytest.raises(ConfigError, match="has no hat"):
        other.state = {"hat": 1}


def test_joints_too_far_to_hear_of() -> None:
    view = MaskView(study(), parts=["left_arm"])  # two layers and a decoder reach three bones
    assert view.numbers["far"] == 3  # hand, thumb and tip hang four bones or more from the chest
    assert MaskView(study(encoder=GIN.Config(width=8, layers=5)), parts=["left_arm"]).numbers["far"] == 0


def test_other_units_and_skeletons_without_parts() -> None:
    view = MaskView(study(unit="pixel"))
    assert view.numbers["units"]["distance"] == "pixel" == view._scene["unit"] and view.numbers["most"]["distance"] == 0.5
    five = Topology.from_dict({"name": "five", "joints": list("abcde"), "parents": [-1, 0, 1, 1, 1]})
    bare = MaskView(study(five))
    assert bare.numbers["parts"] == [] and bare.masked == []
    bare.masked = [2]
    assert bare.numbers["hidden"] == [2]


def test_the_still_picture_says_the_same() -> None:
    view = MaskView(study(), parts=["left_arm"])
    text = view.static()
    root = ET.fromstring(text)
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "left shoulder" in words and any(w.startswith("Read-out on 7 held-out clips: 20 cm") for w in words if w)
    assert "&lt;clip&gt;" in text and "<clip>" not in text
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 6
    view.hide()
    ET.fromstring(view.static())
    view.colour, view.ratio = "cosine", 0.95
    ET.fromstring(view.static())
    data, _ = view._repr_mimebundle_()
    assert data["image/svg+xml"] == view.static() and data["text/plain"] == "MaskView(24 of 25 joints hidden)"
    absent = study()
    absent._present[:] = False
    absent._graphs = absent._graphs[:0]
    object.__setattr__(absent.clip, "joints", np.zeros_like(absent.clip.joints))
    ET.fromstring(MaskView(absent).static())  # nobody there at all


def test_a_run_of_something_else() -> None:
    with pytest.raises(ConfigError, match="a run of 'moco'"):
        MaskView.of(SimpleNamespace(method=SimpleNamespace(name="moco")))  # type: ignore[arg-type]


def test_some_rows() -> None:
    assert _some([4, 8, 9], 10).tolist() == [4, 8, 9] and len(_some(np.arange(1000), 10)) == 10
