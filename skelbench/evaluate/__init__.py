"""Protocols, one a file, and the table they end in.

``compare(run)`` is the whole of it: the run under every protocol, beside the untrained encoder and the raw joints.
"""

from skelbench.evaluate.features import Features, extract
from skelbench.evaluate.finetune import FineTune
from skelbench.evaluate.fusion import Fusion
from skelbench.evaluate.knn import KNN, Nearest, nearest
from skelbench.evaluate.linear import Linear, PaperLinear
from skelbench.evaluate.longtail import LongTail, LongTailed
from skelbench.evaluate.oneshot import OneShot
from skelbench.evaluate.own_classifier import OwnClassifier
from skelbench.evaluate.report import compare
from skelbench.evaluate.retrieval import Retrieval, Retrieved
from skelbench.evaluate.rows import FLOORS, Row, evaluate, floors, row_of
from skelbench.evaluate.score import AnyProtocol, Description, Measure, OnNetwork, Protocol, Score
from skelbench.evaluate.semi import SemiSupervised
from skelbench.evaluate.streams import Streams, StreamScores
from skelbench.evaluate.table import Estimate, Line, Table
from skelbench.evaluate.transfer import Transfer
from skelbench.evaluate.trial import Parts, Trial, extract_parts, run_protocol
from skelbench.evaluate.views_linear import ViewsLinear

__all__ = [
    "FLOORS",
    "KNN",
    "AnyProtocol",
    "Description",
    "Estimate",
    "Features",
    "FineTune",
    "Fusion",
    "Line",
    "Linear",
    "LongTail",
    "LongTailed",
    "Measure",
    "Nearest",
    "OnNetwork",
    "OneShot",
    "OwnClassifier",
    "PaperLinear",
    "Parts",
    "Protocol",
    "Retrieval",
    "Retrieved",
    "Row",
    "Score",
    "SemiSupervised",
    "StreamScores",
    "Streams",
    "Table",
    "Transfer",
    "Trial",
    "ViewsLinear",
    "compare",
    "evaluate",
    "extract",
    "extract_parts",
    "floors",
    "nearest",
    "row_of",
    "run_protocol",
]
