"""The main job and the resumable table, at smoke size on a store made here."""

import json

import numpy as np
import pytest

from skelbench.data import Store, write_store
from skelbench.errors import ConfigError
from skelbench.recipes.demo import demo, usual_split
from skelbench.recipes.measure import Job, _folds, _read, measure, variant
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

ARM = Topology.from_dict(
    {
        "name": "stick",
        "joints": ["hips", "spine", "left_shoulder", "left_hand", "right_shoulder", "right_hand"],
        "parents": [-1, 0, 1, 2, 1, 4],
    }
)
TINY = {"hidden": 8, "layers": 1, "frames": 12, "minimum": 8, "queue": 16, "batch": 8, "dim": 16}


def clips(per_class=24, subjects=4):
    rng = np.random.default_rng(0)
    rest = np.array([[0, 0, 0], [0, 0.3, 0], [-0.2, 0.5, 0], [-0.3, 0, 0], [0.2, 0.5, 0], [0.3, 0, 0]], np.float32)
    for label in range(3):
        for i in range(per_class):
            T = int(rng.integers(20, 40))
            swing = np.sin(np.linspace(0, (label + 1) * 2 * np.pi, T) + rng.uniform(0, 6))[:, None]
            joints = np.repeat(rest[None], T, 0) + rng.normal(0, 0.01, (T, 6, 3)).astype(np.float32)
            joints[:, 3 if i % 2 else 5, 1:] += (swing * rng.uniform(0.2, 0.4)).astype(np.float32)
            about = {"subject": 1 + i % subjects}
            yield Clip(joints=joints[:, None], topology=ARM, label=label, id=f"a{label}_{i}", about=about)


@pytest.fixture
def store(tmp_path) -> Store:
    return write_store(tmp_path / "sticks", clips(), classes=["one", "two", "three"], name="sticks")


def test_demo_leaves_table_runs_and_page(store, tmp_path, capsys):
    halp = {"prototypes": 4, "prototypes_from": 16}
    made = demo(store, out=tmp_path / "out", epochs=8, progress=False, **TINY, **halp)
    assert {line.method for line in made.table.lines()} == {"random", "raw", "moco", "halp"}
    assert {line.protocol for line in made.table.lines()} == {"1-NN", "linear"}
    assert made.runs["halp"].method.generating and not made.runs["halp"].error
    assert made.runs["moco"].config.train.epochs == made.runs["halp"].config.train.epochs == 8
    page = made.report.read_text()
    assert "http://" not in page.split("</style>")[0] and 'src="http' not in page
    assert len(json.loads((tmp_path / "out" / "table.json").read_text())) == 8
    text = str(made)
    assert "| halp |" in text and "report.html" in text


def test_demo_refuses_no_seed(store, tmp_path):
    with pytest.raises(ConfigError, match="seeds=0"):
        demo(store, out=tmp_path / "out", seeds=0)
    assert not (tmp_path / "out").exists()


def test_usual_split_follows_the_store(store):
    assert usual_split(store) == "cross_subject"


def test_measure_resumes_and_refuses_other_settings(store, tmp_path):
    out = tmp_path / "results"
    options = {"out": out, "seeds": 2, "methods": ("moco",), "processes": 1, "progress": False, "preset": "smoke", "split": "loso"}
    table = measure(store, **options)
    lines = {(x.method, x.protocol): x for x in table.lines()}
    assert {m for m, _ in lines} == {"random", "raw", "moco"}
    assert lines["moco", "1-NN"].accuracy.n == 4  # folds: every subject was left out once
    files = sorted((out / "rows").iterdir())
    assert len(files) == 4 * 2 * 2
    before = {f: f.stat().st_mtime_ns for f in files}
    files[0].unlink()
    again = measure(store, **options)
    assert again.to_markdown() == table.to_markdown()
    assert [f for f in files[1:] if f.stat().st_mtime_ns != before[f]] == []
    assert (out / "sticks-loso.md").read_text() == table.to_markdown()
    with pytest.raises(ConfigError, match="other settings"):
        measure(store, **options, temperature=0.5)


def test_one_method_under_several_settings_by_groups_of_classes(store, tmp_path):
    out = tmp_path / "tails"
    methods = ("supervised", "supervised:smoothing=0.2,lr=0.1")
    how = {"out": out, "seeds": 1, "methods": methods, "processes": 1, "progress": False, "preset": "smoke"}
    table = measure(store, split="cross_subject@lt2", protocols=("longtail",), **how)
    lines = {(x.method, x.protocol): x for x in table.lines()}
    assert {m for m, _ in lines} == {"random", "raw", *methods}
    assert {p for _, p in lines} == {"long-tail", "long-tail, many", "long-tail, medium", "long-tail, few"}
    assert {x.split for x in table.lines()} == {"cross_subject@lt2"}
    (rows,) = [json.loads(f.read_text()) for f in (out / "rows").glob("*smoothing*")]
    assert rows["job"]["protocols"] == ["longtail"] and rows["rows"][0]["method"] == methods[1]
    run = json.loads(next((out / "runs").glob("*smoothing*/config.json")).read_text())
    assert (run["method_config"]["smoothing"], run["train"]["lr"]) == (0.2, 0.1)
    for wrong, says in (("supervised:lr", "wanted METHOD or METHOD:NAME"), ("supervised:lrr=1", "lrr"), ("nobody:lr=1", "nobody")):
        with pytest.raises(ConfigError, match=says):
            measure(store, **{**how, "methods": (wrong,)})
    with pytest.raises(ConfigError, match="no protocol called 'tail'"):
        measure(store, protocols=("tail",), **how)


def test_folds_of_a_split_and_of_its_subsets(store):
    held = [f"cross_subject@held{i}" for i in range(3)]
    assert _folds(store, "cross_subject@held") == held
    assert _folds(store, "cross_subject@held@lt2") == [f"{name}@lt2" for name in held]
    assert _folds(store, "by_clip@lt2size") == [f"by_clip:{i}@lt2size" for i in range(3)]
    assert _folds(store, "loso@lt2") == [f"loso:{i}@lt2" for i in range(1, 5)]
    assert _folds(store, "cross_subject@lt2") == ["cross_subject@lt2"]


def test_a_variant_is_a_method_and_settings():
    assert variant("brl") == ("brl", {})
    assert variant("brl:loss=ce,mixup=0,sampler=false") == ("brl", {"loss": "ce", "mixup": 0, "sampler": False})


def test_measure_names_an_unknown_setting(store, tmp_path):
    with pytest.raises(ConfigError, match="temprature"):
        measure(store, out=tmp_path / "r", seeds=1, methods=("moco",), processes=1, progress=False, preset="smoke", temprature=1.0)


def test_a_row_file_of_another_job_is_not_believed(store, tmp_path):
    (tmp_path / "rows").mkdir()
    job = Job(data=str(store.path), split="cross_subject", method="moco", seed=0, preset="smoke", edits=(), out=str(tmp_path))
    job.rows.write_text(json.dumps({"job": {"settings": "x", "data": "y"}, "rows": []}))
    with pytest.raises(ConfigError, match="other settings or on other data"):
        _read(job)
