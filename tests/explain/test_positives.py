from __future__ import annotations

import numpy as np
import pytest
import torch

from skelbench.data.store import write_store
from skelbench.errors import ConfigError, DataError
from skelbench.explain.positives import PositiveStudy, keys_of, prototypes_of
from skelbench.methods.floors import Raw
from skelbench.methods.halp import HaLP
from skelbench.methods.moco import MoCo
from skelbench.nets.gru import GRU
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def study():
    g = torch.Generator().manual_seed(0)
    gallery = torch.randn(40, 6, generator=g)
    return PositiveStudy.draw(
        gallery[:12],
        torch.randn(7, 6, generator=g),
        gallery=gallery,
        labels=np.arange(40) % 4,
        rows=np.arange(40) + 100,
        positives=9,
        generator=g,
    )


def test_hardness_rescales_the_same_draws(study):
    boundary, some = study.at(1.0), study.at(0.25)
    torch.testing.assert_close(boundary.t, boundary.t_max)
    torch.testing.assert_close(some.t, some.t_max * (1 - 0.75 * study.draws))
    assert torch.equal(boundary.targets, some.targets)
    with pytest.raises(ConfigError, match="boundary"):
        study.at(-0.1)


def test_spread_is_the_angle_of_the_points_themselves(study):
    angles, kept = study.spread(0.4)
    points, p = study.at(0.4).points.double().numpy(), study.prototypes.double().numpy()
    a = study.anchors.double().numpy()
    np.testing.assert_allclose(angles, np.arccos(np.clip(np.einsum("nd,npd->np", a, points), -1, 1)), atol=2e-3)
    nearest = (a @ p.T).argmax(axis=1)
    np.testing.assert_array_equal(kept, (points @ p.T).argmax(axis=2) == nearest[:, None])
    assert study.kept_share(0.4) == pytest.approx(kept.mean())
    np.testing.assert_allclose(study.angles(study.at(0.4)).numpy(), angles, atol=1e-6)


def test_edges_are_where_p0_and_the_target_are_equally_near(study):
    a, p = study.anchors.double().numpy(), study.prototypes.double().numpy()
    for i in range(len(a)):
        order = study.order(i)
        np.testing.assert_array_equal(order, np.argsort(-(p @ a[i]), kind="stable"))
        assert study.edges[i, order[0]] == 0
        for s in order[1:]:
            across = unit(p[s] - (p[s] @ a[i]) * a[i])
            z = np.cos(study.edges[i, s]) * a[i] + np.sin(study.edges[i, s]) * across
            assert z @ p[order[0]] == pytest.approx(z @ p[s], abs=1e-5)


def test_the_circle_is_the_plane_of_anchor_and_target(study):
    target = int(study.order(5)[2])
    circle = study.circle(5, target, steps=11)
    assert (circle.nearest, circle.target, circle.anchor) == (study.order(5)[0], target, 5)
    np.testing.assert_allclose(circle.to_anchor, np.cos(circle.t * circle.omega), atol=1e-5)
    np.testing.assert_allclose(circle.to_target, np.cos((1 - circle.t) * circle.omega), atol=1e-5)
    np.testing.assert_allclose(circle.prototypes[target], [np.cos(circle.omega), np.sin(circle.omega)], atol=1e-5)
    z = np.stack([np.cos(circle.t * circle.omega), np.sin(circle.t * circle.omega)], axis=1)
    np.testing.assert_allclose(
        circle.to_nearest, z @ circle.prototypes[circle.nearest], atol=1e-5
    )  # shadows keep products in the plane
    assert circle.t_max * circle.omega == pytest.approx(study.edges[5, target], abs=1e-5)
    along = study.along(0.5, 5, target)
    assert (along.targets == target).all() and along.t_max[0, 0] == pytest.approx(circle.t_max, abs=1e-6)
    with pytest.raises(ConfigError, match="p_0"):
        study.circle(5, circle.nearest)
    with pytest.raises(ConfigError, match="no such"):
        study.circle(12, 0)


def test_nearest_real_clips_leave_out_the_anchors_own(study):
    made = study.at(0.7)
    places, cosines = study.nearest_clips(made, np.arange(12))
    points, gallery = made.points.numpy(), study.gallery.numpy()
    for i in range(12):
        table = points[i] @ gallery.T
        table[:, i] = -2
        np.testing.assert_array_equal(places[i], table.argmax(axis=1))
        np.testing.assert_allclose(cosines[i], table.max(axis=1), atol=1e-5)
    one, cosine = study.nearest_real(made.points[3], without=np.full(9, 3))
    np.testing.assert_array_equal(one, places[3])
    np.testing.assert_allclose(cosine, cosines[3], atol=1e-5)
    p = study.prototypes.numpy()[2] @ gallery.T
    assert study.clip_near_prototype(2) == (p.argmax(), pytest.approx(p.max(), abs=1e-6))


def test_same_class_counts_neighbours_of_the_anchors_class(study):
    places, _ = study.nearest_clips(study.at(0.6), np.arange(12))
    wanted = (study.labels[places[:, :4]] == study.labels[:12, None]).mean()
    assert study.same_class(0.6, positives=4) == pytest.approx(wanted)
    plain = PositiveStudy.draw(study.anchors, study.prototypes, generator=torch.Generator())
    assert np.isnan(plain.same_class(0.5))


def test_anchors_are_recognised_in_the_gallery(study):
    assert study.origin.tolist() == list(range(12))
    strange = PositiveStudy.draw(torch.randn(3, 6), study.prototypes, gallery=study.gallery, generator=torch.Generator())
    assert strange.origin.tolist() == [-1, -1, -1]
    assert study.rows.tolist() == list(range(100, 140))


def test_bad_tables_are_named(study):
    g = torch.Generator()
    with pytest.raises(DataError, match="equally wide"):
        PositiveStudy.draw(torch.randn(3, 6), torch.randn(4, 5), generator=g)
    with pytest.raises(DataError, match="row 1 is zero"):
        PositiveStudy.draw(torch.tensor([[1.0, 0], [0, 0]]), torch.eye(2), generator=g)
    with pytest.raises(DataError, match="finite"):
        PositiveStudy.draw(torch.full((2, 2), torch.nan), torch.eye(2), generator=g)
    with pytest.raises(DataError, match="labels"):
        PositiveStudy.draw(torch.eye(3), torch.eye(3), labels=[1, 2], generator=g)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            joints=rng.normal(size=(12 + i, 1, 25, 3)).astype(np.float32),
            topology=topology("kinect_v2_25"),
            label=i % 2,
            id=f"c{i}",
        )
        for i in range(10)
    ]
    return write_store(tmp_path_factory.mktemp("study") / "tiny", clips, classes=["a", "b"])


def build(kind, **more):
    config = kind.Config(encoder=GRU.Config(hidden=6, layers=1), queue=16, dim=5, **more)
    g = torch.Generator().manual_seed(0)
    return kind.build(config, topology=topology("kinect_v2_25"), bodies=1, coordinates=3, classes=2, generator=g)


def test_keys_of_real_clips_do_not_disturb_a_running_method(store):
    method = build(MoCo).train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    keys = keys_of(method, store, [4, 2, 7], batch_size=2)
    assert keys.shape == (3, 5)
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(keys_of(method, store, [7])[0], keys[2], atol=1e-5, rtol=0)
    assert method.key.training and all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    with pytest.raises(ConfigError, match="key encoder"):
        keys_of(
            Raw.build(Raw.Config(), topology=store.topology, bodies=1, coordinates=3, classes=2, generator=torch.Generator()),
            store,
            [0],
        )


def test_prototypes_are_the_methods_own_once_it_has_some(store):
    keys = torch.nn.functional.normalize(torch.randn(30, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    g = torch.Generator().manual_seed(2)
    assert prototypes_of(build(MoCo), keys, generator=g).shape == (20, 5)
    method = build(HaLP, prototypes=4, prototypes_from=8)
    assert prototypes_of(method, keys, generator=g).shape == (4, 5)  # none yet: clustered from the keys
    method.prototypes = torch.nn.functional.normalize(torch.randn(4, 5), dim=1)
    assert torch.equal(prototypes_of(method, keys, generator=g), method.prototypes)


def test_a_study_of_a_method(store):
    draw = [
        PositiveStudy.of(build(MoCo), store, np.arange(10), anchors=4, positives=3, generator=torch.Generator().manual_seed(5))
        for _ in range(2)
    ]
    assert torch.equal(draw[0].targets, draw[1].targets) and torch.equal(draw[0].gallery, draw[1].gallery)
    assert draw[0].targets.shape == (4, 3) and (draw[0].origin >= 0).all()
    assert draw[0].labels.tolist() == store.labels.tolist()
