"""Colours that people with any kind of colour vision can tell apart, readable on white and on a dark page.

Classes follow Okabe and Ito (2008) with the two tones that vanish on one of the backgrounds, yellow and black, replaced. Beyond
seven classes the marker's shape tells them apart as well: colour and shape repeat together only after 42.
"""

from __future__ import annotations

import numpy as np

TEXT = "#7a7d82"  # contrast 4:1 on white and on a dark page
LINE = "#9a9da3"
LEFT, MIDDLE, RIGHT = "#1f83c2", "#7f868f", "#d9661f"
GOOD, BAD = "#1f83c2", "#d9661f"  # kept and dropped, correct and wrong: never red against green
CLASSES = ("#0072b2", "#e08e00", "#00906a", "#c76a9f", "#3d9fd6", "#c84f00", "#6048e8", "#7f7f7f")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "x")
# Low to high by hue, blue to orange, which every eye tells apart; both ends read on white and on a dark page.
RAMP = ("#2f5fd0", "#5b72bd", "#8081a3", "#a38a80", "#c38f54", "#e08e00")


def class_colours(codes: np.ndarray) -> list[str]:
    """Colour of every class number (N,); negative numbers, the unknown, are grey."""
    return [CLASSES[int(c) % (len(CLASSES) - 1)] if c >= 0 else CLASSES[-1] for c in np.asarray(codes)]


def class_shapes(codes: np.ndarray) -> list[str]:
    """Marker of every class number (N,), in plotly's names: another one for every round through the colours."""
    rounds = len(CLASSES) - 1
    return [SHAPES[int(c) // rounds % len(SHAPES)] if c >= 0 else SHAPES[0] for c in np.asarray(codes)]


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1 .. 21 (WCAG 2)."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)
