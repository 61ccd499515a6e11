"""A run of ISC: what may change while it goes, and checkpoints that belong to something else."""

import shutil

import pytest

from skelbench.errors import ConfigError, RunError
from skelbench.train import open_run, presets, start

OTHER = {"name": "four", "joints": ["root", "chest", "left", "right"], "parents": [-1, 0, 1, 1]}


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    run = start("isc", store, "smoke", folder=tmp_path_factory.mktemp("runs") / "isc", normalise="none", probe_every=0)
    return run.run(steps=2, progress=False)


def test_the_used_encoder_may_change_while_it_goes_but_the_pair_may_not(trained):
    assert trained.method.width == trained.method.widths["seq"]
    trained.set(use="graph")
    assert trained.method.width == trained.method.widths["graph"] and trained.config.method_config.encoder.channels == (8, 16)
    trained.set(use="seq")
    with pytest.raises(ConfigError, match=r"use='image' is none of pair"):
        trained.set(use="image")
    with pytest.raises(ConfigError, match="pair is built into a run"):
        trained.set(pair=("seq", "image"))


def test_a_branch_into_another_pair_or_size_is_told(trained, tmp_path):
    for edits in ({"pair": ("seq", "image")}, {"hidden": 16}, {"mode": "intra", "pair": ("graph",), "use": "graph"}):
        with pytest.raises(ConfigError, match="they do not fit: tensor"):
            trained.branch(edits, folder=tmp_path / "branch")
    control = trained.branch(mode="intra", folder=tmp_path / "intra")  # the same tensors, contrasted with themselves
    assert control.run(steps=1, progress=False).method.partner("seq") == "seq"


def test_a_checkpoint_of_another_skeleton_or_method_is_told(trained, store, make_store, tmp_path):
    trained.save()
    with pytest.raises(RunError, match=r"skeleton 'five' \(5 joints\).*'four' \(4\)"):
        open_run(trained.folder, data=make_store(40, table=OTHER))
    moco = start("moco", store, "smoke", folder=tmp_path / "moco", normalise="none", probe_every=0).run(steps=1, progress=False)
    moco.save()
    newest = max(p for p in (trained.folder / "checkpoints").iterdir() if p.is_dir())
    shutil.copytree(newest, moco.folder / "checkpoints" / "000099")
    with pytest.raises(RunError, match="checkpoint of 'isc', this run trains 'moco'"):
        open_run(moco.folder)


def test_paper_presets_are_what_was_released():
    isc, three = presets("isc", "paper"), presets("halp3s", "paper")
    assert (isc.train.epochs, isc.train.lr, isc.train.drops, isc.train.batch) == (451, 0.01, (351,), 64)
    assert isc.method_config.queue == three.method_config.queue == 16384 and three.method_config.distil == 1.0
