import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from skelbench.errors import ConfigError, DataError
from skelbench.explain import project as module
from skelbench.explain.project import forget, pca, project

UMAP = """
import json, sys, warnings
import numpy as np, torch
warnings.simplefilter("error", UserWarning)  # umap's way of saying that it set the neighbours aside
from skelbench.explain.project import forget, project
g = torch.Generator().manual_seed(0)
far = torch.cat([torch.eye(3, 8)[i] * 5 + 0.3 * torch.randn(20, 8, generator=g) for i in range(3)])
before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
one = project(far, seed=3, neighbours=6, epochs=40)
forget()
two = project(far, seed=3, neighbours=6, epochs=40, cache=sys.argv[1])
other = project(far, seed=4, neighbours=6, epochs=40)
moved = project(far, seed=3, neighbours=6, epochs=1, start=one * 3)
tiny = project(far[[0, 1, 20, 40]], epochs=5)
twins = project(torch.ones(9, 4), epochs=5)
untouched = bool((torch.random.get_rng_state() == before[0]).all()) and np.random.get_state()[1].tolist() == before[1]
print(json.dumps({"one": one.tolist(), "two": two.tolist(), "other": other.tolist(), "moved": moved.tolist(),
                  "tiny": tiny.shape, "twins": bool(np.isfinite(twins).all()), "untouched": untouched}))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """UMAP of three far groups of 20, in a process without compilation (half a second instead of ten)."""
    folder = tmp_path_factory.mktemp("cache")
    done = subprocess.run(
        [sys.executable, "-c", UMAP, str(folder)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), folder


def test_umap_keeps_groups_together(pictures):
    points = np.array(pictures[0]["one"]).reshape(3, 20, 2)
    spread = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2).mean()
    centres = points.mean(axis=1)
    apart = min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 3 * spread


def test_umap_repeats_with_its_seed_and_draws_from_nothing_global(pictures):
    found, _ = pictures
    assert found["one"] == found["two"]
    assert found["one"] != found["other"]
    assert found["untouched"]


def test_umap_starts_where_it_is_told(pictures):
    found, _ = pictures
    one, moved = np.array(found["one"]), np.array(found["moved"])
    assert min(np.corrcoef(one[:, i], moved[:, i])[0, 1] for i in (0, 1)) > 0.9  # one epoch does not carry points across


def test_umap_of_four_clips_and_of_twins(pictures):
    assert pictures[0]["tiny"] == [4, 2]
    assert pictures[0]["twins"]


def test_a_picture_on_disk_is_used_without_umap(pictures, monkeypatch):
    found, folder = pictures
    g = torch.Generator().manual_seed(0)
    far = torch.cat([torch.eye(3, 8)[i] * 5 + 0.3 * torch.randn(20, 8, generator=g) for i in range(3)])
    monkeypatch.setattr(module, "_umap", None)
    forget()
    points = project(far, seed=3, neighbours=6, epochs=40, cache=folder)
    assert points.tolist() == found["two"]
    assert [f.name for f in folder.iterdir()] == [f"projection-{f.stem.removeprefix('projection-')}.npy" for f in folder.iterdir()]
    next(folder.iterdir()).write_bytes(np.lib.format.magic(1, 0))
    forget()
    with pytest.raises(DataError, match="delete it"):
        project(far, seed=3, neighbours=6, epochs=40, cache=folder)


@settings(max_examples=40, deadline=None)
@given(N=st.integers(2, 30), D=st.integers(1, 30), seed=st.integers(0, 99))
def test_pca_equals_scikit_learn_up_to_sign(N, D, seed):
    x = torch.randn(N, D, generator=torch.Generator().manual_seed(seed)) * torch.linspace(2, 1, D)
    found, k = pca(x), min(N, D, 2)
    wanted = PCA(n_components=k, svd_solver="full").fit_transform(x.double().numpy())
    np.testing.assert_allclose(np.abs(found[:, :k]), np.abs(wanted), atol=1e-4)
    assert found.shape == (N, 2) and found.dtype == np.float32
    assert not found[:, k:].any()


def test_pca_of_one_clip_and_of_equal_clips_is_a_point():
    assert project(torch.ones(1, 5), "pca").tolist() == [[0, 0]]
    np.testing.assert_allclose(project(torch.ones(6, 3), "pca"), 0, atol=1e-6)


def test_neighbours_are_exact_and_each_clip_is_its_own_first():
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    x[7] = x[3] = x[30]  # twins
    rows, distance = module._neighbours(x, 6)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    full = 1 - unit @ unit.T
    assert rows[:, 0].tolist() == list(range(40))
    for i in range(40):
        others = sorted(full[i, j].item() for j in range(40) if j != i)[:5]
        np.testing.assert_allclose(distance[i], [0, *others], atol=1e-6)
        assert len(set(rows[i].tolist())) == 6


def test_the_second_answer_comes_from_memory_and_is_a_copy(monkeypatch):
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(2))
    forget()
    first = project(x, "pca")
    wanted = first.copy()
    first[:] = 0
    monkeypatch.setattr(module, "pca", None)
    np.testing.assert_array_equal(project(x, "pca"), wanted)
    np.testing.assert_array_equal(project(x, "pca", seed=5), wanted)  # PCA has no seed
    with pytest.raises(TypeError):
        project(x + 1e-3, "pca")


def test_memory_keeps_the_newest_pictures(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    forget()
    for i in range(4):
        project(torch.eye(3) + i * torch.ones(3, 3), "pca")
    assert len(module._pictures) == 2


def test_what_it_refuses():
    x = torch.randn(20, 3)
    for bad in (torch.randn(5), torch.empty(0, 3), torch.tensor([[float("nan")]])):
        with pytest.raises(DataError, match="finite features"):
            project(bad)
    with pytest.raises(DataError, match="use method='pca'"):
        project(x[:3])
    with pytest.raises(ConfigError, match="'tsne'"):
        project(x, "tsne")
    for wrong in ({"neighbours": 1}, {"min_dist": 2.0}, {"epochs": 0}):
        with pytest.raises(ConfigError, match="UMAP wants"):
            project(x, **wrong)
    with pytest.raises(DataError, match=r"wanted \(20, 2\)"):
        project(x, start=np.zeros((3, 2)))
