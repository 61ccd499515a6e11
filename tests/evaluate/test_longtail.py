"""Groups of classes by their training clips, means over classes, mistakes between groups, and two runs compared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import LongTail, OwnClassifier, run_protocol
from skelbench.evaluate.longtail import LongTailed
from skelbench.evaluate.protocols import protocol
from skelbench.evaluate.score import Score
from skelbench.parts.rebalance import thirds

NAMES = tuple("abcdefg")
COUNTS = torch.tensor([90, 2, 40, 0, 7, 7, 30])


def score(labels: list[int], guesses: list[int]) -> Score:
    y = torch.tensor(labels)
    return Score(protocol="classifier", classes=NAMES, labels=y, predictions=torch.tensor(guesses), rows=torch.arange(len(y)))


#          a a a a  b b  c c c  e e  f  g g
LABELS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 4, 4, 5, 6, 6]
GUESS = [0, 0, 0, 1, 0, 1, 2, 2, 0, 0, 2, 5, 6, 4]


def outcome(guesses: list[int] = GUESS, **limits: int) -> LongTailed:
    return LongTail(**limits).of(score(LABELS, guesses), COUNTS)


def test_thirds_of_the_classes_that_have_clips() -> None:
    assert thirds(COUNTS) == ("many", "few", "many", "", "medium", "few", "medium")  # of the two with 7 the later is the rarer
    for C in range(3, 12):
        groups = thirds(torch.arange(C, 0, -1))
        k = C // 3
        assert groups == ("many",) * k + ("medium",) * k + ("few",) * (C - 2 * k)
    assert thirds(torch.tensor([3, 0, 9])) == ("few", "", "many") and thirds(torch.tensor([4])) == ("many",)


def test_groups_are_means_over_classes() -> None:
    found = outcome()
    per_class = {"a": 3 / 4, "b": 1 / 2, "c": 2 / 3, "e": 0, "f": 1, "g": 1 / 2}
    assert found.accuracy() == pytest.approx(8 / 14)
    expected = {"many": ("a", "c"), "medium": ("g", "e"), "few": ("f", "b")}
    for group, members in expected.items():
        assert found.accuracy(group) == pytest.approx(sum(per_class[m] for m in members) / 2)
    rows = {m.protocol: m for m in found.measures}
    assert list(rows) == ["long-tail", "long-tail, many", "long-tail, medium", "long-tail, few"]
    assert rows["long-tail"].n == 14 and rows["long-tail, few"].n == 3 and rows["long-tail, few"].accuracy == pytest.approx(0.75)
    assert rows["long-tail, many"].chosen == {"classes": 2, "training clips": "40 to 90"}
    assert [NAMES[c] for c in found.order] == ["a", "c", "g", "e", "f", "b"]
    assert found.taken() == [("b", "a", 1)] and found.taken(true="medium") == [("e", "a", 1), ("e", "c", 1)]
    assert "few 75.0" in repr(found) and "f</td><td>7</td><td>100.0" in found._repr_html_()


def test_groups_by_limits() -> None:
    found = outcome(many=30, few=7)
    assert found.groups == ("many", "few", "many", "", "medium", "medium", "medium")
    assert [m.protocol for m in outcome(many=500, few=1).measures] == ["long-tail >500 <1", "long-tail >500 <1, medium"]
    assert protocol("longtail:100,20") == LongTail(many=100, few=20) and protocol("longtail") == LongTail()
    for wrong in ({"many": 5}, {"few": 5}, {"many": 3, "few": 9}, {"many": 3, "few": 0}):
        with pytest.raises(ConfigError, match="wanted both"):
            LongTail(**wrong)
    with pytest.raises(ConfigError, match="no protocol called 'longtail:9'"):
        protocol("longtail:9")


def test_two_runs_class_by_class() -> None:
    before, after = outcome(), outcome(LABELS)
    compared = before.beside(after)
    torch.testing.assert_close(compared.gain, 1 - before.per_class, equal_nan=True)
    assert compared.groups()["few"] == (pytest.approx(0.75), 1.0) and compared.groups()["overall"][1] == 1.0
    assert "medium 25.0 -> 100.0" in repr(compared) and "before %" in compared._repr_html_()
    other = LongTail().of(score(LABELS[::-1], LABELS[::-1]), COUNTS)
    with pytest.raises(DataError, match="same test clips"):
        before.beside(other)
    with pytest.raises(DataError, match="as many clips"):
        before.beside(LongTail().of(score(LABELS, GUESS), COUNTS + 1))
    with pytest.raises(DataError, match="counts and 7 groups for 7 classes"):
        LongTailed(name="x", score=score(LABELS, GUESS), counts=COUNTS[:5], groups=before.groups)


def test_counts_are_those_of_the_training_side(trial: Any) -> None:
    found = run_protocol(LongTail(), trial)
    labels = torch.from_numpy(trial.store.labels[trial.split.train_all].astype("int64"))
    assert torch.equal(found.counts, torch.bincount(labels, minlength=3))
    assert found.score.accuracy == run_protocol(OwnClassifier(), trial).accuracy
    assert "thirds" in LongTail().describe()["groups"] and "over 100, under 20" in LongTail(many=100, few=20).describe()["groups"]
