"""A run in one line, and as a still picture for notebooks: plain HTML and SVG, readable on light and dark paper."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skelbench.errors import ConfigError
from skelbench.train.presets import changes

if TYPE_CHECKING:
    from skelbench.train.run import Run

WIDTH, HEIGHT, MARGIN = 420, 120, 34


def line(run: Run) -> str:
    """method, data, preset, where it stands, loss, probe, folder."""
    p, config = run.progress, run.config
    what = f"Run {config.method} on {run.store.meta.name} ({config.preset})"
    text = f"{what}: {run.status}, epoch {p.epoch}/{p.epochs}, step {p.step}/{p.of}"
    loss, accuracy = run.metrics.last("loss"), run.metrics.probes.last("accuracy")
    text += f", loss {loss:.3f}" if not math.isnan(loss) else ""
    text += f", 1-NN {accuracy:.1%}" if not math.isnan(accuracy) else ""
    text += f", about {duration(p.eta)} left" if run.status == "playing" and math.isfinite(p.eta) else ""
    text += f", {type(run.error).__name__}: {run.error}" if run.error is not None else ""
    here = Path.cwd()
    return f"{text} [{run.folder.relative_to(here) if run.folder.is_relative_to(here) else run.folder}]"


def page(run: Run) -> str:
    """The line, what was edited, and the curves of loss and probe."""
    config = run.config
    parts = [f"<p style='margin:4px 0'>{html.escape(line(run))}</p>"]
    if len(run.metrics) and run.metrics.rows > 1:
        parts.append(curve(run.metrics["step"], run.metrics["loss"], "loss"))
    probes = run.metrics.probes
    if probes.rows > 1 and not np.isnan(probes["accuracy"]).all():
        parts.append(curve(probes["step"], probes["accuracy"], "1-NN accuracy, validation"))
    try:
        edited = changes(config)
    except ConfigError:  # the preset it came from is no longer there
        edited = []
    if edited:
        cells = (f"{html.escape(d.name)} = {html.escape(repr(d.b))} ({html.escape(repr(d.a))})" for d in edited)
        parts.append(f"<p style='margin:4px 0'>Edited: {', '.join(cells)}</p>")
    return f"<div>{''.join(parts)}</div>"


def curve(x: np.ndarray, y: np.ndarray, name: str) -> str:
    """One curve as inline SVG; long ones are averaged into at most 200 points."""
    keep = np.isfinite(y)
    x, y = x[keep].astype(float), y[keep].astype(float)
    if len(x) > 200:
        parts = np.array_split(np.arange(len(x)), 200)
        x, y = np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])
    low, high = float(y.min()), float(y.max())
    right, bottom = WIDTH - 8, HEIGHT - 18
    across = MARGIN + (x - x[0]) / max(x[-1] - x[0], 1e-12) * (right - MARGIN)
    down = bottom - (y - low) / max(high - low, 1e-12) * (bottom - 18)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    label = "font-size='10' fill='currentColor' opacity='0.75'"
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='{html.escape(name)}' "
        "style='display:block;max-width:100%' font-family='sans-serif'>"
        f"<path d='M{MARGIN} 16V{bottom}H{right}' fill='none' stroke='currentColor' opacity='0.4'/>"
        f"<polyline points='{points}' fill='none' stroke='#2a86d1' stroke-width='1.6'/>"
        f"<text x='{MARGIN}' y='10' {label}>{html.escape(name)}</text>"
        f"<text x='{MARGIN - 4}' y='24' text-anchor='end' {label}>{high:.3g}</text>"
        f"<text x='{MARGIN - 4}' y='{bottom}' text-anchor='end' {label}>{low:.3g}</text>"
        f"<text x='{right}' y='{HEIGHT - 5}' text-anchor='end' {label}>step {int(x[-1])}</text></svg>"
    )


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
