"""The data card: one page that shows what a dataset is like, and still does so in ten years without a network.

skelbench data card NAME        writes NAME.html
card(store)                     shows the same in a notebook
"""

from __future__ import annotations

import html
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import skelbench
from skelbench.data.statistics import Statistics, statistics
from skelbench.data.store import Store
from skelbench.data.words import plain
from skelbench.widgets.card_parts import (
    bars,
    bone_rows,
    class_rows,
    histogram,
    joint_rows,
    legend,
    number,
    picture,
    share,
    text,
    tile,
)
from skelbench.widgets.modules import HERE, PLAYER, source
from skelbench.widgets.report_parts import thinned
from skelbench.widgets.scene import plain_scene

__all__ = ["Card", "card", "write_card"]

SAMPLES, FRAMES = 4, 120  # clips that play, and frames of each at most
# Nothing may be fetched, whatever a name in the data says.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


class Card:
    """A data card; shows itself in a notebook, ``save(path)`` writes it.

    Args:
        store: the dataset.
        split: whose sides the class counts show; that which the dataset is reported on where left out.

    Raises:
        ConfigError: ``split`` was asked for, and there is no such split.
        DataError: ``split`` was asked for, and a side of it is empty.
    """

    def __init__(self, store: Store, *, split: str | None = None) -> None:
        self.store, self.numbers = store, statistics(store, split=split)

    def page(self) -> str:
        """The whole page as text."""
        return _page(self.store, self.numbers)

    def save(self, path: str | Path) -> Path:
        """Write the page; it appears whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        part.write_text(self.page(), encoding="utf-8", errors="replace")
        os.replace(part, path)
        return path

    def static(self) -> str:
        """Classes, lengths and the four clips as one SVG picture, for places where no page can be shown."""
        return picture(self.store, self.numbers, samples(self.store))

    def __repr__(self) -> str:
        return f"Card({self.store!r})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        frame = (
            f'<iframe title="data card" sandbox="allow-scripts" srcdoc="{html.escape(self.page(), quote=True)}" '
            'style="width:100%;height:640px;border:1px solid #8886;border-radius:6px"></iframe>'
        )
        return {"text/html": frame, "image/svg+xml": self.static(), "text/plain": repr(self)}


def card(store: Store, *, split: str | None = None) -> Card:
    """The data card of a store: counts, classes with their sides, lengths, rigid bones, what is missing, four clips that play."""
    return Card(store, split=split)


def write_card(store: Store, path: str | Path, *, split: str | None = None) -> Path:
    """Write the data card of a store as one offline page. Arguments and errors as for :class:`Card`."""
    return card(store, split=split).save(path)


def samples(store: Store) -> list[int]:
    """Rows of four clips that say much: of different classes where there are any, each of the middle length of its class."""
    length, labels = store.index["length"], store.labels
    counts = np.bincount(labels[labels >= 0], minlength=len(store.classes))
    known = np.flatnonzero(counts)
    chosen = (
        known[np.unique(np.linspace(0, max(len(known) - 1, 0), SAMPLES).round().astype(int))] if len(known) else np.zeros(0, int)
    )
    rows = [_middle(np.flatnonzero(labels == c), length) for c in chosen]
    rest = [int(r) for r in np.linspace(0, len(store) - 1, SAMPLES).round()]
    return list(dict.fromkeys([*rows, *rest]))[: min(SAMPLES, len(store))]


def _middle(rows: np.ndarray, length: np.ndarray) -> int:
    return int(rows[np.argsort(length[rows], kind="stable")[len(rows) // 2]])


def _page(store: Store, numbers: Statistics) -> str:
    meta, rows = store.meta, samples(store)
    names = [plain(store.classes[label]) if (label := int(store.labels[r])) >= 0 else "no label" for r in rows]
    scene = plain_scene([thinned(store[r], FRAMES) for r in rows], titles=names)
    shown = ", ".join(f"{text(store.ids[r])} ({text(n)})" for r, n in zip(rows, names, strict=True))
    filled = {
        "policy": POLICY,
        "title": html.escape(plain(meta.name)),
        "heading": text(meta.name),
        "style": "\n".join((HERE / f).read_text(encoding="utf-8") for f in ("report.css", "card.css")),
        "lead": _lead(store),
        "tiles": _tiles(store, numbers),
        "samples": f"They are {shown}.",
        "split": _split_words(numbers),
        "legend": legend(numbers.counts) if numbers.split is not None else "",
        "classes": bars(class_rows(store, numbers)),
        "lengths": histogram(*numbers.lengths, what="frames", rate=meta.fps),
        "people": _people(store, numbers),
        "bones_note": _bones_words(store, numbers),
        "bones": bars(bone_rows(store, numbers), most=24, wide=True),
        "seen": _seen_words(store, numbers),
        "missing": bars(joint_rows(store, numbers), most=24),
        "facts": _facts(store),
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": skelbench.__version__,
        "data": json.dumps(scene, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": source(*PLAYER, "card.js"),
    }
    template = (HERE / "card.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], template)


def _lead(store: Store) -> str:
    meta, bodies = store.meta, "one body" if store.bodies == 1 else f"up to {store.bodies} bodies"
    words = (
        f"{number(len(store))} clips of {len(store.classes)} classes; {store.topology.V} joints ({meta.topology.name}), {bodies}, "
    )
    flat = {"-y": "in pictures, y pointing down", "z": "z pointing up", "y": "y pointing up"}[store.up]
    return text(f"{words}{store.coordinates} numbers a joint in {meta.units}, {flat}, {meta.fps:g} frames a second.")


def _tiles(store: Store, numbers: Statistics) -> str:
    hours = len(store.frames) / store.meta.fps / 3600
    counted = [("clips", number(len(store))), ("classes", str(len(store.classes)))]
    counted.append(("hours", f"{hours:.1f}") if hours >= 1 else ("minutes", f"{60 * hours:.1f}"))
    counted.append(("frames in the middle clip", f"{numbers.median_length:.0f}"))
    counted += [(f"{column}s", str(len(values))) for column, values in numbers.people.items()]
    megabytes = store.frames.nbytes / 1e6
    counted.append(("MB", f"{megabytes:.0f}" if megabytes >= 10 else f"{megabytes:.1f}"))
    return "".join(tile(value, words) for words, value in counted)


def _split_words(numbers: Statistics) -> str:
    split, other = numbers.split, f" {numbers.unlabelled} clips have no label." if numbers.unlabelled else ""
    if split is None:
        return text(f"Clips a class. No split to show: {numbers.why_not}.{other}")
    note = f" Note: {split.note}." if split.note else ""
    return text(f"Clips a class in the split {split.name}, parted by {split.by}.{other}{note}")


def _people(store: Store, numbers: Statistics) -> str:
    out = ""
    for column, values in numbers.people.items():
        names = store.meta.extra.get("names", {}).get(column, ())
        rows = [(str(names[v]) if 0 <= v < len(names) else str(v), n) for v, n in values.items()]
        most = max(n for _, n in rows)
        drawn = [(f"{column} {name}", [("train", n / most)], number(n)) for name, n in rows]
        out += f"<h3>clips of each {column}</h3>{bars(drawn, most=8)}"
    return out or "<p>Nobody wrote down who was recorded, or where from.</p>"


def _bones_words(store: Store, numbers: Statistics) -> str:
    if not np.isfinite(numbers.bone_spread).any():
        return "No bone is seen in two frames of a clip."
    middle, worst = float(np.nanmedian(numbers.bone_spread)), int(np.nanargmax(numbers.bone_spread))
    child, parent = (store.topology.joints[j] for j in store.topology.bones[worst])
    words = (
        "How much a bone changes its length within a clip: standard deviation over mean, median over clips and bodies. "
        f"A rigid body has 0 %; here the middle bone has {share(middle)}, the worst, {child} to {parent}, "
        f"{share(float(numbers.bone_spread[worst]))}."
    )
    flat = (
        " Positions are flat, so a bone that points at the camera shortens without being wrong." if store.topology.dims < 3 else ""
    )
    return text(words + flat + _sampled(store, numbers))


def _sampled(store: Store, numbers: Statistics) -> str:
    return f" Read from {numbers.looked_at} of {len(store)} clips." if numbers.looked_at < len(store) else ""


def _seen_words(store: Store, numbers: Statistics) -> str:
    words = f"Somebody is there in {share(float(numbers.seen[0]))} of the frames"
    if store.bodies > 1:
        words += f", two bodies or more in {share(float(numbers.seen[1]))}"
    words += f". {numbers.empty_clips} clips show nobody at all. " if numbers.empty_clips else ". Every clip shows somebody. "
    zero = "all coordinates zero" if store.coordinates <= store.topology.dims else "all coordinates or the score zero"
    if numbers.joint_missing.any():
        words += f"Below: how often a joint is missing ({zero}) while its body is there."
    else:
        words += "No joint is ever missing while its body is there."
    if store.meta.presets and numbers.joint_missing[store.topology.center] > 0.5:
        words += f" {store.topology.joints[store.topology.center]} is the origin of the normalisation, so it is always zero."
    return text(words + _sampled(store, numbers))


def _facts(store: Store) -> str:
    meta = store.meta
    kept = {k: v for k, v in meta.provenance.items() if k not in ("import", "notes") and v not in ("", None, [], {})}
    notes = meta.provenance.get("notes") or []
    settings = (meta.provenance.get("import") or {}).get("settings") if isinstance(meta.provenance.get("import"), Mapping) else None
    groups: dict[str, Mapping[str, Any]] = {
        "Terms": {"licence": meta.licence or "not stated", "attribution": meta.attribution or "not stated"},
        "Made from": {**kept, **({"import settings": settings} if settings else {}), **({"notes": notes} if notes else {})},
        "In the store": {
            "normalised with": ", ".join(meta.presets) or "nothing, as recorded",
            "official splits": ", ".join(meta.splits) or "none",
            "columns": ", ".join(k for k in store.index if k not in ("start", "length", "label")),
            "content": store.fingerprint,
            **{f"sha256 of {name}": value for name, value in meta.checksums.items()},
        },
    }
    out = ""
    for heading, values in groups.items():
        rows = "".join(f"<dt>{text(k)}</dt><dd>{text(_words(v))}</dd>" for k, v in values.items())
        out += f"<div><h3>{heading}</h3><dl>{rows}</dl></div>" if rows else ""
    return out


def _words(value: Any, most: int = 600) -> str:
    if isinstance(value, Mapping):
        value = "; ".join(f"{k}: {_words(v)}" for k, v in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = "; ".join(_words(v) for v in value)
    words = str(value)
    return words if len(words) <= most else f"{words[:most]}..."
