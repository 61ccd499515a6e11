import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.parts.queue import KeyQueue


def queue(K=10, D=4):
    return KeyQueue(K, D, generator=torch.Generator().manual_seed(0))


def test_starts_with_random_unit_keys_of_the_generator():
    q = queue()
    torch.testing.assert_close(q.keys.norm(dim=1), torch.ones(10))
    assert torch.equal(q.keys, queue().keys) and len(q) == 10 and int(q.pointer) == 0
    assert not torch.equal(q.keys, KeyQueue(10, 4, generator=torch.Generator().manual_seed(1)).keys)


@pytest.mark.parametrize("sizes", [[5, 5], [3, 3, 3, 3], [7, 7, 1], [10, 4], [23, 2], [1] * 12, [0, 4]])
def test_ring_like_a_list_that_forgets_its_oldest(sizes):
    q, generator = queue(), torch.Generator().manual_seed(2)
    slots, pointer = list(q.keys.clone()), 0
    history = [slots[i] for i in range(10)]  # before anything is written the newest are the slots before slot 0
    for size in sizes:
        keys = torch.randn(size, 4, generator=generator)
        q.enqueue(keys)
        for key in keys:
            slots[pointer] = key
            pointer = (pointer + 1) % 10
            history.append(key)
        assert torch.equal(q.keys, torch.stack(slots)) and int(q.pointer) == pointer
        for n in (1, 6, 10):
            assert torch.equal(q.newest(n), torch.stack(history[-n:]))


def test_state_comes_back():
    q = queue()
    q.enqueue(torch.randn(7, 4))
    other = KeyQueue(10, 4, generator=torch.Generator().manual_seed(9))
    other.load_state_dict(q.state_dict())
    assert torch.equal(other.newest(7), q.newest(7)) and int(other.pointer) == 7


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"\(N, 4\).*\(2, 5\)"):
        queue().enqueue(torch.zeros(2, 5))
    with pytest.raises(ConfigError, match="newest 11"):
        queue().newest(11)
    with pytest.raises(ConfigError, match="size=0"):
        queue(K=0)
