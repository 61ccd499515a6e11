"""JupyterLab on loopback with a token, a headless Chromium, and a page that may talk to that server only.

Set SKELBENCH_SHOTS to a folder to keep a screenshot of every page, in both themes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUIET = ("quic", "background-networking", "component-update", "sync")
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # else a pop-up covers the page
    "apputils-extension/themes": {"adaptive-theme": True},  # light or dark as the browser says
    "notebook-extension/tracker": {"windowingMode": "defer"},  # all cells stay attached
}

OUTPUTS = "[...document.querySelectorAll('.jp-OutputArea-output .jp-RenderedText, .jp-OutputArea-output.jp-RenderedText')]"
SPOT = """i => {
  const plot = document.querySelector('.skelbench-map .js-plotly-plot'), layout = plot._fullLayout, trace = plot._fullData[0];
  const box = plot.getBoundingClientRect();
  return [box.left + layout._size.l + layout.xaxis.d2p(trace.x[i]), box.top + layout._size.t + layout.yaxis.d2p(trace.y[i])];
}"""


@dataclass
class Lab:
    """A running JupyterLab whose files are in ``root``."""

    root: Path
    url: str
    token: str


@dataclass
class Sheet:
    """A page with one notebook in it, and everything that went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def data(self, selector: str) -> dict[str, str]:
        """The counters a widget keeps on its element."""
        return self.page.eval_on_selector(selector, "node => ({...node.dataset})")

    def until(self, condition: str, argument: Any = None, *, seconds: float = 20) -> None:
        """Wait for a condition of the page; what the widgets say of themselves stands in the error."""
        try:
            self.page.wait_for_function(condition, arg=argument, timeout=1000 * seconds)
        except Exception as error:
            state = self.page.evaluate("() => [...document.querySelectorAll('[class^=skb-]')].map(n => ({...n.dataset}))")
            state = [s for s in state if s]
            raise AssertionError(f"{condition} with {argument!r} did not come true: {state} {self.errors}") from error

    def idle(self) -> None:
        """Wait until the kernel says it is idle; running sooner races its start."""
        self.until("() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.textContent ?? '')", seconds=60)

    def run_all(self, last: str, *, seconds: float = 90) -> None:
        """Run All Cells and wait for a line of output."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.output(last, seconds=seconds)

    def reload(self) -> None:
        """Save the notebook and load the page anew; the kernel runs on."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.wait_for_timeout(500)
        self.page.goto(self.page.url.split("?")[0])
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)

    def output(self, text: str, *, seconds: float = 30) -> None:
        """Wait for a text inside an output area; a plain search would find the source of the cell."""
        self.appears(f"t => {OUTPUTS}.some(o => o.textContent.includes(t))", text, seconds=seconds)

    def appears(self, condition: str, argument: Any = None, *, seconds: float = 30) -> None:
        """Wait for something that cells bring about; a traceback ends the wait at once."""
        failed = f"{OUTPUTS}.filter(o => /Traceback/.test(o.textContent))"
        try:
            self.until(f"a => ({condition})(a) || {failed}.length", argument, seconds=seconds)
        except Exception as error:
            said = self.page.evaluate(f"() => {OUTPUTS}.map(o => o.textContent).join('\\n---\\n')")
            raise AssertionError(f"{condition} {argument!r} never came true; outputs:\n{said[-3000:]}\n{self.errors}") from error
        assert not self.page.evaluate(f"() => {failed}.map(o => o.textContent)")

    def centre(self, selector: str) -> tuple[float, float]:
        """Middle of an element that has been scrolled into view."""
        node = self.page.locator(selector).first
        node.scroll_into_view_if_needed()
        box = node.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def spot(self, point: int) -> tuple[float, float]:
        """Where a point of the map stands on the screen."""
        self.page.locator(".skelbench-map .js-plotly-plot").scroll_into_view_if_needed()
        x, y = self.page.evaluate(SPOT, point)
        return x, y

    def clean(self) -> None:
        """Nothing was fetched from elsewhere and no script failed."""
        assert self.strangers == []
        assert self.errors == []


def _chromium() -> str:
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("browser tests need Chromium on PATH: apt-get install chromium")
    if found is None:
        pytest.skip("no Chromium on PATH")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home, root = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("notebooks")
    for name, settings in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "SKELBENCH_DATA": "stores",
        "SKELBENCH_RUNS": "runs",
    }
    environment = {**os.environ, **{k: str(home / v) for k, v in folders.items()}}
    environment |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "SKELBENCH_SMOKE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": root,
        "IdentityProvider.token": token,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *(f"--{k}={v}" for k, v in options.items())]
    log = home / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=root)
    try:
        _wait(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield Lab(root=root, url=f"http://127.0.0.1:{port}", token=token)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            pytest.fail(f"JupyterLab stopped at once:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer within {seconds:.0f} s:\n{log.read_text()[-3000:]}")


@pytest.fixture
def sheet(lab: Lab, browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Sheet]]:
    """``sheet(path, dark=False)`` opens a notebook of the server and waits for its kernel."""
    opened: list[tuple[Any, Sheet]] = []

    def open_notebook(path: str, *, dark: bool = False) -> Sheet:
        context = browser.new_context(viewport={"width": 1500, "height": 1000}, color_scheme="dark" if dark else "light")
        page = context.new_page()
        made = Sheet(page=page)
        opened.append((context, made))
        page.on("pageerror", lambda error: made.errors.append(str(error)))
        page.route("**/*", lambda route: _only(route, lab.url, made))
        page.goto(f"{lab.url}/lab/tree/{path}?token={lab.token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        made.idle()
        return made

    yield open_notebook
    shots = os.environ.get("SKELBENCH_SHOTS")
    for i, (context, made) in enumerate(opened):
        if shots:
            Path(shots).mkdir(parents=True, exist_ok=True)
            made.page.screenshot(path=Path(shots) / f"{request.node.name}-{i}.png")
        context.close()


def _only(route: Any, home: str, sheet: Sheet) -> None:
    url = route.request.url
    if url.startswith((home, home.replace("http", "ws"), "data:", "blob:")):
        route.continue_()
    else:
        sheet.strangers.append(url)
        route.abort()
