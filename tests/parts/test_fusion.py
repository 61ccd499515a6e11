"""Scores are added clip by clip, or not at all; weights come from validation."""

import itertools

import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.parts.fusion import Scores, fit_weights, fuse


def scores(seed, ids="abcd", classes=3):
    return Scores(logits=torch.randn(len(ids), classes, generator=torch.Generator().manual_seed(seed)), ids=tuple(ids))


def test_fuse_is_the_weighted_sum():
    one, two = scores(0), scores(1)
    found = fuse({"body": one, "leg": two}, {"leg": 0.5, "body": 2.0})
    torch.testing.assert_close(found.logits, 2 * one.logits + 0.5 * two.logits)
    assert found.ids == one.ids


def test_another_order_is_refused_and_can_be_mended():
    one, two = scores(0), scores(1, "abdc")
    with pytest.raises(DataError, match=r"'body' and 'leg' hold the same clips in another order \(clip 2 is 'c' in one, 'd'"):
        fuse({"body": one, "leg": two}, {"body": 1.0, "leg": 1.0})
    mended = two.in_order_of(one.ids)
    assert mended.ids == one.ids and torch.equal(mended.logits[2], two.logits[3])


@pytest.mark.parametrize(
    ("two", "said"), [(scores(1, "abc"), "other clips; 'd' is in one"), (scores(1, classes=4), "3 and 4 classes")]
)
def test_other_clips_and_classes_are_refused(two, said):
    with pytest.raises(DataError, match=said):
        fuse({"body": scores(0), "leg": two}, {"body": 1.0, "leg": 1.0})


def test_other_refusals():
    with pytest.raises(ConfigError, match="at least one stream"):
        fuse({}, {})
    with pytest.raises(ConfigError, match="weights for leg"):
        fuse({"body": scores(0)}, {"leg": 1.0})
    with pytest.raises(DataError, match="no scores of clip 'z'"):
        scores(0).in_order_of(("a", "z"))
    with pytest.raises(DataError, match="2 names"):
        Scores(logits=torch.zeros(3, 2), ids=("a", "b"))


def test_fit_weights_finds_what_trying_all_finds():
    g = torch.Generator().manual_seed(3)
    ids = tuple(map(str, range(60)))
    labels = torch.randint(4, (60,), generator=g)
    truth = torch.nn.functional.one_hot(labels, 4).float()
    streams = {
        n: Scores(logits=s * truth + torch.randn(60, 4, generator=g), ids=ids) for n, s in (("a", 1.5), ("b", 0.2), ("c", 0.8))
    }
    found = fit_weights(streams, labels, step=0.25)
    best = 0
    for w in itertools.product((0, 0.25, 0.5, 0.75, 1), repeat=3):
        if sum(w) == 1:
            whole = sum(x * one.logits for x, one in zip(w, streams.values(), strict=True))
            best = max(best, int((whole.argmax(dim=1) == labels).sum()))
    assert int((fuse(streams, found).logits.argmax(dim=1) == labels).sum()) == best
    same = dict.fromkeys("ab", scores(0))
    assert fit_weights(same, torch.zeros(4, dtype=torch.long), step=0.5) == {"a": 0.5, "b": 0.5}
