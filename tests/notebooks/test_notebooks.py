"""The course: executed at smoke size, never drifting from its sources, small, free of error outputs."""

import importlib.util
import os
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).parents[2] / "notebooks"


def load_build():
    spec = importlib.util.spec_from_file_location("notebooks_build", HERE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()
LESSONS = [s.stem for s in build.sources()]


def test_the_course_is_there():
    assert {"01_quickstart", "02_halp_hardness", "03_your_own_skeletons", "04_isc", "05_skeletonmae"} <= set(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_committed_notebook_is_the_source_executed(lesson):
    committed = nbformat.read(HERE / f"{lesson}.ipynb", as_version=4)
    fresh = build.cells(HERE / f"{lesson}.py")
    assert [(c.cell_type, c.source, c.id) for c in committed.cells] == [(c.cell_type, c.source, c.id) for c in fresh.cells], (
        "the notebook and its source differ: run `make notebooks`"
    )
    assert (HERE / f"{lesson}.ipynb").stat().st_size <= build.LIMIT
    outputs = [o for c in committed.cells if c.cell_type == "code" for o in c.outputs]
    assert outputs and not [o for o in outputs if o.output_type == "error"]
    said = "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)
    assert "%|" not in said, "a progress bar was kept"
    assert any("image/svg+xml" in o.get("data", {}) or "image/png" in o.get("data", {}) for o in outputs), "no static picture"


def test_what_needs_a_kernel_is_dropped_and_what_reads_without_one_is_kept():
    def out(**data):
        return nbformat.v4.new_output("display_data", data={build.VIEW: {"model_id": "0"}, "text/plain": "  0%|  |", **data})

    cell = nbformat.v4.new_code_cell("x", outputs=[out(), out(**{"image/svg+xml": "<svg/>", "text/html": "<p>"})])
    cell.outputs += [nbformat.v4.new_output("stream", name=n, text=n) for n in ("stdout", "stderr")]
    cell.outputs += [nbformat.v4.new_output("execute_result", data={"text/plain": "3"})]
    kept = build.clean(nbformat.v4.new_notebook(cells=[cell])).cells[0].outputs
    assert [o.get("text") or sorted(o["data"]) for o in kept] == [["image/svg+xml", "text/plain"], "stdout", ["text/plain"]]


@pytest.mark.notebook
@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_runs_from_top_to_bottom(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_SMOKE", "1")
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert os.environ["SKELBENCH_SMOKE"] == "1"
    done = build.execute(build.cells(HERE / f"{lesson}.py"), tmp_path, timeout=240)
    code = [c for c in done.cells if c.cell_type == "code" and c.source.strip()]
    assert code and all(c.execution_count for c in code)
