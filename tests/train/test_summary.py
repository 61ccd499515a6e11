"""What a run shows of itself."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from skelbench.data import Store
from skelbench.train import start
from skelbench.train.summary import curve, duration


def test_repr_and_page(store: Store, tmp_path: Path) -> None:
    run = start("moco", store, "smoke", folder=tmp_path / "<b>run", lr=0.02)
    assert repr(run).startswith("Run moco on tiny (smoke): ready, epoch 0/2, step 0/6 [")
    assert "<svg" not in run._repr_html_()
    run.run(progress=False)
    assert "finished, epoch 2/2, step 6/6, loss" in repr(run) and "1-NN" in repr(run)
    page = run._repr_html_()
    tree = ElementTree.fromstring(page.replace("&middot;", ""))  # well formed
    assert len(tree.findall(".//svg")) == 2 and "Edited: train.lr = 0.02 (0.05)" in page
    assert "<b>" not in page and "&lt;b&gt;run" in page and "script" not in page and "http" not in page


@pytest.mark.parametrize("n", [2, 200, 1001])
def test_curves_stay_inside_the_picture(n: int) -> None:
    x, y = np.arange(1, n + 1), np.sin(np.arange(n)) * 1e3
    y[n // 2] = np.nan
    svg = ElementTree.fromstring(curve(x, y, "a<b"))
    points = np.array([p.split(",") for p in svg.find("polyline").get("points").split()], float)  # type: ignore[union-attr]
    assert len(points) <= 200 and (points[:, 0] >= 34).all() and (points[:, 0] <= 412).all()
    assert (points[:, 1] >= 17.9).all() and (points[:, 1] <= 102.1).all() and (np.diff(points[:, 0]) >= 0).all()
    assert "a&lt;b" in curve(x, y, "a<b")
    flat = ElementTree.fromstring(curve(np.array([1, 2]), np.array([3.0, 3.0]), "flat"))
    assert "nan" not in flat.find("polyline").get("points")  # type: ignore[operator,union-attr]


def test_durations() -> None:
    assert [duration(s) for s in (5, 89, 600, 9000)] == ["5 s", "89 s", "10 min", "2.5 h"]
