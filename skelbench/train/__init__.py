"""Training as something to watch and to touch: start, play, pause, step, edit, branch, kill, resume.

    run = start("halp", "playground:600", "smoke")
    for event in run: ...
    run = open_run(run.folder)

A run is a folder; killed at any moment and opened again, it ends with the same weights.
"""

from skelbench.train.config import Difference, RunConfig, Train, diff
from skelbench.train.events import Epoch, Event, Probe, Saved, Status, Step
from skelbench.train.metrics import Metrics
from skelbench.train.presets import changes, presets
from skelbench.train.record import runs_home
from skelbench.train.run import Progress, Run
from skelbench.train.starting import list_runs, open_run, start

__all__ = [
    "Difference",
    "Epoch",
    "Event",
    "Metrics",
    "Probe",
    "Progress",
    "Run",
    "RunConfig",
    "Saved",
    "Status",
    "Step",
    "Train",
    "changes",
    "diff",
    "list_runs",
    "open_run",
    "presets",
    "runs_home",
    "start",
]
