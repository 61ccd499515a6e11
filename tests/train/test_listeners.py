"""Listeners hear as often as they ask, and cannot break a run."""

from __future__ import annotations

import pytest

from skelbench.train import Epoch, Step
from skelbench.train import listeners as module
from skelbench.train.listeners import Listeners


def step(n: int) -> Step:
    return Step(step=n, epoch=0, loss=0.0)


def test_fast_steps_are_thinned_and_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now, heard, all_heard = [0.0], [], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    listeners = Listeners(lambda trace: pytest.fail(trace))
    listeners.add(lambda event: heard.append(event), every=1.0)
    remove = listeners.add(lambda event: all_heard.append(event), every=0.0)
    for n in range(1, 6):
        listeners.tell(step(n))
        now[0] += 0.4
    listeners.tell(Epoch(step=5, epoch=0, loss=0.0))  # what is not a step is never held back
    assert [e.step for e in heard if isinstance(e, Step)] == [1, 4]
    assert isinstance(heard[-1], Epoch) and len(all_heard) == 6
    listeners.flush()
    listeners.flush()
    assert [e.step for e in heard if isinstance(e, Step)] == [1, 4, 5]
    remove()
    remove()
    listeners.tell(step(6))
    assert len(all_heard) == 6


def test_one_that_raises_is_dropped_and_reported() -> None:
    reports, heard = [], []
    listeners = Listeners(reports.append)

    def broken(event: object) -> None:
        raise ValueError("no picture")

    listeners.add(broken, every=0.0)
    listeners.add(lambda event: heard.append(event), every=0.0)
    listeners.tell(step(1))
    listeners.tell(step(2))
    assert len(heard) == 2 and len(reports) == 1 and "no picture" in reports[0]
