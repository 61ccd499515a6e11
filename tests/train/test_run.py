"""The controls of a run: what they do, when, and from which thread."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, RunError
from skelbench.train import Epoch, Probe, Run, Saved, Status, Step, open_run, start


@pytest.fixture
def begin(store: Store, tiny: type, tmp_path: Path) -> Callable[..., Run]:
    """A run of three steps an epoch."""
    counter = iter(range(100))

    def make(**edits: Any) -> Run:
        settings = {"epochs": 3, "batch": 8, "normalise": "none", "probe_every": 2, "meter_every": 2, **edits}
        return start(tiny, store, folder=tmp_path / f"run{next(counter)}", **settings)

    return make


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def same(a: Run, b: Run) -> bool:
    one, two = a.method.state_dict(), b.method.state_dict()
    return all(torch.equal(one[k], two[k]) for k in one) and a.metrics["loss"].tolist() == b.metrics["loss"].tolist()


def test_iterating_yields_events_without_their_tensors(begin: Callable[..., Run]) -> None:
    run = begin()
    heard: list[Any] = []
    run.listen(heard.append)
    told = list(run)
    assert [type(e) for e in told] == [Step] * 3 + [Epoch, Saved] + [Step] * 3 + [Probe, Epoch, Saved] + [Step] * 3 + [Epoch, Saved]
    assert all(not e.out for e in told if isinstance(e, Step))
    assert [e for e in heard if isinstance(e, Step)] == [e for e in told if isinstance(e, Step)]
    assert all(e.out["query"].shape == (8, 4) and len(e.rows) == 8 for e in heard if isinstance(e, Step))
    assert run.out["query"].shape == (8, 4)
    assert [e.status for e in heard if isinstance(e, Status)] == ["playing", "finished"]
    assert run.metrics["loss"].tolist() == [e.loss for e in told if isinstance(e, Step)]
    assert set(run.metrics["step"][~np.isnan(run.metrics["feature_std"])]) == {2, 4, 6, 8}
    assert run.metrics.probes["accuracy"].tolist() == [e.accuracy for e in told if isinstance(e, Probe)]
    assert run.status == "finished" and list(run) == [] and run.step() is None


def test_breaking_off_and_going_on_changes_nothing(begin: Callable[..., Run]) -> None:
    whole, parts = begin().run(progress=False), begin()
    for _ in parts:
        break
    assert parts.status == "paused" and parts.progress.step == 1
    assert isinstance(parts.step(), Step) and parts.progress.step == 2
    parts.run(steps=3, progress=False)
    assert parts.progress.step == 5
    iterator = iter(parts)
    next(iterator)
    with pytest.raises(RunError, match="another thread or an open loop"):
        list(parts)
    with pytest.raises(RunError, match="end it, then play"):
        parts.play()
    del iterator
    parts.play().wait(60)
    assert same(whole, parts)


def test_steps_run_out_with_their_epoch(begin: Callable[..., Run]) -> None:
    run = begin()
    run.run(steps=3, progress=False)  # the last step of an epoch takes its end along
    assert (run.progress.epoch, run.progress.step) == (1, 3) and [p.name for p in (run.folder / "checkpoints").iterdir()] == [
        "00000003"
    ]
    assert run.run(steps=6, progress=False).status == "finished"


def test_play_pause_step_stop_on_a_worker(begin: Callable[..., Run]) -> None:
    run = begin(epochs=100_000, probe_every=0, save_every=0)
    assert run.play() is run and run.play() is run
    until(lambda: run.metrics.rows > 5)
    assert run.status == "playing" and threading.current_thread() is threading.main_thread()
    assert run.metrics["loss"].shape[0] >= 5  # read while it grows
    with pytest.raises(TimeoutError, match="still plays"):
        run.wait(0.01)
    with pytest.raises(RunError, match="another thread"):
        list(run)
    run.pause().wait(20)
    at = run.progress.step
    assert run.status == "paused" and not list(run.folder.glob("checkpoints/*"))
    time.sleep(0.02)
    assert run.progress.step == at
    assert run.step() is not None and run.progress.step == at + 1
    run.play()
    assert run.step() is not None and run.status == "paused"  # pauses the worker first
    run.play()
    until(lambda: run.progress.step > at + 5)
    run.stop().wait(20)
    until(lambda: run.status == "stopped")
    assert open_run(run.folder).progress.step == run.progress.step
    run.play().pause().wait(20)
    run.stop()
    assert run.status == "stopped" and open_run(run.folder).progress.step == run.progress.step


def test_pause_takes_one_step(begin: Callable[..., Run]) -> None:
    run = begin(epochs=100, save_every=0)
    asked: list[int] = []

    def hear(event: object) -> None:
        if isinstance(event, Step) and event.step == 4:
            asked.append(event.step)
            run.pause()

    run.listen(hear)
    run.play().wait(20)
    assert asked == [4] and run.progress.step == 4
    assert next(e.step for e in run if isinstance(e, Step)) == 5


def test_an_error_in_the_worker_is_kept_shown_and_raised(begin: Callable[..., Run]) -> None:
    run = begin(save_steps=1)
    run.method.explode_at = 4
    run.play()
    with pytest.raises(RunError, match="loss is nan at step 5"):
        run.wait(20)
    assert run.status == "failed" and "loss is nan" in repr(run) and "loss is nan" in run._repr_html_()
    assert run.events[-1]["event"] == "failed" and "loss is nan" in run.events[-1]["error"]
    for use in (run.play, run.step, run.save, run.branch, run.stop, lambda: run.set(lr=0.1), lambda: list(run)):
        with pytest.raises(RunError, match=r"this run failed.*open_run"):
            use()
    assert open_run(run.folder).set(lr=1e-4).run(progress=False).finished


def test_live_edits_are_recorded_and_made_again(begin: Callable[..., Run]) -> None:
    def watched(run: Run) -> list[Any]:
        return [e for e in run if isinstance(e, Step)]

    run = begin(epochs=5, save_steps=4, save_every=0)
    for event in run:
        if isinstance(event, Step) and event.step == 5:
            assert run.set(push=3.0, lr=0.001) is run and run.set({"train.momentum": 0.5}).config.method_config.push == 3.0
        if isinstance(event, Step) and event.step == 7:
            break
    assert [(e["step"], e["changes"]) for e in run.events if e["event"] == "set"] == [
        (5, {"method_config.push": 3.0, "train.lr": 0.001}),
        (5, {"train.momentum": 0.5}),
    ]
    again = open_run(run.folder)  # back to step 4; the edits of step 5 are still to come
    assert again.progress.step == 4 and again.config.train.lr == 0.01
    rest = watched(again)
    assert [e.lr for e in rest[:2]] == [0.01, 0.001] and again.method.config.push == 3.0
    once_more = open_run(run.folder)  # from a checkpoint that knows them
    assert once_more.config == again.config
    whole = begin(epochs=5, save_every=0)
    for event in whole:
        if isinstance(event, Step) and event.step == 5:
            whole.set(push=3.0, lr=0.001).set({"train.momentum": 0.5})
    assert same(whole, again)


def test_another_edit_takes_the_place_of_those_to_be_repeated(begin: Callable[..., Run]) -> None:
    run = begin(save_steps=2, save_every=0, keep=0)
    for event in run:
        if isinstance(event, Step) and event.step == 3:
            run.set(lr=0.5)
            break
    other = open_run(run.folder).set(push=2.0)
    assert other.progress.step == 2
    other.run(progress=False)
    assert set(other.metrics["lr"]) == {0.01}
    (other.folder / "checkpoints").rename(other.folder / "gone")
    (other.folder / "checkpoints").mkdir()
    (other.folder / "gone/00000002").rename(other.folder / "checkpoints/00000002")
    third = open_run(run.folder).run(progress=False)
    assert same(other, third)  # what holds is the second turn


def test_edits_that_cannot_be_live(begin: Callable[..., Run]) -> None:
    run = begin()
    for wrong, says in [
        ({"width_": 9}, r"width_ is built into a run.*run\.branch\(width_=\.\.\.\).*Live settings: .*lr.*push"),
        ({"batch": 4}, "train.batch is built into"),
        ({"data": "x"}, "data is built into"),
        ({"push": -1.0}, "must not be negative"),
        ({"epochs": 0}, "at least 1"),
        ({"pusch": 1.0}, "did you mean"),
    ]:
        with pytest.raises(ConfigError, match=says):
            run.set(wrong)
    assert run.config == begin().config and not any(e["event"] == "set" for e in run.events)


def test_more_epochs_wake_a_finished_run(begin: Callable[..., Run]) -> None:
    run, whole = begin().run(progress=False), begin(epochs=5).run(progress=False)
    assert run.finished and run.set(epochs=5).status == "paused" and run.progress.of == 15
    assert same(run.run(progress=False), whole)
    assert run.set(epochs=2).status == "finished" and run.progress.of == run.progress.step == 15


def test_a_branch_goes_on_from_here_with_other_settings(begin: Callable[..., Run], tmp_path: Path) -> None:
    run = begin().run(steps=4, progress=False)
    plain = run.branch()
    other = run.branch(push=5.0, epochs=4, folder=tmp_path / "other")
    run.run(progress=False)
    assert plain.folder != run.folder and plain.progress.step == 4
    assert same(plain.run(progress=False), run)
    first = other.events[0]
    assert (first["event"], first["parent"], first["step"]) == ("branch", str(run.folder.resolve()), 4)
    assert first["changes"] == {"method_config.push": 5.0, "train.epochs": 4}
    assert any(e["event"] == "branched" and e["into"] == str(other.folder) for e in run.events)
    assert open_run(other.folder).progress.step == 4  # it can be killed at once
    other.run(progress=False)
    assert other.metrics["loss"][:4].tolist() == run.metrics["loss"][:4].tolist() and other.metrics.rows == 12
    assert other.metrics["loss"][5] != run.metrics["loss"][5]


def test_branches_that_change_the_epoch_or_the_draws_or_do_not_fit(begin: Callable[..., Run]) -> None:
    run = begin().run(steps=4, progress=False)
    batch = run.branch(batch=4)
    assert batch.progress.epoch == 1 and batch.progress.of == 4 + 2 * batch._state.per_epoch
    assert batch.run(progress=False).finished
    seeds = [run.branch(seed=s).run(progress=False) for s in (1, 2, 2)]
    assert same(seeds[1], seeds[2]) and not same(seeds[0], seeds[1])
    with pytest.raises(ConfigError, match=r"do not fit: tensor 'weight' has shape"):
        run.branch(width_=9)
    assert run.branch(split="by_clip").split.by == "group"


def test_questions_between_steps_see_the_network_at_rest(begin: Callable[..., Run], store: Store) -> None:
    run = begin(epochs=100_000, probe_every=0, save_every=0).play()
    batch = store.batch([0, 1, 2])
    seen = []
    for _ in range(5):
        step, weight = run.between_steps(lambda method: (int(method.seen), method.weight.detach().clone()))
        features = run.between_steps(lambda method: method.features(batch))
        assert features.shape == (3, 4) and weight.shape[1] == 4
        seen.append(step)
    other = run.branch(epochs=100_001)
    path = run.save()
    run.pause().wait(20)
    assert seen == sorted(seen) and path.is_dir() and other.progress.step >= seen[-1]
    assert threading.active_count() < 20


def test_listeners_may_use_the_controls(begin: Callable[..., Run]) -> None:
    run = begin(epochs=100)
    made: list[Any] = []

    def hear(event: object) -> None:
        if isinstance(event, Step) and event.step == 2:
            run.set(push=2.0)
            made.extend([run.save(), run.branch(epochs=1), run.between_steps(lambda m: int(m.seen))])
        if isinstance(event, Step) and event.step == 3:
            assert run.config.method_config.push == 2.0
            run.stop()

    run.listen(hear)
    run.play().wait(20)
    until(lambda: run.status == "stopped")
    assert run.progress.step == 3 and made[0].name == "00000002" and made[1].progress.step == 2 and made[2] == 2
    for verb in (lambda event: run.wait(), lambda event: run.step()):
        run.listen(verb)
        with pytest.warns(RuntimeWarning, match="would wait for itself"):
            run.play()
            until(lambda: any("wait for itself" in e.get("trace", "") for e in run.events))
            run.pause().wait(20)


def test_a_broken_listener_does_not_end_the_run(begin: Callable[..., Run]) -> None:
    run = begin()

    def broken(event: object) -> None:
        raise ValueError("no picture today")

    run.listen(broken)
    with pytest.warns(RuntimeWarning, match="no picture today"):
        run.run(progress=False)
    assert run.finished and sum(e["event"] == "listener failed" for e in run.events) == 1


def test_a_listener_cannot_train_in_the_foreground(begin: Callable[..., Run]) -> None:
    run = begin()
    with pytest.raises(RunError, match="cannot train the run it looks at"):
        run.between_steps(lambda method: list(run))


def test_ctrl_c_leaves_a_run_that_goes_on(begin: Callable[..., Run]) -> None:
    run, whole = begin(), begin().run(progress=False)
    after = run.method.after_step

    def interrupted(generator: torch.Generator) -> None:
        after(generator)
        if int(run.method.seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run.method.after_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.run(progress=False)
    assert run.status == "paused" and run.metrics.rows == 2 and run.error is None
    assert same(run.run(progress=False), whole)


def test_two_ctrl_c_break_a_step_and_the_run_says_so(begin: Callable[..., Run]) -> None:
    run = begin()

    def interrupted(generator: torch.Generator) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    run.method.after_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.run(progress=False)
    assert run.status == "failed" and open_run(run.folder).run(progress=False).finished


def test_the_bar_and_the_progress(begin: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = begin()
    before = run.progress
    assert (before.epoch, before.epochs, before.step, before.of) == (0, 3, 0, 9) and before.rate == 0 and np.isnan(before.eta)
    run.run(steps=5)
    after = run.progress
    assert (after.epoch, after.step, after.of) == (1, 5, 9) and after.rate > 0 and after.eta == pytest.approx(4 / after.rate)
    assert "5/9" in capsys.readouterr().err


def test_threads_are_those_it_began_with(begin: Callable[..., Run]) -> None:
    torch.set_num_threads(2)
    run, seen = begin(), []
    torch.set_num_threads(1)
    run.listen(lambda event: seen.append(torch.get_num_threads()) if isinstance(event, Step) else None)
    run.play().wait(20)
    assert set(seen) == {2} and torch.get_num_threads() == 1
    again, seen_again = open_run(run.folder).set(epochs=4), []
    again.listen(lambda event: seen_again.append(torch.get_num_threads()) if isinstance(event, Step) else None)
    again.run(progress=False)
    assert set(seen_again) == {2}
