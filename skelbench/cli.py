"""The verbs of the package from a shell, one to one with the Python functions; the flags come from the same dataclasses.

skelbench demo                                   the main job
skelbench data describe FOLDER                   what is there, what is missing, how to import it
skelbench data import FOLDER --name mine         bring in a dataset
skelbench pretrain halp --data mine --method.hardness 0.3
skelbench evaluate runs/...                      1-NN and linear beside the floors; --protocol for others, --on for transfer
skelbench report runs/... runs/...               one table for several runs
skelbench recipe NAME --dry                      a row of a paper's table
skelbench runs list
skelbench export runs/... --onnx FILE            the trained network for onnxruntime
skelbench lab                                    JupyterLab on the quick-start notebook
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from tyro.conf import Positional

from skelbench.cli_data import data, pairs_last
from skelbench.errors import ConfigError, RunError, SkelbenchError

app = tyro.extras.SubcommandApp()
runs = tyro.extras.SubcommandApp()
Path_ = Positional[Path]


@app.command
def demo(
    data: str = "playground",
    out: Path = Path("demo"),
    epochs: int | None = None,
    seeds: int = 1,
    split: str | None = None,
) -> None:
    """The main job: pretrain HaLP and plain MoCo, evaluate them beside the floors, write one offline report.html.

    Args:
        data: an imported dataset, "playground", or "playground:600" for 600 clips.
        out: folder for the report and the runs.
        epochs: passes over the training clips; the demo preset's own where left out.
        seeds: how often everything is repeated.
        split: how the data is parted; across subjects where left out.
    """
    from skelbench.recipes.demo import demo as run_demo

    print(run_demo(data, out=out, epochs=epochs, seeds=seeds, split=split))


@app.command
def measure(
    data: Positional[str],
    out: Path = Path("results"),
    split: str | None = None,
    methods: tuple[str, ...] = ("moco", "halp"),
    seeds: int = 3,
    preset: str = "demo",
    processes: int = 2,
    protocol: tuple[str, ...] = (),
    set: tuple[str, ...] = (),
) -> None:
    """One table for a dataset: methods, seeds and folds, beside the floors; stopped, it goes on where it was.

    Args:
        data: name of a dataset.
        out: folder for rows, runs and the table.
        split: a split, "loso" to leave out every subject in turn, or SPLIT@held to choose settings on its training side.
        methods: what is compared; one under several settings as brl:loss=ce,mixup=0.
        seeds: repetitions.
        preset: settings to begin with.
        processes: trainings at a time, one thread each.
        protocol: as in evaluate; 1-nn and linear where left out.
        set: settings changed, as NAME=VALUE, each for the methods that have it.
    """
    from skelbench.recipes.measure import measure as run_measure

    edits = dict(_setting(word) for word in set)
    how: dict[str, Any] = {"split": split, "methods": methods, "seeds": seeds, "preset": preset, "processes": processes}
    table = run_measure(data, out=out, protocols=protocol, **how, **edits)
    print(table.to_markdown())


def _setting(word: str) -> tuple[str, Any]:
    """NAME=VALUE; numbers, true, false, null and [lists] as in JSON, everything else a word."""
    name, given, value = word.partition("=")
    if not given or not name:
        raise ConfigError(f"{word!r}: wanted NAME=VALUE, e.g. --set mirror=0 temperature=0.2")
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        found = value
    return name, tuple(found) if isinstance(found, list) else found


@app.command
def pretrain(method: Positional[str], data: str = "playground", preset: str = "demo", split: str | None = None) -> None:
    """Train a method; every setting of it is a flag (skelbench pretrain METHOD --help lists them)."""
    raise RuntimeError("main() hands this verb to _pretrain")


@app.command
def evaluate(
    run: Path_,
    protocol: tuple[str, ...] = (),
    on: str = "",
    split: str = "",
    mapping: str = "",
    csv: Path | None = None,
    html: Path | None = None,
    tex: Path | None = None,
) -> None:
    """1-NN and linear accuracy of a run on its test subjects, or other protocols, beside the random and raw floors.

    Args:
        run: folder of the run.
        protocol: 1-nn, 20-nn, linear, retrieval, finetune, semi:1,10, one-shot ...; a wrong name lists them all.
        on: another dataset to measure on (transfer); one with another skeleton is mapped by joint names and roles.
        split: how that dataset is parted.
        mapping: JSON file, joint of the run's skeleton -> joint of that dataset, where names do not say it.
        csv: write the table there too.
        html: write the table there too.
        tex: write the table there too.
    """
    from skelbench.recipes.results import protocols_named, report, save

    table = report([run], protocols=protocols_named(protocol, on=on, split=split, mapping=mapping))
    print(table.to_markdown())
    save(table, csv, html, tex)


@app.command(name="report")
def report_runs(
    runs: Positional[tuple[Path, ...]],
    protocol: tuple[str, ...] = (),
    fuse: str | None = None,
    csv: Path | None = None,
    html: Path | None = None,
    tex: Path | None = None,
) -> None:
    """One table for several runs: spread over seeds, floors, the papers' numbers where they may stand, what differs.

    Args:
        runs: their folders.
        protocol: as in evaluate.
        fuse: add up the scores of the runs: equal, chosen (on held-out training subjects), brl (six streams), or weights 0.6,0.4.
        csv: write the table there too.
        html: write the table there too.
        tex: write the table there too.
    """
    from skelbench.recipes.results import fusion_named, protocols_named, report, save

    table = report(runs, protocols=protocols_named(protocol), fuse=None if fuse is None else fusion_named(fuse))
    print(table.to_markdown())
    save(table, csv, html, tex)


@app.command
def recipe(
    name: Positional[str] = "",
    dry: bool = False,
    data: str | None = None,
    out: Path = Path("results"),
    seeds: int = 1,
    set: tuple[str, ...] = (),
) -> None:
    """Run a row of a paper's table; without a name, list those there are.

    Args:
        name: of the recipe.
        dry: build everything at full size, make two steps on made-up clips, keep nothing.
        data: the dataset, where it is not called as in the recipe.
        out: folder for runs and the table.
        seeds: repetitions.
        set: settings changed, as NAME=VALUE; the paper's number then leaves the table.
    """
    from skelbench.recipes.papers import RECIPES
    from skelbench.recipes.papers import recipe as find_recipe
    from skelbench.recipes.recipe import dry as try_out
    from skelbench.recipes.recipe import reproduce

    edits = dict(_setting(word) for word in set)
    if not name:
        print("\n".join(str(make()) for make in RECIPES.values()))
    elif dry:
        print(try_out(find_recipe(name), **edits))
    else:
        print(reproduce(find_recipe(name), data=data, out=out, seeds=seeds, **edits).to_markdown())


@runs.command(name="list")
def list_all() -> None:
    """The runs that are here."""
    from skelbench.train import list_runs

    print(list_runs())


@runs.command
def show(run: Path_) -> None:
    """Settings, progress and newest measures of a run.

    Args:
        run: its folder.
    """
    from skelbench.train import open_run

    found = open_run(run)
    print(found)
    print(found.config.to_json())
    for name in found.metrics:
        print(f"{name:24} {found.metrics.last(name):.5g}")


@runs.command
def resume(run: Path_) -> None:
    """Go on with a run that was stopped or killed.

    Args:
        run: its folder.
    """
    from skelbench.train import open_run

    print(open_run(run).run())


@app.command
def weights(
    file: Path_, method: Literal["halp", "moco", "psumnet"] = "halp", stream: str = "joint", out: Path | None = None
) -> None:
    """Read a checkpoint of the papers' authors, safely, and say what is in it.

    Args:
        file: their checkpoint_NNNN.pth.tar.
        method: what it is a checkpoint of.
        stream: joint, motion or bone; of PSUMNet body, hand or leg.
        out: write the weights as safetensors under our names.
    """
    from safetensors.torch import save_file

    from skelbench.methods.weights import load_published

    built = load_published({stream: file} if method == "psumnet" else file, method, stream=stream)
    number = sum(p.numel() for p in getattr(built, "query", built).parameters())
    print(f"{file}: {method}, stream {stream}, features of width {built.width}, {number:,} parameters in encoder and head")
    print(built.config)
    if out:
        save_file({k: v.contiguous() for k, v in built.state_dict().items()}, out)
        print(f"written to {out}")


@app.command(name="export")
def export_run(run: Path_, onnx: Path, clips: int = 8) -> None:
    """Write the trained network of a run as ONNX and compare it with PyTorch, numbers and time.

    Args:
        run: its folder.
        onnx: file to write.
        clips: how many are given to it at a time in the comparison.
    """
    from skelbench.recipes.export import export_onnx

    print(export_onnx(run, onnx, clips=clips))


@app.command
def lab(notebook: str = "01_quickstart.ipynb", port: int = 8888, browser: bool = True) -> None:
    """JupyterLab on a notebook, with its token, on this machine only.

    Args:
        notebook: which one of those in ./notebooks.
        port: first port to try.
        browser: open a browser window.
    """
    there = Path("notebooks") / notebook
    if not there.exists():
        raise ConfigError(f"there is no {there}; start this from the folder that holds notebooks/")
    command = [sys.executable, "-m", "jupyterlab", str(there), "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += [] if browser else ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a spinning kernel starves the others
    os.execv(command[0], command)


app.command(data, name="data")
app.command(runs, name="runs")


def _pretrain(args: Sequence[str]) -> None:
    """Parse ``pretrain METHOD ...``: the flags are the fields of that method's Config and of Train, with the preset's values."""
    from skelbench.train import presets, start
    from skelbench.train.tree import leaves

    if not args or args[0].startswith("-"):
        from skelbench.methods import METHODS, method

        names = [name for name in METHODS if method(name).trains]
        raise ConfigError(f"pretrain what? one of: {', '.join(names)}, as in: skelbench pretrain {names[-1]} --data playground")
    name, rest = args[0], list(args[1:])
    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # the preset decides the other flags' defaults
    named.add_argument("--preset", default="demo")
    preset = named.parse_known_args(rest)[0].preset
    base = presets(name, preset)
    options = dataclasses.make_dataclass(
        "Pretrain",
        [
            ("data", str, dataclasses.field(default="playground")),
            ("preset", str, dataclasses.field(default=preset)),
            ("split", str, dataclasses.field(default=base.split)),
            ("folder", Path | None, dataclasses.field(default=None)),
            ("method", type(base.method_config), dataclasses.field(default=base.method_config)),
            ("train", type(base.train), dataclasses.field(default=base.train)),
        ],
        frozen=True,
        kw_only=True,
    )
    wanted: Any = tyro.cli(options, prog=f"skelbench pretrain {name}", args=rest, description=f"Pretrain {name}.")
    changed = dataclasses.replace(base, method_config=wanted.method, train=wanted.train)
    edits = {path: value for path, value in leaves(changed).items() if leaves(base)[path] != value}
    run = start(name, wanted.data, preset=preset, split=wanted.split, folder=wanted.folder, **edits)
    print(run.run())
    print(f"next: skelbench evaluate {run.folder}")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; errors a user can mend are one line on stderr and exit code 2."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        if args[:1] == ["pretrain"] and args[1:2] not in (["-h"], ["--help"]):
            _pretrain(args[1:])
        else:
            args = pairs_last(args) if args[:2] == ["data", "import"] else args
            app.cli(prog="skelbench", description=__doc__, args=args or ["--help"])
    except SkelbenchError as error:
        kind = "run" if isinstance(error, RunError) else "settings" if isinstance(error, ConfigError) else "data"
        print(f"skelbench: {kind}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("skelbench: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
