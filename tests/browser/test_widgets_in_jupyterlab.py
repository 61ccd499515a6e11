"""The three widgets as a person meets them: with the mouse and the keyboard, in JupyterLab, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SETUP = """
import numpy as np, torch
from skelbench.data.store import write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets import EmbeddingMap, PositiveLab, SkeletonPlayer, link

layout, random = topology("kinect_v2_25"), np.random.default_rng(0)
heights = {"spine_base": .95, "spine_mid": 1.2, "spine_shoulder": 1.42, "neck": 1.5, "head": 1.65}
stand = {name: (0, y, 0) for name, y in heights.items()}
limbs = {"shoulder": (.2, 1.4, 0), "elbow": (.28, 1.15, 0), "wrist": (.3, .92, .05), "hand": (.3, .85, .06),
         "hand_tip": (.3, .78, .07), "thumb": (.27, .84, .09), "hip": (.1, .92, 0),
         "knee": (.12, .5, .02), "ankle": (.12, .1, 0), "foot": (.13, .04, .14)}
for side, sign in (("left", 1), ("right", -1)):
    stand |= {f"{side}_{name}": (sign * x, y, z) for name, (x, y, z) in limbs.items()}
rest = np.array([stand[j] for j in layout.joints], np.float32)

def movement(kind, frames=48):
    # arms go up and down, faster for every kind; every third kind has a second body
    phase = np.linspace(0, 2 * np.pi * (1 + kind % 4), frames)
    x = np.repeat(rest[None, None], frames, 0).repeat(2, 1)
    lift = .5 * (1 - np.cos(phase))
    for j, name in enumerate(layout.joints):
        if any(part in name for part in ("wrist", "hand", "thumb")):
            x[:, :, j, 1] += (.9 * lift)[:, None]
    x[:, 1, :, 0] += .9
    if kind % 3:
        x[:, 1] = 0
    return x + .004 * random.normal(size=(frames, 1, 25, 3)).astype(np.float32) * (x != 0)

names = ["wave", "<b>bold</b>", "clap & jump", "kick", "sit", "stand"]
clips = [Clip(joints=movement(i % 6), topology=layout, label=i % 6, id=f"S{i:03d}") for i in range(60)]
store = write_store("store", clips, classes=names, overwrite=True)
"""
CELLS = {
    "player": "player = SkeletonPlayer([store[0], store[1]], titles=['one', 'two <i>x</i>'], height=260)\nplayer",
    "map": """rows = np.arange(4000) % len(store)
centres = 3 * random.normal(size=(6, 2))
places = centres[store.labels[rows]] + random.normal(size=(4000, 2))
chart = EmbeddingMap(places, store=store, rows=rows, columns={"correct": rows % 5 > 0})
chart""",
    "lab": """generator = torch.Generator().manual_seed(0)
prototypes = torch.nn.functional.normalize(torch.randn(20, 12, generator=generator), dim=1)
keys = prototypes[torch.arange(600) % 20] + .12 * torch.randn(600, 12, generator=generator)
lab = PositiveLab(keys[:256], prototypes, gallery=keys, labels=np.arange(600) % 6, store=store, rows=np.arange(600) % 60)
lab""",
    "end": "print('everything', 'is there')",
}


def notebook(*cells: str) -> Any:
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}  # else a dialogue asks
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    return book


@pytest.fixture
def opened(lab: Any, sheet: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Opens a notebook with some of the widgets and runs it."""

    def run(*names: str, dark: bool = False) -> Any:
        path = f"{request.node.name}.ipynb".replace("[", "-").replace("]", "")
        nbformat.write(notebook(SETUP, *(CELLS[n] for n in (*names, "end"))), lab.root / path)
        made = sheet(path, dark=dark)
        made.run_all("everything is there")
        return made

    return run


def shake(page: Any, x: float, y: float, dx: float, dy: float) -> None:
    """Press, drag and let go, in steps as a hand does."""
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()


def test_player_turns_zooms_plays_and_is_let_go(opened: Callable[..., Any]) -> None:
    sheet = opened("player")
    page, player = sheet.page, ".skb-player"
    sheet.until("() => +document.querySelector('.skb-player').dataset.frames > 5")
    assert sheet.data(player)["clips"] == "2" and sheet.data(player)["drawn"] == "3"  # the second clip's second body is absent
    assert page.locator(".skb-title").all_text_contents() == ["one", "two <i>x</i>"]

    before = sheet.data(player)
    shake(page, *sheet.centre(".skb-stage"), 80, 30)
    sheet.until("y => +document.querySelector('.skb-player').dataset.yaw > y + 0.5", float(before["yaw"]))
    page.mouse.wheel(0, -300)
    sheet.until("() => +document.querySelector('.skb-player').dataset.zoom > 1.1")

    page.locator(player).focus()
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("r")  # JupyterLab would make a raw cell of it
    sheet.until("() => document.querySelector('.skb-player').dataset.zoom === '1.000'")
    page.keyboard.press("Space")
    sheet.until("() => document.querySelector('.skb-player').dataset.playing === 'false'")
    page.wait_for_timeout(300)
    still = int(sheet.data(player)["frames"])
    page.wait_for_timeout(300)
    assert int(sheet.data(player)["frames"]) == still  # paused: no animation frame is asked for
    frame = int(sheet.data(player)["frame"])
    page.keyboard.press("ArrowRight")
    sheet.until("f => +document.querySelector('.skb-player').dataset.frame === (f + 1) % 48", frame)
    page.keyboard.press("+")
    sheet.until("() => +document.querySelector('.skb-player').dataset.zoom > 1.1")
    assert page.locator(".jp-Cell").count() == cells and page.locator(".jp-RawCell").count() == 0

    page.locator(".skb-player input[type=range]").fill("30")
    sheet.until("() => document.querySelector('.skb-player').dataset.frame === '30'")
    page.locator(".skb-player select").select_option("0.5")
    old = page.query_selector(player)
    page.get_by_text("player = SkeletonPlayer").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("print(player.frame, player.speed, player.playing, f'{player.camera[2]:.1f}')\n")
    page.keyboard.type(
        "player.frame = 7\nplayer.trail = 12\ntwin = SkeletonPlayer(store[2], height=120)\n"
        "link(player, twin)\ndisplay(player, twin)"
    )
    page.keyboard.press("Control+Enter")
    sheet.output("30 0.5 False 1.2")  # Python hears what the mouse did
    sheet.until("() => document.querySelectorAll('.skb-player').length === 2")
    sheet.centre(player)  # out of sight nothing is drawn
    sheet.until("() => document.querySelector('.skb-player').dataset.frame === '7'")  # and the page what Python said
    assert old.get_attribute("data-disposed") == "1" and page.locator(player).count() == 2
    page.locator(player).nth(1).locator("input[type=range]").fill("21")  # the twin's; linked players share a clock
    sheet.until("() => [...document.querySelectorAll('.skb-player')].every(p => p.dataset.frame === '21')")

    before = int(sheet.data(player)["frames"])
    page.keyboard.press("Escape")
    page.evaluate("() => document.querySelector('.skb-player').closest('.jp-OutputArea').style.marginTop = '4000px'")
    sheet.until("() => document.querySelector('.skb-player').dataset.seen === '0'")
    page.evaluate("() => document.querySelector('.skb-player button').click()")  # plays, out of sight
    page.wait_for_timeout(400)
    assert int(sheet.data(player)["frames"]) <= before + 3
    sheet.clean()


def test_map_hover_plays_lasso_selects_and_all_comes_back(opened: Callable[..., Any]) -> None:
    sheet = opened("map")
    page, body = sheet.page, ".skelbench-map .skb-player"
    sheet.until("() => document.querySelector('.skelbench-map .nsewdrag') && document.querySelector('.skelbench-map .skb-player')")
    assert "<b>bold</b>" in page.locator(".skb-key .name").all_text_contents()
    first = page.locator(f"{body} .skb-title").first.text_content()
    x, y = sheet.spot(1234)
    page.mouse.move(x - 40, y - 40)
    page.mouse.move(x, y, steps=4)
    sheet.until("t => document.querySelector('.skelbench-map .skb-player .skb-title').textContent !== t", first)
    at = int(sheet.data(body)["frame"])
    sheet.until("f => +document.querySelector('.skelbench-map .skb-player').dataset.frame !== f", at)  # it moves

    box = page.locator(".skelbench-map .nsewdrag").bounding_box()
    left, top, right, low = box["x"] + 8, box["y"] + 8, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(left, top)
    page.mouse.down()
    for px, py in ((right, top), (right, low), (left, low), (left, top + 4)):
        page.mouse.move(px, py, steps=2)
    page.mouse.up()
    sheet.until("() => document.querySelectorAll('.skelbench-map .skb-player').length === 2")
    assert 1 <= int(page.locator(body).nth(1).get_attribute("data-clips")) <= 8
    page.locator(".skb-key button").nth(1).click()
    page.locator(".jp-Cell .cm-content").last.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("labels = store.labels[chart.rows[chart.selection]]\n")
    page.keyboard.type("print(chart.selection.dtype, len(chart.selection), set(labels.tolist()))")
    page.keyboard.press("Control+Enter")
    sheet.output("uint32 667 {1}")

    page.locator(".skelbench-map select").first.select_option("correct")
    sheet.until("() => document.querySelector('.skb-key').dataset.entries === '2'")
    sheet.reload()
    page.wait_for_selector(".skelbench-map .js-plotly-plot .nsewdrag", timeout=60_000)
    sheet.until(
        "() => document.querySelector('.skb-key')?.dataset.entries === '2' && document.querySelector('.skelbench-map .skb-player')"
    )
    plot = "document.querySelector('.skelbench-map .js-plotly-plot')._fullData[0]"
    found = page.evaluate(f"() => [{plot}.x.length, {plot}.marker.cmax, {plot}.selectedpoints.length]")
    assert found == [4000, 1.5, 667]  # the second colouring and the last selection, not the first picture
    sheet.clean()


def test_hardness_slider_moves_positives(opened: Callable[..., Any]) -> None:
    sheet = opened("lab", dark=True)
    page, lab = sheet.page, ".skb-lab"
    sheet.until("() => +document.querySelector('.skb-lab')?.dataset.drawn > 0")
    before = sheet.data(lab)
    places = "() => [...document.querySelectorAll('.skb-lab .dots')].map(g => [...g.children].map(c => c.style.transform))"
    where = page.evaluate(places)
    assert len(where[1]) == 100
    slider = page.locator(".skb-lab-hardness input")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2, steps=12)
    page.mouse.up()
    sheet.until("() => Math.abs(+document.querySelector('.skb-lab').dataset.hardness - 0.9) < 0.05")
    after = sheet.data(lab)
    moved = page.evaluate(places)
    assert all(a != b for old, new in zip(where, moved, strict=True) for a, b in zip(old, new, strict=True))
    assert float(after["first"]) > float(before["first"])  # the same draw, farther out
    assert int(after["drawn"]) > int(before["drawn"])
    page.locator(".skb-lab select").select_option(index=4)
    sheet.until("t => document.querySelector('.skb-lab').dataset.target !== t", after["target"])
    sheet.until("() => /target: /.test([...document.querySelectorAll('.skb-title')].map(t => t.textContent).join())")
    page.locator(".skb-lab .dots .dot").nth(150).click(force=True)
    sheet.until("() => /your z/.test([...document.querySelectorAll('.skb-title')].map(t => t.textContent).join())")
    hardness = sheet.data(lab)["hardness"]
    sheet.reload()
    sheet.until("h => document.querySelector('.skb-lab')?.dataset.hardness === h", hardness, seconds=60)
    sheet.until("() => +document.querySelector('.skb-player')?.dataset.frames > 0")
    sheet.clean()
