import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelbench.data.splits import Split
from skelbench.errors import ConfigError
from skelbench.evaluate import (
    KNN,
    Linear,
    PaperLinear,
    Table,
    compare,
    evaluate,
    extract,
    extract_parts,
    floors,
    row_of,
    run_protocol,
)
from skelbench.evaluate.rows import kind_and_fold
from skelbench.methods.floors import RandomEncoder
from skelbench.methods.halp import HaLP
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views


def test_a_subset_of_a_fold_is_named_by_both() -> None:
    assert kind_and_fold("xsub@held1@lt10") == ("xsub@held@lt10", "1")
    assert kind_and_fold("by_clip:2@lt50size:3") == ("by_clip@lt50size", "2, 3")


def test_rows_of_a_method_equal_the_protocols_by_hand(store, split, make_method):
    rows = evaluate(make_method(), store, split, seed=3, preset="none")
    train, validation, test = (extract(make_method(), store, r, preset="none") for r in (split.train, split.validation, split.test))
    wanted = [p.run(train, test, validation=validation) for p in (KNN(), Linear())]
    assert [r.protocol for r in rows] == ["1-NN", "linear"]
    assert [r.accuracy for r in rows] == [s.accuracy for s in wanted]
    assert [r.mean_class for r in rows] == [s.mean_class for s in wanted]
    assert {(r.data, r.split, r.fold, r.method, r.seed, r.n) for r in rows} == {("tiny", "cross_subject", "", "mean", 3, 6)}


def test_a_run_brings_its_own_data_normalisation_and_seed(store, split, make_method):
    config = SimpleNamespace(train=SimpleNamespace(seed=7, normalise="none"))
    run = SimpleNamespace(method=make_method(), store=store, split=split, config=config)
    (row,) = evaluate(run, protocols=[KNN()], name="ours", differs=[("epochs", 450, 3)])
    (same,) = evaluate(make_method(), store, split, preset="none", protocols=[KNN()], seed=7)
    assert (row.accuracy, row.seed, row.method) == (same.accuracy, 7, "ours")
    assert row.differs == {"epochs": (450, 3)}


def test_every_clip_passes_the_network_once(store, split, make_method):
    method = make_method()
    evaluate(method, store, split, protocols=[KNN(), KNN(k=3), Linear()], batch_size=1000)
    assert sorted(method.batches) == sorted([len(split.train), len(split.validation), len(split.test)])


def test_a_fold_stands_in_its_own_column(store, make_method):
    subject = store.index["subject"]
    loso = Split(
        name="loso:2",
        by="subject",
        train=np.flatnonzero(subject != 2),
        validation=np.array([], np.int64),
        test=np.flatnonzero(subject == 2),
    )
    (row,) = evaluate(make_method(), store, loso, protocols=[KNN()])
    assert (row.split, row.fold, row.seed) == ("loso", "2", None)


def test_a_protocol_says_how_it_differs_itself(store, split, make_method):
    (row,) = evaluate(make_method(), store, split, protocols=[PaperLinear(epochs=1)])
    assert row.differs == PaperLinear().differs


def test_full_score_of_one_protocol(store, split, make_method):
    parts = extract_parts(make_method(), store, split)
    score = run_protocol(KNN(), parts)
    row = row_of(score, data="d", split="s", method="m", seconds=2.0)
    assert score.rows.tolist() == sorted(split.test.tolist())
    assert (row.accuracy, row.seconds, row.split, row.fold) == (score.accuracy, 2.0, "s", "")


def test_floors_stand_beside_a_method(store, split):
    beside = HaLP.Config(encoder=GRU.Config(hidden=4, layers=1), views=Views(frames=8, minimum=8))
    rows = floors(store, split, beside=beside, seeds=(0, 1), protocols=[KNN()])
    assert [(r.method, r.seed) for r in rows] == [("random", 0), ("random", 1), ("raw", None)]
    again = floors(store, split, beside=beside, seeds=(0, 1), protocols=[KNN()])
    assert [r.accuracy for r in again] == [r.accuracy for r in rows]
    assert len(Table(rows).lines()) == 2


def test_compare_puts_runs_beside_their_floors(store, split):
    beside = HaLP.Config(encoder=GRU.Config(hidden=4, layers=1), views=Views(frames=8, minimum=8))

    def run(seed, split=split):
        shape = {"topology": store.topology, "bodies": 2, "coordinates": 3, "classes": 3}
        built = RandomEncoder.build(RandomEncoder.Config.of(beside), **shape, generator=torch.Generator().manual_seed(9 + seed))
        built.name = "ours"
        config = SimpleNamespace(train=SimpleNamespace(seed=seed, normalise="none"), method_config=beside)
        return SimpleNamespace(method=built, store=store, split=split, config=config)

    table = compare(run(0), run(1), protocols=[KNN()])
    assert [(line.method, line.accuracy.n) for line in table.lines()] == [("random", 2), ("raw", 1), ("ours", 2)]
    wanted = Table(evaluate(run(0), protocols=[KNN()]) + floors(store, split, beside=beside, protocols=[KNN()], preset="none"))
    alone = compare(run(0), protocols=[KNN()])
    assert [(r.method, r.accuracy) for r in alone] == [(r.method, r.accuracy) for r in wanted]
    with pytest.raises(ConfigError, match="given: none"):
        compare()
    with pytest.raises(ConfigError, match="ours on tiny/cross_subject; ours on tiny/xview"):
        compare(run(0), run(1, split=dataclasses.replace(split, name="xview")))


def test_a_method_alone_is_refused(make_method):
    with pytest.raises(ConfigError, match="needs the store and the split"):
        evaluate(make_method())
