# make demo   train the bundled example and print its verdict; sets itself up first
# make test   every test;   make lint   style, types and import contracts
# make bench  measure speed and memory beside the peers: hours; `make bench BENCH=standard` for one
# make clean  remove what these made, except runs/ and build/

VENV := .venv
BIN := $(VENV)/bin
# The first Python of 3.11 or newer; another one with `make PYTHON=/path/to/python demo`.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
SETUP := pyproject.toml constraints.txt

.PHONY: demo test lint bench clean
.DEFAULT_GOAL := demo

demo: $(VENV)/installed
	@out=runs/demo; n=2; \
	while [ -e "$$out" ]; do out=runs/demo-$$n; n=$$((n + 1)); done; \
	echo "tunesmith train examples/support/recipe.yaml --out $$out"; \
	$(BIN)/tunesmith train examples/support/recipe.yaml --out "$$out"

# Tests read no network: a name that is not a folder must fail at once.
test: export HF_HUB_OFFLINE := 1
# Models this small gain nothing from threads that wait for each other; two processes of one thread
# each halve the time. A file's tests stay together, for they share what their fixtures made; the
# files come in order, so that one of few but long tests does not come last.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/installed-dev
	@echo "Running the tests."
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed-dev
	@echo "Checking style, types and import contracts."
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

bench: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks $(BENCH)

$(VENV)/installed: $(SETUP)
	@$(if $(PYTHON),,$(error No Python 3.11 or newer was found. Name one: make PYTHON=/path/to/python))
	@echo "Setting up $(VENV) with $(PYTHON): downloads PyTorch once, which takes a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Adding the tools for tests and linting."
	@$(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@$(INSTALL) -e '.[bench]'
	@touch $@

clean:
	@rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
	@echo "Removed $(VENV) and caches; runs/ and build/ are kept."
