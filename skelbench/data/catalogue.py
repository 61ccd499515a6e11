"""What datasets there are, and what a file or folder holds, as small objects that print themselves."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skelbench.data.folders import NAME, data_home
from skelbench.data.formats import FORMATS, recognise
from skelbench.data.store import Store
from skelbench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file, folder or dataset holds, word by word: ``facts`` maps a term to its value."""

    path: str
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        width = max(len(k) for k in self.facts)
        return "\n".join([self.path, *(f"  {k:<{width}}  {_text(v)}" for k, v in self.facts.items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(_text(v))}</td></tr>" for k, v in self.facts.items())
        return f"<p><code>{html.escape(self.path)}</code></p><table>{rows}</table>"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of :func:`list_data`; ``problem`` says why a dataset does not open, and is empty where it does."""

    name: str
    clips: int = 0
    classes: int = 0
    topology: str = ""
    megabytes: float = 0.0
    licence: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The datasets under ``home``."""

    home: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        if not self.rows:
            return f"no datasets under {self.home} yet; load('playground') makes one, import_data(path, name) brings one in"
        lines = [f"{'name':<24} {'clips':>8} {'classes':>8} {'MB':>8}  skeleton"]
        for row in self.rows:
            what = (row.problem and f"does not open: {row.problem}") or row.topology
            lines.append(f"{row.name:<24} {row.clips:>8} {row.classes:>8} {row.megabytes:>8.1f}  {what}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{html.escape(str(self))}</p>"
        head = "".join(f"<th>{h}</th>" for h in ("name", "clips", "classes", "MB", "skeleton", "licence"))
        body = ""
        for row in self.rows:
            cells = (row.name, row.clips, row.classes, f"{row.megabytes:.1f}", row.problem or row.topology, row.licence)
            body += "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in cells) + "</tr>"
        return f"<p>{html.escape(self.home)}</p><table><tr>{head}</tr>{body}</table>"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(str(v) for v in value[:12])
        return f"{shown}, ... ({len(value)})" if len(value) > 12 else shown
    return str(value)


def list_data() -> Listing:
    """The datasets under :func:`data_home`, damaged ones included, by name."""
    home = data_home()
    folders = sorted(p for p in home.iterdir() if p.is_dir() and NAME.fullmatch(p.name)) if home.is_dir() else []
    return Listing(home=str(home), rows=tuple(_row(p) for p in folders))


def _row(path: Path) -> Row:
    try:
        store = Store(path)
    except DataError as error:
        return Row(name=path.name, problem=str(error))
    return Row(
        name=path.name,
        clips=len(store),
        classes=len(store.classes),
        topology=f"{store.topology.name}, {store.topology.V} joints, {store.bodies} bodies",
        megabytes=store.frames.nbytes / 1e6,
        licence=store.meta.licence,
    )


def describe(path: str | Path) -> Description:
    """Say what a dataset, file or folder holds, without importing it.

    Args:
        path: name of a dataset under :func:`data_home`, or any path.

    Raises:
        DataError: nothing there, no known format, or the content is damaged.
    """
    place = Path(path).expanduser()
    if isinstance(path, str) and NAME.fullmatch(path) and (data_home() / path).is_dir():
        place = data_home() / path
    if (place / "clips.npy").is_file():
        return Description(path=str(place), facts=_facts(Store(place)))
    format = recognise(place)
    return Description(path=str(place), facts={"format": format, **FORMATS[format].describe(place)})


def _facts(store: Store) -> dict[str, Any]:
    meta = store.meta
    known = {c: len({int(v) for v in store.index[c] if v >= 0}) for c in ("subject", "camera", "setup")}
    return {
        "format": "skelbench store",
        "clips": len(store),
        "frames": f"{len(store.frames)} at {meta.fps:g} fps; {store.index['length'].min()} to {store.index['length'].max()} a clip",
        "classes": list(meta.classes),
        "skeleton": f"{store.topology.name}, {store.topology.V} joints, {store.bodies} bodies, {store.coordinates} coordinates",
        **{f"{c}s": n for c, n in known.items() if n},
        "columns": [k for k in store.index if k not in ("start", "length", "label")],
        "splits": list(meta.splits) or "none listed",
        "presets": list(meta.presets) or "none applied",
        "licence": meta.licence or "not stated",
        "attribution": meta.attribution or "not stated",
        "content": store.fingerprint,
    }
