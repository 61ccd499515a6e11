"""Agreement of two encoders against loops over clips."""

import copy

import numpy as np
import pytest
import torch

from skelbench.data import write_store
from skelbench.errors import ConfigError
from skelbench.explain.agreement import agreement, overlap
from skelbench.methods.isc import ISC, latent
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

LAYOUT = Topology.from_dict({"name": "y", "joints": ["root", "chest", "left", "right"], "parents": [-1, 0, 1, 1]})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    clips = (
        Clip(
            joints=rng.normal(size=(10 + i % 4, 1, 4, 3)).astype(np.float32), topology=LAYOUT, id=f"c{i}", about={"subject": i % 4}
        )
        for i in range(14)
    )
    return write_store(tmp_path_factory.mktemp("data") / "small", clips, classes=["any"])


def build(**config):
    settings = {"seq": GRU.Config(hidden=5, layers=1, input_norm=False), "graph": AGCN.Config(channels=(8, 8), window=3)}
    settings |= {"views": Views(frames=8, minimum=8), "queue": 8, "dim": 6} | config
    shape = {"topology": LAYOUT, "bodies": 1, "coordinates": 3, "classes": 0}
    made = ISC.build(ISC.Config(**settings), generator=torch.Generator().manual_seed(0), **shape)
    with torch.no_grad():
        for p in made.key.parameters():
            p.add_(0.05)  # so that it lags
    return made


def test_overlap_counts_common_neighbours():
    g = torch.Generator().manual_seed(1)
    one, two = torch.randn(9, 4, generator=g), torch.randn(9, 7, generator=g)
    total = 0
    for i in range(9):
        near = []
        for space in (one, two):
            unit = space / space.norm(dim=1, keepdim=True)
            order = sorted((j for j in range(9) if j != i), key=lambda j: -float(unit[i] @ unit[j]))
            near.append(set(order[:3]))
        total += len(near[0] & near[1])
    assert overlap(one, two, 3) == pytest.approx(total / 27)
    assert overlap(one, 2.5 * one, 3) == 1
    doubles = torch.cat([one, one])  # every row has a twin exactly where it is
    assert overlap(doubles, doubles, 1) == 1
    for wrong in ((one, two[:5], 3), (one, two, 9), (one, two, 0)):
        with pytest.raises(ConfigError, match="overlap wants"):
            overlap(*wrong)


def test_equals_loops_over_clips_and_leaves_the_method_alone(store):
    method = build().train()
    before = copy.deepcopy(method.state_dict())
    rows = [1, 3, 4, 6, 8, 9, 11, 13]
    found = agreement(method, store, rows, k=3, preset="none", seed=5)
    assert method.training and all(torch.equal(before[k], v) for k, v in method.state_dict().items())
    assert found == agreement(method, store, rows, k=3, preset="none", seed=5)
    batch, draws = store.batch(rows), torch.Generator().manual_seed(5)
    one, two = (method.config.views.view(batch.joints, batch.lengths, LAYOUT, draws) for _ in range(2))
    still = centre_crop_resize(batch.joints, batch.lengths, frames=8)
    method.eval()
    with torch.no_grad():
        for a in method.widths:
            for b in method.widths:
                q, k = latent(method.query[a], one, draws), latent(method.key[b], two, draws)
                cosines = [float(q[n] @ k[n]) for n in range(8)]
                wins = [all(float(q[n] @ k[n]) >= float(q[n] @ k[m]) for m in range(8)) for n in range(8)]
                assert found.cosine[a, b] == pytest.approx(np.mean(cosines), abs=1e-5) and found.found[a, b] == np.mean(wins)
            lag = (latent(method.query[a], still, draws) * latent(method.key[a], still, draws)).sum(dim=1)
            assert found.drift[a] == pytest.approx(float(lag.mean()), abs=1e-5) and found.drift[a] < 1
    assert found.overlap == overlap(*(method.features_of(n, batch) for n in method.widths), 3)
    assert (found.names, found.k, found.clips, found.chance) == (("seq", "graph"), 3, 8, 3 / 7)


def test_one_representation_has_no_overlap_and_too_few_clips_are_told(store):
    method = build(pair=("graph",), mode="intra")
    assert agreement(method, store, range(12), k=3, preset="none").overlap is None
    with pytest.raises(ConfigError, match="3 clips with k = 3"):
        agreement(method, store, range(3), k=3, preset="none")
