"""The training loop, all of it: a generator that makes one optimiser step, tells of it, and waits to be asked for the next.

Whoever asks decides the pace: a ``for`` loop, a worker thread, a button. Between two events nothing is half done, so the state may
be saved, edited or copied there, and a run that starts again from a saved state goes on exactly as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from skelbench.errors import RunError
from skelbench.methods.base import Step as Made
from skelbench.skeleton.clip import Batch
from skelbench.train.config import Train
from skelbench.train.events import Epoch, Event, Probe, Step
from skelbench.train.meters import batch_meters
from skelbench.train.state import State


def steps(state: State) -> Iterator[Event]:
    """Train from where ``state`` stands to its last epoch.

    Yields:
        ``Step`` after every optimiser step; after an epoch's last one ``Probe`` where one is due, then ``Epoch``.

    Raises:
        RunError: the loss is not a finite number; the weights are those before that step.
    """
    while state.epoch < state.config.train.epochs:
        if state.batch == 0:
            state.method.begin_epoch(state.epoch)
        for batch in state.batches():  # those of this epoch that have not been used yet
            yield one_step(state, batch.to(state.device))
        every = state.config.train.probe_every
        if every and state.probed < state.epoch and (state.epoch + 1) % every == 0:
            state.probed = state.epoch
            yield probe(state)
        loss, ended = state.loss_sum / max(state.batch, 1), state.epoch
        with torch.no_grad(), state.autocast():
            held_out = state.look() if state.config.train.patience or state.config.train.select else {}
        state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
        if state.config.train.select and state.epoch == state.config.train.epochs:
            state.method.load_state_dict(state.held_out.weights)
        yield Epoch(step=state.step, epoch=ended, loss=loss, held_out=held_out)


def one_step(state: State, batch: Batch) -> Step:
    """Forward, backward, optimiser, ``after_step``; the state moves on by one."""
    train, method = state.config.train, state.method
    lr = learning_rate(train, state.epoch, done=state.step / state.of) * state.held_out.factor
    for group in state.optimiser.param_groups:
        momentum = {"momentum": train.momentum} if train.optimiser == "sgd" else {"betas": (train.momentum, group["betas"][1])}
        group.update(lr=lr, weight_decay=train.weight_decay, **momentum)
    method.train()
    with torch.enable_grad(), state.autocast():
        made = method.step(batch, state.draws)
    loss, parts = numbers(made)
    if not math.isfinite(loss):
        raise RunError(
            f"the loss is {loss} at step {state.step + 1} (epoch {state.epoch}, lr {lr:g}); parts: {parts}. Usually the learning "
            "rate is too high: open_run(folder) goes back to the last checkpoint, run.set(lr=...) lowers it"
        )
    state.optimiser.zero_grad(set_to_none=True)
    made.loss.backward()
    state.optimiser.step()
    with torch.no_grad():
        method.after_step(state.draws)
    state.step, state.batch, state.loss_sum = state.step + 1, state.batch + 1, state.loss_sum + loss
    return Step(
        step=state.step,
        epoch=state.epoch,
        loss=loss,
        parts=parts,
        meters=batch_meters(made.out) if train.meter_every and state.step % train.meter_every == 0 else {},
        lr=lr,
        rows=tuple(batch.rows.tolist()),
        out=made.out,
    )


def numbers(made: Made) -> tuple[float, dict[str, float]]:
    """Loss and parts as Python numbers, fetched from the device in one go."""
    values = torch.stack([torch.as_tensor(v, device=made.loss.device).detach().double() for v in (made.loss, *made.parts.values())])
    loss, *parts = values.tolist()
    return loss, dict(zip(made.parts, parts, strict=True))


def learning_rate(train: Train, epoch: int, *, done: float = 0.0) -> float:
    """``train.lr``, rising in equal steps over the warm-up, divided by ten for every drop that ``epoch`` has reached.

    With ``train.cosine`` also times ``(1 + cos(pi done)) / 2``, where ``done`` is the share of all steps that were made before.
    """
    rise = min(1.0, (epoch + 1) / train.warmup) if train.warmup else 1.0
    fall = (1 + math.cos(math.pi * done)) / 2 if train.cosine else 1.0
    return train.lr * rise * fall * 0.1 ** sum(epoch >= drop for drop in train.drops)


def probe(state: State) -> Probe:
    """1-NN accuracy on validation and the collapse meters, in eval mode; takes nothing from the run's random draws."""
    with torch.no_grad(), state.autocast():
        accuracy, meters, clips = state.probe()
    return Probe(step=state.step, epoch=state.epoch, accuracy=accuracy, meters=meters, clips=clips)
