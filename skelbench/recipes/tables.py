"""Tables of many methods on many datasets, each re-run by one command that may be stopped and started again at will.

    skelbench table methods             self-supervision on four datasets, 3 seeds, each encoder beside itself untrained;
                                        SkeletonMAE fine-tuned beside the same network from scratch; transfer cmu -> hdm05
    skelbench table growth              pre-trained on ever more made-up clips, and on real ones pooled; measured on people

The datasets cmu, hdm05 and uiprmd_kinect must have been imported under these names (``data/README.md``); the playground is made.

Every line is one piece of work: train, then measure, or measure what another piece has trained. Pieces run in parallel processes
of one thread each, and what a finished one measured lies in ``out/rows``. Settings are those of the preset ``demo`` with half the
epochs or fewer (``SHORT``), so that a table is done in an hour on two cores. Nothing is chosen on what is measured.

Hardware: two CPU cores. Cost and results are in the README.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from skelbench.data import Store, load
from skelbench.data.playground import playground
from skelbench.data.pooling import as_layout, pool, retarget
from skelbench.data.splits import EVERYTHING, loso_splits, make_split, usual_split
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import KNN, Linear, OwnClassifier, Row, Table, Transfer, evaluate, floors
from skelbench.evaluate.score import AnyProtocol
from skelbench.recipes.jobs import in_processes
from skelbench.recipes.measure import BESIDE
from skelbench.skeleton.mapping import common_body
from skelbench.train import open_run, presets, start
from skelbench.train.config import RunConfig, diff
from skelbench.train.tree import resolve

REAL = ("cmu", "hdm05", "uiprmd_kinect")
SIZES = (1_200, 10_000, 50_000)  # clips of the growing playground
STEPS = 1_400  # of batches of 64, whatever the number of clips

# Half the demo's epochs where an epoch is cheap, fewer where it is not.
SHORT: dict[str, dict[str, Any]] = {
    "moco": {"epochs": 60, "drops": (45,)},
    "halp": {"epochs": 60, "drops": (45,), "plain_epochs": 30},
    "halp3s": {"epochs": 40, "drops": (30,), "plain_epochs": 20},
    "isc": {"epochs": 40, "drops": (30,)},
    "skeletonmae": {},
    "strl": {},
}
# Few clips, everybody with the same side: short queue and batch, no mirrored or damaged views (README, "What was measured").
FEW: dict[str, dict[str, Any]] = {
    name: {"queue": 32, "train.batch": 32, "mirror": 0.0, "shear": 0.3, "p_shear": 1.0, "p_mask": 0.0, "p_corrupt": 0.0, **own}
    for name, own in {
        "moco": {},
        "halp": {"prototypes_from": 32, "prototypes": 8},
        "halp3s": {"prototypes_from": 32, "prototypes": 8, "distil_from": 16},
        "isc": {},
    }.items()
} | {"skeletonmae": {"epochs": 40, "drops": (30,)}, "strl": {"epochs": 60, "drops": (45, 55)}}

# What names and roles do not say: joint of the network's skeleton -> joint of the dataset. Acclaim calls a joint after the bone
# that ends there, the files of cmu after the one that begins.
MAPPINGS: dict[tuple[str, str], dict[str, str]] = {
    ("cmu", "hdm05"): {
        "abdomen": "lowerback",
        "rCollar": "thorax",
        "lCollar": "thorax",
        "rButtock": "root",
        "lButtock": "root",
        "rFoot_end": "rtoes",
        "lFoot_end": "ltoes",
    }
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One training and its rows, or the rows of a training that another piece did.

    Attributes:
        name: file-name safe, one a piece.
        data: dataset trained on.
        split: of it.
        method: trained.
        seed: of everything drawn.
        label: the method's name in the table.
        edits: settings by name.
        on: datasets and splits to measure on; the own split where empty.
        floor: name of its untrained encoder's rows in the table; none are measured where empty. With ``random``, the encoder that
            every line is compared with, the first seed measures the joints themselves, too.
        run: name of the piece that trained what is measured here.
        planted: name of the SkeletonMAE piece whose encoder a fine-tuned network begins with.
    """

    name: str
    data: str
    split: str
    method: str
    seed: int
    label: str
    edits: Mapping[str, Any] = field(default_factory=dict)
    on: tuple[tuple[str, str], ...] = ()
    floor: str = ""
    run: str = ""
    planted: str = ""

    def config(self, out: Path) -> RunConfig:
        """Its settings."""
        base = presets(self.method, "demo", data=self.data, split=self.split)
        edits = {resolve(base, k): v for k, v in self.edits.items()}
        if self.planted:
            edits[resolve(base, "pretrained")] = str(out / "runs" / self.planted)
        return base.edit({**edits, "train.seed": self.seed, "train.threads": 1, "train.refit": True, "train.probe_every": 0})

    def identity(self, out: Path) -> dict[str, Any]:
        """What its rows are the rows of; rows of anything else are refused."""
        config = self.config(out)
        known = {k: v for k, v in asdict(self).items() if k not in ("edits",)}
        own = config if not self.planted else config.edit({resolve(config, "pretrained"): self.planted})  # wherever it lies
        stores = [load(name).fingerprint for name in (self.data, *(name for name, _ in self.on))]
        found: dict[str, Any] = json.loads(json.dumps({**known, "settings": own.hash(), "data": stores}))
        return found


def table(name: str, *, out: str | Path = "results", seeds: int = 3, processes: int = 2, progress: bool = True) -> Table:
    """Run a table, going on with what is there, and write it to ``out`` (``<name>.md``, ``.csv``, ``.json``, ``.html``).

    Args:
        name: one of ``TABLES``.
        out: folder for rows, runs and the table.
        seeds: repetitions, 0, 1, ...
        processes: pieces at a time, one thread each.
        progress: show a bar.

    Raises:
        ConfigError: no such table, no seed or process; or ``out`` holds results of other settings.
        DataError: a dataset is not there; says what to get and how to import it.
    """
    if name not in TABLES:
        raise ConfigError(f"no table called {name!r}; there are: {', '.join(TABLES)}")
    if seeds < 1 or processes < 1:
        raise ConfigError(f"a table needs at least one seed and one process; got {seeds} and {processes}")
    place = Path(out).resolve()
    (place / "rows").mkdir(parents=True, exist_ok=True)
    waves = TABLES[name](seeds)
    found = Table()
    with tqdm(total=sum(map(len, waves)), desc=f"table {name}", disable=not progress) as bar:
        for wave in waves:  # the pieces of a wave need nothing of each other, only of the waves before
            jobs = [(piece, str(place)) for piece in wave]
            for piece, _ in in_processes(_do, jobs, processes, done=_is_done):
                found.add(_read(piece, place))
                bar.update()
    found = Table([*found, *_floors_elsewhere(found)])
    texts = {"md": found.to_markdown(), "csv": found.to_csv(), "json": found.to_json(), "html": found.to_html()}
    for suffix, text in texts.items():
        (place / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    return found


def methods(seeds: int) -> list[list[Piece]]:
    """Self-supervised methods on four datasets, fine-tuning, and transfer between two of them."""
    learners = ("moco", "halp", "halp3s", "isc", "skeletonmae")
    first: list[Piece] = []
    for store in (playground(progress=False), *map(_needed, REAL)):
        few = len(store) < 500
        splits = [s.name for s in loso_splits(store)] if few else [usual_split(store)]
        for split in splits:
            for seed in range(seeds):
                for method in learners:
                    edits = {**SHORT[method], **(FEW[method] if few else {})}
                    first.append(_piece(store, split, method, seed, edits=edits))
                scratch = {**SHORT["strl"], **(FEW["strl"] if few else {})}
                first.append(_piece(store, split, "strl", seed, label="strl, from scratch", edits=scratch, floor="random"))
    second = [
        replace(p, name=f"{p.name}-planted", label="strl, pre-trained", planted=p.name.replace("-strl-", "-skeletonmae-"), floor="")
        for p in first
        if p.method == "strl"
    ]
    cmu, hdm05 = load("cmu"), load("hdm05")
    as_layout(hdm05, cmu.topology, bodies=cmu.bodies, mapping=MAPPINGS["cmu", "hdm05"])  # here, not in two processes at a time
    folds = tuple(("hdm05", s.name) for s in loso_splits(hdm05))
    second += [replace(p, name=f"{p.name}-on-hdm05", on=folds, run=p.name) for p in first if p.data == "cmu" and p.method != "strl"]
    return [first, second]


def growth(seeds: int) -> list[list[Piece]]:
    """Pre-trained on made-up clips, ever more of them, and on real clips pooled; measured on real people no training has seen."""
    stores = [_needed(name) for name in REAL]
    tests = {s.meta.name: loso_splits(s)[0].name if len(s) < 500 else usual_split(s) for s in stores}
    pooled = pool(stores, "pooled_real", without=tests, progress=False)
    body = common_body()
    made = [retarget(playground(n, progress=n > 2_000), body, f"playground_body_{n}", bodies=1, progress=n > 2_000) for n in SIZES]
    for store in stores:
        as_layout(store, body, bodies=1)  # here, not in two processes at a time
    on, first = tuple(tests.items()), []
    for store in (pooled, *made):
        for seed in range(seeds):
            for method in ("moco", "halp", "isc", "skeletonmae"):
                piece = _piece(store, EVERYTHING, method, seed, edits=_steps(method, len(store)), on=on)
                first.append(piece if store is pooled else replace(piece, floor=""))  # what is untrained has seen neither
    return [sorted(first, key=lambda piece: piece.method == "isc")]  # the longest ones last


def _floors_elsewhere(found: Table) -> list[Row]:
    """The floors of a transfer stand beside every other transfer to the same clips: nothing untrained knows what was trained on."""
    places = {(r.data, r.split, r.protocol) for r in found if " -> " in r.data}
    known = [r for r in found if " -> " in r.data and (r.method.startswith("random") or r.method == "raw")]
    have = {(r.data, r.split, r.protocol) for r in known}
    return [
        replace(r, data=data)
        for data, split, protocol in sorted(places - have)
        for r in known
        if (r.split, r.protocol) == (split, protocol) and r.data.rpartition(" -> ")[2] == data.rpartition(" -> ")[2]
    ]


def _steps(method: str, clips: int) -> dict[str, Any]:
    """About as many steps whatever the number of clips. SkeletonMAE takes 16 clips a step, and so more of them."""
    epochs = max(1, round(STEPS * (32 if method == "skeletonmae" else 64) / clips))
    own: dict[str, Any] = {"epochs": epochs, "drops": (max(1, round(0.75 * epochs)),) if epochs > 1 else ()}
    return {**own, "plain_epochs": max(1, epochs // 2)} if method == "halp" else own


TABLES: dict[str, Callable[[int], list[list[Piece]]]] = {"methods": methods, "growth": growth}


def _piece(store: Store, split: str, method: str, seed: int, **more: Any) -> Piece:
    """HaLP has the encoder of plain contrast; every other encoder stands beside itself untrained."""
    own: dict[str, Any] = {"label": method, "floor": {"moco": "random", "halp": ""}.get(method, f"random ({method})"), **more}
    name = f"{store.path.name}-{split.replace(':', '_')}-{method}-s{seed}"
    return Piece(name=name, data=store.path.name, split=split, method=method, seed=seed, **own)


def _needed(name: str) -> Store:
    try:
        return load(name)
    except DataError as error:
        raise DataError(
            f"{error}. This table measures {', '.join(REAL)}: the CMU and HDM05 motion capture and UI-PRMD as packs of joints, see "
            f"data/README.md; then skelbench data import FOLDER --name {name}"
        ) from error


def _rows_file(piece: Piece, out: str | Path) -> Path:
    return Path(out) / "rows" / f"{piece.name}.json"


def _is_done(job: tuple[Piece, str]) -> bool:
    return _rows_file(*job).exists()


def _do(job: tuple[Piece, str]) -> None:
    """One piece in a process of its own: train (or go on training), measure, leave the rows."""
    piece, out = job[0], Path(job[1])
    torch.set_num_threads(1)
    store, folder = load(piece.data), out / "runs" / (piece.run or piece.name)
    if (folder / "config.json").exists():
        run = open_run(folder)
    else:
        run = start(piece.config(out), store, split=piece.split, folder=folder)
    run.run(progress=False)
    protocols = _protocols(piece, out)
    recipe = presets(piece.method, "paper", data=run.config.data, split=run.config.split)
    differs = [d for d in diff(recipe, run.config) if d.name not in (*BESIDE, "train.probe_every")]
    rows = evaluate(run, protocols=protocols, name=piece.label, differs=differs)
    if piece.floor:
        split = make_split(store, piece.split)
        how: dict[str, Any] = {"protocols": protocols, "preset": run.config.train.normalise}
        beside = floors(store, split, beside=run.config.method_config, seeds=(piece.seed,), **how)
        rows += [replace(r, method=piece.floor) for r in beside if r.method == "random"]
        rows += [r for r in beside if r.method == "raw" and piece.floor == "random" and not piece.seed]
    file = _rows_file(piece, out)
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps({"piece": piece.identity(out), "rows": json.loads(Table(rows).to_json())}))
    os.replace(part, file)


def _protocols(piece: Piece, out: Path) -> Sequence[AnyProtocol]:
    if piece.method == "strl":
        return [OwnClassifier()]
    usual: Iterable[AnyProtocol] = (KNN(), Linear())
    found: list[AnyProtocol] = []
    for data, split in piece.on:
        mapping = mapping_file(piece.data, data, out)
        found += [Transfer(to=data, split=split, protocol=p, mapping=mapping) for p in usual]
    return found or list(usual)


def mapping_file(trained: str, measured: str, out: Path) -> str:
    """Where the mapping from one dataset to the other's skeleton lies; empty where joint names and roles say it."""
    table = MAPPINGS.get((trained, measured))
    if table is None:
        return ""
    file = out / f"{measured}_as_{trained}.json"
    text = json.dumps(table, indent=1)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    return str(file)


def _read(piece: Piece, out: Path) -> Sequence[Row]:
    file = _rows_file(piece, out)
    there = json.loads(file.read_text(encoding="utf-8"))
    if there["piece"] != piece.identity(out):
        raise ConfigError(f"{file} was measured with other settings or on other data; remove {out} or give another out=")
    return Table.from_json(json.dumps(there["rows"])).rows
