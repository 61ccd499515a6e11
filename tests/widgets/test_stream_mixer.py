"""StreamMixer: what the sliders mean in Python, what travels, what is refused, and the still picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.score import Score
from skelbench.widgets import StreamMixer

CLASSES = ("sit", "stand", "<b>wave</b>", "kick", "clap")
IDS = tuple(f"clip {n}" for n in range(40))
LABELS = torch.arange(40) % 5


def score(seed: int, *, ids: tuple[str, ...] = IDS, good: float = 1.0) -> Score:
    logits = torch.randn(40, 5, generator=torch.Generator().manual_seed(seed)) + good * torch.nn.functional.one_hot(LABELS, 5)
    order = [IDS.index(i) for i in ids]
    about: dict[str, Any] = {"labels": LABELS[order], "rows": torch.arange(40)[order], "ids": ids, "classes": CLASSES}
    return Score(protocol="classifier", predictions=logits.argmax(dim=1)[order], logits=logits[order], **about)


def mixer(**more: Any) -> StreamMixer:
    return StreamMixer({"body": score(0), "hand": score(1), "leg": score(2, good=0.3)}, **more)


def test_weights_are_those_of_the_weighted_sum() -> None:
    view = mixer()
    view.weights = {"body": 2.0, "hand": 1.8, "leg": 0.7}
    total = sum(w * view.scores[name].logits.double() for name, w in view.weights.items())  # type: ignore[union-attr]
    predicted = total.argmax(dim=1)
    assert torch.equal(view.score.predictions, predicted) and view.score.accuracy == float((predicted == LABELS).double().mean())
    view.against = "leg"
    delta = np.zeros((5, 5), int)
    for label, now, before in zip(LABELS.tolist(), predicted.tolist(), view.scores["leg"].predictions.tolist(), strict=True):
        delta[label, now] += 1
        delta[label, before] -= 1
    assert np.array_equal(view.delta, delta) and delta.any()


def test_clips_are_matched_by_name_whatever_their_order() -> None:
    turned = StreamMixer({"body": score(0), "hand": score(1, ids=IDS[::-1])})
    plain = StreamMixer({"body": score(0), "hand": score(1)})
    assert torch.equal(turned.score.predictions, plain.score.predictions)
    assert turned._table["logits"] == plain._table["logits"]
    with pytest.raises(DataError, match="no score of clip 'clip 39'"):
        StreamMixer({"body": score(0), "hand": score(1, ids=IDS[:39])})


def test_what_travels_is_what_it_was_made_of() -> None:
    table = mixer(ways={"as set": {"body": 2, "hand": 1.8, "leg": 0.7}})._table
    assert table["labels"] == LABELS.tolist() and table["classes"] == list(CLASSES)
    sent = np.frombuffer(table["logits"][1], np.float32).reshape(40, 5)
    assert np.array_equal(sent, score(1).logits.numpy())  # type: ignore[union-attr]
    assert table["ways"][-1] == ["as set", [2.0, 1.8, 0.7]] and [name for name, _ in table["ways"]][:4] == [
        "body",
        "hand",
        "leg",
        "equal",
    ]


@pytest.mark.parametrize("wrong", [{}, {"body": 1}, {"body": 0, "hand": 0, "leg": 0}, {"body": -1, "hand": 1, "leg": 1}])
def test_weights_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    view = mixer()
    with pytest.raises(ConfigError, match="a number from 0 to 4 for each of body, hand, leg"):
        view.weights = wrong
    assert view.weights == {"body": 1.0, "hand": 1.0, "leg": 1.0}


def test_other_things_it_refuses() -> None:
    with pytest.raises(ConfigError, match="two streams or more, got body"):
        StreamMixer({"body": score(0)})
    with pytest.raises(ConfigError, match="against='head': there are body, hand, leg, equal"):
        mixer().against = "head"
    run: Any = SimpleNamespace(method=SimpleNamespace(name="moco"))
    with pytest.raises(ConfigError, match="as psumnet has; this is 'moco'"):
        StreamMixer.of(run)
    run = SimpleNamespace(
        method=SimpleNamespace(name="psumnet", stream_logits=len), config=SimpleNamespace(train=SimpleNamespace(refit=True))
    )
    with pytest.raises(ConfigError, match="trained on its validation subjects"):
        StreamMixer.of(run)
    with pytest.raises(ConfigError, match="side='train': wanted 'validation' or 'test'"):
        StreamMixer.of(run, side="train")


def test_the_still_picture_says_what_the_sliders_say() -> None:
    view = mixer(title="a & b")
    view.weights = {"body": 0.0, "hand": 1.5, "leg": 0.5}
    text = view.static()
    root = ET.fromstring(text)
    words = " ".join(root.itertext())
    assert f"{100 * view.score.accuracy:.1f} %" in words and "hand 1.5" in words and "a & b" in words
    cells = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("fill") in ("#1f83c2", "#d9661f")]
    assert len(cells) == np.count_nonzero(view.delta)
    data, _ = view._repr_mimebundle_()
    assert data["image/svg+xml"] == text and "StreamMixer(body 0, hand 1.5, leg 0.5" in data["text/plain"]
