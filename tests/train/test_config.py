"""Settings: edited by name, refused when wrong, the same after a trip through JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from skelbench.errors import ConfigError
from skelbench.methods.halp import HaLP
from skelbench.train import RunConfig, Train, changes, diff, presets
from skelbench.train.config import method_class


@pytest.mark.parametrize("method", ["moco", "halp"])
@pytest.mark.parametrize("preset", ["smoke", "demo", "paper"])
def test_presets_come_back_from_json_as_they_were(method: str, preset: str) -> None:
    config = presets(method, preset, data="some/where", split="xsub").edit(drops=(3, 7), ratio=[0.2, 0.9])
    again = RunConfig.from_json(config.to_json())
    assert again == config and again.hash() == config.hash()
    assert again.train.drops == (3, 7) and again.method_config.views.ratio == (0.2, 0.9)
    assert type(again.method_config) is type(config.method_config)


def test_paper_values() -> None:
    config = presets("halp", "paper")
    own, train = config.method_config, config.train
    assert (train.epochs, train.batch, train.lr, train.momentum, train.weight_decay) == (451, 64, 0.01, 0.9, 1e-4)
    assert train.drops == (351,)
    assert (own.queue, own.momentum, own.temperature, own.dim) == (16384, 0.999, 0.07, 128)
    assert (own.prototypes, own.prototypes_from, own.refresh, own.positives, own.weight, own.plain_epochs) == (
        20,
        256,
        10,
        100,
        2.0,
        200,
    )
    assert own.hardness == pytest.approx(1 - 0.8)


def test_edit_finds_a_leaf_anywhere() -> None:
    config = presets("halp", "demo")
    edited = config.edit(lr=0.5, hidden=32, hardness=0.9, shear=0.3)
    assert (edited.train.lr, edited.method_config.encoder.hidden) == (0.5, 32)
    assert (edited.method_config.hardness, edited.method_config.views.shear) == (0.9, 0.3)
    assert config == presets("halp", "demo")  # the original is as it was
    assert [d.name for d in diff(config, edited)] == [
        "method_config.encoder.hidden",
        "method_config.views.shear",
        "method_config.hardness",
        "train.lr",
    ]
    assert changes(edited) == diff(config, edited)
    assert diff(config, config) == []


def test_edit_takes_dotted_names_and_whole_groups() -> None:
    config = presets("halp", "demo").edit({"train.momentum": 0.5, "encoder.layers": 1, "views": {"frames": 32}})
    assert (config.train.momentum, config.method_config.momentum) == (0.5, presets("halp", "demo").method_config.momentum)
    assert (config.method_config.encoder.layers, config.method_config.views.frames) == (1, 32)
    views = dataclasses.replace(config.method_config.views, shear=0.1)
    assert config.edit(views=views).method_config.views == views


def test_edits_that_belong_together_are_checked_together() -> None:
    config = presets("moco", "demo").edit(p_shear=1.0, p_mask=0.0, p_corrupt=0.0)  # each alone would break the sum
    assert config.method_config.views.p_shear == 1.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hardnes": 0.5}, "did you mean method_config.hardness"),
        ({"momentum": 0.5}, "method_config.momentum, train.momentum"),
        ({"lr": 0.0}, "train.lr = 0.0: wanted above 0"),
        ({"lr": "fast"}, "train.lr = 'fast'"),
        ({"lr": float("nan")}, "finite"),
        ({"epochs": 2.5}, "train.epochs = 2.5"),
        ({"refit": 1}, "True or False"),
        ({"precision": "fp8"}, "'fp32', 'bf16'"),
        ({"drops": (5, 3)}, "rising"),
        ({"drops": 5}, "several values"),
        ({"ratio": (0.1, 0.5, 0.9)}, "wanted 2 values"),
        ({"batch": 1}, "at least 2"),
        ({"hardness": 2.0}, "must lie in"),
        ({"method": "moco"}, "cannot be edited"),
        ({"views": 3}, "views"),
    ],
)
def test_wrong_edits_say_what_was_wanted(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        presets("halp", "demo").edit(wrong)


def test_json_with_unknown_or_missing_keys() -> None:
    table = json.loads(presets("halp", "demo").to_json())
    del table["train"]["lr"]
    assert RunConfig.from_dict(table).train.lr == Train().lr  # what a later version adds has its default
    table["method_config"]["encoder"]["hiden"] = 3
    with pytest.raises(ConfigError, match=r"method_config\.encoder\.hiden.*did you mean hidden"):
        RunConfig.from_dict(table)
    with pytest.raises(ConfigError, match="line 2"):
        RunConfig.from_json('{"method": "halp",\n nonsense}')
    with pytest.raises(ConfigError, match="at least 'method'"):
        RunConfig.from_json("[]")


def test_the_hash_changes_with_any_setting() -> None:
    config = presets("halp", "demo")
    hashes = {config.hash(), config.edit(seed=1).hash(), config.edit(hardness=0.3).hash(), config.edit(data="x").hash()}
    assert len(hashes) == 4


def test_unknown_methods_and_presets() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'halp'"):
        presets("hlap")
    with pytest.raises(ConfigError, match="smoke, demo, paper"):
        presets("halp", "fast")
    with pytest.raises(ConfigError, match="nothing to train"):
        presets("random")
    with pytest.raises(ConfigError, match="subclass"):
        presets(HaLP.Config())  # type: ignore[arg-type]


def test_a_method_of_ones_own_needs_a_name_of_its_own(tiny: type) -> None:
    assert presets(tiny, "demo").method == "tiny"
    assert method_class("tiny") is tiny
    with pytest.raises(ConfigError, match="name 'halp' is taken"):
        presets(type("Mine", (HaLP,), {}))


def test_the_table_escapes_what_it_shows() -> None:
    page = presets("halp", "demo", data="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "method_config.hardness" in page
