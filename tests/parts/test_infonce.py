import math

import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.parts.infonce import info_nce
from skelbench.parts.sphere import unit


def rows(n, D=6, seed=0):
    return unit(torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


def test_loss_equals_the_double_loop():
    q, k, negatives, T = rows(5), rows(5, seed=1), rows(9, seed=2), 0.07
    total = 0.0
    for i in range(5):
        terms = [float(sum(q[i, d] * k[i, d] for d in range(6))) / T]
        terms += [float(sum(q[i, d] * negatives[j, d] for d in range(6))) / T for j in range(9)]
        total -= math.log(math.exp(terms[0]) / sum(math.exp(t) for t in terms))
    loss, logits = info_nce(q, k, negatives, T)
    assert loss.item() == pytest.approx(total / 5, rel=1e-12)
    assert logits.shape == (5, 10) and logits[3, 4].item() == pytest.approx(float(q[3] @ negatives[3]) / T)


def test_gradient_by_differences():
    q = rows(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: info_nce(x, rows(3, seed=1), rows(4, seed=2), 0.2)[0], (q,))


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"\(4, 5\)"):
        info_nce(rows(3), rows(3), rows(4, D=5), 0.1)
    with pytest.raises(ConfigError, match="above 0"):
        info_nce(rows(3), rows(3), rows(4), 0.0)
