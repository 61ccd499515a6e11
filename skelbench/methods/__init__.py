"""The methods, by name. One paper, one file."""

from __future__ import annotations

import difflib
import importlib

from skelbench.errors import ConfigError
from skelbench.methods.base import Explanation, Method, Step

METHODS: dict[str, str] = {
    "moco": "skelbench.methods.moco:MoCo",
    "halp": "skelbench.methods.halp:HaLP",
    "halp3s": "skelbench.methods.halp_cmd:HaLP3s",
    "isc": "skelbench.methods.isc:ISC",
    "skeletonmae": "skelbench.methods.skeletonmae:SkeletonMAE",
    "strl": "skelbench.methods.strl:STRL",
    "psumnet": "skelbench.methods.psumnet:PSUMNet",
    "stgcnpp": "skelbench.methods.stgcnpp:OneStream",
    "brl": "skelbench.methods.brl:BRL",
    "mmixer": "skelbench.methods.mmixer:MMixer",
    "deform3d": "skelbench.methods.deform3d:Deform3D",
    "supervised": "skelbench.methods.supervised:Supervised",
    "random": "skelbench.methods.floors:RandomEncoder",
    "raw": "skelbench.methods.floors:Raw",
}


def method(name: str) -> type[Method]:
    """The class of a method, loaded when asked for.

    Raises:
        ConfigError: no such method; the message names the closest ones and lists all.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(str(name).lower(), METHODS, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ConfigError(f"no method called {name!r}.{hint} There are: {', '.join(METHODS)}")
    module, attribute = METHODS[name].split(":")
    found: type[Method] = getattr(importlib.import_module(module), attribute)
    return found


__all__ = ["METHODS", "Explanation", "Method", "Step", "method"]
