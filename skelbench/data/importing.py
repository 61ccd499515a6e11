"""Bringing a dataset in: recognise, read clip by clip, normalise if wanted, write; all of it or nothing.

Every import leaves a fingerprint of what it read (names, sizes and times of the files) and of its settings in
``meta.provenance["import"]``, so that asking for the same thing again costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from skelbench.data.archive import is_archive, unpacked
from skelbench.data.folders import BUILT_IN, check_name, check_target, clear_leftovers, data_home
from skelbench.data.formats import FORMATS, fitting, open_source, reader_options, recognise
from skelbench.data.formats.source import Source
from skelbench.data.normalised import normalised_clips
from skelbench.data.splits import make_split
from skelbench.data.store import Store, write_store
from skelbench.errors import DataError
from skelbench.skeleton.normalise import preset as find_preset
from skelbench.skeleton.normalise import to_apply
from skelbench.skeleton.topology import Topology

BESIDE = {".json", ".asf", ".csv", ".pkl", ".txt"}  # files that may belong to a file beside them


def import_data(
    path: str | Path,
    name: str,
    *,
    format: str | None = None,
    topology: Topology | str | Path | None = None,
    preset: str | None = None,
    split: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> Store:
    """Read a dataset in a public format and keep it as a store under :func:`data_home`.

    Where the dataset is there already, made from the same files with the same settings, it is opened and nothing is read. An import
    that is killed leaves a hidden folder, which the next import of that name removes.

    Args:
        path: file, folder or zip archive; :func:`describe` says what is in it without importing.
        name: of the new dataset, safe as a folder name.
        format: one of ``skelbench.data.formats.FORMATS``; recognised by content where left out.
        topology: joints to keep and their order: a Topology, the name of a built-in layout, or a topology JSON. Joints are found by
            name. The file's own skeleton where left out.
        preset: normalisation to bake in, a name in ``skelbench.skeleton.normalise.PRESETS``; its rule for choosing persons goes to
            readers that have one.
        split: how the dataset is parted unless said otherwise, a name for ``make_split``; checked, and kept in ``meta.extra``.
        overwrite: replace a dataset of that name.
        progress: show a bar.
        options: settings of the reader, e.g. ``labels="labels.csv"``; see ``read`` in the module of the format.

    Returns:
        The new store, opened. On any error, nothing is left behind.

    Raises:
        DataError: unsafe or taken name, no such file, unknown format, or bad content; the message names file and line, or the clip.
        ConfigError: an option the reader does not have, an unknown preset or split.
    """
    if check_name(name) in BUILT_IN:
        raise DataError(f"the name {name!r} belongs to the built-in sets; choose another one")
    place, target = Path(path).expanduser(), data_home() / name
    settings = {"format": format, "topology": topology, "preset": preset, "split": split, "options": options}
    stamp = fingerprint(place, settings)
    clear_leftovers(target.absolute())
    if target.is_dir() and not overwrite:
        store = _same(target, stamp)
        if progress:
            print(f"{name}: already there, unchanged")
        return store
    check_target(target, overwrite=overwrite)
    with _opened(place, format=format, topology=topology, persons=_persons(preset), options=options) as source:
        if preset and preset != "none":
            source = _normalised(source, preset, name)
        return write_store(
            target,
            source.clips,
            classes=source.classes,
            bodies=source.bodies,
            provenance={**source.provenance, "import": stamp},
            licence=source.licence,
            attribution=source.attribution,
            presets=source.presets,
            splits=source.splits,
            extra={**source.extra, **({"split": split} if split else {})},
            units=source.units,
            overwrite=overwrite,
            progress=progress,
            total=source.total,
            check=(lambda store: make_split(store, split)) if split else None,
        )


def _persons(preset: str | None) -> str | None:
    """The rule by which a preset chooses persons, if it has one."""
    return find_preset(preset).persons if preset else None


def _normalised(source: Source, preset: str, name: str) -> Source:
    """The source with its clips on their way through a preset.

    Raises:
        ConfigError: the source says that its clips went through another one.
    """
    before, todo = len(source.presets), to_apply(preset, source.presets, where=repr(name))
    clips = normalised_clips(source.clips, todo, bodies=source.bodies, units=source.units)
    baked = source.presets if before and preset in source.presets else (*source.presets, preset)
    bodies = 2 if todo.second == "copy" and source.bodies == 1 else source.bodies
    return replace(source, clips=clips, bodies=bodies, presets=baked, units=todo.units or source.units)


@contextmanager
def _opened(
    path: Path, *, format: str | None, topology: Topology | str | Path | None, persons: str | None, options: Mapping[str, Any]
) -> Iterator[Source]:
    """The source at a path; an archive that no reader takes as it is, is unpacked first.

    Args:
        path: file, folder or archive.
        format: None to recognise it.
        topology: as in :func:`import_data`.
        persons: rule for choosing persons, for readers that have one and were not told otherwise in ``options``.
        options: of the reader.
    """
    if is_archive(path) and not (FORMATS[format].sniff(path) if format in FORMATS else fitting(path)):
        with unpacked(path, near=data_home()) as inside:
            with _opened(inside, format=format, topology=topology, persons=persons, options=options) as source:
                yield source
        return
    found = format or recognise(path)
    rule = {"persons": persons} if persons and "persons" in reader_options(found) else {}
    with open_source(path, format=found, topology=topology, **{**rule, **options}) as source:
        yield source


def _same(target: Path, stamp: Mapping[str, Any]) -> Store:
    """The dataset that is there, if it was made from the same files with the same settings.

    Raises:
        DataError: it was not, or it does not open.
    """
    hint = "choose another name, or pass overwrite=True to replace it"
    try:
        store = Store(target)
    except DataError as error:
        raise DataError(f"{target} exists already and does not open ({error}); {hint}") from error
    known = store.meta.provenance.get("import")
    if not isinstance(known, Mapping) or known.get("fingerprint") != stamp["fingerprint"]:
        why = "not made by an import"
        if isinstance(known, Mapping):
            words = {"source": "another source", "settings": "other settings"}
            other = [word for key, word in words.items() if known.get(key) != stamp[key]] or ["files that changed since"]
            why = f"made from {' and '.join(other)}"
        raise DataError(f"{target} exists already, {why}; {hint}")
    return store


def fingerprint(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an import hangs on: a hash of the files (names, sizes, times), the settings as given, and a hash of it all.

    Args:
        path: file or folder to be read.
        settings: format, topology, preset, split and options; those that name a file count with the state of that file, too.
    """
    flat = {k: v for k, v in {**settings, **settings.get("options", {})}.items() if k != "options" and v is not None}
    named = {k: _state(Path(v).expanduser()) for k, v in flat.items() if isinstance(v, str | Path) and _is_file(v)}
    source, plain = _digest(_state(path)), {k: _plain(v) for k, v in flat.items()}
    return {"source": source, "settings": plain, "fingerprint": _digest([path.name, source, plain, named])}


def _is_file(value: str | Path) -> bool:
    """Whether a setting names something on the disk: ``labels.csv`` does, the format ``ntu`` does not, even beside a folder ntu."""
    return (
        (isinstance(value, Path) or any(c in value for c in "./\\"))
        and len(str(value)) < 4096
        and Path(value).expanduser().exists()
    )


def _state(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file that an import of this path may read; hidden files do not count."""
    if path.is_dir():
        root = path
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names if not name.startswith(".")]
    elif path.exists():
        root = path.parent
        files = [p for p in root.iterdir() if p.stem == path.stem or p.suffix.lower() in BESIDE]
    else:
        return []
    states = []
    for file in files:
        try:
            state = file.stat()
        except OSError:  # a link that leads nowhere; whether it is needed is for the reader to say
            state = file.lstat()
        if not stat.S_ISDIR(state.st_mode):
            states.append((file.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns))
    return sorted(states)


def _plain(value: Any) -> Any:
    """A setting as JSON."""
    if isinstance(value, Topology):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
