"""The data card in a real browser: opened from disk without a network, its slider dragged with a real mouse, in both themes."""

import os
from pathlib import Path

import numpy as np
import pytest

from skelbench.data import write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets.card import write_card

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror='document.title=1'>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder, rng, coco = tmp_path_factory.mktemp("card"), np.random.default_rng(0), topology("coco_17")
    person = np.stack([300 + 20 * np.cos(np.arange(17)), np.linspace(100, 400, 17), np.ones(17)], axis=1)
    clips = []
    for i in range(24):
        joints = np.tile(person, (40, 1, 1, 1))
        joints[..., :2] += np.cumsum(rng.normal(size=(40, 1, 17, 2)), axis=0)
        clips.append(Clip(joints=joints.astype(np.float32), topology=coco, label=i % 4, id=f"c{i}", about={"subject": i % 3}))
    classes = ["wave", NASTY, "\u202epmuj", "a class with quite a long name, longer than any column"]
    store = write_store(folder / "flat", clips, classes=classes, name=NASTY, units="pixel", extra={"image": True})
    return write_card(store, folder / "card.html")


@pytest.fixture
def opened(browser, page_file):
    """Opens the card offline; fails on any request, script error or warning."""
    pages = []

    def start(*, width, scheme):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready='1']")
        pages.append((context, page, wrong))
        return page

    yield start
    for context, page, wrong in pages:
        title = page.title()
        context.close()
        assert wrong == [] and title == NASTY


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (420, "dark")])
def test_the_slider_under_a_real_mouse(opened, width, scheme):
    page = opened(width=width, scheme=scheme)
    state = lambda: page.eval_on_selector(".skb-player", "node => ({...node.dataset})")  # noqa: E731
    page.wait_for_function("() => Number(document.querySelector('.skb-player').dataset.frame) > 3")
    assert state()["playing"] == "true" and state()["clips"] == "4" and state()["drawn"] == "4" and state()["theme"] == scheme
    slider = page.locator(".skb-player input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.mouse.down()
    page.wait_for_function("() => document.querySelector('.skb-player').dataset.playing === 'false'")
    first, before = int(state()["frame"]), page.locator(".skb-player canvas").screenshot()
    assert 4 <= first <= 12
    page.mouse.move(box["x"] + 0.8 * box["width"], y, steps=8)
    page.mouse.up()
    page.wait_for_function("f => Number(document.querySelector('.skb-player').dataset.frame) > f + 15", arg=first)
    assert page.locator(".skb-player canvas").screenshot() != before
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SKELBENCH_SHOTS"):
        page.screenshot(path=Path(folder) / f"card-{scheme}-{width}.png", full_page=True)
