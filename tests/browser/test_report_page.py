"""The offline report in a real browser: opened from disk, hovered with a real mouse, worked from the keyboard, in both themes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.data.store import write_store
from skelbench.evaluate import Row, Table
from skelbench.explain.positives import PositiveStudy
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.train.metrics import Metrics
from skelbench.widgets.report import Embedding, write_report

pytestmark = pytest.mark.browser

NASTY = "<img src=x onerror='document.title=1'>"
PLACE = """i => { const plot = document.querySelector('#map-plot .inner'), box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout, at = plot.data[0];
  return [box.x + xaxis._offset + xaxis.l2p(at.x[i]), box.y + yaxis._offset + yaxis.l2p(at.y[i])]; }"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of 30 made-up clips whose points stand on a 6 x 5 lattice, far enough apart for a mouse."""
    folder, g, rng = tmp_path_factory.mktemp("report"), torch.Generator().manual_seed(0), np.random.default_rng(0)
    layout, classes = topology("kinect_v2_25"), ["wave", NASTY, "jump"]
    clips = []
    for i in range(30):
        joints = rng.normal(scale=0.3, size=(1, 1, 25, 3)) + 0.05 * np.sin(np.arange(40) / 5)[:, None, None, None]
        clips.append(
            Clip(joints=joints.astype(np.float32), topology=layout, label=i % 3, id=f"clip{i:02d}", about={"subject": i % 5})
        )
    store = write_store(folder / "tiny", clips, classes=classes)
    shape = {"data": "tiny", "split": "xsub", "protocol": "1-NN", "mean_class": 0.5, "n": 10}
    table = Table(Row(method=m, accuracy=a, **shape) for m, a in (("random", 0.3), ("raw", 0.4), ("halp", 0.6)))
    metrics = Metrics()
    for step in range(50):
        metrics.line({"step": step, "epoch": 0, "loss": 5 - step / 20, "lr": 0.1, "parts": {"kept": 0.5}, "meters": {}})
    lattice = np.stack([np.arange(30) % 6, np.arange(30) // 6], axis=1).astype(float)
    features = torch.randn(30, 8, generator=g)
    study = PositiveStudy.draw(features, torch.randn(5, 8, generator=g), labels=store.labels, rows=np.arange(30), generator=g)
    embedding = Embedding(
        points={"halp": lattice, "random": lattice[::-1].copy()},
        rows=range(30),
        labels=store.labels,
        classes=classes,
        groups={"subject": store.index["subject"].tolist()},
        features={"halp": features},
    )
    parts = {"metrics": {"halp": metrics}, "embedding": embedding, "clips": store, "study": study, "facts": {"seed": NASTY}}
    return write_report(folder / "report.html", title=f"Demo {NASTY}", table=table, **parts)


@pytest.fixture
def open_page(browser, report):
    """Opens the report from disk, with no network at all; fails on any request, script error or warning."""
    pages = []

    def start(*, scheme="light", width=1280, height=900):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready='1']")
        pages.append((context, page, wrong))
        return page

    yield start
    for context, page, wrong in pages:
        title = page.title()
        context.close()
        assert wrong == []
        assert title == f"Demo {NASTY}"  # had the name run as markup, it would be 1


def keep(page, name):
    if folder := os.environ.get("SKELBENCH_SHOTS"):
        page.screenshot(path=Path(folder) / f"report-{name}.png", full_page=True)


def playing(page, host="#map-player"):
    return page.eval_on_selector(host, "node => node.dataset.rows")


def test_hover_plays_the_clip_under_the_pointer(open_page):
    page = open_page()
    page.locator("#map-plot").scroll_into_view_if_needed()
    assert playing(page) == "0"
    for point, name in ((14, "jump"), (22, NASTY), (9, "wave")):
        x, y = page.evaluate(PLACE, point)
        page.mouse.move(x - 25, y - 4)
        page.mouse.move(x, y, steps=4)
        page.wait_for_function("row => document.querySelector('#map-player').dataset.rows === row", arg=str(point), timeout=5000)
        caption = page.inner_text("#map-caption")
        assert name in caption and f"clip{point:02d}" in caption and f"subject {point % 5}" in caption
        ring = page.eval_on_selector("#map-plot", "node => [Number(node.dataset.x), Number(node.dataset.y)]")
        box = page.locator("#map-plot .inner").bounding_box()
        assert ring == pytest.approx([x - box["x"], y - box["y"]], abs=1)
    assert page.locator("#map-plot .over line").count() == 3  # to the true neighbours
    before = page.locator("#map-player canvas").screenshot()
    drawn = page.eval_on_selector("#map-player .skb-player", "node => Number(node.dataset.frames)")
    page.wait_for_function(
        "n => Number(document.querySelector('#map-player .skb-player').dataset.frames) > n + 5", arg=drawn, timeout=5000
    )
    assert page.locator("#map-player canvas").screenshot() != before
    keep(page, "light")


def test_the_keyboard_reaches_everything(open_page):
    page = open_page()
    page.locator("#map-plot").focus()
    for key, wanted in (("ArrowRight", "1"), ("ArrowUp", "7"), ("ArrowLeft", "6"), ("ArrowDown", "0")):
        page.keyboard.press(key)
        page.wait_for_function("row => document.querySelector('#map-player').dataset.rows === row", arg=wanted, timeout=5000)
    page.get_by_role("button", name="jump", exact=True).first.press("Enter")
    opacity = page.eval_on_selector("#map-plot .inner", "node => node.data[0].marker.opacity")
    assert [o > 0.5 for o in opacity] == [i % 3 == 2 for i in range(30)]
    assert page.evaluate("document.activeElement.textContent") == "jump"
    page.get_by_role("button", name="subject", exact=True).press("Space")
    assert page.locator("#map-legend button").count() == 5
    page.get_by_role("button", name="random", exact=True).press("Enter")
    assert page.eval_on_selector("#map-plot .inner", "node => node.data[0].y[0]") == 4
    assert page.locator("#map-plot .over line").count() == 0  # no features were given for this view


def test_hardness_moves_the_positives(open_page):
    page = open_page()
    dots = "() => [...document.querySelectorAll('#disc circle')].map(c => c.getAttribute('cx')).join()"
    seen = {}
    for name in ("0 easy", "1 on the boundary"):
        page.get_by_role("button", name=name).press("Enter")
        bars = page.eval_on_selector("#angles", "node => node.data.map(trace => trace.y)")
        tile = float(page.locator("#tiles .tile", has_text="mean angle").inner_text().split("°")[0])
        seen[name] = (page.evaluate(dots), page.eval_on_selector("#tiles", "node => node.dataset.hardness"), tile)
        assert sum(map(sum, bars)) == pytest.approx(100)
    easy, hard = seen.values()
    assert easy[0] != hard[0]
    assert (easy[1], hard[1]) == ("0", "1")
    assert easy[2] < hard[2]
    pair = playing(page, "#pair-player").split()
    page.locator("#anchor button").nth(1).press("Enter")
    assert playing(page, "#pair-player").split()[0] != pair[0]
    assert "nearest real clip" in page.inner_text("#pair-player")


def test_the_theme_follows_the_page(open_page):
    page = open_page(scheme="dark", width=800)
    paint = "() => getComputedStyle(document.body).backgroundColor"
    label = "() => getComputedStyle(document.querySelector('#curves .xtick text')).fill"
    dark = page.evaluate(paint), page.evaluate(label)
    assert page.eval_on_selector("#map-player .skb-player", "node => node.dataset.theme") == "dark"
    keep(page, "dark-800")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"old => ({label})() !== old", arg=dark[1], timeout=5000)
    assert page.evaluate(paint) != dark[0]
    assert page.eval_on_selector("#map-player .skb-player", "node => node.dataset.theme") == "light"


@pytest.mark.parametrize("width", [1280, 800, 420])
def test_nothing_is_wider_than_the_page(open_page, width):
    page = open_page(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate("() => [...document.querySelectorAll('.plot, .skb-player')].map(n => n.getBoundingClientRect().width)")
    assert min(sizes) > 120
    keep(page, f"light-{width}")
