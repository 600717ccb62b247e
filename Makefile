# Stepsmith's commands. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
SETUP := .venv/.set-up
BLENDERS := 4.2.23 4.5.15 5.2.3

.PHONY: help setup demo test lint typecheck test-blenders $(BLENDERS:%=test-blender-%) package clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "  make %-15s %s\n", $$1, $$2 }'

setup: $(SETUP) ## Make the virtual environment .venv with the pinned packages

# Made once and reused; made up to date when what it is made from changes.
$(SETUP): constraints.txt pyproject.toml tools/set-up tools/make-venv tools/check-system-packages
	@tools/set-up
	@touch $@

demo: $(SETUP) ## A song, a dance for it, and a Blender scene with both, in out/
	@$(BIN)/stepsmith demo

test: lint typecheck ## Everything that must hold: lint, types, import contract, tests
	$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(SETUP) ## Style, formatting and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: $(SETUP) ## Types, by mypy
	tools/typecheck

test-blenders: $(BLENDERS:%=test-blender-%) ## The tests of retarget and addon in every Blender supported

$(BLENDERS:%=test-blender-%): test-blender-%:
	tools/test-blender $* $(PYTEST_ARGS)

package: $(SETUP) ## The Blender extension as a zip, in dist/
	tools/build-extension

clean: ## Remove what the commands made, the environments too
	rm -rf .venv .venv-bpy-* out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
