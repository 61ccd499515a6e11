"""Scores of several runs added up: by names, with fixed or chosen weights."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import KNN, Fusion, Linear, Score
from skelbench.evaluate.fusion import simplex


def score(seed, N=40, S=4, *, held=None, first=0, sharp=1.0):
    """Noisy scores; every stream has the same clips and classes."""
    labels = torch.arange(first, first + N) % S
    g = torch.Generator().manual_seed(seed)
    logits = sharp * (torch.nn.functional.one_hot(labels, S) + 0.9 * torch.randn(N, S, generator=g))
    ids = tuple(f"c{i}" for i in range(first, first + N))
    how = {"classes": tuple("abcd"), "rows": torch.arange(first, first + N), "ids": ids, "held_out": held}
    return Score(protocol="linear", labels=labels, predictions=logits.argmax(1), logits=logits, **how)


def shuffled(s, seed=0):
    order = torch.randperm(len(s.ids), generator=torch.Generator().manual_seed(seed))
    ids = tuple(s.ids[i] for i in order.tolist())
    return replace(s, labels=s.labels[order], predictions=s.predictions[order], rows=s.rows[order], logits=s.logits[order], ids=ids)


@pytest.mark.parametrize("weights", [None, (0.6, 0.6, 0.4), (1.0, 0.0, 2.0)])
def test_equals_the_sum_clip_by_clip_whatever_the_order(weights):
    streams = {"joint": score(0), "bone": score(1), "motion": score(2)}
    found = Fusion(weights=weights).run({k: shuffled(s, i) if i else s for i, (k, s) in enumerate(streams.items())})
    for n, id in enumerate(found.ids):
        total = np.zeros(4)
        for w, s in zip(weights or (1 / 3,) * 3, streams.values(), strict=True):
            total += w * s.logits[s.ids.index(id)].double().numpy()
        np.testing.assert_allclose(found.logits[n], total, atol=1e-5)
        assert int(found.predictions[n]) == int(total.argmax())
    assert found.accuracy > max(s.accuracy for s in streams.values()) or weights == (1.0, 0.0, 2.0)
    assert found.labels.tolist() == streams["joint"].labels.tolist() and found.protocol == "linear"


def test_the_six_streams_of_brl_are_probabilities_two_to_one():
    names = ("motion", "joint", "skip", "bone", "skip_motion", "bone_motion")
    streams = {f"brl {name}": score(i, sharp=3.0) for i, name in enumerate(names)}
    found = Fusion.brl().run(streams, streams={f"brl {name}": name for name in names})
    for n in range(40):
        total = np.zeros(4)
        for name in names:
            z = np.exp(streams[f"brl {name}"].logits[n].double().numpy())
            total += (1 if "motion" in name else 2) * z / z.sum()
        np.testing.assert_allclose(found.logits[n], total, atol=1e-5)
    two = Fusion.brl().run({"joint": score(1), "bone": score(2)})
    assert two.chosen["weights"] == {"joint": 2.0, "bone": 2.0}
    for wrong in (("joint", "hop"), ("joint", "joint")):
        with pytest.raises(ConfigError, match="has weights for joint, bone, skip"):
            Fusion.brl().run({"a": score(1), "b": score(2)}, streams=dict(zip("ab", wrong, strict=True)))


def test_weights_are_chosen_on_validation_alone():
    streams = {k: score(i, held=score(10 + i, N=30, first=100, sharp=1 + i)) for i, k in enumerate(("joint", "bone", "motion"))}
    found = Fusion(weights="chosen", steps=5).run(streams)
    best, told = -1.0, None
    grid = [w for w in itertools.product(range(6), repeat=3) if sum(w) == 5]
    for w in sorted(grid, key=lambda w: (sum((x / 5 - 1 / 3) ** 2 for x in w), w)):
        total = sum(x / 5 * s.held_out.logits.double() for x, s in zip(w, streams.values(), strict=True))
        right = float((total.argmax(1) == streams["joint"].held_out.labels).double().mean())
        if right > best:
            best, told = right, w
    assert found.chosen["validation accuracy"] == best
    assert tuple(found.chosen["weights"].values()) == tuple(x / 5 for x in told)
    worse = {k: replace(s, logits=-s.logits) for k, s in streams.items()}  # another test side changes no weight
    assert Fusion(weights="chosen", steps=5).run(worse).chosen == found.chosen


def test_the_grid_is_every_way_to_part_one():
    for S, steps in ((1, 3), (2, 4), (3, 5), (4, 3)):
        wanted = sorted(tuple(x / steps for x in w) for w in itertools.product(range(steps + 1), repeat=S) if sum(w) == steps)
        assert sorted(simplex(S, steps)) == wanted


def test_classes_that_a_stream_cannot_tell_do_not_spoil_the_sum():
    one, two = score(0), score(1)
    one.logits[:, 3] = -torch.inf
    found = Fusion(weights=(0.0, 1.0)).run({"a": one, "b": two})
    torch.testing.assert_close(found.logits, two.logits.float())
    assert not Fusion().run({"a": one, "b": two}).logits.isnan().any()


def test_real_protocols_can_be_fused(blobs):
    sides = [
        [blobs(10 * s + p, n, first=f, spread=2.0) for p, (n, f) in enumerate(((80, 0), (24, 80), (40, 104)))] for s in range(3)
    ]
    scores = {f"s{i}": Linear().run(train, test, validation=held) for i, (train, held, test) in enumerate(sides)}
    for s in scores.values():
        assert s.held_out is not None and s.held_out.n == 24 and s.chosen["validation accuracy"] == s.held_out.accuracy
    found = Fusion(weights="chosen").run(scores)
    assert found.n == 40 and found.chosen["by"] == "validation subjects"


def test_scores_that_do_not_belong_together_are_refused(blobs):
    one, two = score(0), score(1)
    with pytest.raises(ConfigError, match="two streams or more, got a"):
        Fusion().run({"a": one})
    with pytest.raises(ConfigError, match="3 weights for 2 streams"):
        Fusion(weights=(1.0, 1.0, 1.0)).run({"a": one, "b": two})
    with pytest.raises(ConfigError, match="of one protocol, got 1-NN, linear"):
        Fusion().run({"a": one, "b": replace(two, protocol="1-NN")})
    with pytest.raises(ConfigError, match="b has no scores of held-out training subjects"):
        Fusion(weights="chosen").run({"a": replace(one, held_out=two), "b": two})
    with pytest.raises(DataError, match="b has no score of clip 'c0': a scored 40 clips, b 40"):
        Fusion().run({"a": one, "b": score(1, first=4)})
    with pytest.raises(DataError, match="a has no score of clip 'c40': a scored 40 clips, b 44"):
        Fusion().run({"a": one, "b": score(1, N=44)})
    with pytest.raises(DataError, match="disagree about the class of clip 'c7'"):
        Fusion().run({"a": one, "b": replace(two, labels=two.labels.index_fill(0, torch.tensor([7]), 0))})
    with pytest.raises(DataError, match="b tells other classes apart"):
        Fusion().run({"a": one, "b": replace(two, classes=tuple("abce"))})
    nn = KNN().run(blobs(0, 20), blobs(1, 8, first=20))
    with pytest.raises(DataError, match="1-NN gives no class scores"):
        Fusion().run({"a": nn, "b": nn})
    for weights in ((), (-1.0, 1.0), (0.0, 0.0), "best"):
        with pytest.raises(ConfigError, match=r"Fusion\.weights"):
            Fusion(weights=weights)
    assert "never on test" in str(Fusion(weights="chosen").describe()) and "fixed" in str(Fusion().describe())
