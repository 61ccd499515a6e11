"""A small part of ``make fuzz``: damaged datasets are read whole or refused in one line, and nothing is left behind."""

import pickle
from pathlib import Path

import fuzz
import fuzz_mutations
import numpy as np
import pytest

from skelbench.data import import_data
from skelbench.data.formats import FORMATS, LAST, bvh, fitting, recognise
from skelbench.data.formats.source import Source
from skelbench.errors import DataError

INPUTS = 150
SEED = 20  # another one than the default of make fuzz


@pytest.mark.parametrize("format", list(fuzz.samples()))
def test_a_sample_is_recognised_and_read(format, home, tmp_path):
    """What is damaged below is worth damaging."""
    module = fuzz.samples()[format]
    path = module.write_sample(tmp_path / "in", np.random.default_rng(0))
    assert fitting(path) == [format]
    store = import_data(path, "mine", progress=False, **getattr(module, "OPTIONS", {}))
    assert len(store) > 0 and store.meta.provenance["import"]["settings"] is not None


def beside(tmp_path, *formats):
    """Samples of several formats in one folder."""
    folder = tmp_path / "both"
    for format in formats:
        fuzz.samples()[format].write_sample(folder / format, np.random.default_rng(0))
    return folder


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in ("pack", *LAST)])
def test_what_a_dataset_comes_with_does_not_hide_it(format, tmp_path):
    """A table of labels, saved features, key points of a tool: ways to bring own data give way to a public format."""
    assert fitting(beside(tmp_path, format, "table", "arrays", "landmarks")) == [format]


def test_of_two_ways_to_bring_own_data_the_more_telling_counts(tmp_path):
    assert fitting(beside(tmp_path / "one", "table", "arrays")) == ["arrays"]
    assert fitting(beside(tmp_path / "two", "table", "arrays", "landmarks")) == ["landmarks"]


def test_two_public_formats_are_for_the_user_to_tell_apart(tmp_path):
    folder = beside(tmp_path, "ntu", "bvh", "penn")
    assert set(fitting(folder)) == {"ntu", "bvh", "penn"}
    with pytest.raises(DataError, match=r"holds several formats, bvh and ntu and penn; say which one with format="):
        recognise(folder)


def test_a_pack_may_have_its_raw_files_below(tmp_path):
    folder = fuzz.samples()["pack"].write_sample(tmp_path / "pack", np.random.default_rng(0))
    for format in ("bvh", "ntu", "stgcn"):
        fuzz.samples()[format].write_sample(folder / "raw" / format, np.random.default_rng(0))
    assert recognise(folder) == "pack"


@pytest.mark.parametrize("format", list(fuzz.samples()))
def test_damaged_datasets(format, monkeypatch):
    tally = fuzz.fuzz(format, range(INPUTS), seed=SEED)
    told = [f"{f.format} --seed {f.seed} --only {f.number}: {f.change}: {f.what}\n{f.trace}" for f in tally.findings]
    assert not told, "\n".join(told)
    assert tally.inputs == INPUTS == tally.read + tally.refused and tally.refused > INPUTS / 20


def test_every_format_has_a_sample():
    assert set(fuzz.samples()) == set(FORMATS)


# The harness itself


def spoil(monkeypatch, act):
    """Make the BVH reader do something."""

    def read(path, *, topology=None):
        return Source(clips=act(path), classes=("a",), total=1, provenance={})

    monkeypatch.setattr(bvh, "read", read)


def spin(path):
    while True:
        pass
    yield


def hoard(path):
    yield bytearray(8 << 30)


def litter(path):
    Path(fuzz.tempfile.gettempdir(), "rubbish").write_text("x")
    raise DataError("no")
    yield


def babble(path):
    raise DataError("one line\nand another")
    yield


def stumble(path):
    raise KeyError("x")
    yield


@pytest.mark.parametrize(
    "act, says",
    [
        (spin, "more than 0.3 s"),
        (hoard, "MemoryError"),
        (litter, "left behind: rubbish"),
        (babble, "1 line ends"),
        (stumble, "KeyError: 'x'"),
    ],
)
def test_the_harness_sees_what_is_wrong(act, says, monkeypatch):
    spoil(monkeypatch, act)
    monkeypatch.setattr(fuzz, "SECONDS", 0.3)
    tally = fuzz.fuzz("bvh", range(2), seed=0)
    assert len(tally.findings) == 2 and says in tally.findings[0].what and tally.read == tally.refused == 0


def test_an_input_is_the_same_every_time(tmp_path):
    def damaged(name, order):
        (tmp_path / name).mkdir()
        place = fuzz.Place(tmp_path / name, "pack", 3)
        seen = {}
        for number in order:
            _, change, _ = place.damaged(number)
            files = {p.name: p.read_bytes() for p in place.work.rglob("*") if p.is_file()}
            seen[number] = change, files
        return seen

    assert damaged("one", range(40)) == damaged("two", reversed(range(40)))


def test_a_hostile_pickle_is_worth_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_mutations._Harm, "__reduce__", lambda self: (open, (str(tmp_path / "here"), "w")))
    pickle.loads(pickle.dumps(fuzz_mutations._Harm())).close()
    assert (tmp_path / "here").exists()
