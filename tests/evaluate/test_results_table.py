import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.rows import Row
from skelbench.evaluate.table import Table, estimate


def row(method, accuracy, *, seed=None, fold="", protocol="1-NN", **more):
    shape = {"data": "play", "split": "loso" if fold else "xsub", "mean_class": accuracy - 0.01, "n": 40, **more}
    return Row(method=method, accuracy=accuracy, seed=seed, fold=fold, protocol=protocol, **shape)


def full(**more):
    rows = [row("raw", 0.50, **more)]
    for seed, (halp, random) in enumerate([(0.80, 0.40), (0.84, 0.46), (0.79, 0.43)]):
        rows += [row("halp", halp, seed=seed, **more), row("random", random, seed=seed, **more)]
    return Table(rows)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_estimate_equals_scipy(values):
    found = estimate(values, over="seeds")
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=max(stats.sem(values), 1e-300))
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_one_repetition_has_no_interval():
    found = estimate([0.5], over="seeds")
    assert (found.mean, found.sd, found.low, found.high, found.n) == (0.5, None, None, None, 1)
    assert not found.clear
    with pytest.raises(DataError, match="no values"):
        estimate([], over="seeds")


def test_lines_are_means_over_seeds_with_floors_first():
    lines = full().lines()
    assert [line.method for line in lines] == ["random", "raw", "halp"]
    halp = lines[2]
    assert halp.accuracy.mean == pytest.approx(0.81)
    assert halp.accuracy.sd == pytest.approx(np.std([0.80, 0.84, 0.79], ddof=1))
    assert (halp.accuracy.n, halp.accuracy.over) == (3, "seeds")
    assert halp.mean_class == pytest.approx(0.80)
    assert lines[0].over["random"] is None and lines[1].over["raw"] is None


def test_differences_are_paired_by_seed():
    found = full().compare("halp", "random", protocol="1-NN")
    wanted = estimate([0.40, 0.38, 0.36], over="seeds")
    assert found.mean == pytest.approx(wanted.mean)
    assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    assert found.clear
    shifted = Table([row("halp", v, seed=s) for s, v in enumerate((0.8, 0.84))] + [row("random", 0.4, seed=s) for s in (5, 6)])
    with pytest.raises(ConfigError, match="share no fold and seed"):
        shifted.compare("halp", "random", protocol="1-NN")


def test_a_method_without_seed_stands_against_every_seed():
    table = full()
    for a, b, sign in (("halp", "raw", 1), ("raw", "halp", -1)):
        found = table.compare(a, b, protocol="1-NN")
        assert found.n == 3
        assert found.mean == pytest.approx(sign * 0.31)


def test_folds_are_the_repetitions_where_there_are_several():
    accuracy = {("1", 0): 0.6, ("1", 1): 0.8, ("2", 0): 0.9, ("2", 1): 0.7, ("3", 0): 0.5, ("3", 1): 0.5}
    rows = [row("halp", a, fold=f, seed=s) for (f, s), a in accuracy.items()]
    rows += [row("random", a - 0.1 * int(f), fold=f, seed=s) for (f, s), a in accuracy.items()]
    rows += [row("raw", 0.3, fold=f) for f in "123"]
    table = Table(rows)
    halp = next(line for line in table.lines() if line.method == "halp")
    wanted = estimate([0.7, 0.8, 0.5], over="folds")
    assert (halp.accuracy.mean, halp.accuracy.sd, halp.accuracy.n) == (pytest.approx(wanted.mean), pytest.approx(wanted.sd), 3)
    assert (halp.accuracy.over, halp.n) == ("folds", 120)
    difference = halp.over["random"]
    assert difference.mean == pytest.approx(0.2)
    assert difference.sd == pytest.approx(0.1)


@pytest.mark.parametrize("floor", ["random", "raw"])
@pytest.mark.parametrize("render", ["to_markdown", "__str__", "to_html", "to_csv", "_repr_html_", "lines"])
def test_nothing_is_rendered_without_the_floors(floor, render):
    table = Table([r for r in full() if r.method != floor])
    with pytest.raises(ConfigError, match=f"no row of the floor {floor}"):
        getattr(table, render)()
    assert "halp" in repr(table)


def test_floors_are_wanted_for_every_protocol():
    table = full().add([row("halp", 0.9, seed=0, protocol="linear")])
    with pytest.raises(ConfigError, match="linear on play/xsub has no row of the floor random and raw"):
        table.to_markdown()


def test_a_number_cannot_be_counted_twice():
    with pytest.raises(DataError, match="two repetitions"):
        full().add([row("halp", 0.99, seed=1)])


def test_compare_says_which_place_is_meant():
    table = Table([*full(), *full(data="other")])
    with pytest.raises(ConfigError, match="other/xsub, play/xsub"):
        table.compare("halp", "raw", protocol="1-NN")
    assert table.compare("halp", "raw", protocol="1-NN", data="other").mean == pytest.approx(0.31)
    with pytest.raises(ConfigError, match="there are: none"):
        table.compare("halp", "raw", protocol="2-NN")
    with pytest.raises(ConfigError, match="no row of 'isc'"):
        table.compare("isc", "raw", protocol="1-NN", data="play")


def test_markdown():
    text = full().add([row("a|b", 0.5, seed=0, differs={"epochs": (450, 3)})]).to_markdown()
    lines = text.splitlines()
    halp = [
        "play",
        "xsub",
        "1-NN",
        "halp",
        "81.0 ± 2.6 (3 seeds)",
        "74.4 to 87.6",
        "+38.0 [+33.0, +43.0]",
        "+31.0 [+24.4, +37.6]",
        "80.0",
    ]
    assert "| " + " | ".join([*halp, "40"]) + " |" in lines
    assert "| play | xsub | 1-NN | a\\|b | 50.0 (1 run) | – | +10.0 | +0.0 | 49.0 | 40 |" in lines
    assert "What differs from the recipe, a|b: epochs 450 -> 3." in lines


def test_html_escapes_and_shows_what_differs():
    table = full().add([row("<b>x", 0.5, seed=0, differs={"<i>lr": ("<1>", 2)})])
    page = table._repr_html_()
    assert "<b>x" not in page and "&lt;b&gt;x" in page
    assert "&lt;i&gt;lr" in page and "&lt;1&gt;" in page
    assert "1 settings differ" not in page and "1 setting differs" in page


def test_the_paper_s_number_stands_only_where_every_repetition_is_by_its_recipe():
    known = {"paper": 0.797, "source": "table 1 <a>"}
    table = Table([*(dataclasses.replace(r, **known) if r.method == "halp" else r for r in full())])
    head, _, *rows = table.to_markdown().splitlines()[:5]
    assert head.endswith("| n | paper % |") and rows[2].endswith("| 40 | 79.7 |") and rows[0].endswith("| 40 | – |")
    assert (
        "paper: the published number, where the settings of the run are the published ones. halp: table 1 &lt;a>."
        in table.to_markdown()
    )
    assert "table 1 &lt;a&gt;" in table.to_html() and "<th style='text-align:right'>paper %</th>" in table.to_html()
    mixed = Table([*table, row("halp", 0.9, seed=7), row("random", 0.4, seed=7)])
    assert next(x for x in mixed.lines() if x.method == "halp").paper is None and "paper" not in mixed.to_markdown()
    assert Table.from_json(table.to_json()).rows == table.rows


def untex(text):
    """Undo the escapes of LaTeX, one command at a time."""
    names = {"textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^", "textless{}": "<", "textgreater{}": ">"}
    out, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            name = next((n for n in names if text.startswith(n, at + 1)), None)
            out += names[name] if name else text[at + 1]
            at += 1 + len(name or "x")
        else:
            assert text[at] not in "&%$#_{}~^<>", text
            out, at = out + text[at], at + 1
    return out


def test_latex_escapes_what_tex_would_run():
    nasty = "a_b & 50% #1 $x$ {y} ~^\\input{/etc/passwd} <z>"
    table = full().add([row(nasty, 0.5, seed=0, differs={"lr_0": ("1e-3 & up", "2%")})])
    text = table.to_latex()
    lines = text.splitlines()
    assert lines[0] == "\\begin{tabular}{llllrrrrrr}" and "\\end{tabular}" in lines
    cells = next(line for line in lines if "50\\%" in line)
    assert cells.endswith(r" \\")
    parts = re.split(r"(?<!\\) & ", cells.removesuffix(r" \\"))
    assert len(parts) == 10 and untex(parts[3]) == nasty and r"81.0 $\pm$ 2.6 (3 seeds)" in text
    assert r"lr\_0 1e-3 \& up -\textgreater{} 2\%" in text and "\\input{" not in text.replace("textbackslash{}", "")


def test_markdown_carries_no_html_and_no_line_breaks():
    text = full().add([row("<script>\nalert(1)|", 0.5, seed=0)]).to_markdown()
    assert "<script>" not in text and "| &lt;script> alert(1)\\| |" in text


def test_draws_share_their_test_clips():
    rows = [
        row(m, a + 0.01 * d, fold=f"draw {d}", seed=s)
        for m, a in (("halp", 0.6), ("random", 0.4))
        for d in range(3)
        for s in (0, 1)
    ]
    rows += [row("raw", 0.3, fold=f"draw {d}") for d in range(3)]
    line = next(x for x in Table(rows).lines() if x.method == "halp")
    assert (line.n, line.accuracy.n, line.accuracy.over) == (40, 3, "draws") and line.accuracy.mean == pytest.approx(0.61)


def test_csv_has_every_single_row():
    table = full()
    found = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(found) == 7
    assert [float(r["accuracy"]) for r in found] == [r.accuracy for r in table]
    assert found[0]["method"] == "raw" and found[0]["seed"] == ""


def test_json_comes_back_as_it_went(tmp_path):
    table = full(differs={"epochs": (450, 3)}, chosen={"l2": 0.1}, seconds=1.5)
    text = table.to_json()
    assert Table.from_json(text).rows == table.rows
    (tmp_path / "table.json").write_text(text)
    assert Table.from_json(tmp_path / "table.json").to_markdown() == table.to_markdown()


def test_json_of_another_form_is_refused(tmp_path):
    (tmp_path / "t.json").write_text("[\n{]")
    with pytest.raises(DataError, match=r"t\.json, line 2: not valid JSON"):
        Table.from_json(tmp_path / "t.json")
    for bad in ({}, [1], [{"method": "x"}], [{**json.loads(full().to_json())[0], "extra": 1}]):
        with pytest.raises(DataError, match="list of rows"):
            Table.from_json(json.dumps(bad))
