"""The widgets' JavaScript. A widget is one ES module; files that several widgets share are put before its own."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PLAYER = ("body.js", "clock.js", "player.js")


def source(*names: str) -> str:
    """Files of this folder as the text of one module, in this order; of their default exports the last one's stays."""
    texts = [(HERE / name).read_text(encoding="utf-8") for name in names]
    shared = ["\n".join(line for line in text.split("\n") if not line.startswith("export default ")) for text in texts[:-1]]
    return "\n".join([*shared, texts[-1]])
