# One command each; every one sets up what it needs first (a second time that costs nothing).
#   make demo [QUICK=1] [ARGS="--seed 7"]   make test [ARGS="-k fusion"]   make bench [ARGS=NAME]   make lint   make setup   make clean
#   PYTHON=/path/to/python3.12 chooses the interpreter, TORCH=cpu|cuda|auto the kind of torch.

SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?=
TORCH ?= auto
QUICK ?=
ARGS ?=
export PYTHON TORCH

# A sourced ROS installation must not mix with the wheels.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

# What needs no ROS comes first: it is fast and says most. Folders that do not exist are left out.
TESTS := $(wildcard tests/core tests/setup tests/sim tests/cli tests/models tests/ros tests/system tests/faults)

.PHONY: help setup demo test lint bench lock clean

help:
	@sed -n '2,3p' Makefile

setup:
	@scripts/setup.sh

demo: setup
	@$(BIN)/dopamine demo $(if $(QUICK),--quick) $(ARGS)

# One thread per process: two cores are shared by whole graphs of nodes.
test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS) $(ARGS)

lint: setup
	@$(BIN)/ruff check .

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

# Resolve requirements/*.in anew: make lock PYTHONS="python3.11 python3.12"
lock:
	@python3 -m scripts.lock $(PYTHONS)

clean:
	rm -rf .venv .setup.lock ros2_ws/build ros2_ws/install ros2_ws/log build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
