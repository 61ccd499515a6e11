"""A run that is killed, at any moment, and opened again ends exactly like one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from skelbench.data import Store
from skelbench.train import Epoch, Step, open_run, start

# One process imports torch, then every life of the run is a fork of it that ends by SIGKILL (or by finishing).
LIVES = textwrap.dedent("""
    import os, random, signal, sys, time
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)], lr=1)  # the first one of a process takes seconds of imports; the forks share it
    import skelbench.train.checkpoint as checkpoint
    from skelbench.train import Step, open_run, start

    data, home, seed, method = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    # The pair of isc with most to remember: BatchNorm, dropout, two queues; every method a setting of its own to change live.
    own = {"isc": {"pair": ("graph", "image")}}.get(method, {})
    live = {"isc": {"temperature": 0.2}}.get(method, {"hardness": 0.6})
    edits = dict(own, epochs=8, normalise="none", save_steps=2, save_every=2, probe_every=2, meter_every=1)
    rng = random.Random(seed)

    def edit(run):
        def hear(event):
            if isinstance(event, Step) and event.step == 9:
                run.set(lr=0.02, **live)
        run.listen(hear)

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def in_a_listener(run):
        at = rng.randrange(10, 13)
        run.listen(lambda event: isinstance(event, Step) and event.step == at and die())

    def in_a_step(run):
        at, make = run.progress.step + rng.randrange(1, 4), run.method.after_step
        def step(generator):
            if run.progress.step + 1 >= at:
                die()
            make(generator)
        run.method.after_step = step

    def in_a_checkpoint(run):
        write, left = checkpoint.write_tensors, [rng.randrange(1, 4)]
        def half(path, tensors):
            left[0] -= 1
            if left[0] <= 0:
                path.write_bytes(b"half a file")
                die()
            write(path, tensors)
        checkpoint.write_tensors = half

    def life(folder, death, first=False, kill_after=None):
        lines = lambda: (folder / "metrics.jsonl").read_bytes().count(b"\\n") if (folder / "metrics.jsonl").exists() else 0
        before = lines()
        child = os.fork()
        if child == 0:
            run = start(method, data, "smoke", folder=folder, **edits) if first else open_run(folder)
            if first:
                edit(run)
            if death:
                death(run)
            for event in run:
                if kill_after:
                    time.sleep(0.01)  # so that the parent's kill lands in the middle
            os._exit(0)
        if kill_after:
            while lines() < before + 1:
                time.sleep(0.002)
            time.sleep(rng.random() * kill_after)
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert life(home / "whole", None, first=True) == 0
    ends = [life(home / "killed", in_a_listener, first=True)]
    ends += [life(home / "killed", death) for death in (in_a_checkpoint, in_a_step)]
    ends += [life(home / "killed", None, kill_after=0.1) for _ in range(2)]
    assert ends[:3] == [-signal.SIGKILL] * 3, ends
    assert life(home / "killed", None) == 0
""")


@pytest.mark.parametrize(("method", "part"), [("halp", "halp"), ("isc", "loss_image")])
def test_killed_at_any_moment_it_ends_bit_identical(store: Store, tmp_path: Path, method: str, part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIVES, str(store.path), str(tmp_path), "0", method],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()
    last = sorted(p.name for p in (whole / "checkpoints").iterdir())
    assert last == sorted(p.name for p in (killed / "checkpoints").iterdir())  # and nothing half written is left
    for file in ("weights.safetensors", "optimiser.safetensors", "state.json"):
        assert (whole / "checkpoints" / last[-1] / file).read_bytes() == (killed / "checkpoints" / last[-1] / file).read_bytes(), (
            file
        )
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "probe" not in row]
    assert [row["step"] for row in steps] == list(range(1, 25))
    assert steps[8]["lr"] == 0.05 and steps[9]["lr"] == 0.02  # the live edit was made again by the resumed lives
    assert part in steps[-1]["parts"]  # HaLP's second stage, with prototypes, lies behind a kill too
    events = [json.loads(line)["event"] for line in (killed / "events.jsonl").read_text().splitlines()]
    assert events.count("resume") == 5 and events.count("set") == 1 and "cleaned" in events


def test_a_process_that_ends_while_a_run_plays_saves_it(store: Store, tmp_path: Path) -> None:
    script = """
import sys, time
from skelbench.train import start
run = start("moco", sys.argv[1], "smoke", folder=sys.argv[2], normalise="none", epochs=10_000, save_every=0, probe_every=0).play()
while run.metrics.rows < 3:
    time.sleep(0.01)
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, str(store.path), str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    run = open_run(tmp_path / "run")
    assert run.progress.step == run.metrics.rows >= 3 and run.events[-2]["event"] == "stop"


def test_every_step_is_a_place_to_stop(store: Store, tiny: type, tmp_path: Path) -> None:
    edits = dict(epochs=3, batch=8, normalise="none", probe_every=1, meter_every=2, save_every=0)
    whole = start(tiny, store, folder=tmp_path / "whole", **edits)
    told = list(whole)
    run = start(tiny, store, folder=tmp_path / "often", **edits)
    heard = []
    while not run.finished:
        for event in run:
            heard.append(event)
            break  # after every single event: save, forget the object, open again
        run.save()
        run = open_run(run.folder)
    kinds = (Step, Epoch)
    assert [e for e in heard if isinstance(e, kinds)] == [e for e in told if isinstance(e, kinds)]
    assert (whole.folder / "metrics.jsonl").read_bytes() == (run.folder / "metrics.jsonl").read_bytes()
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, run.method.state_dict()[name]), name


def test_a_worker_thread_makes_the_same_numbers(store: Store, tmp_path: Path) -> None:
    here = start("moco", store, "smoke", folder=tmp_path / "here", normalise="none").run(progress=False)
    there = start("moco", store, "smoke", folder=tmp_path / "there", normalise="none").play().wait()
    assert (here.folder / "metrics.jsonl").read_bytes() == (there.folder / "metrics.jsonl").read_bytes()
    assert all(torch.equal(a, b) for a, b in zip(here.method.parameters(), there.method.parameters(), strict=True))


def test_a_run_that_never_saved_begins_anew(store: Store, tiny: type, tmp_path: Path) -> None:
    run = start(tiny, store, folder=tmp_path / "a", epochs=2, batch=8, save_every=0)
    for event in run:
        if event.step == 2:
            break
    again = open_run(run.folder)
    assert again.progress.step == 0 and again.metrics.rows == 0
    whole = start(tiny, store, folder=tmp_path / "b", epochs=2, batch=8, save_every=0).run(progress=False)
    again.run(progress=False)
    assert (again.folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()


def test_begin_epoch_is_told_once_and_again_to_a_resumed_epoch(store: Store, tiny: type, tmp_path: Path) -> None:
    run = start(tiny, store, folder=tmp_path / "a", epochs=3, batch=8, save_steps=1, save_every=0).run(steps=4, progress=False)
    assert run.method.epochs_begun == [0, 1]
    again = open_run(run.folder)
    assert again.method.epochs_begun == [1]
    again.run(progress=False)
    assert again.method.epochs_begun == [1, 2]
