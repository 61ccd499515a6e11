"""Protocols on frozen features, one a file, and the table they end in.

``compare(run)`` is the whole of it: the run under every protocol, beside the untrained encoder and the raw joints.
"""

from skelbench.evaluate.features import Features, extract
from skelbench.evaluate.knn import KNN, Nearest, nearest
from skelbench.evaluate.linear import Linear, PaperLinear
from skelbench.evaluate.report import Estimate, Line, Table, compare
from skelbench.evaluate.retrieval import Retrieval, Retrieved
from skelbench.evaluate.rows import FLOORS, Row, evaluate, floors, row_of
from skelbench.evaluate.score import Description, Measure, OnNetwork, Protocol, Score
from skelbench.evaluate.trial import Parts, Trial, extract_parts, run_protocol

__all__ = [
    "FLOORS",
    "KNN",
    "Description",
    "Estimate",
    "Features",
    "Line",
    "Linear",
    "Measure",
    "Nearest",
    "OnNetwork",
    "PaperLinear",
    "Parts",
    "Protocol",
    "Retrieval",
    "Retrieved",
    "Row",
    "Score",
    "Table",
    "Trial",
    "compare",
    "evaluate",
    "extract",
    "extract_parts",
    "floors",
    "nearest",
    "row_of",
    "run_protocol",
]
