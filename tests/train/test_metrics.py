"""Columns that grow, and the lines they are read from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from skelbench.errors import RunError
from skelbench.train import Metrics, Probe, Step
from skelbench.train.metrics import table_of


def test_columns_are_filled_where_a_row_lacks_a_number() -> None:
    metrics = Metrics()
    assert len(metrics) == 0 and np.isnan(metrics.last("loss"))
    metrics.line(table_of(Step(step=1, epoch=0, loss=2.0, lr=0.1, parts={"moco": 2.0})))
    metrics.line(table_of(Step(step=2, epoch=0, loss=1.0, lr=0.1, parts={"moco": 0.5, "halp": 0.5}, meters={"feature_std": 0.7})))
    metrics.line(table_of(Step(step=3, epoch=1, loss=0.5, lr=0.1, parts={"loss": 9.0, "halp": float("nan")})))
    assert list(metrics) == ["step", "epoch", "loss", "lr", "moco", "halp", "feature_std", "parts.loss"]
    assert metrics["step"].dtype == np.int64 and metrics["step"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(metrics["halp"], [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(metrics["parts.loss"], [np.nan, np.nan, 9.0])
    assert metrics.last("feature_std") == 0.7 and metrics.last("loss") == 0.5 and metrics.rows == 3
    metrics.line(table_of(Probe(step=3, epoch=1, accuracy=None, meters={"uniformity": -1.0}, clips=(4, 2))))
    metrics.line(table_of(Probe(step=6, epoch=2, accuracy=0.5, meters={"uniformity": -2.0}, clips=(4, 2))))
    np.testing.assert_array_equal(metrics.probes["accuracy"], [np.nan, 0.5])
    assert metrics.probes["uniformity"].tolist() == [-1, -2] and metrics.rows == 3
    with pytest.raises(KeyError, match="no column 'los'; there are: step"):
        metrics["los"]


def test_reading_lines_gives_the_same_columns_and_names_a_damaged_one(tmp_path: Path) -> None:
    events = [Step(step=s, epoch=0, loss=1 / s, lr=0.1, parts={"a": 0.1 * s}) for s in (1, 2, 3)]
    lines = [json.dumps(table_of(e)) for e in events]
    file = tmp_path / "metrics.jsonl"
    file.write_text("\n".join(lines) + "\n")
    metrics = Metrics()
    metrics.read(file)
    assert metrics["loss"].tolist() == [1.0, 1 / 2, 1 / 3] and metrics["a"].tolist() == [0.1, 0.2, 0.1 * 3]
    for bad in ("{broken", "[]", '{"step": 4}'):
        file.write_text("\n".join([lines[0], bad, lines[2]]) + "\n")
        with pytest.raises(RunError, match=r"metrics\.jsonl:2: this is no line of metrics"):
            Metrics().read(file)
