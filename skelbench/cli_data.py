"""``skelbench data ...``: what is there, bring it in, look at it, check it, hand it on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from skelbench.errors import ConfigError, DataError

data = tyro.extras.SubcommandApp()
Path_ = Positional[Path]
SWITCHES = ("--overwrite", "--no-overwrite")  # flags of "data import" that take no word


@data.command(name="import")
def import_(
    path: Path_,
    name: str,
    options: Positional[tuple[str, ...]] = (),
    format: str | None = None,
    topology: str | None = None,
    labels: Path | None = None,
    preset: str | None = None,
    split: str | None = None,
    overwrite: bool = False,
) -> None:
    """Read a file, folder or zip archive in a known format and keep it as a dataset; "data describe" says what is in it.

    Args:
        path: what to read; data/README.md lists the formats.
        name: how the dataset will be called.
        options: settings of the reader as KEY=VALUE, e.g. fps=25; "data describe" lists those it has.
        format: name of the format where it cannot be recognised.
        topology: a built-in layout or a topology JSON; joints are then picked and ordered by name.
        labels: CSV with the columns file, class, subject, for readers of motion files.
        preset: normalisation to bake in; as recorded where left out, which lets every run choose.
        split: how the dataset is parted unless said otherwise; it is checked.
        overwrite: replace a dataset of that name.
    """
    from skelbench.data import import_data
    from skelbench.data.archive import is_archive
    from skelbench.data.formats import fitting, recognise
    from skelbench.data.formats.options import parse_options

    given: dict[str, Any] = {"labels": labels} if labels else {}
    if options:
        if format is None and is_archive(path) and not fitting(path):
            raise ConfigError(f"{path}: to give options for what is in an archive, name its format with --format")
        given = {**parse_options(format or recognise(path), options), **given}
    more: dict[str, Any] = {"format": format, "topology": topology, "preset": preset, "split": split}
    print(import_data(path, name, overwrite=overwrite, **more, **given))


@data.command
def describe(path: Positional[str]) -> None:
    """Say what a dataset, file, folder or zip archive is, what is missing, and how to import it.

    Args:
        path: what to look at, a dataset's name first; nothing is imported.
    """
    from skelbench.data import describe as look

    print(look(path))


@data.command
def verify(name: Positional[str]) -> None:
    """Read a dataset once and compare every file with the checksum written beside it; exit code 2 where one differs.

    Args:
        name: a dataset, or the folder of one.
    """
    from skelbench.data import checksums, load

    store = load(name)
    sums = checksums(store)
    for sum in sums:
        print(sum)
    changed = [str(sum.file) for sum in sums if not sum.good]
    if changed:
        raise DataError(f"{', '.join(changed)}: not what was written; import the dataset again")


@data.command
def export(name: Positional[str], folder: Path_, to: str = "pack", overwrite: bool = False) -> None:
    """Write a dataset in a form that others read.

    Args:
        name: a dataset.
        folder: to make.
        to: the format.
        overwrite: replace what is there.
    """
    from skelbench.data import load
    from skelbench.data.formats import writer

    print(f"written to {writer(to)(load(name), folder, overwrite=overwrite)}")


@data.command
def pool(
    name: Positional[str],
    datasets: Positional[tuple[str, ...]],
    topology: str | None = None,
    mapping: Path | None = None,
    fps: float | None = None,
    without: tuple[str, ...] = (),
    overwrite: bool = False,
) -> None:
    """Write several datasets as one, on the skeleton they share: sixteen joints that nearly every layout of a body has.

    Args:
        name: of the new dataset.
        datasets: two or more.
        topology: another skeleton, a built-in layout or a topology JSON.
        mapping: JSON file, dataset -> joint of the new skeleton -> its joint(s), where names do not say it.
        fps: frames a second; the lowest of the datasets' where left out.
        without: DATASET=SPLIT leaves out what that split tests on, so that a network trained on the pool can be measured there.
        overwrite: replace a dataset of that name.
    """
    from skelbench.data import pool as write_pool

    left_out = dict(word.split("=", 1) for word in without if "=" in word)
    if len(left_out) < len(without):
        raise ConfigError(f"--without {' '.join(without)}: wanted DATASET=SPLIT, each dataset once")
    how: dict[str, Any] = {"topology": topology, "mapping": mapping, "fps": fps, "without": left_out}
    print(write_pool(datasets, name, overwrite=overwrite, **how))


@data.command
def card(name: Positional[str], out: Path | None = None, split: str | None = None) -> None:
    """One offline page on a dataset: counts, classes, lengths, quality of the skeletons, samples that play.

    Args:
        name: a dataset.
        out: the page; NAME.html where left out.
        split: whose sides the class counts show; the dataset's usual one where left out.
    """
    from skelbench.data import load
    from skelbench.widgets.card import write_card

    store = load(name)
    print(f"written to {write_card(store, out or Path(f'{store.meta.name}.html'), split=split)}")


@data.command
def render(
    name: Positional[str],
    size: int = 64,
    frames: int = 8,
    stored: int = 0,
    view: Literal["auto", "sensor", "front"] = "auto",
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Render colour, depth and infrared pictures of every clip of a dataset, for methods that look at video.

    Args:
        name: a dataset, or "playground_frames".
        size: width and height in pixels.
        frames: pictures a clip shows.
        stored: pictures kept a clip, for training to draw among; as many as are shown where left out.
        view: where the camera stands: auto, sensor or front.
        seed: other clothes, other rooms.
        overwrite: render them again.
    """
    from skelbench.data import FrameSettings, frames_of, load, render_store

    settings = FrameSettings(size=size, frames=frames, stored=stored, source="rendered", view=view, seed=seed)
    store = load(name)
    print(render_store(store, settings, overwrite=True) if overwrite else frames_of(store, settings))


@data.command(name="frames")
def attach_frames(
    name: Positional[str],
    from_: Annotated[Path, tyro.conf.arg(name="from")],
    size: int = 64,
    frames: int = 8,
    modalities: tuple[str, ...] = (),
    lens: str = "",
    tolerance: float = 0.1,
) -> None:
    """Attach real video to a dataset: files named after its clips, as CLIP_rgb.avi, CLIP_ir.avi, CLIP/MDepth-00000001.png.

    Args:
        name: a dataset.
        from_: folder with the videos, looked through with all folders in it.
        size: width and height in pixels of what is kept.
        frames: pictures kept a clip.
        modalities: any of rgb, depth, ir; those that are there where left out.
        lens: kinect_v2 or none: where joints stand in the pictures.
        tolerance: share by which a stream's number of frames may differ from the skeleton's.
    """
    from skelbench.data import load
    from skelbench.data.video import attach_video

    how: dict[str, Any] = {"modalities": modalities, "frames": frames, "size": size, "lens": lens, "tolerance": tolerance}
    print(attach_video(load(name), from_, **how))


@data.command(name="list")
def list_datasets() -> None:
    """The datasets that are here."""
    from skelbench.data import list_data

    print(list_data())


def pairs_last(args: Sequence[str]) -> list[str]:
    """KEY=VALUE words behind everything else: they may stand anywhere, but a parser wants its positionals in one place."""
    pairs = [
        n
        for n, word in enumerate(args)
        if re.fullmatch(r"[A-Za-z_][\w-]*=.*", word, re.DOTALL) and (args[n - 1] in SWITCHES or not args[n - 1].startswith("--"))
    ]
    return [word for n, word in enumerate(args) if n not in pairs] + [args[n] for n in pairs]
