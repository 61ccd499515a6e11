"""Words from files, made fit to stand in a line: names may hold anything."""

from __future__ import annotations

import re

# Control characters tear a line apart, direction marks turn what stands around them, halves of surrogate pairs cannot be written.
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def plain(words: str) -> str:
    """The words with every character that does harm outside of them replaced by U+FFFD."""
    return HARMFUL.sub("\ufffd", words)
