"""Folders that appear whole or not at all, also when a process is killed at the worst moment."""

import os
import signal
import subprocess
import sys

import pytest

from skelbench.data import folders
from skelbench.data.folders import clear_leftovers, new_folder, scratch
from skelbench.errors import DataError

WRITER = """
import importlib.util, sys, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("folders", sys.argv[3])  # without its package: that would import torch
folders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(folders)
target, stop = Path(sys.argv[1]), sys.argv[2]
real = Path.rename

def rename(self, other):
    if stop == "between" and self.suffix == ".part":
        say()
    return real(self, other)

def say():
    print("here", flush=True)
    time.sleep(60)

Path.rename = rename
if stop == "scratch":
    with folders.scratch(target) as folder:
        (folder / "big").write_text("x")
        say()
with folders.new_folder(target, overwrite=True) as part:
    (part / "meta.json").write_text("new")
    if stop == "writing":
        say()
if stop == "after":
    say()
"""


@pytest.fixture
def writer():
    """Starts a process that writes a folder and stops at a moment of our choice; it is killed at the end."""
    started = []

    def start(target, stop):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target), stop, folders.__file__], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "here\n"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_killed_writer_leaves_a_folder_that_the_next_one_removes(tmp_path, writer):
    process = writer(tmp_path / "mine", "writing")
    (left,) = names(tmp_path)
    assert left.startswith(".mine.") and left.endswith(".part")
    kill(process)
    assert names(tmp_path) == [left]
    with new_folder(tmp_path / "other") as part:  # another name does not touch it
        (part / "meta.json").write_text("x")
    assert names(tmp_path) == [left, "other"]
    with new_folder(tmp_path / "mine") as part:
        (part / "meta.json").write_text("x")
        assert part.name != left
    assert names(tmp_path) == ["mine", "other"]


def test_a_living_writer_is_left_in_peace(tmp_path, writer):
    process = writer(tmp_path / "mine", "writing")
    before = names(tmp_path)
    with pytest.raises(DataError, match="mine is being written by another process; wait until it is done"):
        with new_folder(tmp_path / "mine"):
            raise AssertionError("never reached")
    assert names(tmp_path) == before
    kill(process)
    clear_leftovers(tmp_path / "mine")
    assert names(tmp_path) == []


def test_killed_while_replacing_the_old_dataset_comes_back(tmp_path, writer):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.json").write_text("old")
    process = writer(tmp_path / "mine", "between")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(DataError, match="being written by another process"):
        clear_leftovers(tmp_path / "mine")
    kill(process)
    clear_leftovers(tmp_path / "mine")
    assert names(tmp_path) == ["mine"] and (tmp_path / "mine" / "meta.json").read_text() == "old"


def test_replaced_for_good(tmp_path, writer):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.json").write_text("old")
    kill(writer(tmp_path / "mine", "after"))
    clear_leftovers(tmp_path / "mine")
    assert names(tmp_path) == ["mine"] and (tmp_path / "mine" / "meta.json").read_text() == "new"


def test_only_folders_of_this_name_and_form_are_touched(tmp_path):
    kept = [".mine.part", ".mine.12345678.backup", ".mine.more.12345678.part", "mine.12345678.part", ".mine.1234567g.part", "xmine"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".mine.12345678.part").mkdir()
    clear_leftovers(tmp_path / "mine")
    assert names(tmp_path) == sorted(kept)


def test_scratch_goes_with_the_block_and_with_its_process(tmp_path, writer):
    with scratch(tmp_path / "deep" / "home") as one, scratch(tmp_path / "deep" / "home") as two:
        (one / "file").write_text("x")
        assert one != two and len(names(tmp_path / "deep" / "home")) == 2
    assert names(tmp_path) == []
    process = writer(tmp_path, "scratch")
    (left,) = names(tmp_path)
    with scratch(tmp_path) as mine:
        assert names(tmp_path) == sorted([left, mine.name])  # the other process lives
    kill(process)
    with scratch(tmp_path) as mine:
        assert names(tmp_path) == [mine.name]
    with pytest.raises(KeyError):
        with scratch(tmp_path):
            raise KeyError
    assert names(tmp_path) == []


def test_a_lock_that_the_file_system_does_not_know(tmp_path, monkeypatch):
    """On such a disk nobody can tell whether a half-written folder is still in use, so it stays."""
    import fcntl

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    (tmp_path / ".mine.12345678.part").mkdir()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with new_folder(tmp_path / "mine") as part:
        (part / "meta.json").write_text("x")
    assert names(tmp_path) == [".mine.12345678.part", "mine"]
