"""Datasets: import them once, open them in milliseconds, part them, load them.

store = load("playground")                      # the built-in synthetic set, made on first use
store = import_data("~/mocap/bvh", "mocap")     # a folder in a public format becomes the dataset "mocap"
print(list_data())
"""

from __future__ import annotations

from pathlib import Path

from skelbench.data.catalogue import Listing, list_data
from skelbench.data.description import Description, describe
from skelbench.data.folders import BUILT_IN, NAME, clear_leftovers, data_home
from skelbench.data.formats import FORMATS, write_pack
from skelbench.data.fractions import fraction
from skelbench.data.frames import FrameSettings, FrameStore, frames_of, render_store
from skelbench.data.importing import import_data
from skelbench.data.loader import Loader
from skelbench.data.longtail import long_tailed
from skelbench.data.normalised import normalised_clips
from skelbench.data.pooling import pool, retarget
from skelbench.data.splits import Split, loso_splits, make_split
from skelbench.data.store import Checksum, Meta, Store, checksums, verify, write_store
from skelbench.errors import ConfigError, DataError

__all__ = [
    "BUILT_IN",
    "FORMATS",
    "Checksum",
    "Description",
    "FrameSettings",
    "FrameStore",
    "Listing",
    "Loader",
    "Meta",
    "Split",
    "Store",
    "checksums",
    "data_home",
    "describe",
    "fraction",
    "frames_of",
    "import_data",
    "list_data",
    "load",
    "long_tailed",
    "loso_splits",
    "make_split",
    "normalised_clips",
    "pool",
    "render_store",
    "retarget",
    "verify",
    "write_pack",
    "write_store",
]


def load(name: str | Path) -> Store:
    """Open a dataset by name or folder.

    ``"playground"`` (or ``"playground:600"`` for 600 clips) is made on first use, and so is ``"playground_frames"``, the one whose
    classes take colour, depth, infrared or what no camera sees; anything else must have been imported.

    Args:
        name: a dataset under :func:`data_home`, or the path of a store.

    Raises:
        DataError: there is no such dataset (the message lists those there are), or its files are damaged.
        ConfigError: ``playground:`` or ``playground_frames:`` is followed by something that is not a number of clips.
    """
    text = str(name)
    known, _, size = text.partition(":")
    if known in BUILT_IN and (text == known or ":" in text):
        size = size if ":" in text else "1200"
        if not (size.isdecimal() and 0 < int(size) <= 1_000_000):
            raise ConfigError(f"{text!r}: wanted {known}:<number of clips>, e.g. {known}:600")
        if known == "playground":
            from skelbench.data.playground import playground

            return playground(int(size))
        from skelbench.data.playground_frames import playground_frames

        return playground_frames(int(size))
    if isinstance(name, str) and NAME.fullmatch(name):
        home = data_home().absolute()
        if not (home / name).is_dir():
            clear_leftovers(home / name)  # puts a dataset back whose replacement was killed
        if (home / name).is_dir():
            return Store(home / name)
    path = Path(name).expanduser()
    if not path.is_dir():
        there = ", ".join(row.name for row in list_data().rows) or "none yet"
        raise DataError(
            f"no dataset {text!r} under {data_home()} (there: {there}); bring one in with skelbench.import_data(path, name)"
        )
    return Store(path)
