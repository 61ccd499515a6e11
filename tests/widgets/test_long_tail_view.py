"""LongTailView: what the slider does in Python, what travels, and the still picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
import torch
import traitlets

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.longtail import LongTail, LongTailed
from skelbench.evaluate.score import Score
from skelbench.explain.tail import Tail
from skelbench.widgets.long_tail_picture import powers
from skelbench.widgets.long_tail_view import LongTailView

NAMES = ("wave", "sit", "<jump>", "fall", "kick", "nod")


def outcome(guesses: list[int], *, counts: tuple[int, ...] = (60, 9, 30, 0, 4, 15)) -> LongTailed:
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 4, 4, 5, 5])
    rows = torch.arange(10)
    score = Score(protocol="classifier", classes=NAMES, labels=labels, predictions=torch.tensor(guesses), rows=rows)
    return LongTail().of(score, torch.tensor(counts))


BEFORE, AFTER = outcome([0, 0, 0, 0, 2, 0, 0, 0, 5, 0]), outcome([0, 1, 1, 0, 2, 2, 4, 4, 5, 5])


def test_the_slider_counts_anew() -> None:
    view = LongTailView(NAMES, largest=60, imbalance=10)
    for imbalance in (10.0, 30.0):
        view.imbalance = imbalance
        tail = Tail.profile(NAMES, imbalance=imbalance, largest=60)
        assert view.numbers["counts"] == tail.counts.tolist() and view.numbers["shown"] == pytest.approx(
            tail.shown.tolist(), abs=0.01
        )
        assert view.numbers["weights"] == pytest.approx(tail.weights.tolist(), rel=1e-3)
    view.weigh, view.loss = "shown", "class_balanced"
    tail = Tail.profile(NAMES, imbalance=30, largest=60, weigh="shown", loss="class_balanced")
    assert view.numbers["say"] == pytest.approx(tail.say.tolist(), rel=1e-3)
    view.imbalance = 1000  # a page may ask for anything: no class may be left empty
    assert view.imbalance == 60 and view.numbers["counts"][-1] == 1
    view.imbalance = 0.2
    assert view.imbalance == 1 and view.numbers["counts"] == [60] * 6
    json.dumps(view.numbers)


def test_bars_stand_in_order_of_training_clips() -> None:
    found = LongTailView(NAMES, largest=60, before=BEFORE, after=AFTER).numbers["bars"]
    assert found["names"] == ["wave", "<jump>", "nod", "sit", "kick"] and found["counts"] == [60, 30, 15, 9, 4]
    assert found["runs"] == [[100, 50, 50, 0, 0], [50, 100, 100, 50, 100]] and found["labels"] == ["before", "after"]
    assert found["means"] == {"many": [100, 50], "medium": [50, 100], "few": [50 / 3, pytest.approx(83.3)]} | {
        "few": [pytest.approx(16.7), pytest.approx(83.3)]
    }
    assert found["overall"] == [40, 80]
    assert LongTailView(NAMES, largest=60).numbers["bars"] == {}
    assert LongTailView(NAMES, largest=60, after=AFTER).numbers["bars"]["labels"] == ["accuracy"]
    with pytest.raises(DataError, match="as many clips"):
        LongTailView(NAMES, largest=60, before=BEFORE, after=outcome([0] * 10, counts=(60, 9, 31, 0, 4, 15)))


@pytest.mark.parametrize("runs", [{}, {"after": AFTER}, {"before": BEFORE, "after": AFTER}])
def test_still_picture(runs: dict[str, LongTailed], tmp_path) -> None:
    view = LongTailView(NAMES, largest=60, **runs)
    text = view.save_svg(tmp_path / "tail.svg").read_text()
    root = ET.fromstring(text)
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(t == "<jump>: 26 clips, 26 shown" or (t or "").startswith("<jump>: ") for t in titles)
    rects = len(list(root.iter("{http://www.w3.org/2000/svg}rect")))
    assert rects == 6 + 4 + (5 * len(runs) + len(runs) if runs else 0)
    assert ("16.7 -&gt; 83.3" in text) == (len(runs) == 2) and "nan" not in text
    bundle, _ = view._repr_mimebundle_()
    assert bundle["text/plain"] == "LongTailView(6 classes, imbalance 60)" and "image/svg+xml" in bundle


def test_scales_are_powers_of_ten() -> None:
    assert powers([3, 40]) == (1, 100) and powers([1, 10]) == (1, 10) and powers([5]) == (1, 10)
    assert powers([0.02, 4, 0]) == (pytest.approx(0.01), 10) and powers([0]) == (1, 10)


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves the last class none"):
        LongTailView(NAMES, largest=10, imbalance=20)
    for wrong in ({"loss": "kps"}, {"weigh": "both"}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
            LongTailView(NAMES, largest=10, **wrong)
    view = LongTailView(NAMES, largest=10)
    with pytest.raises(traitlets.TraitError):
        view.loss = "kps"
