"""What datasets there are, as a small table that prints itself."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from skelbench.data.folders import NAME, data_home
from skelbench.data.store import Store
from skelbench.errors import DataError


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
