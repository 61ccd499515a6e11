"""MaskView as a person meets it: a part of the moving body is clicked with the mouse, and another guess is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SETUP = """
import numpy as np, torch
from skelbench.explain.masking import MaskStudy, ReadOut
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.nets.gin import GIN
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.topology import topology
from skelbench.widgets import MaskView

layout = topology("kinect_v2_25")
heights = {"spine_base": .95, "spine_mid": 1.2, "spine_shoulder": 1.42, "neck": 1.5, "head": 1.65}
stand = {name: (0, y, 0) for name, y in heights.items()}
limbs = {"shoulder": (.2, 1.4, 0), "elbow": (.28, 1.15, 0), "wrist": (.3, .92, .05), "hand": (.3, .85, .06),
         "hand_tip": (.3, .78, .07), "thumb": (.27, .84, .09), "hip": (.1, .92, 0),
         "knee": (.12, .5, .02), "ankle": (.12, .1, 0), "foot": (.13, .04, .14)}
for side, sign in (("left", 1), ("right", -1)):
    stand |= {f"{side}_{name}": (sign * x, y, z) for name, (x, y, z) in limbs.items()}
rest = np.array([stand[j] for j in layout.joints], np.float32)
sway = np.sin(np.linspace(0, 4 * np.pi, 48))[:, None, None] * np.array([.05, .02, .1], np.float32)
joints = (rest + sway).astype(np.float32)[None, :, None]

generator = torch.Generator().manual_seed(0)
config = SkeletonMAE.Config(encoder=GIN.Config(width=16, layers=3), masking="random_parts")
method = SkeletonMAE.build(config, topology=layout, bodies=1, coordinates=3, classes=0, generator=generator)
weight = .05 * torch.randn(25, 17, 3, generator=generator)
weight[:, -1] += torch.from_numpy(rest)
readout = ReadOut(weight=weight, error=.1, joints=np.full(25, .1), mean_pose=.2, untrained=.15, clips=9)
"""
VIEW = "view = MaskView(MaskStudy(method, batch_of(joints, ids=['swaying']), readout), parts=['right_leg'])\nview"
CANVAS = "() => { const c = document.querySelector('.skb-mask canvas'); return c.toDataURL(); }"
DATA = "(document.querySelector('.skb-mask')?.dataset ?? {})"


def notebook(*cells: str) -> Any:
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    return book


def find(page: Any, sheet: Any, wanted: str) -> tuple[float, float]:
    """Move the mouse over the left picture until the name of a joint shows up, as a person who looks for it does."""
    sheet.centre(".skb-mask .skb-stage")
    box = page.locator(".skb-mask .skb-stage").bounding_box()
    for down in range(int(0.25 * box["height"]), int(0.75 * box["height"]), 10):  # a name shows within 9 pixels of its joint
        for across in range(int(0.18 * box["width"]), int(0.4 * box["width"]), 10):
            x, y = box["x"] + across, box["y"] + down
            page.mouse.move(x, y)
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            if page.evaluate(f"() => {DATA}.joint") == wanted:
                return x, y
    raise AssertionError(f"the pointer met no {wanted}")


@pytest.fixture
def opened(lab: Any, sheet: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    def run(*, dark: bool = False) -> Any:
        path = f"{request.node.name}.ipynb"
        nbformat.write(notebook(SETUP, VIEW, "print('everything', 'is there')"), lab.root / path)
        made = sheet(path, dark=dark)
        made.run_all("everything is there")
        made.until(f"() => +{DATA}.frames > 2 && +{DATA}.answers > 0")
        return made

    return run


def test_a_clicked_part_is_hidden_and_another_guess_is_drawn(opened: Callable[..., Any]) -> None:
    sheet = opened()
    page, view = sheet.page, ".skb-mask"
    page.locator(".skb-mask .skb-bar input[type=range]").fill("20")  # the clock stands
    sheet.until(f"() => {DATA}.frame === '20' && {DATA}.playing === 'false'")
    before, pixels = sheet.data(view), page.evaluate(CANVAS)
    assert before["hidden"] == "16 17 18 19" and before["clips"] == "2" and before["drawn"] == "2"
    assert page.locator(".skb-title").all_text_contents() == ["what the encoder sees", "its guess, over the truth"]

    x, y = find(page, sheet, "left_elbow")
    page.mouse.click(x, y)
    sheet.until(f"() => {DATA}.hidden === '4 5 6 7 16 17 18 19 21 22'")
    page.mouse.move(5, 5)  # the name under the pointer is no guess
    page.wait_for_timeout(200)
    after = sheet.data(view)
    assert after["guess"] != before["guess"] and after["mean"] != before["mean"] and after["frame"] == "20"
    assert page.evaluate(CANVAS) != pixels
    pressed = page.locator(".skb-mask-bar [role=group] button")
    assert [b.get_attribute("aria-pressed") for b in pressed.all()] == ["false", "false", "true", "false", "false", "true"]
    assert page.locator(".skb-mask .joints rect").count() == 10

    page.keyboard.down("Shift")
    page.mouse.click(x, y)  # one joint comes back
    page.keyboard.up("Shift")
    sheet.until(f"() => {DATA}.hidden === '4 6 7 16 17 18 19 21 22'")
    assert pressed.nth(2).get_attribute("aria-pressed") == "mixed"
    yaw = sheet.data(view)["yaw"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 10, steps=5)  # a drag turns, and hides nothing
    page.mouse.up()
    sheet.until(f"yaw => {DATA}.yaw !== yaw", yaw)
    assert sheet.data(view)["hidden"] == "4 6 7 16 17 18 19 21 22"
    page.get_by_text("view = MaskView").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("print(view.masked[:3], round(view.numbers['mean']['distance'], 3) > 0, view.reconstruction.hidden.sum())")
    page.keyboard.press("Control+Enter")
    sheet.output("[4, 6, 7] True 9")  # Python knows what the mouse did
    sheet.clean()


def test_keys_slider_and_switches_in_the_dark(opened: Callable[..., Any]) -> None:
    sheet = opened(dark=True)
    page, view = sheet.page, ".skb-mask"
    assert sheet.data(view)["theme"] == "dark"
    cells = page.locator(".jp-Cell").count()
    page.locator(view).focus()
    page.keyboard.press("0")
    sheet.until(f"() => {DATA}.hidden === ''")
    page.keyboard.press("1")
    sheet.until(f"() => {DATA}.hidden === '2 3'")
    page.keyboard.press("o")
    sheet.until(f"() => {DATA}.clips === '1'")
    page.keyboard.press("o")
    sheet.until(f"() => {DATA}.clips === '2'")
    assert page.locator(".jp-Cell").count() == cells
    page.get_by_role("button", name="re-mask").click()
    answers = int(sheet.data(view)["answers"])
    page.locator(".skb-mask-bar input[type=range]").fill("0.8")
    sheet.until(f"() => {DATA}.hidden.split(' ').length === 20")
    assert int(sheet.data(view)["answers"]) > answers
    some = sheet.data(view)["hidden"]
    page.get_by_role("button", name="draw again").click()
    sheet.until(f"some => {DATA}.hidden !== some && {DATA}.hidden.split(' ').length === 20", some)
    mean = sheet.data(view)["mean"]
    page.locator(".skb-mask-bar select").select_option("cosine")
    sheet.until(f"mean => {DATA}.mean !== mean", mean)
    for part in range(6):
        page.locator(".skb-mask-bar [role=group] button").nth(part).click()
    assert page.get_by_text("One joint at least must be seen.").count() <= 1
    page.get_by_role("button", name="clear").click()
    sheet.until(f"() => {DATA}.hidden === ''")
    frame = sheet.data(view)["frame"]
    chart = page.locator(".skb-mask .frames")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.click(box["x"] + 0.55 * box["width"], box["y"] + 0.3 * box["height"])
    sheet.until(f"frame => {DATA}.playing === 'false' && +{DATA}.frame > 15 && +{DATA}.frame < 35", frame)
    page.get_by_text("view = MaskView").first.click()  # a view keeps the keys to itself, Control+s among them
    sheet.reload()
    sheet.until(f"() => +{DATA}.frames > 0 && {DATA}.hidden === ''", seconds=60)
    assert page.locator(view).count() == 1
    sheet.clean()
