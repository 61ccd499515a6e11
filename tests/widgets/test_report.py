import base64
import json
import re

import numpy as np
import pytest
import torch

from skelbench.data.store import write_store
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import Row, Table
from skelbench.explain.positives import PositiveStudy
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.train.metrics import Metrics
from skelbench.widgets.report import Embedding, write_report
from skelbench.widgets.report_parts import bars, bodies, curves, headline, positives, scatter, spread_anchors

NASTY = "</script><img src=x onerror=alert(1)>"


def row(method, accuracy, *, seed=None, **more):
    shape = {"data": "play", "split": "xsub", "protocol": "1-NN", "mean_class": accuracy, "n": 40}
    return Row(method=method, accuracy=accuracy, seed=seed, **{**shape, **more})


@pytest.fixture
def table():
    rows = [row("raw", 0.5), row("random", 0.4, seed=0), row("random", 0.42, seed=1)]
    return Table([*rows, row("halp", 0.8, seed=0, differs={NASTY: (1, NASTY)}), row("halp", 0.9, seed=1)])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """12 clips of 40 to 51 frames; the second body shows up in every third, the sensor loses frames 10 to 20 of the first."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(12):
        joints = rng.normal(size=(40 + i, 2, 25, 3)).astype(np.float32).cumsum(axis=0) * 0.02
        joints[:, :, :, 1] += np.linspace(0, 1.7, 25)
        if i % 3:
            joints[:, 1] = 0
        if i == 0:
            joints[10:21] = 0
        if i == 1:
            joints[:5] = 0
        clips.append(Clip(joints=joints, topology=topology("kinect_v2_25"), label=i % 3, id=f"clip{i}", about={"subject": i // 4}))
    return write_store(tmp_path_factory.mktemp("store") / "tiny", clips, classes=["wave", NASTY, "jump"])


@pytest.fixture
def embedding(store):
    points = {v: np.random.default_rng(s).normal(size=(12, 2)) for s, v in enumerate(("halp", "random"))}
    return Embedding(
        points=points,
        rows=range(12),
        labels=store.labels,
        classes=store.classes,
        groups={"subject": store.index["subject"].tolist()},
        features={"halp": torch.randn(12, 6, generator=torch.Generator().manual_seed(0))},
    )


@pytest.fixture(scope="module")
def study(store):
    g = torch.Generator().manual_seed(0)
    keys, prototypes = torch.randn(12, 8, generator=g), torch.randn(4, 8, generator=g)
    return PositiveStudy.draw(keys, prototypes, positives=20, labels=store.labels, rows=np.arange(12), generator=g)


def metrics(names=("moco", "halp"), steps=700):
    found = Metrics()
    for step in range(steps):
        late = {"halp": -5.0 - step} if "halp" in names and step >= 350 else {}
        found.line(
            {"step": step + 1, "epoch": 0, "loss": float(step), "lr": 0.1, "parts": {"moco": 2.0 * step, **late}, "meters": {}}
        )
    found.line({"step": steps, "epoch": 0, "probe": {"accuracy": 0.25, "meters": {"feature_std": 0.9}, "clips": [8, 4]}})
    return found


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_the_page_is_one_file_that_holds_everything(tmp_path, table, store, embedding, study):
    facts = {"seed": 0, "times": {NASTY: "3 s"}}
    parts = {"metrics": {"halp": metrics()}, "embedding": embedding, "clips": store, "study": study, "facts": facts}
    page = write_report(tmp_path / "new" / "report.html", title=f"Demo {NASTY}", lead=NASTY, table=table, **parts)
    text = page.read_text()
    assert [f.name for f in page.parent.iterdir()] == ["report.html"]
    assert NASTY not in text
    assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=[\"'](?!data:)", text)
    assert "default-src 'none'" in text
    assert text.count("<section") == 5 and "halp" in text and "1-NN" in text
    assert data_of(page)["map"]["groups"]["class"]["names"] == list(store.classes)


def test_parts_that_are_not_given_leave_no_empty_section(tmp_path, table):
    text = write_report(tmp_path / "r.html", title="t", table=table).read_text()
    assert re.findall(r'<section id="(\w+)"', text) == ["results", "facts"]
    assert "#training" not in text and "#map'" not in text


def test_the_floors_must_be_there(tmp_path, table):
    with pytest.raises(ConfigError, match="floor raw"):
        write_report(tmp_path / "r.html", title="t", table=Table([r for r in table if r.method != "raw"]))
    assert not list(tmp_path.iterdir())


def test_what_it_refuses(tmp_path, table, store, embedding, study):
    for more in ({"embedding": embedding}, {"study": study}):
        with pytest.raises(ConfigError, match="needs clips="):
            write_report(tmp_path / "r.html", title="t", table=table, **more)
    for hardness in ([], [0.5, 0.2], [0.0, 1.5]):
        with pytest.raises(ConfigError, match="hardness settings ascend"):
            write_report(tmp_path / "r.html", title="t", table=table, clips=store, study=study, hardness=hardness)
    far = Embedding(points={"a": np.zeros((1, 2))}, rows=[99], labels=[0], classes=["a"])
    with pytest.raises(DataError, match=r"rows 99\.\.99.*has 12 clips"):
        write_report(tmp_path / "r.html", title="t", table=table, clips=store, embedding=far)
    with pytest.raises(DataError, match="labels 1"):
        Embedding(points={"a": np.zeros((2, 2))}, rows=[0, 1], labels=[0], classes=["a"])
    with pytest.raises(DataError, match="no name"):
        Embedding(points={"a": np.zeros((1, 2))}, rows=[0], labels=[3], classes=["a"])


@pytest.mark.parametrize("megabytes", [6.0, 5.3])
def test_the_file_stays_below_its_size(tmp_path, table, store, embedding, study, megabytes):
    many = embedding.take(np.tile(np.arange(12), 400 if megabytes == 5.3 else 1))
    many = Embedding(points={k: v for k, v in many.points.items()}, rows=many.rows, labels=many.labels, classes=many.classes)
    page = write_report(tmp_path / "r.html", title="t", table=table, clips=store, embedding=many, study=study, megabytes=megabytes)
    assert page.stat().st_size <= megabytes * 1e6
    shown = len(data_of(page)["map"]["rows"])
    assert (shown == 12) if megabytes == 6.0 else (1 < shown < 4800)
    assert (f"shows {shown} of 4800 clips" in page.read_text()) == (megabytes == 5.3)


def decoded(found, at):
    item = found["items"][at]
    halves = np.frombuffer(base64.b64decode(item["data"]), "<f2").astype(np.float64)
    return item, halves.reshape(item["frames"], item["bodies"], 25, 3) * item["scale"]


def test_bodies_move_as_recorded(store):
    found = bodies(store, [2, 3], budget=10**9)
    item, joints = decoded(found, 2)
    assert (item["frames"], item["bodies"]) == (32, 1)  # 42 frames, the second body is never there
    assert item["fps"] == pytest.approx(30 * 31 / 41, rel=1e-4)
    at = np.round(np.linspace(0, 41, 32)).astype(int)
    wanted = store[2].joints[at][:, :1].astype(np.float64)
    # up to the turn about the vertical that faces the viewer, and float16
    height = joints[..., 1] - joints[..., 1].mean()
    np.testing.assert_allclose(height, wanted[..., 1] - wanted[..., 1].mean(), atol=3e-3)
    lengths = [np.linalg.norm(x[:, :, 5] - x[:, :, 0], axis=-1) for x in (joints, wanted)]
    np.testing.assert_allclose(*lengths, atol=3e-3)
    assert decoded(found, 3)[0]["bodies"] == 2
    assert set(found["common"]) >= {"edges", "side", "names", "head", "joints"}


def test_a_body_the_sensor_lost_waits_instead_of_vanishing(store):
    found = bodies(store, [0, 1], budget=10**9)
    for row in (0, 1):
        assert np.isfinite(decoded(found, row)[1]).all()
    assert decoded(found, 1)[0]["frames"] == 32  # of the 36 that show somebody


def test_bodies_get_fewer_frames_where_space_is_short(store):
    rows = list(range(12))
    wide = bodies(store, rows, budget=10**9)
    tight = bodies(store, rows, budget=80_000)
    assert all(i["frames"] == 32 for i in wide["items"].values())
    assert all(12 <= i["frames"] < 32 for i in tight["items"].values())
    assert len(json.dumps(tight["items"])) < 1.25 * 80_000
    assert tight["items"][5]["fps"] < wide["items"][5]["fps"]


def test_bars_and_headline_say_what_the_table_says(table):
    (chart,) = bars(table)
    assert [(x["method"], x["floor"], x["text"]) for x in chart["lines"]] == [
        ("random", True, "41.0 %"), ("raw", True, "50.0 %"), ("halp", False, "85.0 %"),
    ]  # fmt: skip
    assert all(0 <= x["low"] <= x["high"] <= 1 for x in chart["lines"] if x["low"] is not None)
    (card,) = headline(table)
    assert card["value"] == "85.0 %" and card["method"] == "halp"
    assert card["over"] == "44.0 points above the same encoder untrained, 35.0 points above the joints themselves"
    worse = Table([r for r in table if r.method != "halp"] + [row("moco", 0.3, seed=0)])
    assert headline(worse)[0]["over"].startswith("10.0 points below")


def test_curves_are_averaged_in_bins_and_known_ones_come_first():
    panels = curves({"halp": metrics(), "moco": metrics(("moco",), steps=20)})
    assert [p["key"] for p in panels] == ["accuracy", "loss", "moco", "halp"]
    loss = panels[1]["lines"]
    assert [len(line["x"]) for line in loss] == [300, 20]
    np.testing.assert_allclose(loss[0]["y"], np.array(loss[0]["x"]) - 1, atol=0.2)  # loss was step - 1
    assert loss[0]["x"][0] == 2.0 and loss[0]["x"][-1] == 699.5
    assert loss[1]["y"] == [float(i) for i in range(20)]
    (halp,) = panels[3]["lines"]
    assert halp["method"] == "halp" and min(halp["x"]) > 350
    assert panels[0]["lines"][0]["y"] == [0.25]
    assert curves({}) == []


def test_the_map_knows_true_neighbours_and_every_colouring(store, embedding):
    found = scatter(embedding, store.ids)
    halp, random = found["views"]
    assert "neighbours" not in random
    unit = torch.nn.functional.normalize(embedding.features["halp"].double(), dim=1)
    cosine = unit @ unit.T
    for i, near in enumerate(halp["neighbours"]):
        order = [j for j in cosine[i].argsort(descending=True).tolist() if j != i]
        assert near == order[:3]
    np.testing.assert_allclose(halp["x"], np.asarray(embedding.points["halp"])[:, 0], rtol=1e-4)
    assert found["groups"]["class"]["codes"] == store.labels.tolist()
    assert found["groups"]["subject"]["names"] == ["0", "1", "2"]
    assert len(found["groups"]["subject"]["colours"]) == 3


def test_positives_repeat_the_study(study):
    found = positives(study, [0.0, 0.5, 1.0], anchors=[0, 3])
    for h, setting in zip([0.0, 0.5, 1.0], found["settings"], strict=True):
        assert setting["kept"] == pytest.approx(study.kept_share(h), abs=1e-3)
        assert sum(map(sum, setting["histogram"])) == 12 * 20
        kept = int(study.at(h).kept.sum())
        assert sum(setting["histogram"][0]) == kept
    angles = [s["angle"] for s in found["settings"]]
    assert angles == sorted(angles)
    anchor = found["anchors"][1]
    assert (anchor["row"], anchor["label"]) == (3, study.labels[3])
    assert anchor["target"] == study.order(3)[1] and anchor["nearest"] == study.order(3)[0]
    for h, setting in zip([0.0, 0.5, 1.0], anchor["settings"], strict=True):
        np.testing.assert_allclose(setting["t"], anchor["t_max"] * (1 - (1 - h) * study.draws[3].numpy()), rtol=2e-3)
        assert setting["nearest"]["row"] != 3
    followed = anchor["followed"]
    assert sorted(study.draws[3].tolist()).index(float(study.draws[3, followed])) == 10  # the middle of 20 draws


def test_shown_anchors_differ_in_class_while_they_can(study):
    shown = spread_anchors(study, 3)
    assert len({int(study.labels[study.origin[i]]) for i in shown}) == 3
    assert len(set(spread_anchors(study, 5))) == 5
