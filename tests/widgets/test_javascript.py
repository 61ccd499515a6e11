"""The pure functions of the widgets' JavaScript, run under node against numbers from numpy."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets.scene import plain_scene, upright

HERE = Path(__file__).parent / "js"
NODE = shutil.which("node")


def text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Half-precision numbers, and one packed scene with what it was packed from."""
    layout = topology("kinect_v2_25")
    joints = np.random.default_rng(0).normal(size=(6, 2, 25, 3)).astype(np.float32) + np.float32([3, 1, -2])
    joints[2:4, 1] = 0
    clip = Clip(joints=joints, topology=layout, id="one")
    heat = np.linspace(0, 1, 25)
    plain = upright(clip)
    middle = np.quantile(plain[np.isfinite(plain).all(axis=3)], [0.002, 0.998], axis=0).mean(axis=0)
    table = {
        "halves": text(np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)),
        "scene": plain_scene([clip, clip], colour=[heat, None], face=False),
        "joints": text((plain - middle.astype(np.float32)).astype(np.float32)),
        "heat": np.round(heat[:3] * 255).astype(int).tolist(),
    }
    file = tmp_path / "numbers.json"
    file.write_text(json.dumps(table))
    return file


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("script", sorted(p.name for p in HERE.glob("*.test.mjs")))
def test_javascript(script: str, numbers: Path) -> None:
    assert NODE is not None
    environment = {**os.environ, "SKELBENCH_JS_FIXTURE": str(numbers)}
    done = subprocess.run([NODE, "--test", str(HERE / script)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout and "# pass 0" not in done.stdout
