"""Everything a run is at one moment: method, optimiser, random draws, place in the data. Made from settings, saved as tensors.

Random draws come from three streams, each seeded from ``train.seed`` and its own name, so that changing one (another batch order,
say) leaves the others alone: ``init`` (first weights), ``order`` (one stream an epoch, so the order of epoch 7 needs no history)
and ``draws`` (augmentation and whatever else a method draws; its place is part of the state).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data.loader import Loader
from skelbench.data.repeats import Repeats
from skelbench.data.splits import Split, make_split
from skelbench.data.store import Store
from skelbench.errors import ConfigError, RunError
from skelbench.methods.base import Method
from skelbench.parts.nearest import nearest
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.normalise import to_apply
from skelbench.train.config import RunConfig, Train, method_class
from skelbench.train.held_out import HeldOut, judged
from skelbench.train.meters import collapse, embed

Counters = dict[str, Any]
# What an optimiser remembers of a parameter, and how a checkpoint calls it.
_MEMORY = {
    "sgd": {"momentum_buffer": "momentum"},
    "adam": {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "step": "step"},
}


@dataclass(kw_only=True)
class State:
    """A run between two steps.

    Attributes:
        step: optimiser steps made.
        epoch: epoch that goes on, counted from 0.
        batch: batches of it that have been used.
        loss_sum: of those batches.
        probed: last epoch that was probed, -1 none.
        sets: live settings changed so far.
        held_out: what validation has decided, where it does.
    """

    config: RunConfig
    store: Store
    split: Split
    method: Method
    optimiser: torch.optim.Optimizer
    draws: torch.Generator
    device: torch.device
    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    probed: int = -1
    sets: int = 0
    repeats: Repeats | None = None
    held_out: HeldOut = field(default_factory=HeldOut)
    _loaders: dict[tuple[str, int], Loader] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> np.ndarray:
        """Rows trained on; a method that reads no labels also sees the clips that no protocol measures."""
        rows = self.split.train_all if self.config.train.refit else self.split.train
        return rows if self.method.supervised else np.sort(np.concatenate([rows, self.split.extra]))

    @property
    def loader(self) -> Loader:
        """The training clips, in batches; made at first use."""
        return self._load("train", self.rows, self.config.train.batch)

    @property
    def shown(self) -> int:
        """Clips that an epoch has to show, one as often as the method asks for it."""
        return len(self.rows) if self.repeats is None else self.repeats.total

    @property
    def per_epoch(self) -> int:
        """Batches of one epoch."""
        return self.shown // self.config.train.batch

    @property
    def of(self) -> int:
        """Steps in all: those made and those to come."""
        left = self.config.train.epochs - self.epoch
        return self.step + (left * self.per_epoch - self.batch if left > 0 else 0)

    def batches(self) -> Iterator[Batch]:
        """What is left of the current epoch, in its order."""
        # The order of an epoch hangs on the seed and its number alone.
        order = generator(self.config.train.seed, f"order {self.epoch}")
        return self.loader.epoch(order, skip=self.batch)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 forward passes where the settings ask for them."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.train.precision == "bf16")

    def probe(self) -> tuple[float | None, dict[str, float], tuple[int, int]]:
        """(1-NN accuracy on validation or None, collapse meters, (gallery, queries) sizes)."""
        limit = self.config.train.probe_clips
        half = limit and max(limit // 2, 1)
        held_out = np.zeros(0, np.int64) if self.config.train.refit else labelled(self.store, self.split.validation, half)
        gallery = labelled(self.store, self.rows, limit)
        if not len(held_out) or not len(gallery):
            rows = held_out if len(held_out) else some(self.rows, half)
            return None, collapse(thinned(self._features("looked at", rows)[0])), (0, len(rows))
        known, names = self._features("gallery", gallery)
        asked, answers = self._features("queries", held_out)
        found = nearest(asked, known).rows[:, 0]
        return float((names[found] == answers).double().mean()), collapse(thinned(asked)), (len(gallery), len(held_out))

    def look(self) -> dict[str, float]:
        """Loss and accuracy on validation, taken in by ``held_out``."""
        rows, train = labelled(self.store, self.split.validation, 0), self.config.train
        loss, accuracy = judged(self.method, self._load("held out", rows, 256).batches(), self.device)
        kept = self.method if train.select else None
        self.held_out.see(self.epoch, loss, accuracy, patience=train.patience, method=kept)
        return {"loss": loss, "accuracy": accuracy}

    def _features(self, name: str, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return embed(self.method, self._load(name, rows, 256).batches(), self.device)

    def _load(self, name: str, rows: np.ndarray, size: int) -> Loader:
        """The loader of that name, made once: it may keep its normalised clips."""
        key = (name, len(rows))
        if key not in self._loaders:
            preset, train = self.config.train.normalise, name == "train"
            repeats = self.repeats if train else None
            how: dict[str, Any] = {"preset": preset, "shuffle": train, "drop_last": train, "repeats": repeats}
            how["frames"] = self.method.pictures
            self._loaders[key] = Loader(self.store, rows, batch_size=size, **how)
        return self._loaders[key]

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Tensor], Counters]:
        """Weights with all buffers, optimiser tensors (``momentum/<parameter>`` ..., ``draws``), and the counters."""
        weights = self.method.state_dict()
        wrong = [k for k, v in weights.items() if not isinstance(v, Tensor)]
        if wrong:
            raise RunError(f"{self.method.name} keeps {wrong[0]!r} in its state, which is no tensor; register it as a buffer")
        tensors = {"draws": self.draws.get_state(), **{f"best/{name}": held for name, held in self.held_out.weights.items()}}
        for name, parameter in trainable(self.method).items():
            for key, kind in _MEMORY[self.config.train.optimiser].items():
                if (held := self.optimiser.state.get(parameter, {}).get(key)) is not None:
                    tensors[f"{kind}/{name}"] = held
        return weights, tensors, self.counters()

    def counters(self) -> Counters:
        """Where it stands, in plain numbers."""
        counted: Counters = {name: getattr(self, name) for name in ("step", "epoch", "batch", "loss_sum", "probed", "sets")}
        return counted if self.held_out.epoch < 0 else {**counted, "held_out": self.held_out.counters()}

    def restore(self, weights: dict[str, Tensor], tensors: dict[str, Tensor], counters: Counters) -> None:
        """Become what ``snapshot`` saw.

        Raises:
            RunError: the tensors are of another method, skeleton or size; the message names the first that does not fit.
        """
        for name in ("step", "epoch", "batch", "probed", "sets"):
            setattr(self, name, int(counters[name]))
        self.loss_sum = float(counters["loss_sum"])
        if self.batch:  # stages that hang on the epoch, before the buffers they may touch are put back
            self.method.begin_epoch(self.epoch)
        fits(weights, self.method.state_dict())
        self.method.load_state_dict(weights)
        parameters = trainable(self.method)
        self.optimiser.state.clear()
        for key, kind in _MEMORY[self.config.train.optimiser].items():
            memory = {k.removeprefix(f"{kind}/"): v for k, v in tensors.items() if k.startswith(f"{kind}/")}
            like = {name: p.new_zeros(()) if kind == "step" else p for name, p in parameters.items()}
            fits({name: memory.get(name, p) for name, p in like.items()} | memory, dict(like))
            for name, held in memory.items():
                p = parameters[name]
                moved = held.clone() if kind == "step" else held.to(device=p.device, dtype=p.dtype).clone()
                self.optimiser.state[p][key] = moved
        best = {name.removeprefix("best/"): held.to(self.device) for name, held in tensors.items() if name.startswith("best/")}
        if best:
            fits(best, self.method.state_dict())
        self.held_out = HeldOut.of(counters.get("held_out", {}), best)
        self.draws.set_state(tensors["draws"].clone())


def prepare(config: RunConfig, store: Store) -> State:
    """A run that has made no step yet.

    Raises:
        ConfigError: a setting does not fit the data or this machine.
    """
    method, train = method_class(config.method), config.train
    if not method.trains:
        raise ConfigError(f"{config.method!r} has nothing to train; its features can be evaluated as they are (skelbench.evaluate)")
    device = find_device(train.device)
    if train.precision == "bf16" and not has_bf16(device):
        raise ConfigError(f"precision = 'bf16': this {device.type} has no bfloat16 arithmetic; take 'fp32'")
    to_apply(train.normalise, store.meta.presets, where=repr(config.data))  # refuses before anything is written
    split = make_split(store, config.split)
    if train.patience or train.select:
        if not method.supervised:
            raise ConfigError(f"train.patience and train.select need a method with labels; {config.method!r} has none")
        if train.refit or not len(labelled(store, split.validation, 0)):
            why = "train.refit trains on them" if train.refit else f"split {config.split!r} keeps none with a label"
            raise ConfigError(f"train.patience and train.select look at validation clips, and {why}; set patience=0, select=False")
    built = method.build(
        config.method_config,
        topology=store.topology,
        bodies=store.bodies,
        coordinates=store.coordinates,
        classes=len(store.classes),
        generator=generator(train.seed, "init"),
    ).to(device)
    optimiser = find_optimiser(train, list(trainable(built).values()))
    draws = generator(train.seed, "draws")
    state = State(config=config, store=store, split=split, method=built, optimiser=optimiser, draws=draws, device=device)
    labels = store.labels[state.rows]
    times = built.meet(torch.from_numpy(np.asarray(labels, np.int64)), tuple(store.classes))
    state.repeats = None if times is None else Repeats(times.cpu().numpy(), labels)
    if state.per_epoch < 1:
        raise ConfigError(
            f"train.batch = {train.batch}, but split {config.split!r} of {config.data!r} has {state.shown} training clips: not "
            f"one full batch. Take a batch of {max(state.shown, 2)} at most"
        )
    return state


def generator(seed: int, stream: str) -> torch.Generator:
    """The random stream of that name; streams of one seed are unrelated."""
    digest = hashlib.sha256(f"{seed} {stream}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def find_optimiser(train: Train, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser the settings name, with nothing remembered yet."""
    if train.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=train.lr, betas=(train.momentum, 0.999), weight_decay=train.weight_decay)
    return torch.optim.SGD(
        parameters, lr=train.lr, momentum=train.momentum, weight_decay=train.weight_decay, nesterov=train.nesterov
    )


def trainable(method: Method) -> dict[str, torch.nn.Parameter]:
    """Parameters that take a gradient, by name."""
    return {name: p for name, p in method.named_parameters() if p.requires_grad}


def fits(given: dict[str, Tensor], wanted: dict[str, Any]) -> None:
    """Raise RunError unless both hold the same names and shapes."""
    for name, tensor in wanted.items():
        if name not in given:
            raise RunError(f"tensor {name!r} {tuple(tensor.shape)} is missing")
        if given[name].shape != tensor.shape:
            raise RunError(f"tensor {name!r} has shape {tuple(given[name].shape)}, wanted {tuple(tensor.shape)}")
    extra = [name for name in given if name not in wanted]
    if extra:
        raise RunError(f"tensor {extra[0]!r} belongs to nothing in this method")


def find_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one. Raises ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"train.device = {name!r}: not there ({str(error).splitlines()[0]}); take 'auto' or 'cpu'") from error
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself (a GPU of 2020 or later; a CPU with avx512_bf16 or amx_bf16)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def some(rows: np.ndarray, limit: int) -> np.ndarray:
    """At most ``limit`` of the rows (0 all), the same ones every time."""
    if not limit or len(rows) <= limit:
        return rows
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])]


def thinned(x: Tensor, rows: int = 1024) -> Tensor:
    """About so many rows of (N, D), evenly taken: the meters look at pairs."""
    return x[:: max(1, len(x) // rows)]


def labelled(store: Store, rows: np.ndarray, limit: int) -> np.ndarray:
    """At most ``limit`` of the rows that carry a label."""
    return some(rows[store.index["label"][rows] >= 0], limit)
