# Each target makes what it needs, .venv included. `make help` lists them.
#   VENV=folder      another virtual environment
#   PYTHON=python3.x another interpreter to make it with

VENV ?= .venv
BIN := $(VENV)/bin
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
endif

# maturin installs into the one, and PyO3 is built for the other.
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(abspath $(BIN)/python)
unexport CONDA_PREFIX

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ZIG := $(if $(filter Linux,$(shell uname -s)),--zig --compatibility manylinux2014)

.DEFAULT_GOAL := help
.PHONY: help preflight build demo fmt lint test fuzz arm64 bench peers wheel clean
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

preflight:
	@sh .ci/preflight "$(PYTHON)"

$(BIN)/maturin: | preflight
	"$(PYTHON)" -m venv "$(VENV)"
	$(PIP) install "$$($(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')"

# Lumbre, editable, with one extra's packages.
$(VENV)/.with-%: pyproject.toml | $(BIN)/maturin
	$(BIN)/maturin develop --release --extras $*
	@touch $@

build: | preflight $(BIN)/maturin ## compile, optimised, into python/lumbre
	$(BIN)/maturin develop --release --skip-install

demo: $(VENV)/.with-plot build ## train on handwritten digits and draw the learning curves
	$(BIN)/python examples/demo.py

fmt: $(VENV)/.with-lint ## format Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(VENV)/.with-lint build ## rustfmt, clippy, ruff, mypy, stubtest
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest lumbre._core

test: $(VENV)/.with-test $(VENV)/.with-plot build ## every test, Rust and Python
	cargo test -p lumbre-kernels -p lumbre-runtime
	$(BIN)/pytest

fuzz: $(VENV)/.with-test build ## damaged files, thrown at what reads files, for half a minute
	$(BIN)/python tests/fuzz_files.py 30

arm64: ## kernels and runtime on arm64: builds them and runs their tests under qemu
	sh .ci/arm64

bench: $(VENV)/.with-bench build ## our times beside NumPy's, and beside the peers that `make peers` installed
	$(BIN)/pytest -q benches --benchmark-columns=min,median,rounds --benchmark-sort=name
	$(BIN)/python benches/run.py --markdown

peers: | preflight ## the other libraries, for `make bench`, in .venv-peers (PyTorch alone brings 6 GB)
	"$(PYTHON)" -m venv .venv-peers
	.venv-peers/bin/python -m pip install torch jax keras tensorflow-cpu scikit-learn

# zig, from PyPI, links against an old glibc whatever the machine has; maturin asks the PATH's Python for it.
wheel: | $(BIN)/maturin ## one wheel for CPython 3.11 and later, in dist
	$(PIP) install ziglang
	rm -f dist/lumbre-*.whl
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/maturin build --release $(ZIG) --out dist

clean: ## remove what make made, except .venv-peers
	rm -rf target dist "$(VENV)" python/lumbre/_core*.so learning_curves.png
	rm -rf .mypy_cache .pytest_cache .ruff_cache .benchmarks
	find python tests benches examples -name __pycache__ -prune -exec rm -rf {} +
