"""A trained network as an ONNX file, checked against PyTorch on the spot, with the time both take.

What is exported maps prepared clips to class scores, or to features where the method has no labels. Prepared means: normalised with
the preset of the run, then cropped and brought to the length the network reads. Streams (bones, velocities, parts) are inside.
"""

from __future__ import annotations

import html
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError, RunError
from skelbench.methods.backbone import backbone
from skelbench.methods.base import Method, evaluating
from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.supervised import Supervised
from skelbench.skeleton.streams import stream
from skelbench.train import Run, open_run

TOLERANCE = 1e-4  # of the largest output


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how it compares.

    Attributes:
        file: the ONNX file.
        inputs: shape of what goes in (clips, C, T, V, M); any number of clips.
        outputs: what comes out, ``logits`` or ``features``, and how wide.
        difference: largest difference to PyTorch, as a share of the largest output.
        torch_ms: milliseconds a clip in PyTorch, best of several, one thread.
        onnx_ms: the same in onnxruntime.
        clips: clips a call they were timed with.
    """

    file: Path
    inputs: tuple[int, ...]
    outputs: tuple[str, int]
    difference: float
    torch_ms: float
    onnx_ms: float
    clips: int

    def rows(self) -> dict[str, str]:
        """Terms and values."""
        C, T, V, M = self.inputs[1:]
        return {
            "file": f"{self.file} ({self.file.stat().st_size / 2**20:.1f} MiB)",
            "input": f"joints (clips, C={C}, T={T}, V={V}, M={M}) float32, normalised, cropped and resized",
            "output": f"{self.outputs[0]} (clips, {self.outputs[1]})",
            "largest difference": f"{self.difference:.1e} of the largest output",
            "PyTorch": f"{self.torch_ms:.2f} ms a clip, {self.clips} at a time, one thread",
            "onnxruntime": f"{self.onnx_ms:.2f} ms a clip ({self.torch_ms / self.onnx_ms:.2f} x as fast)",
        }

    def __str__(self) -> str:
        return "\n".join(f"{term:20} {value}" for term, value in self.rows().items())

    def _repr_html_(self) -> str:
        rows = (f"<tr><th style='text-align:left'>{k}</th><td>{html.escape(v)}</td></tr>" for k, v in self.rows().items())
        return f"<table>{''.join(rows)}</table>"


class Deployed(nn.Module):
    """What a method does with prepared clips (N, C, T, V, M): logits of a classifier, features of the others."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self.frames: int
        if isinstance(method, PSUMNet):
            self.frames = method.config.frames
        else:
            found = backbone(method)  # says itself where there is none
            self.encoder, self.frames, self.stream = found.encoder, found.frames, found.stream

    @property
    def name(self) -> str:
        """What comes out."""
        return "logits" if isinstance(self.method, PSUMNet | Supervised) else "features"

    def forward(self, joints: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, classes) or (N, D)."""
        method = self.method
        if isinstance(method, PSUMNet):
            return method.fused(method.scored(method.encode(joints[:, : method.coordinates])))
        features: Tensor = self.encoder(stream(self.stream, joints, method.topology))  # type: ignore[arg-type]
        return method.head(features) if isinstance(method, Supervised) else features


def export_onnx(what: Run | Method | str | Path, file: str | Path, *, clips: int = 8, seed: int = 0) -> Exported:
    """Write a trained network as ONNX and run it beside PyTorch.

    Args:
        what: a run, its folder, or a method.
        file: to write, ending in .onnx; replaced where it is there.
        clips: clips a call of the comparison; the file takes any number.
        seed: of the made-up clips that are compared.

    Raises:
        ConfigError: the packages of the extra ``onnx`` are not installed, or the method has no network that reads clips.
        RunError: the network cannot be traced, or the file gives other numbers; nothing is left behind.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter writes with it)
    except ImportError as error:
        raise ConfigError(f"export needs the package {error.name!r}: pip install 'skelbench[onnx]'") from error
    file = Path(file)
    if file.suffix != ".onnx" or not file.parent.is_dir():
        raise ConfigError(f"{file}: wanted a file that ends in .onnx, in a folder that is there")
    run = open_run(what, device="cpu") if isinstance(what, str | Path) else what if isinstance(what, Run) else None
    method = run.method if run is not None else what
    assert isinstance(method, Method)
    deployed = Deployed(method).cpu().float()
    about = {"method": method.name, "output": deployed.name} | ({} if run is None else _about(run))
    x = torch.randn(clips, *_shape(method, deployed), generator=torch.Generator().manual_seed(seed))
    made = file.with_name(f".{file.name}.making")
    try:
        with evaluating(deployed), torch.no_grad():
            wanted = deployed(x)
            _trace(deployed, x, made, about, onnx)
            session = onnxruntime.InferenceSession(str(made), _one_thread(onnxruntime), providers=["CPUExecutionProvider"])
            found = session.run(None, {"joints": x.numpy()})[0]
            difference = float(np.abs(found - wanted.numpy()).max() / max(float(wanted.abs().max()), 1e-12))
            if not difference <= TOLERANCE:
                raise RunError(f"{file}: onnxruntime gives other numbers than PyTorch (by {difference:.1e}); nothing was written")
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                times = _best(lambda: deployed(x), lambda: session.run(None, {"joints": x.numpy()}))
            finally:
                torch.set_num_threads(threads)
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)
    sizes = {"inputs": tuple(x.shape), "outputs": (deployed.name, wanted.shape[1]), "clips": clips}
    each = [1e3 * seconds / clips for seconds in times]
    return Exported(file=file, difference=difference, torch_ms=each[0], onnx_ms=each[1], **sizes)  # type: ignore[arg-type]


def _shape(method: Method, deployed: Deployed) -> tuple[int, int, int, int]:
    """(C, T, V, M) of what the network reads, from its first BatchNorm or its own word."""
    for net in deployed.modules():
        shape = getattr(net, "shape", None)
        if isinstance(shape, tuple) and len(shape) == 3:
            C, _, M = shape
            C = method.coordinates if isinstance(method, PSUMNet) else C
            return C, deployed.frames, method.topology.V, M  # type: ignore[union-attr,return-value]
    raise ConfigError(
        f"{method.name!r} does not say for how many bodies and coordinates its network was made; it cannot be exported"
    )


def _trace(deployed: Deployed, x: Tensor, file: Path, about: dict[str, Any], onnx: Any) -> None:
    """Write the network with what is known of it; any number of clips, but the other axes as they are."""
    names: dict[str, Any] = {"input_names": ["joints"], "output_names": [deployed.name]}
    try:
        with torch.no_grad():
            free = {"joints": {0: torch.export.Dim("clips")}}
            torch.onnx.export(
                deployed, (x,), str(file), dynamic_shapes=free, dynamo=True, external_data=False, verbose=False, **names
            )
    except Exception as error:  # the exporter has an error for everything it does not know
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RunError(
            f"the network of {deployed.method.name!r} cannot be traced for ONNX: {reason}. A forward pass must not branch on the "
            "numbers it computes; export another method, or keep this one in PyTorch"
        ) from error
    model = onnx.load(str(file))
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _about(run: Run) -> dict[str, Any]:
    """What a reader of the file must know of the run."""
    config = run.config
    return {"normalise": config.train.normalise, "classes": list(run.store.classes), "settings": config.to_dict()}


def _one_thread(onnxruntime: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _best(*calls: Callable[[], object], rounds: int = 5) -> list[float]:
    """Best time of each call in seconds, taken in turns."""
    best = [math.inf] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best
