"""The report of a demo: one HTML file that needs no network, no server and no kernel, and still plays every body on the map."""

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

from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.report import Table
from skelbench.explain.positives import PositiveStudy
from skelbench.widgets.modules import HERE, PLAYER, source
from skelbench.widgets.report_parts import (
    FEWEST_FRAMES,
    Embedding,
    bars,
    bodies,
    clip_bytes,
    curves,
    headline,
    positives,
    scatter,
    spread_anchors,
)

__all__ = ["Embedding", "write_report"]

HARDNESS = (0.0, 0.2, 1.0)  # easiest, the paper's, every positive on the boundary
TRAINING = {
    False: "No label is learned from; the 1-NN curve only looks on.",
    True: "No label is learned from. Where HaLP's second stage begins, its own term appears and the curves part.",
}
# Nothing may be fetched, whatever a name in the data says; plotly writes styles and draws images from data: and blob: addresses.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"


def write_report(
    path: str | Path,
    *,
    title: str,
    table: Table,
    lead: str = "",
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    embedding: Embedding | None = None,
    clips: Store | None = None,
    study: PositiveStudy | None = None,
    hardness: Sequence[float] = HARDNESS,
    facts: Mapping[str, Any] | None = None,
    up: str | None = None,
    megabytes: float = 12.0,
) -> Path:
    """Write a self-contained page: results beside the floors, training curves, the map whose bodies play, hallucinated positives.

    Args:
        path: the file to write; its folder is made. It appears whole or not at all.
        title: heading of the page.
        table: results; the floors ``random`` and ``raw`` must be in it.
        lead: a sentence or two under the title.
        metrics: method name -> ``run.metrics``; no curves where left out.
        embedding: the map; needs ``clips``.
        clips: the store the map's rows (and the study's) point into.
        study: positives of a contrastive method; needs ``clips``.
        hardness: settings that the positives are shown at, ascending.
        facts: what was run: name -> value, or heading -> {name: value}.
        up: which way up the clips' coordinates point: "y", "z" or "-y"; as the store says where left out.
        megabytes: size to stay below. Clips get fewer frames for it (32 at most, 12 at least), then fewer clips are shown.

    Returns:
        The path.

    Raises:
        ConfigError: a floor is missing, hardness out of range, or a map or study without clips.
        DataError: rows outside the store.
    """
    path, hardness = Path(path), [float(h) for h in hardness]
    if (embedding is not None or study is not None) and clips is None:
        raise ConfigError("a map or a study of positives needs clips=, the store its rows point into")
    if study is not None and (not hardness or hardness != sorted(hardness) or not 0 <= hardness[0] <= hardness[-1] <= 1):
        raise ConfigError(f"hardness settings ascend within 0 .. 1, got {hardness}")
    data: dict[str, Any] = {"bars": bars(table), "curves": curves(metrics or {}), "map": None, "positives": None, "clips": None}
    colours = dict.fromkeys([*(line["method"] for chart in data["bars"] for line in chart["lines"]), *(metrics or {})])
    data["methods"] = list(colours)
    note = ""
    if study is not None and clips is not None:
        data["positives"] = positives(study, hardness, anchors=spread_anchors(study))
        data["classes"] = list(clips.classes)
    if clips is not None and (embedding is not None or study is not None):
        note = _add_clips(data, clips, embedding, up=up, budget=int(megabytes * 1e6) - _fixed_bytes(data))
    page = _page(title, lead=lead, table=table, data=data, facts=facts or {}, note=note, clips=clips)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
    return path


def _add_clips(data: dict[str, Any], clips: Store, embedding: Embedding | None, *, up: str | None, budget: int) -> str:
    """Put the map and the bodies it plays into the page's data; a sentence where not every clip fits."""
    played = [a["row"] for a in data["positives"]["anchors"]] if data["positives"] else []
    played += [s["nearest"]["row"] for a in data["positives"]["anchors"] for s in a["settings"]] if data["positives"] else []
    rows = [int(r) for r in embedding.rows] if embedding is not None else []
    wanted = [r for r in dict.fromkeys([*played, *rows]) if r is not None]
    if min(wanted) < 0 or max(wanted) >= len(clips):
        raise DataError(f"the report shows rows {min(wanted)}..{max(wanted)}, the store {clips.meta.name!r} has {len(clips)} clips")
    note = ""
    if embedding is not None:
        need = float(clip_bytes(clips, rows, FEWEST_FRAMES).sum()) + 120 * len(rows) * len(embedding.points)
        if need > budget:
            keep = max(1, int(len(rows) * budget / need))
            note = f"The map shows {keep} of {len(rows)} clips, evenly taken, so that this file stays small."
            embedding = embedding.take(np.unique(np.linspace(0, len(rows) - 1, keep).round().astype(int)))
            rows = [int(r) for r in embedding.rows]
        data["map"] = scatter(embedding, [clips.ids[r] for r in rows])
    shown = [r for r in dict.fromkeys([*played, *rows]) if r is not None]
    data["clips"] = bodies(clips, shown, budget=budget - len(_json(data["map"])), up=up)
    return note


def _fixed_bytes(data: dict[str, Any]) -> int:
    return (
        len(_plotly())
        + sum((HERE / name).stat().st_size for name in (*PLAYER, "report.js", "report.css"))
        + len(_json(data))
        + 60_000
    )


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _page(
    title: str, *, lead: str, table: Table, data: dict[str, Any], facts: Mapping[str, Any], note: str, clips: Store | None
) -> str:
    sections = {
        "results": True,
        "training": bool(data["curves"]),
        "map": data["map"] is not None,
        "positives": data["positives"] is not None,
    }
    sections["facts"] = True
    names = {
        "results": "Results",
        "training": "Training",
        "map": "Map",
        "positives": "Hallucinated positives",
        "facts": "What was run",
    }
    credit = f"{clips.meta.name}: {clips.meta.licence} {clips.meta.attribution}".strip() if clips is not None else ""
    filled = {
        "title": html.escape(title),
        "policy": POLICY,
        "style": (HERE / "report.css").read_text(encoding="utf-8"),
        "lead": f"<p class='lead'>{html.escape(lead)}</p>" if lead else "",
        "nav": "".join(f"<a href='#{s}'>{names[s]}</a>" for s, there in sections.items() if there),
        "training": TRAINING[any(panel["key"] == "halp" for panel in data["curves"])],
        "headline": "".join(_card(card) for card in headline(table)),
        "table": table.to_html(),
        "note": html.escape(note),
        "facts": _facts(facts),
        "credit": html.escape(credit),
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "data": _json(data),
        "plotly": _plotly(),
        "player": source(*PLAYER),
        "script": (HERE / "report.js").read_text(encoding="utf-8"),
    }
    template = (HERE / "report.html").read_text(encoding="utf-8")
    for name, there in sections.items():
        block = rf"<!-- {name} -->.*?<!-- /{name} -->"
        template = template if there else re.sub(block, "", template, flags=re.DOTALL)
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], template)


def _card(card: Mapping[str, str]) -> str:
    method, value, what, over = (html.escape(card[k]) for k in ("method", "value", "what", "over"))
    words = f"<b>{method}</b>, {what}<br><span class='muted'>{over}</span>"
    return f"<div class='card'><div class='value'>{value}</div><div>{words}</div></div>"


def _facts(facts: Mapping[str, Any]) -> str:
    """Definition lists, one a heading; plain values come first under no heading."""
    plain = {k: v for k, v in facts.items() if not isinstance(v, Mapping)}
    groups = [("", plain), *((k, v) for k, v in facts.items() if isinstance(v, Mapping))]
    out = ""
    for heading, values in groups:
        if values:
            rows = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in values.items())
            out += f"<div>{f'<h3>{html.escape(heading)}</h3>' if heading else ''}<dl>{rows}</dl></div>"
    return out
