"""The house stands as drawn: imports point down, dependencies are named once, the front door is what it was."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skelbench"
FLOORS = {
    "errors": -1,
    "skeleton": 0,
    "data": 1,
    "nets": 1,
    "parts": 1,
    "methods": 2,
    "train": 3,
    "evaluate": 3,
    "explain": 3,
    "widgets": 4,
    "recipes": 5,
    "cli_data": 5,
    "cli": 6,  # the shell calls the recipes
}
ONLY_UPSTAIRS = {"ipywidgets", "anywidget", "plotly"}  # floors 4 and 5
NEVER_AT_IMPORT = {
    "umap",
    "sklearn",
    "plotly",
    "ipywidgets",
    "anywidget",
    "IPython",
    "tyro",
    "jupyterlab",
    "scipy",
    "h5py",
    "pyarrow",
    "av",
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    """(imported dotted name, stands at module level) of every import in a file."""
    tree = ast.parse(path.read_text())
    top = set()
    for node in tree.body:
        inside = ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        top |= set() if guarded else {id(n) for n in inside}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.name, id(node) in top) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            yield from ((f"{node.module}.{a.name}", id(node) in top) for a in node.names)


def rooms_imported(path):
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] == "skelbench" and len(parts) > 1 and parts[1] in FLOORS:
            yield parts[1]


def test_every_room_has_a_floor():
    found = {room(p) for p in modules()} - {"__init__", "__main__"}
    assert found <= set(FLOORS), f"rooms without a floor: {found - set(FLOORS)}"


def test_imports_never_point_up():
    wrong = []
    for path in modules():
        own = room(path)
        if own in FLOORS:
            upward = [r for r in rooms_imported(path) if r != own and FLOORS[r] >= FLOORS[own]]
            wrong += [f"{path.relative_to(ROOT)} ({own}) imports {r}" for r in upward]
    assert not wrong, "\n".join(wrong)


def test_no_circle_between_modules_at_import_time():
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in modules()}
    edges = {}
    for name, path in names.items():
        seen = set()
        for imported, top in imports(path):
            if top:
                seen |= {n for n in (imported, imported.rpartition(".")[0]) if n in names and n != name}
        edges[name] = seen
    done, walking = set(), []

    def walk(name):
        assert name not in walking, f"circle: {' -> '.join([*walking[walking.index(name) :], name])}"
        if name in done:
            return
        walking.append(name)
        for other in sorted(edges[name]):
            # importing a.b runs a/__init__ first; that is no circle by itself unless the package needs b's names, which edges show
            if not name.startswith(other + "."):
                walk(other)
        walking.pop()
        done.add(name)

    for name in sorted(names):
        walk(name)


def test_widgets_stay_upstairs_and_heavy_imports_inside_functions():
    wrong = []
    for path in modules():
        for name, top in imports(path):
            first = name.split(".")[0]
            if first in ONLY_UPSTAIRS and FLOORS.get(room(path), 9) < 4:
                wrong.append(f"{path.relative_to(ROOT)} imports {first}")
            if top and first in NEVER_AT_IMPORT and room(path) not in ("widgets", "cli", "cli_data"):
                wrong.append(f"{path.relative_to(ROOT)} imports {first} at module level")
            if top and first == "umap":
                wrong.append(f"{path.relative_to(ROOT)} imports umap at module level")
    assert not wrong, "\n".join(wrong)


def test_import_skelbench_brings_no_torch_and_no_notebook():
    heavy = ("torch", "umap", "sklearn", "plotly", "ipywidgets", "anywidget")
    code = f"import sys, skelbench; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_drawers():
    drawers = {"utils", "common", "helpers", "misc", "util"}
    assert not [p for p in ROOT.glob("**/*.py") if ".venv" not in p.parts and (p.stem in drawers or p.parent.name in drawers)]


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if line and not line.startswith("#")}


def requirements():
    project = pyproject()["project"]
    return [Requirement(r) for r in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_dependency_is_pinned_where_it_was_tested(requirement):
    pinned = pins()[canonicalize_name(requirement.name)]
    assert pinned in requirement.specifier
    installed = metadata.version(requirement.name).split("+")[0]
    assert installed == pinned, f"{requirement.name}: constraints.txt says {pinned}, this environment has {installed}"


def test_conda_environment_is_the_same_thing():
    table = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in table["dependencies"] if isinstance(d, str) and d.startswith("python="))
    assert python.removeprefix("python=") in SpecifierSet(pyproject()["project"]["requires-python"])
    pip = next(d["pip"] for d in table["dependencies"] if isinstance(d, dict))
    make = (ROOT / "Makefile").read_text()
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    assert "-c constraints.txt -e '.[dev]'" in make, "the Makefile and environment.yml install different things"


def test_front_door_is_what_it_was():
    """A changed public name is a decision: write it down in tests/api.json and CHANGELOG.md."""
    import skelbench

    there = {}
    for name in sorted(skelbench.__all__):
        value = getattr(skelbench, name)
        there[name] = type(value).__name__
        assert (value.__doc__ or "").strip(), f"skelbench.{name} has no docstring"
    wanted = json.loads((Path(__file__).parent / "api.json").read_text())
    assert there == wanted
    assert len(there) <= 25
    assert set(dir(skelbench)) >= set(there)


def test_unknown_name_at_the_front_door():
    import skelbench

    with pytest.raises(AttributeError, match="nonsense"):
        _ = skelbench.nonsense


def test_readme_names_only_commands_that_exist():
    readme = (ROOT / "README.md").read_text()
    make = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = set(re.findall(r"^\s*make ([a-z-]+)", readme, re.M)) | set(re.findall(r"`make ([a-z-]+)`", readme))
    assert {"demo", "test", "lab"} <= used <= make
