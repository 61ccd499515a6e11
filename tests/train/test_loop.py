"""The loop against the same training written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, RunError
from skelbench.methods.floors import Raw
from skelbench.train import Epoch, Probe, RunConfig, Step, Train, presets
from skelbench.train.loop import learning_rate, steps
from skelbench.train.state import generator, has_bf16, prepare


def tiny_config(tiny: type, **edits: object) -> RunConfig:
    return presets(tiny, "demo").edit(batch=8, normalise="none", probe_every=2, meter_every=2, **edits)


def test_it_is_sgd_with_momentum_drops_and_a_shuffled_order(store: Store, tiny: type) -> None:
    config = tiny_config(tiny, epochs=3, lr=0.1, drops=(2,), weight_decay=0.01, seed=5)
    state = prepare(config, store)
    rows = state.split.train
    weight = state.method.weight.detach().clone().double()
    told = list(steps(state))

    velocity, draws, losses = torch.zeros_like(weight), generator(5, "draws"), []
    for epoch in range(3):
        order = torch.randperm(len(rows), generator=generator(5, f"order {epoch}")).numpy()
        for at in range(0, len(rows) - 7, 8):
            batch = store.batch(rows[order[at : at + 8]])
            w = weight.clone().requires_grad_(True)
            looks = [
                (batch.joints + 0.1 * torch.randn(batch.joints.shape, generator=draws)).mean(dim=2).flatten(1).double() @ w
                for _ in range(2)
            ]
            loss = (looks[0] - looks[1]).square().mean() + (looks[0].std(dim=0) - 1).square().mean()
            (gradient,) = torch.autograd.grad(loss, w)
            velocity = 0.9 * velocity + gradient + 0.01 * weight
            weight = weight - (0.01 if epoch == 2 else 0.1) * velocity
            losses.append(float(loss.detach()))
    made = [e for e in told if isinstance(e, Step)]
    assert [e.loss for e in made] == pytest.approx(losses, rel=1e-3)
    torch.testing.assert_close(state.method.weight.detach().double(), weight, rtol=1e-3, atol=1e-4)
    assert [e.lr for e in made] == pytest.approx([0.1] * 6 + [0.01] * 3)
    assert [type(e) for e in told] == [Step] * 3 + [Epoch] + [Step] * 3 + [Probe, Epoch] + [Step] * 3 + [Epoch]
    ends = [e for e in told if isinstance(e, Epoch)]
    assert [e.loss for e in ends] == pytest.approx([np.mean([m.loss for m in made[i : i + 3]]) for i in (0, 3, 6)])
    assert [bool(e.meters) for e in made] == [s % 2 == 0 for s in range(1, 10)]
    assert int(state.method.seen) == 9 and torch.equal(state.method.frozen, torch.ones(2))


def test_learning_rate_drops() -> None:
    train = Train(lr=1.0, drops=(2, 4))
    assert [learning_rate(train, e) for e in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_learning_rate_falls_along_a_cosine_step_by_step(store: Store, tiny: type) -> None:
    state = prepare(tiny_config(tiny, cosine=True, lr=0.1, epochs=3, drops=()), store)
    rates = [event.lr for event in steps(state) if isinstance(event, Step)]
    n = len(rates)
    assert n == state.step > 3
    assert rates == pytest.approx([0.1 * 0.5 * (1 + np.cos(np.pi * i / n)) for i in range(n)])


def test_streams_of_draws_are_apart(store: Store, tiny: type) -> None:
    same, other = prepare(tiny_config(tiny, seed=1), store), prepare(tiny_config(tiny, seed=2), store)
    again = prepare(tiny_config(tiny, seed=1), store)
    assert torch.equal(same.method.weight, again.method.weight) and not torch.equal(same.method.weight, other.method.weight)
    state = torch.get_rng_state()
    before = [b.rows.tolist() for b in same.batches()]
    next(steps(same))  # consumes draws
    same.batch = 0
    assert [b.rows.tolist() for b in same.batches()] == before  # the order takes nothing from them
    assert torch.equal(torch.get_rng_state(), state)  # nor from the global stream
    same.epoch = 1
    assert [b.rows.tolist() for b in same.batches()] != before


def test_the_probe_is_one_nearest_neighbour_on_validation(store: Store, tiny: type) -> None:
    state = prepare(tiny_config(tiny, epochs=2), store)
    draws = state.draws.get_state()
    accuracy, meters, clips = state.probe()
    assert torch.equal(state.draws.get_state(), draws)

    def unit(rows: np.ndarray) -> np.ndarray:
        means = np.stack([store[int(r)].joints.mean(axis=0) for r in rows])  # (n, M, V, C)
        padded = [store[int(r)].joints.sum(axis=0) / max(store.index["length"][rows]) for r in rows]
        assert means.shape == np.stack(padded).shape
        x = np.stack(padded).transpose(0, 3, 2, 1).reshape(len(rows), -1) @ state.method.weight.detach().numpy()
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    gallery, queries = state.split.train, state.split.validation
    found = gallery[(unit(queries) @ unit(gallery).T).argmax(axis=1)]
    assert accuracy == np.mean(store.labels[found] == store.labels[queries])
    assert clips == (len(gallery), len(queries)) and set(meters) == {"feature_std", "effective_rank", "uniformity"}
    assert not set(np.concatenate([gallery, queries])) & set(state.split.test)


def test_a_probe_has_no_accuracy_where_validation_is_trained_on(store: Store, tiny: type) -> None:
    state = prepare(tiny_config(tiny, refit=True, probe_clips=10), store)
    assert len(state.rows) == len(state.split.train) + len(state.split.validation)
    accuracy, meters, clips = state.probe()
    assert accuracy is None and meters and clips == (0, 5)
    limited = prepare(tiny_config(tiny, probe_clips=10), store)
    assert limited.probe()[2] == (10, 5)


def test_a_loss_that_is_not_finite_stops_before_it_touches_the_weights(store: Store, tiny: type) -> None:
    state = prepare(tiny_config(tiny, epochs=2), store)
    state.method.explode_at = 2
    loop = steps(state)
    next(loop), next(loop)
    weight = state.method.weight.detach().clone()
    with pytest.raises(RunError, match=r"loss is nan at step 3.*learning rate"):
        next(loop)
    assert torch.equal(state.method.weight, weight) and state.step == 2


def test_gradients_flow_whatever_the_caller_switched_off(store: Store, tiny: type) -> None:
    state = prepare(tiny_config(tiny, epochs=1), store)
    with torch.no_grad():
        list(steps(state))
    assert state.step == 3


def test_settings_that_do_not_fit_the_data_or_the_machine(store: Store, tiny: type) -> None:
    n = len(prepare(tiny_config(tiny), store).rows)
    assert prepare(tiny_config(tiny).edit(batch=n), store).per_epoch == 1
    with pytest.raises(ConfigError, match=rf"{n} training clips.*batch of {n} at most"):
        prepare(tiny_config(tiny).edit(batch=n + 1), store)
    with pytest.raises(ConfigError, match="no split called"):
        prepare(tiny_config(tiny, split="by_moon"), store)
    with pytest.raises(ConfigError, match=r"train\.device = 'cuda:99'|train\.device = 'tpu'"):
        prepare(tiny_config(tiny, device="tpu"), store)


def test_bf16_only_where_the_device_has_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    config = presets("moco", "smoke").edit(normalise="none", precision="bf16", epochs=1, device="cpu")
    if has_bf16(torch.device("cpu")):
        state = prepare(config, store)
        assert all(np.isfinite(e.loss) for e in steps(state) if isinstance(e, Step))
        assert all(p.dtype == torch.float32 for p in state.method.parameters())
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    with pytest.raises(ConfigError, match="no bfloat16"):
        prepare(config, store)


def test_methods_that_have_nothing_to_train(store: Store) -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        prepare(RunConfig(method="raw", data="x", method_config=Raw.Config()), store)
