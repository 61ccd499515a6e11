"""The papers' numbers, and protocols by name."""

import pytest

from skelbench.errors import ConfigError
from skelbench.evaluate import KNN, FineTune, OnNetwork, PaperLinear, SemiSupervised
from skelbench.evaluate.protocols import PROTOCOLS, protocol
from skelbench.evaluate.published import EVIDENCE, find_published, published


def test_every_number_says_where_it_stands_and_is_one_of_a_kind():
    keys = [(p.method, p.data, p.split, p.protocol) for p in published()]
    assert len(set(keys)) == len(keys) > 15
    for p in published():
        assert 0 < p.share < 1 and p.evidence in EVIDENCE and EVIDENCE[p.evidence] in p.known
        assert p.measure in ("accuracy", "mean_class") and p.protocol in ("linear", "1-nn", "fine-tune", "scratch", "classifier")


def test_some_rows_are_those_of_the_tables():
    assert [(p.protocol, p.value) for p in find_published("isc", "ntu60", "xview")] == [("linear", 85.2), ("1-nn", 82.6)]
    assert [p.value for p in find_published("halp", "pku2", "xsub")] == [43.5]
    assert {p.protocol: p.value for p in find_published("skeletonmae", "gym99", "official")} == {"fine-tune": 91.8, "scratch": 86.3}
    assert [p.value for p in find_published("psumnet", "ntu120", "xsub")] == [89.4]
    assert [p.value for p in find_published("brl", "ntu120_3d", "xset@lt100")] == [66.8]
    assert find_published("moco", "ntu60", "xsub") == ()


def test_protocols_by_name():
    for name in PROTOCOLS:
        made = protocol(name)
        told = str(made.describe())
        assert made.name and "\n" not in told and "selection" in told and "trained" in told, name
        assert type(made) is type(protocol(name)) and made == protocol(name)
        assert isinstance(made, OnNetwork) == (name not in ("1-nn", "linear", "paper-linear", "retrieval"))
    assert protocol("20-nn") == KNN(k=20) and protocol("paper-linear") == PaperLinear()
    assert protocol("semi:1,12.5") == SemiSupervised(shares=(0.01, 0.125))
    assert protocol("semi-finetune-any:20") == SemiSupervised(shares=(0.2,), stratified=False, protocol=FineTune())


@pytest.mark.parametrize("name", ["svm", "0-nn", "semi:", "semi:a", "linear:3", "semi:0", "-nn", ""])
def test_wrong_names_are_refused(name):
    with pytest.raises(ConfigError, match=r"no protocol called .*one-shot|k >= 1|above 0"):
        protocol(name)
