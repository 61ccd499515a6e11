"""The smaller public datasets from folder to split, through the front door: recognised, imported, parted as published."""

import importlib

import numpy as np
import pytest

from skelbench.data import import_data, make_split, verify
from skelbench.data.formats import recognise

CASES = {  # format: split, clips, coordinates, bodies, joints, units
    "nwucla": ("xview", 18, 3, 1, 20, "metre"),
    "pku": ("xsub", 36, 3, 2, 25, "metre"),
    "shrec": ("official", 12, 3, 1, 22, "metre"),
    "penn": ("official", 12, 3, 1, 13, "pixel"),
    "ntux": ("xsub", 12, 3, 2, 67, "metre"),
}


@pytest.mark.parametrize("format", CASES)
def test_from_folder_to_split(format, home, tmp_path):
    split, N, C, M, V, units = CASES[format]
    sample = importlib.import_module(f"samples_{format}").write_sample(tmp_path / "sample", np.random.default_rng(5))
    assert recognise(sample) == format
    store = import_data(sample, "mine", split=split, progress=False)
    verify(store)
    assert (len(store), store.coordinates, store.bodies, store.topology.V, store.meta.units) == (N, C, M, V, units)
    sides = make_split(store, split)
    rows = np.concatenate([sides.train, sides.validation, sides.test])
    assert sorted(rows) == list(range(N)) and len(sides.test) and len(sides.train)
    assert (store.labels >= 0).all() and len(set(store.labels)) > 1
    assert store.meta.provenance["format"] == format and store.meta.attribution
    again = import_data(sample, "again", format=format, progress=False)
    assert again.ids == store.ids and np.array_equal(again.frames, store.frames)
