"""skelbench: a workbench for skeleton action representation learning.

    import skelbench as sb

    data = sb.load("playground")                 # or anything brought in with sb.import_data
    run = sb.start("halp", data, preset="demo")  # a Run: iterate, play(), pause(), step(), branch()
    run.run()
    sb.compare(run)                              # 1-NN and linear beside the random and raw floors
    sb.SkeletonPlayer(data[0])

Names are looked up when first used, so that importing skelbench costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Batch": "skelbench.skeleton.clip",
    "Clip": "skelbench.skeleton.clip",
    "Topology": "skelbench.skeleton.topology",
    "topologies": "skelbench.skeleton.topology",
    "topology": "skelbench.skeleton.topology",
    "Store": "skelbench.data",
    "describe": "skelbench.data",
    "import_data": "skelbench.data",
    "list_data": "skelbench.data",
    "load": "skelbench.data",
    "make_split": "skelbench.data.splits",
    "methods": "skelbench.methods",
    "hallucinate": "skelbench.methods.halp",
    "Run": "skelbench.train",
    "list_runs": "skelbench.train",
    "open_run": "skelbench.train",
    "presets": "skelbench.train",
    "start": "skelbench.train",
    "compare": "skelbench.evaluate.report",
    "project": "skelbench.explain.project",
    "EmbeddingMap": "skelbench.widgets",
    "PositiveLab": "skelbench.widgets",
    "SkeletonPlayer": "skelbench.widgets",
    "demo": "skelbench.recipes.demo",
    "DataError": "skelbench.errors",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"skelbench has no {name!r}; it has: {', '.join(__all__)}")
    module = importlib.import_module(_WHERE[name])
    value = module if module.__name__ == f"skelbench.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
