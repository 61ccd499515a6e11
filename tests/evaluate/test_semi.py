"""A share of the labels: which clips, which rows of the table, and draws that leave a class empty."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.data.fractions import fraction
from skelbench.errors import ConfigError
from skelbench.evaluate import KNN, FineTune, Linear, SemiSupervised, Table, evaluate, extract, floors, row_of
from skelbench.evaluate.rows import kind_and_fold


def test_equals_the_protocol_on_clips_picked_by_hand(trial):
    linear = Linear(grid=(0.1, 0.01), iterations=30)
    found = SemiSupervised(shares=(0.25, 0.5), draws=2, seed=3, protocol=linear).run(trial)
    assert [m.split for m in found.measures] == [f"cross_subject@{s}%:{d}" for s in (25, 50) for d in (3, 4)]
    for m, (share, draw) in zip(found.measures, [(s, d) for s in (0.25, 0.5) for d in (3, 4)], strict=True):
        split = fraction(trial.store, trial.split, share, seed=draw)
        sides = [extract(trial.method, trial.store, rows, preset="none") for rows in (split.train, split.validation, split.test)]
        wanted = linear.run(sides[0], sides[2], validation=sides[1])
        assert (m.accuracy, m.mean_class, m.n, m.protocol) == (wanted.accuracy, wanted.mean_class, wanted.n, "linear")


def test_frozen_features_are_extracted_once(store, split, make_method):
    method = make_method()
    evaluate(method, store, split, protocols=[KNN(), SemiSupervised(shares=(0.5, 1), draws=3)], preset="none")
    assert sum(method.batches) == len(split.train) + len(split.validation) + len(split.test)


def test_the_whole_network_form_trains_on_the_share_with_the_seed_of_the_draw(trial):
    own = FineTune(epochs=2, lr=0.3, batch=4)
    found = SemiSupervised(shares=(0.5,), draws=2, protocol=own).run(trial)
    for draw, outcome in enumerate(found.outcomes.values()):
        split = fraction(trial.store, trial.split, 0.5, seed=draw)
        wanted = replace(own, seed=draw).run(replace(trial, split=split))
        torch.testing.assert_close(outcome.logits, wanted.logits, rtol=0, atol=0)
    assert found.measures[0].protocol == "fine-tune"


def test_the_table_shows_the_spread_over_draws(store, split, small):
    protocols = [SemiSupervised(shares=(0.5,), draws=3)]
    rows = floors(store, split, beside=small().config, protocols=protocols, preset="none")
    rows += evaluate(small(), store, split, protocols=protocols, seed=0, name="ours", preset="none")
    (line,) = [x for x in Table(rows).lines() if x.method == "ours"]
    own = [r.accuracy for r in rows if r.method == "ours"]
    assert [r.fold for r in rows if r.method == "ours"] == ["draw 0", "draw 1", "draw 2"]
    assert (line.split, line.accuracy.n, line.accuracy.over, line.n) == ("cross_subject@50%", 3, "draws", len(split.test))
    assert line.accuracy.mean == pytest.approx(np.mean(own)) and line.accuracy.sd == pytest.approx(np.std(own, ddof=1))
    assert rows[0].differs == {"labelled share": ("drawn from all clips", "drawn from every class")}
    assert "(3 draws)" in Table(rows).to_markdown()


def test_a_draw_that_empties_a_class_is_refused(trial):
    assert SemiSupervised(shares=(0.01,), draws=1).run(trial).measures[0].n == len(trial.split.test)  # one clip of every class
    with pytest.raises(ConfigError, match=r"10 % of the training clips of 'cross_subject', drawn with seed \d, leave no clip of"):
        SemiSupervised(shares=(0.1,), draws=3, stratified=False).run(trial)
    names = list(SemiSupervised(shares=(0.9,), draws=1, stratified=False).run(trial).outcomes)
    assert names == ["cross_subject@90%any:0"]


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({"shares": ()}, "different shares"),
        ({"shares": (0.1, 0.1)}, "different shares"),
        ({"shares": (0.0,)}, "above 0"),
        ({"shares": (1.1,)}, "at most 1"),
        ({"draws": 0}, "draws >= 1"),
        ({"protocol": SemiSupervised()}, "not another SemiSupervised"),
    ],
)
def test_settings_are_checked(edits, says):
    with pytest.raises(ConfigError, match=says):
        SemiSupervised(**edits)
    assert str(SemiSupervised(protocol=FineTune()).describe()).startswith(
        "labels: 1, 5, 10, 20 % of every class, 5 draws; frozen: "
    )


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("xsub", ("xsub", "")),
        ("loso:3", ("loso", "3")),
        ("xsub@10%", ("xsub@10%", "draw 0")),
        ("xsub@10%any:4", ("xsub@10%any", "draw 4")),
        ("loso:3@5%:2", ("loso@5%", "3, draw 2")),
        ("xsub@lt100", ("xsub@lt100", "")),
        ("loso:bd@held1", ("loso@held", "bd, 1")),
    ],
)
def test_names_of_splits_in_two(name, wanted, blobs):
    assert kind_and_fold(name) == wanted
    row = row_of(KNN().run(blobs(0, 8), blobs(1, 4, first=8)), data="d", split=name, method="m")
    assert (row.split, row.fold) == wanted
