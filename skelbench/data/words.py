"""Words from files, made fit to stand in a line: names may hold anything."""

from __future__ import annotations

import re

# Control characters tear a line apart, direction marks turn what stands around them, halves of surrogate pairs cannot be written.
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def plain(words: str) -> str:
    """The words with every character that does harm outside of them replaced by U+FFFD."""
    return HARMFUL.sub("\ufffd", words)


def brief(error: Exception, most: int = 200) -> str:
    """What an error of another library says, in one line and not longer than this: some quote the whole file."""
    words = plain(str(error)) or type(error).__name__
    return words if len(words) <= most else f"{words[:most]}..."
