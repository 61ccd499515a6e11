"""What a network costs: parameters and multiply-adds, block by block, and how published figures were counted.

Four numbers go by the name of FLOPs, so each has its own column here:

``multiply_adds``  of the equations as they stand: every convolution, linear layer and sum over joints
``executed``       what is done here, where means are taken before 1x1 convolutions (counted while it runs)
``thop``           what the tool behind many published figures counts: convolutions, linear layers, four per BatchNorm value, but no
                   sums over joints, because it sees no layer there
FLOPs              two per multiply-add

PSUMNet's published 2.7 G is the ``thop`` sum of three streams with two persons. Its published 2.8 M parameters are what comes out
where the counts of the streams are cut (not rounded) to one decimal and then added, 1.4 + 0.9 + 0.5; the true sum is 2.93 M with
60 classes. Its 0.9 M for hand gestures is one stream of 0.97 M, cut.
"""

from __future__ import annotations

import html
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import nn

from skelbench.errors import ConfigError
from skelbench.methods.backbone import backbone
from skelbench.methods.base import Method, evaluating
from skelbench.methods.psumnet import PSUMNet
from skelbench.nets.ctrgcn import CTRGCN, Block
from skelbench.skeleton.streams import stream


@dataclass(frozen=True, kw_only=True)
class Row:
    """One block. Counts are for one clip; None where the equations are not known here.

    Attributes:
        stream: which network.
        block: which piece of it.
        parameters: numbers that are learned.
        multiply_adds: of the equations.
        executed: multiply-adds as they are done here.
        thop: as that tool counts.
    """

    stream: str
    block: str
    parameters: int
    multiply_adds: int | None
    executed: int
    thop: int | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Rows of one method, for one clip of ``frames`` frames with ``bodies`` persons."""

    method: str
    frames: int
    bodies: int
    rows: tuple[Row, ...]

    def streams(self) -> tuple[Row, ...]:
        """One row a stream, ``block`` = all."""
        return tuple(
            _sum(name, "all", [r for r in self.rows if r.stream == name]) for name in dict.fromkeys(r.stream for r in self.rows)
        )

    @property
    def total(self) -> Row:
        """Everything."""
        return _sum("all", "all", self.rows)

    def table(self) -> list[list[str]]:
        """Header, blocks, streams, total, as text."""
        out = [[f.name.replace("_", "-") for f in fields(Row)]]
        rows = [*self.rows, *(self.streams() if len(self.streams()) > 1 else ()), self.total]
        return out + [[_text(getattr(row, f.name)) for f in fields(Row)] for row in rows]

    @property
    def note(self) -> str:
        """What was counted, and how published figures come about."""
        text = f"{self.method}: one clip, {self.frames} frames, {self.bodies} bodies."
        if self.method == PSUMNet.name:
            text += (
                " multiply-adds: the equations; executed: here, means before convolutions; thop: no sums over joints, four per "
                "BatchNorm value. Published for NTU: 2.7 G = thop, 2.8 M = 1.4 + 0.9 + 0.5, each cut to one decimal."
            )
        return text

    def __str__(self) -> str:
        table, out = self.table(), io.StringIO()
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        for line in table:
            cells = (cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
            print("  ".join(cells).rstrip(), file=out)
        return out.getvalue() + self.note

    def _repr_html_(self) -> str:
        head, *lines = ([html.escape(cell) for cell in line] for line in self.table())
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
        return f"<table><tr>{''.join(f'<th>{c}</th>' for c in head)}</tr>{rows}</table><p>{html.escape(self.note)}</p>"


def cost(method: Method) -> Cost:
    """Parameters and multiply-adds of a method's network for one clip of the length it reads.

    Raises:
        ConfigError: a method without a network, or one that does not say what it reads.
    """
    if isinstance(method, PSUMNet):
        rows, bodies = _psumnet(method)
        return Cost(method=method.name, frames=method.config.frames, bodies=bodies, rows=tuple(rows))
    found = backbone(method)
    shape = next(
        (s for net in found.encoder.modules() if isinstance(s := getattr(net, "shape", None), tuple) and len(s) == 3), None
    )
    if shape is None:
        raise ConfigError(f"{method.name!r} has no network whose cost could be counted")
    C, V, M = shape
    x = stream(found.stream, torch.zeros(1, C, found.frames, V, M, device=_device(method)), method.topology)  # type: ignore[arg-type]
    done = _executed(found.encoder, x)
    inside = [(name, module) for name, module in found.encoder.named_children()]
    rows = [
        Row(stream="encoder", block=n, parameters=_size(m), multiply_adds=None, executed=done.get(n, 0), thop=None)
        for n, m in inside
    ]
    left = _size(found.encoder) - sum(r.parameters for r in rows), done[""] - sum(r.executed for r in rows)
    rows.append(Row(stream="encoder", block="own", parameters=left[0], multiply_adds=None, executed=left[1], thop=None))
    return Cost(method=method.name, frames=found.frames, bodies=M, rows=tuple(rows))


def _psumnet(method: PSUMNet) -> tuple[list[Row], int]:
    rows: list[Row] = []
    for name, part in method.parts.items():
        net, head = method.nets[name], method.heads[name]
        assert isinstance(net, CTRGCN) and isinstance(head, nn.Linear)
        C, V, M = net.shape
        T, inputs = method.config.frames, C
        done = _executed(net, torch.zeros(1, C, T, V, M, device=_device(method)))
        norm = Row(stream=name, block="norm", parameters=_size(net.input_norm), multiply_adds=0, executed=0, thop=4 * M * C * V * T)
        rows.append(norm)
        for i, block in enumerate(net.each()):
            convolved, summed, normed, T_out = _counts(block, inputs, net.config.channels[i], net.config.window, T, part.V)
            counts = {"multiply_adds": M * (convolved + summed), "thop": M * (convolved + 4 * normed)}
            rows.append(Row(stream=name, block=f"{i + 1}", parameters=_size(block), executed=done.get(f"blocks.{i}", 0), **counts))
            inputs, T = net.config.channels[i], T_out
        macs = head.in_features * head.out_features
        rows.append(Row(stream=name, block="linear", parameters=_size(head), multiply_adds=macs, executed=macs, thop=macs))
    return rows, M


def _counts(block: Block, inputs: int, width: int, window: int, T: int, V: int) -> tuple[int, int, int, int]:
    """One person: multiply-adds of convolutions, those of sums over joints, values that pass a BatchNorm; frames that come out."""
    R, branches = block.spatial.theta.shape[1], list(block.temporal.branches)
    part, dilated = width // len(branches), len(branches) - 2
    stride = 2 if block.residual is not None and width > inputs else 1
    after = -(-T // stride)
    convolved = 3 * (2 * R * inputs + width * inputs) * T * V + 3 * width * R * V * V  # W1, W2, W3; W4
    summed = 3 * width * T * V * V
    normed = width * T * V
    if block.spatial.shortcut is not None:
        convolved, normed = convolved + inputs * width * T * V, normed + width * T * V
    convolved += (dilated + 1) * part * width * T * V + dilated * part * part * window * after * V + part * width * after * V
    normed += (dilated + 1) * part * T * V + (dilated + 2) * part * after * V
    if block.residual is not None:
        convolved, normed = convolved + inputs * width * after * V, normed + width * after * V
    return convolved, summed, normed, after


def _executed(net: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Multiply-adds of one forward pass by module name, "" for all of it."""
    from torch.utils.flop_counter import FlopCounterMode

    with evaluating(net), torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    top = type(net).__name__
    counts = {str(name): sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    return {"": counts.get("Global", 0)} | {k.removeprefix(f"{top}."): v for k, v in counts.items() if k.startswith(f"{top}.")}


def _sum(stream_name: str, block: str, rows: Iterable[Row]) -> Row:
    rows = list(rows)
    known = all(r.multiply_adds is not None and r.thop is not None for r in rows)
    return Row(
        stream=stream_name,
        block=block,
        parameters=sum(r.parameters for r in rows),
        multiply_adds=sum(r.multiply_adds or 0 for r in rows) if known else None,
        executed=sum(r.executed for r in rows),
        thop=sum(r.thop or 0 for r in rows) if known else None,
    )


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _device(method: Method) -> torch.device:
    return next((p.device for p in method.parameters()), torch.device("cpu"))


def _text(value: str | int | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:,}"
