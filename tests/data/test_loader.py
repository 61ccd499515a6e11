"""Batches: each clip normalised as if it were alone, order from the generator alone, cache or not."""

import numpy as np
import pytest
import torch

from skelbench.data import Loader, loader, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.normalise import preset
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def people(tmp_path, make):
    return write_store(tmp_path / "people", make(23, topology=KINECT), classes=("a", "b", "c"))


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("name", ["none", "isc"])
def test_every_clip_is_normalised_as_if_alone(people, name, cache):
    rows = [7, 3, 22, 0, 11, 12, 13, 1]
    seen = []
    for batch in Loader(people, rows, batch_size=3, preset=name, cache=cache).batches():
        assert batch.joints.shape[2] == batch.lengths.max()
        for i, row in enumerate(batch.rows.tolist()):
            alone = people.batch([row])
            T = len(people[row])
            want = preset(name).apply(alone.joints, alone.lengths, KINECT)[0]
            assert torch.allclose(batch.joints[i, :, :T], want, atol=1e-5) and not batch.joints[i, :, T:].any()
            assert torch.equal(batch.present[i, :T], (want != 0).any(dim=2).any(dim=0))
            assert (batch.labels[i], batch.ids[i], batch.lengths[i]) == (people[row].label, people[row].id, T)
        seen += batch.rows.tolist()
    assert seen == rows


def test_cache_and_memory_map_give_the_same_epoch(people):
    one, other = (Loader(people, np.arange(23), batch_size=4, cache=c).epoch(seeded(5)) for c in (True, False))
    for a, b in zip(one, other, strict=True):
        assert a.ids == b.ids and torch.allclose(a.joints, b.joints, atol=1e-5) and torch.equal(a.lengths, b.lengths)
        assert torch.equal(a.present, b.present) and torch.equal(a.labels, b.labels) and torch.equal(a.rows, b.rows)


def test_large_sets_are_not_kept(people, monkeypatch):
    monkeypatch.setattr(loader, "CACHE_BYTES", people.frames.nbytes - 1)
    big = Loader(people, np.arange(23), batch_size=4)
    list(big.batches())
    assert big._cached is None
    part = Loader(people, np.arange(22), batch_size=4)
    list(part.batches())
    assert part._cached is not None and len(part._cached) == people.index["length"][:22].sum()


def test_the_cache_is_filled_in_pieces(people, monkeypatch):
    whole = [b.joints for b in Loader(people, np.arange(23), batch_size=8).batches()]
    monkeypatch.setattr(loader, "CHUNK", 5)
    pieces = [b.joints for b in Loader(people, np.arange(23), batch_size=8).batches()]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, pieces, strict=True))


def test_an_epoch_visits_every_row_once_in_the_generators_order(people):
    rows = np.arange(2, 23)
    data = Loader(people, rows, batch_size=4)
    generator = seeded(1)
    epochs = [[r for b in data.epoch(generator) for r in b.rows.tolist()] for _ in range(2)]
    assert len(data) == 6 and all(sorted(e) == rows.tolist() for e in epochs) and epochs[0] != epochs[1]
    twin = seeded(1)
    want = [rows[torch.randperm(21, generator=twin).numpy()].tolist() for _ in range(2)]
    assert epochs == want


def test_the_order_is_drawn_at_the_call(people):
    data, generator = Loader(people, np.arange(23), batch_size=4), seeded(2)
    first = data.epoch(generator)
    state = generator.get_state()
    second = data.epoch(generator)
    assert not torch.equal(state, generator.get_state())
    list(second)  # walked before the first one: neither disturbs the other
    rows = [r for b in first for r in b.rows.tolist()]
    assert rows == torch.randperm(23, generator=seeded(2)).tolist()


def test_an_epoch_can_be_taken_up_in_the_middle(people):
    data = Loader(people, np.arange(23), batch_size=4)
    whole, rest = list(data.epoch(seeded(3))), list(data.epoch(seeded(3), skip=4))
    assert len(rest) == 2 and all(torch.equal(a.joints, b.joints) for a, b in zip(whole[4:], rest, strict=True))


def test_drop_last_and_no_shuffle(people):
    generator = seeded(4)
    state = generator.get_state()
    data = Loader(people, np.arange(23), batch_size=5, drop_last=True, shuffle=False)
    epoch = list(data.epoch(generator))
    assert len(data) == len(epoch) == 4 and [r for b in epoch for r in b.rows.tolist()] == list(range(20))
    assert torch.equal(state, generator.get_state())
    assert sum(len(b) for b in data.batches()) == 23


def test_nothing_is_drawn_from_the_global_generators(people):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(Loader(people, np.arange(23), batch_size=5).epoch(seeded()))
    assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])


def test_clips_of_one_frame(tmp_path):
    clips = [Clip(joints=np.ones((1, 1, 25, 3), np.float32), topology=KINECT, id=f"{i}", label=0) for i in range(3)]
    store = write_store(tmp_path / "one", clips, classes=("a",))
    (batch,) = Loader(store, [0, 1, 2], batch_size=8).batches()
    assert batch.joints.shape == (3, 3, 1, 25, 1) and torch.isfinite(batch.joints).all()


def test_refusals(people):
    for rows in ([], [23], [-1], [[1]]):
        with pytest.raises(DataError, match="a loader needs rows between 0 and 22"):
            Loader(people, rows, batch_size=2)
    with pytest.raises(ConfigError, match="no preset called 'iscc'"):
        Loader(people, [0], batch_size=2, preset="iscc")
    for options in ({"batch_size": 0}, {"batch_size": 3, "drop_last": True}):
        with pytest.raises(ConfigError, match="does not fit 2 clips"):
            Loader(people, [0, 1], **options)
