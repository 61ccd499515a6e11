# Every verb sets up what it needs. VENV=... picks another environment, PYTHON=... another interpreter.
VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
PY      = $(BIN)/python
# Spinning OpenMP threads stall small models whenever anything else runs; see CONTRIBUTING.md.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo lab test check test-unit test-notebooks test-browser fuzz bench notebooks format clean help

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 24

$(VENV)/.ok: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing the tested versions (constraints.txt) into $(VENV)"
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt torch uv
	$(BIN)/uv pip install -q --python $(PY) -c constraints.txt -e '.[dev]' \
	  || $(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: $(VENV)/.ok ## make the environment in .venv and install skelbench into it

demo: setup      ## the main job: playground -> pretrain HaLP -> evaluate -> demo/report.html
	$(BIN)/skelbench demo --out demo

lab: setup       ## JupyterLab on the quick-start notebook (token on, loopback only)
	$(BIN)/skelbench lab

test: setup check test-unit test-notebooks test-browser ## everything CI runs

check: setup     ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-unit: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 -m 'not browser and not notebook'

test-notebooks: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 -m notebook

test-browser: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -m browser

fuzz: setup      ## 100 000 damaged datasets against every reader (about a quarter of an hour)
	OMP_NUM_THREADS=1 $(PY) tests/data/fuzz.py --inputs 100000

bench: setup     ## ratios, measured side by side in one run
	OMP_NUM_THREADS=1 $(PY) -m tests.bench

notebooks: setup ## build notebooks/*.ipynb from the py:percent sources and execute them
	$(PY) notebooks/build.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:           ## remove the environment and everything generated (not data/ and not runs/)
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
