"""The HaLP lesson as a reader works through it: run all, drag the hardness, point at the map."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "02_halp_hardness.ipynb"
PLACES = "() => [...document.querySelectorAll('.skb-lab .dots .dot')].map(c => c.style.transform)"
PLAYS = "f => +document.querySelector('.skelbench-map .skb-player').dataset.frame !== f"


@pytest.mark.skipif(not LESSON.exists(), reason="the lesson has not been built: python notebooks/build.py 02")
def test_hardness_is_dragged_and_the_map_plays(lab: Any, sheet: Callable[..., Any]) -> None:
    shutil.copy(LESSON, lab.root / LESSON.name)
    book = sheet(LESSON.name)
    page = book.page
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    book.appears("() => document.querySelector('.skelbench-map .js-plotly-plot .nsewdrag')", seconds=150)
    book.idle()

    slider = page.locator(".skb-lab-hardness input")
    slider.scroll_into_view_if_needed()
    book.until("() => +document.querySelector('.skb-lab').dataset.drawn > 0")
    before, places = book.data(".skb-lab"), page.evaluate(PLACES)
    assert len(places) > 100
    box = slider.bounding_box()
    page.mouse.move(box["x"] + float(before["hardness"]) * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2, steps=10)
    page.mouse.up()
    book.until("() => +document.querySelector('.skb-lab').dataset.hardness > 0.9")
    assert page.evaluate(PLACES) != places
    assert float(book.data(".skb-lab")["first"]) > float(before["first"])

    title = page.locator(".skelbench-map .skb-title").first.text_content()
    for point in (5, 6, 7):
        x, y = book.spot(point)
        page.mouse.move(x - 30, y)
        page.mouse.move(x, y, steps=4)
        page.wait_for_timeout(600)
        if page.locator(".skelbench-map .skb-title").first.text_content() != title:
            break
    else:
        raise AssertionError(f"the pointer went over three points, the player still shows {title!r}")
    book.until(PLAYS, int(book.data(".skelbench-map .skb-player")["frame"]))
    book.clean()
