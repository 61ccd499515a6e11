"""A table of results as Markdown, HTML, LaTeX and CSV. Names from data and users are escaped in each."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skelbench.evaluate.rows import FLOORS, Row

if TYPE_CHECKING:
    from skelbench.evaluate.table import Estimate, Line

Differences = Mapping[str, Mapping[str, tuple[Any, Any]]]

HEAD = ["data", "split", "protocol", "method", "accuracy %", "95 % interval", "over random", "over raw", "per-class %", "n"]
NOTE = (
    "accuracy: mean ± standard deviation over seeds (or over folds or draws of the labels, seeds averaged within each). interval: "
    "Student t, of the mean. over random, over raw: paired difference in points with its 95 % interval, the same seed or fold on "
    "both sides; one seed has no interval. per-class: every class counts the same. random: the encoder, untrained. raw: the joints "
    "themselves. n: test clips."
)
LEFT = 4  # columns of words; the others are numbers
PAPER = "paper %"


def markdown(lines: Sequence[Line], differences: Differences) -> str:
    """Markdown table and small print."""

    def row(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    head = _head(lines)
    out = [row(head), row(["---"] * LEFT + ["---:"] * (len(head) - LEFT))]
    out += [row(_marked_down(c).replace("|", "\\|") for c in cells) for cells in _body(lines)]
    out += ["", NOTE]
    for sentence in [*_sources(lines), *_sentences(differences)]:
        out += ["", _marked_down(sentence)]
    return "\n".join(out) + "\n"


def page(lines: Sequence[Line], differences: Differences) -> str:
    """HTML fragment that follows the page's colours."""
    head = "".join(f"<th style='text-align:{_side(i)}'>{html.escape(h)}</th>" for i, h in enumerate(_head(lines)))
    body = []
    for i, (line, texts) in enumerate(zip(lines, _body(lines), strict=True)):
        new = i > 0 and _place(line) != _place(lines[i - 1])
        style = ("border-top:1px solid currentColor" if new else "") + (";opacity:.75" if line.method in FLOORS else "")
        cells = "".join(f"<td style='text-align:{_side(j)};white-space:nowrap'>{html.escape(c)}</td>" for j, c in enumerate(texts))
        body.append(f"<tr style='{style}'>{cells}</tr>")
    notes = "".join(f"<p><small>{html.escape(text)}</small></p>" for text in (NOTE, *_sources(lines)))
    return (
        f"<div class='skelbench-table'><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        f"{notes}{_details(differences)}</div>"
    )


def latex(lines: Sequence[Line], differences: Differences) -> str:
    """LaTeX ``tabular`` and footnotes."""
    head = _head(lines)
    out = [f"\\begin{{tabular}}{{{'l' * LEFT}{'r' * (len(head) - LEFT)}}}", "\\hline", _tex_row(head), "\\hline"]
    for i, cells in enumerate(_body(lines)):
        if i > 0 and _place(lines[i]) != _place(lines[i - 1]):
            out.append("\\hline")
        out.append(_tex_row(cells))
    out += ["\\hline", "\\end{tabular}", ""]
    out += [f"{{\\footnotesize {_tex(text)}\\par}}" for text in (NOTE, *_sources(lines), *_sentences(differences))]
    return "\n".join(out) + "\n"


def values(rows: Sequence[Row]) -> str:
    """CSV of single rows, numbers in full."""
    text = io.StringIO()
    names = [f.name for f in dataclasses.fields(Row) if f.name not in ("chosen", "differs")]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(r, n) for n in names] for r in rows)
    return text.getvalue()


def _head(lines: Sequence[Line]) -> list[str]:
    return [*HEAD, *([PAPER] if any(line.paper is not None for line in lines) else [])]


def _body(lines: Sequence[Line]) -> list[list[str]]:
    more = any(line.paper is not None for line in lines)
    return [_cells(line) + ([_published(line)] if more else []) for line in lines]


def _published(line: Line) -> str:
    return "–" if line.paper is None else f"{100 * line.paper:.1f}"


def _sources(lines: Sequence[Line]) -> list[str]:
    """Where the papers' numbers stand."""
    found = dict.fromkeys((line.method, line.source) for line in lines if line.paper is not None)
    listed = "; ".join(f"{method}: {source}" for method, source in found)
    return [f"paper: the published number, where the settings of the run are the published ones. {listed}."] if found else []


def _sentences(differences: Differences) -> list[str]:
    return [
        f"What differs from the recipe, {method}: "
        + "; ".join(f"{name} {recipe} -> {here}" for name, (recipe, here) in settings.items())
        + "."
        for method, settings in differences.items()
    ]


def _details(differences: Differences) -> str:
    out = ""
    for method, settings in differences.items():
        rows = [("setting", "recipe", "here"), *((name, *pair) for name, pair in settings.items())]
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
        )
        count = f"{len(settings)} setting{'s differ' if len(settings) > 1 else ' differs'} from the recipe"
        out += f"<details><summary>{html.escape(method)}: {count}</summary><table>{body}</table></details>"
    return out


def _side(column: int) -> str:
    return "left" if column < LEFT else "right"


def _place(line: Line) -> tuple[str, str, str]:
    return line.data, line.split, line.protocol


def _marked_down(text: str) -> str:
    """Text on one line and without HTML, whatever is in it."""
    return re.sub(r"\s+", " ", text).replace("<", "&lt;")


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in re.sub(r"\s+", " ", text))


def _tex_row(cells: Iterable[str]) -> str:
    return " & ".join(_tex(c) for c in cells) + r" \\"


def _cells(line: Line) -> list[str]:
    a = line.accuracy
    spread = f" ± {100 * a.sd:.1f} ({a.n} {a.over})" if a.sd is not None else " (1 run)"
    interval = "–"
    if a.low is not None and a.high is not None:  # no accuracy lies outside 0 .. 100, whatever Student's t says about two seeds
        interval = f"{100 * max(a.low, 0):.1f} to {100 * min(a.high, 1):.1f}"
    over: list[str] = [_points(line.over[f]) for f in FLOORS]
    return [
        *(line.data, line.split, line.protocol, line.method),
        *(f"{100 * a.mean:.1f}{spread}", interval, *over, f"{100 * line.mean_class:.1f}", str(line.n)),
    ]


def _points(difference: Estimate | None) -> str:
    if difference is None:
        return "–"
    text = f"{100 * difference.mean:+.1f}"
    if difference.low is None or difference.high is None:
        return text
    return f"{text} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
