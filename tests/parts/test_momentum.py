import torch
from torch import nn

from skelbench.parts.momentum import momentum_copy, momentum_update


def test_parameters_follow_and_statistics_do_not():
    query = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    key = momentum_copy(query)
    assert all(torch.equal(a, b) for a, b in zip(key.state_dict().values(), query.state_dict().values(), strict=True))
    assert not any(p.requires_grad for p in key.parameters()) and all(p.requires_grad for p in query.parameters())
    expected = {k: p.detach().clone() for k, p in key.named_parameters()}
    for m in (0.9, 0.99, 0.0):
        with torch.no_grad():
            for p in query.parameters():
                p.add_(torch.randn_like(p))
        query(torch.randn(6, 3).double())
        key(torch.randn(6, 3).double() + 3)
        statistics = key[1].running_mean.clone()
        momentum_update(key, query, m)
        expected = {k: m * v + (1 - m) * query.get_parameter(k).detach() for k, v in expected.items()}
        for k, v in expected.items():
            torch.testing.assert_close(key.get_parameter(k).detach(), v)
        assert torch.equal(key[1].running_mean, statistics) and not torch.equal(statistics, query[1].running_mean)
    for k, v in expected.items():
        assert torch.equal(query.get_parameter(k), v)  # m = 0 is a plain copy
