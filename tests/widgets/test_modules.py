"""Several files, one ES module."""

import pytest

from skelbench.widgets.modules import HERE, PLAYER, source
from skelbench.widgets.player import SkeletonPlayer


def test_shared_files_come_first_and_one_default_export_stays():
    text = source(*PLAYER)
    assert text.index("function project(") < text.index("class Clock") < text.index("class View")
    assert text.count("\nexport default ") == 1 and text.rstrip().endswith("export default { render };")
    assert SkeletonPlayer._esm == text
    longer = source(*PLAYER, "positive_lab.js")  # any module may stand behind: the last one speaks for all
    assert longer.count("\nexport default ") == 1


def test_a_missing_file_is_named():
    assert (HERE / "player.js").is_file()
    with pytest.raises(FileNotFoundError, match=r"nobody\.js"):
        source("nobody.js", "player.js")
