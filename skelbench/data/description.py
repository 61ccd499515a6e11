"""What a dataset, file or folder holds, what is missing, and the words that bring it in."""

from __future__ import annotations

import html
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skelbench.data.archive import is_archive, size_of, unpacked
from skelbench.data.folders import NAME, data_home
from skelbench.data.formats import FORMATS, fitting, recognise
from skelbench.data.formats.found import seen
from skelbench.data.store import Store
from skelbench.data.words import plain
from skelbench.errors import DataError

MOST_UNPACKED = 512 << 20  # bytes of an archive that are unpacked only to say what is in it
PLACEHOLDERS = {"topology": "skeleton.json", "labels": "labels.csv"}
CHOICE = re.compile(r"(\w+)= (\w+) or \w+")  # how a reader says that one of its options must be chosen
OWN = (
    "as a table: one CSV, a row a frame (clip,frame,label,hip_x,hip_y,hip_z,knee_x,...) or a row a joint (clip,frame,joint,x,y,z)",
    "as arrays: one .npy of all clips, e.g. (clips, frames, joints, 2 or 3), or one a clip, sorted into folders by class",
    "as JSON of a pose estimator (MediaPipe, COCO keypoints), one file a video",
    "as a pack: one .npz and a meta.json, as skelbench itself hands data on; data/README.md shows it",
    'with your own skeleton: topology=skeleton.json, {"joints": [names], "parents": [numbers, -1 = root]}',
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file, folder or dataset holds, word by word.

    Attributes:
        path: what was looked at.
        facts: term -> value.
        missing: what should still be brought.
        shell: commands that take it from here.
        python: the same in Python.
        options: settings of the reader -> what they do.
    """

    path: str
    facts: Mapping[str, Any]
    missing: tuple[str, ...] = ()
    shell: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        width = max(len(k) for k in self.facts)
        lines = [self.path, *(f"  {k:<{width}}  {_text(v)}" for k, v in self.facts.items())]
        for heading, words in (("still missing", self.missing), ("in a shell", self.shell), ("in Python", self.python)):
            lines += ["", f"  {heading}", *(f"    {w}" for w in words)] if words else []
        if self.options:
            width = max(len(k) for k in self.options)
            lines += ["", "  options (KEY=VALUE)", *(f"    {k:<{width}}  {v}" for k, v in self.options.items())]
        return "\n".join(plain(line) for line in lines)

    def _repr_html_(self) -> str:
        rows = "".join(_row(k, _text(v)) for k, v in self.facts.items())
        parts = [f"<p><code>{_escape(self.path)}</code></p><table>{rows}</table>"]
        if self.missing:
            parts.append(f"<p><b>Still missing</b></p><ul>{''.join(f'<li>{_escape(m)}</li>' for m in self.missing)}</ul>")
        for heading, lines in (("In Python", self.python), ("In a shell", self.shell)):
            code = f"<pre style='white-space:pre-wrap;font-family:monospace'>{chr(10).join(map(_escape, lines))}</pre>"
            parts += [f"<p><b>{heading}</b></p>{code}"] if lines else []
        if self.options:
            rows = "".join(_row(k, v) for k, v in self.options.items())
            parts.append(f"<details><summary>options of the reader</summary><table>{rows}</table></details>")
        return "".join(parts)


def _row(term: str, value: str) -> str:
    return f"<tr><th style='text-align:left'>{_escape(term)}</th><td style='text-align:left'>{_escape(value)}</td></tr>"


def _escape(text: str) -> str:
    return f"<bdi>{html.escape(plain(text))}</bdi>"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(str(v) for v in value[:12])
        return f"{shown}, ... ({len(value)})" if len(value) > 12 else shown or "none"
    return str(value)


def describe(path: str | Path) -> Description:
    """Say what a dataset, file, folder or archive holds, what is missing, and how to import it; nothing is imported.

    What no reader knows is described, too: by what was seen, and by the ways to bring such data in.

    Args:
        path: name of a dataset under :func:`data_home`, or any path.

    Raises:
        DataError: nothing there, or the content is damaged.
    """
    place = Path(path).expanduser()
    if isinstance(path, str) and NAME.fullmatch(path) and (data_home() / path).is_dir():
        place = data_home() / path
    if (place / "clips.npy").is_file() and (place / "meta.json").is_file():
        return _of_store(Store(place), name=place.name if place.parent == data_home() else str(place))
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        recognise(place)  # says which of the two
    found = fitting(place)
    if not found and is_archive(place):
        return _of_archive(place)
    return _of_source(place, place, found) if found else _unknown(place)


def _of_store(store: Store, *, name: str) -> Description:
    meta = store.meta
    known = {c: len({int(v) for v in store.index[c] if v >= 0}) for c in ("subject", "camera", "setup")}
    facts = {
        "format": "skelbench store",
        "clips": len(store),
        "frames": f"{len(store.frames)} at {meta.fps:g} fps; {store.index['length'].min()} to {store.index['length'].max()} a clip",
        "classes": list(meta.classes),
        "skeleton": f"{store.topology.name}, {store.topology.V} joints",
        "bodies": store.bodies,
        "coordinates": f"{store.coordinates}, {meta.units}, up is {store.up}",
        **{f"{c}s": n for c, n in known.items() if n},
        "columns": [k for k in store.index if k not in ("start", "length", "label")],
        "splits": list(meta.splits) or "none listed",
        **({"default split": meta.extra["split"]} if meta.extra.get("split") else {}),
        "presets": list(meta.presets) or "none applied",
        "licence": meta.licence or "not stated",
        "attribution": meta.attribution or "not stated",
        "content": store.fingerprint,
    }
    word = shlex.quote(name)
    return Description(
        path=str(store.path),
        facts=facts,
        shell=(f"skelbench data card {word}", f"skelbench data verify {word}", f"skelbench demo --data {word}"),
        python=("import skelbench as sb", f"data = sb.load({name!r})", "sb.SkeletonPlayer(data[0])"),
    )


def _of_source(place: Path, inside: Path, found: Sequence[str]) -> Description:
    """What the readers that fit say of it; ``place`` is what the user named, ``inside`` what lies there or in the archive."""
    if len(found) > 1:
        several = {name: _clips(name, inside) for name in found}
        lines = tuple(line for name in found for line in _commands(place, {}, [], format=name)[0])
        missing = (f"the format: {' and '.join(found)} fit; say which one with format=",)
        return Description(path=str(place), facts={"several formats": several}, missing=missing, shell=lines)
    facts: dict[str, Any] = {"format": found[0], **FORMATS[found[0]].describe(inside)}
    wanted, options = list(facts.pop("missing", [])), dict(facts.pop("options", {}))
    shell, python = _commands(place, facts, wanted)
    return Description(path=str(place), facts=facts, missing=tuple(wanted), shell=shell, python=python, options=options)


def _clips(format: str, path: Path) -> str:
    """How many clips a reader sees, or why it cannot say."""
    try:
        return f"{_text(FORMATS[format].describe(path).get('clips', '?'))} clips"
    except DataError as error:
        return f"not readable ({error})"


def _commands(
    place: Path, facts: Mapping[str, Any], missing: Sequence[str], *, format: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Shell and Python lines that import it; files that are still missing stand in them under a made-up name.

    Without labels data can be imported, too, so they come in a second line.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", place.stem if place.is_file() else place.resolve().name).strip("._-")[:60] or "mine"
    wanted = {k: v for k, v in PLACEHOLDERS.items() if any(m.startswith(k) or f"{k}=" in m for m in missing)}
    optional = wanted.pop("labels", None)
    choices: dict[str, str] = {found[1]: found[2] for m in missing if (found := CHOICE.match(m))}
    splits = facts.get("splits")
    more = {"format": format, **wanted, "split": splits[0] if isinstance(splits, list | tuple) and splits else None}
    given = {k: str(v) for k, v in more.items() if v}
    flags = "".join(f" --{k} {shlex.quote(v)}" for k, v in given.items())
    keywords = "".join(f", {k}={v!r}" for k, v in (choices | given).items())
    words = "".join(f" {k}={v}" for k, v in choices.items())
    shell = [f"skelbench data import {shlex.quote(str(place))}{words} --name {name}{flags}"]
    shell += [f"{shell[0]} --labels {optional}"] if optional else []
    return tuple(shell), ("import skelbench as sb", f"data = sb.import_data({str(place)!r}, {name!r}{keywords})")


def _of_archive(place: Path) -> Description:
    """An archive that no reader takes as it is: looked into, if it is not too large."""
    size = size_of(place)
    if size > MOST_UNPACKED:
        facts = {
            "format": "a zip archive",
            "found": seen(place),
            "unpacked": f"{size / 1e9:.1f} GB; unpack it and describe the folder",
        }
        shell, python = _commands(place, {}, [])
        return Description(path=str(place), facts=facts, shell=shell, python=python)
    with unpacked(place, near=Path(tempfile.gettempdir())) as inside:
        found = fitting(inside)
        return _of_source(place, inside, found) if found else _unknown(place)


def _unknown(place: Path) -> Description:
    facts = {"format": "not one that can be read", "found": seen(place), "can be read": list(FORMATS)}
    return Description(path=str(place), facts=facts, missing=tuple(f"bring it {way}" for way in OWN))
