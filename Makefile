# Everything a newcomer needs: `make demo`, `make test`. Each command first makes .venv and installs into it,
# once; a second call is quick. Another Python: `make demo PYTHON=python3.12`. The default tests run in two processes:
# `make test WORKERS=8`. Settings of pip (an index, a cache) are taken from its environment variables as always.

VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo
ARGS ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-all fuzz mutation compatibility lint format docs bench bench-cascade bench-training
.SECONDARY:
.DELETE_ON_ERROR:

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

demo: $(VENV)/.installed-base  ## find the landmarks of a photo and draw them (into OUT=out/demo)
	$(BIN)/pyspiga-geo demo --out $(OUT)

test: $(VENV)/.installed-test  ## run the default tests (ARGS="tests/nn -x" to choose)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: $(VENV)/.installed-test  ## run every test, the slow ones too
	$(BIN)/pytest -m "" $(ARGS)

fuzz: $(VENV)/.installed-test  ## give mutated files to all readers (ARGS="--seconds 60 --only tracks"; fails into out/fuzz)
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

mutation: $(VENV)/.installed-test $(VENV)/.installed-mutation  ## change the code and see whether the tests notice (ARGS="--only graph")
	$(BIN)/python scripts/mutation.py $(ARGS)

compatibility: $(VENV)/.installed-test  ## run the tests with other versions of Python and of the libraries
	$(BIN)/python scripts/compatibility.py $(ARGS)

lint: $(VENV)/.installed-test $(VENV)/.installed-lint  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-lint  ## put the code into style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.installed-docs  ## build the documentation (into docs/_build/html)
	$(BIN)/sphinx-build --fail-on-warning docs docs/_build/html
	@echo "The documentation is at $(abspath docs/_build/html/index.html)"

bench: $(VENV)/.installed-base  ## time the graph attention against PyG's layers
	$(BIN)/python benchmarks/attention.py $(ARGS)

bench-cascade: $(VENV)/.installed-base  ## time a cascade step by the number of landmarks (into out/bench)
	$(BIN)/python benchmarks/cascade.py --out out/bench $(ARGS)

bench-training: $(VENV)/.installed-test  ## see whether training waits for its data
	$(BIN)/python benchmarks/training.py $(ARGS)

# .installed-base is the package alone, .installed-X the package with its extra X.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.$(if $(filter-out base,$*),[$*])'
	@touch $@

$(BIN)/pip:
	@set -e; python=; \
	for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "pyspiga_geo needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not one. On Debian 12," \
	         "Ubuntu 24.04 or newer: sudo apt install python3 python3-venv. If yours has another name:" \
	         "make PYTHON=that-name" >&2; \
	    exit 1; \
	fi; \
	if ! $$python -c 'import venv, ensurepip' 2>/dev/null; then \
	    version=$$($$python -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	    echo "$$python cannot make a virtual environment: on Debian and Ubuntu that is a package of its own." \
	         "Install it (sudo apt install $$version-venv) and run make again." >&2; \
	    exit 1; \
	fi; \
	echo "$$python -m venv $(VENV)"; \
	$$python -m venv $(VENV)
