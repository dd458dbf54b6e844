# The two commands of a fresh machine: make quickstart, make test. Both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# what people import; submodules come with their packages
API = reid_hash.codes reid_hash.distances reid_hash.calibration reid_hash.errors reid_hash.config \
	reid_hash.data reid_hash.nn reid_hash.models reid_hash.index reid_hash.metrics reid_hash.training \
	reid_hash.baselines reid_hash.gallery

.PHONY: setup quickstart test test-matrix test-gradio lint types check audit lock api docs clean

# torch asks for most of the time: pip takes a build that is already on the machine
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(VENV)/.installed

quickstart: setup
	$(BIN)/reid-hash quickstart

# two processes of one thread each, in a random order whose seed the last lines tell
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# all tests as other machines run them, an axis at a time; goes on where it was stopped
test-matrix: setup
	$(BIN)/python tools/test_matrix.py

# the page on the lowest and the newest Gradio that pyproject.toml admits
test-gradio: setup
	OMP_NUM_THREADS=1 $(BIN)/python tools/test_gradio.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive reid_hash tools

types: setup
	$(BIN)/mypy

check: lint types test

# asks the network's advisory service; where that is out of reach it says so
audit: setup
	$(BIN)/python tools/audit.py requirements.lock

# the versions that are installed here, which the tests ran with, for all platforms; docs/supply.md
lock: setup
	$(BIN)/python -m pip freeze --exclude-editable > .lock-versions
	$(BIN)/uv pip compile pyproject.toml --extra parquet --extra onnx --extra web --extra dev \
		--constraint .lock-versions --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet \
		--upgrade --output-file requirements.lock
	@rm -f .lock-versions

api: setup
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m pdoc --docformat google --output-directory api $(API)
	@echo "open api/index.html"

# one site of the pages and the reference; a link that leads nowhere fails
docs: setup
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	$(BIN)/python -m pdoc --docformat google --output-directory build/site/api $(API)
	@echo "open build/site/index.html"

clean:
	rm -rf api build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
