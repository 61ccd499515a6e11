"""Datasets: import them once, open them in milliseconds, part them, load them.

store = load("playground")                      # the built-in synthetic set, made on first use
store = import_data("~/mocap/bvh", "mocap")     # a folder in a public format becomes the dataset "mocap"
print(list_data())
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from skelbench.data.catalogue import Description, Listing, describe, list_data
from skelbench.data.folders import NAME, check_name, check_target, data_home
from skelbench.data.formats import FORMATS, open_source, write_pack
from skelbench.data.loader import Loader
from skelbench.data.splits import Split, loso_splits, make_split
from skelbench.data.store import Meta, Store, verify, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology

__all__ = [
    "FORMATS",
    "Description",
    "Listing",
    "Loader",
    "Meta",
    "Split",
    "Store",
    "data_home",
    "describe",
    "import_data",
    "list_data",
    "load",
    "loso_splits",
    "make_split",
    "verify",
    "write_pack",
    "write_store",
]


def load(name: str | Path) -> Store:
    """Open a dataset by name or folder.

    ``"playground"`` (or ``"playground:600"`` for 600 clips) is made on first use; anything else must have been imported.

    Args:
        name: a dataset under :func:`data_home`, or the path of a store.

    Raises:
        DataError: there is no such dataset (the message lists those there are), or its files are damaged.
        ConfigError: ``playground:`` is followed by something that is not a number of clips.
    """
    text = str(name)
    if re.fullmatch(r"playground(:.*)?", text):
        size = text.partition(":")[2] if ":" in text else "1200"
        if not (size.isdecimal() and 0 < int(size) <= 1_000_000):
            raise ConfigError(f"{text!r}: wanted playground:<number of clips>, e.g. playground:600")
        from skelbench.data.playground import playground

        return playground(int(size))
    if isinstance(name, str) and NAME.fullmatch(name) and (data_home() / name).is_dir():
        return Store(data_home() / name)
    path = Path(name).expanduser()
    if not path.is_dir():
        there = ", ".join(row.name for row in list_data().rows) or "none yet"
        raise DataError(
            f"no dataset {text!r} under {data_home()} (there: {there}); bring one in with skelbench.import_data(path, name)"
        )
    return Store(path)


def import_data(
    path: str | Path,
    name: str,
    *,
    format: str | None = None,
    topology: Topology | str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> Store:
    """Read a dataset in a public format and keep it as a store under :func:`data_home`.

    Args:
        path: file or folder; :func:`describe` says what is in it without importing.
        name: of the new dataset, safe as a folder name.
        format: one of ``skelbench.data.formats.FORMATS``; recognised by content where left out.
        topology: joints to keep and their order: a Topology, the name of a built-in layout, or a topology JSON. Joints are found by
            name. The file's own skeleton where left out.
        overwrite: replace a dataset of that name.
        progress: show a bar.
        options: settings of the reader, e.g. ``labels="labels.csv"``; see ``read`` in the module of the format.

    Returns:
        The new store, opened. On any error, nothing is left behind.

    Raises:
        DataError: unsafe or taken name, no such file, unknown format, or bad content; the message names file and line, or the clip.
        ConfigError: an option the reader does not have.
    """
    if check_name(name) == "playground":
        raise DataError("the name 'playground' belongs to the built-in set; choose another one")
    target = data_home() / name
    check_target(target, overwrite=overwrite)
    with open_source(Path(path).expanduser(), format=format, topology=topology, **options) as source:
        return write_store(
            target,
            source.clips,
            classes=source.classes,
            bodies=source.bodies,
            provenance=source.provenance,
            licence=source.licence,
            attribution=source.attribution,
            presets=source.presets,
            splits=source.splits,
            extra=source.extra,
            units=source.units,
            overwrite=overwrite,
            progress=progress,
            total=source.total,
        )
