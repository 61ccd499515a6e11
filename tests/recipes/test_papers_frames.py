"""Recipes of the methods that see pictures: what they ask for, no number that was not read, a dry run on rendered pictures."""

import pytest

from skelbench.recipes.papers import recipe
from skelbench.recipes.recipe import dry
from skelbench.train import presets

SMALL = {
    "mmixer": {"extractor.depth": 18, "mixer.width": 16, "mixer.heads": 2, "pictures.size": 32, "pictures.frames": 4},
    "deform3d": {"block.width": 16, "block.heads": 2, "blocks": 1, "pictures.size": 32, "pictures.frames": 4},
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["mmixer_ntu60_xsub", "mmixer_ntu120_xsub"])
def test_nothing_is_claimed_of_m_mixer(name):
    found = recipe(name)
    assert not found.published and "Expected: not known" in found.doc and "reconstruction" in found.doc
    assert f"skelbench recipe {name}\n" in found.doc and "none known" in str(found)
    assert found.config.edit({"train.refit": False, "source": "auto"}) == presets(
        "mmixer", "paper", data=found.data.key, split="xsub"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmixer_ntu60_xsub", "deform3d_ntu120_xsub"])
def test_a_dry_run_renders_its_pictures(name, home):
    found = recipe(name)
    seen = dry(found, **SMALL[found.method])
    assert len(seen.losses) == 2 and set(seen.measured) == {"classifier"}
    assert found.config.method_config.pictures.source == "video"
    assert list(home.iterdir()) == []
