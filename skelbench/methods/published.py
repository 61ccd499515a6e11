"""From the names and layouts of released files to ours, tensor by tensor; what does not fit is told, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from skelbench.errors import RunError

Sources = Callable[[str], tuple[str, ...]]


def translated(
    path: Path,
    given: Mapping[str, Tensor],
    ours: Mapping[str, Tensor],
    sources: Sources,
    *,
    optional: frozenset[str] = frozenset(),
    turned: bool = True,
) -> dict[str, Tensor]:
    """A state dict for a method that now holds ``ours``.

    Queues are stored there with a key a column, pointers as (1,), convolutions along frames with kernels (k, 1) instead of
    (1, k), and the three subsets of a graph convolution one by one.

    Args:
        path: of the file, for the message.
        given: what it holds.
        ours: what the method holds; a tensor the file lacks on purpose keeps its value.
        sources: their names for one of ours: one, or the subsets that are stacked; none where no released file stores it.
        optional: their names that may be missing, and may be there when nobody asks for them.
        turned: whether kernels along frames, (k, 1) there, are (1, k) in ours; else they are as they are there.

    Raises:
        RunError: names are missing, unknown, or of other shapes; all are listed.
    """
    state: dict[str, Tensor] = {}
    missing, wrong, used = [], [], set(optional)
    for name, present in ours.items():
        names = sources(name)
        absent = [key for key in names if key not in given]
        used |= set(names)
        state[name] = present
        missing += [key for key in absent if key not in optional]
        if absent or not names:
            continue
        shapes = {key: stored_shape(name, key, present, len(names), turned=turned) for key in names}
        odd = [f"{key} is {tuple(given[key].shape)}, wanted {shape}" for key, shape in shapes.items() if given[key].shape != shape]
        wrong += odd
        if not odd:
            state[name] = as_ours(name, [given[key] for key in names], present)
    extra = [key for key in given if key not in used]
    if missing or wrong or extra:
        told = [("missing", missing), ("of the wrong shape", wrong), ("not known", extra)]
        raise RunError(f"{path}: does not fit. " + "; ".join(f"{what}: {', '.join(keys)}" for what, keys in told if keys))
    for name in state:
        if name.endswith(".pointer"):
            state[name] = state[name] % len(state[name.removesuffix("pointer") + "keys"])
    return state


def stored_shape(name: str, key: str, present: Tensor, parts: int, *, turned: bool = True) -> tuple[int, ...]:
    """Shape that a tensor of ours has in their file."""
    shape = tuple(present.shape)
    if name.endswith(".pointer"):
        return (1,)
    if parts > 1:
        return shape[1:] + ((1, 1) if key.endswith("weight") else ())
    if name.endswith(".keys"):
        return shape[::-1]
    return (*shape[:2], shape[3], shape[2]) if turned and len(shape) == 4 else shape


def as_ours(name: str, values: list[Tensor], present: Tensor) -> Tensor:
    """Their tensor, or tensors, in our layout and type."""
    if len(values) > 1:
        value = torch.stack([v.flatten(1) if v.ndim == 4 else v for v in values])
    elif name.endswith(".keys"):
        value = values[0].T
    elif values[0].ndim == 4 and values[0].shape != present.shape:
        value = values[0].transpose(2, 3)
    else:
        value = values[0].reshape(present.shape)
    return value.to(present.dtype)
