"""Build the course: every ``NN_name.py`` beside this file becomes an executed ``NN_name.ipynb``.

    python notebooks/build.py                 all of them
    python notebooks/build.py 02              those whose name begins so

The ``.py`` files (py:percent) are the source; the notebooks are never edited by hand. Outputs are the static pictures every view
carries, so that a notebook reads well where no kernel runs. A test rebuilds the cells and fails when the two drift apart.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
LIMIT = 1_000_000  # bytes a committed notebook may have
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
VIEW = "application/vnd.jupyter.widget-view+json"


def sources(prefix: str = "") -> list[Path]:
    """The lessons, in order."""
    return sorted(p for p in HERE.glob("[0-9][0-9]_*.py") if p.name.startswith(prefix))


def cells(source: Path) -> nbformat.NotebookNode:
    """The notebook a source describes, without outputs; the same source always gives the same file."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id = hashlib.sha256(f"{source.name}:{number}:{cell.source}".encode()).hexdigest()[:8]
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
    return notebook


def execute(notebook: nbformat.NotebookNode, folder: Path, *, timeout: int = 600) -> nbformat.NotebookNode:
    """Run every cell in a fresh kernel whose working folder is ``folder``; an error in a cell is raised."""
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=where, store_widget_state=False).execute()
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what reads without a kernel: pictures, tables and text; drop live views, progress bars and timings of the machine."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = [o for o in (_static(o) for o in cell.outputs) if o is not None]
    notebook.metadata.pop("widgets", None)
    return notebook


def _static(output: Any) -> Any:
    if output.output_type == "stream":
        return None if output.name == "stderr" else output
    data = output.get("data", {})
    live = data.pop(VIEW, None) is not None
    data.pop("application/vnd.plotly.v1+json", None)
    if live and set(data) <= {"text/plain"}:  # a progress bar at 0 %, or a view that says no more than its name
        return None
    if "image/svg+xml" in data or "image/png" in data:
        data.pop("text/html", None)
    return output if data else None


def build(source: Path) -> Path:
    """Execute one lesson and write it beside its source. Raises ValueError when it grew too large to commit."""
    target = source.with_suffix(".ipynb")
    text = nbformat.writes(clean(execute(cells(source), HERE.parent)))
    if len(text.encode()) > LIMIT:
        raise ValueError(f"{target.name} would be {len(text.encode()) / 1e6:.1f} MB; the limit is {LIMIT / 1e6:.0f} MB")
    target.write_text(text + "\n")
    return target


if __name__ == "__main__":
    for lesson in sources(sys.argv[1] if len(sys.argv) > 1 else ""):
        made = build(lesson)
        print(f"{made.name}: {made.stat().st_size / 1e3:.0f} kB")
