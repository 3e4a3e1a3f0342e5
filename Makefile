# The two commands of a newcomer are `make demo` and `make test`. Each makes its own environment from pinned versions.
PYTHON ?= python3
PIP_FLAGS := --quiet --disable-pip-version-check --no-input

.PHONY: demo test bench check format clean

# Build the demo cache through the workflow and look at it. Installs no torch.
demo: .venv/ready
	.venv/bin/snakemake cache_demo --cores all --quiet rules host
	.venv/bin/regioncache bench .data.cache/demo/train
	.venv/bin/regioncache view .data.cache/demo/train 3 --out .data.cache/demo/overlay.png

# Every test.
test: .venv-dev/ready
	.venv-dev/bin/python -m pytest $(PYTEST_FLAGS)

# Format, lint, types, and the workflow's own checks.
check: .venv-dev/ready
	.venv-dev/bin/ruff format --check src tests benchmarks
	.venv-dev/bin/ruff check src tests benchmarks
	.venv-dev/bin/mypy
	.venv-dev/bin/snakefmt --check Snakefile rules
	.venv-dev/bin/snakemake --lint

# Speed and memory beside peers and limits, on one core.
bench: .venv-dev/ready
	.venv-dev/bin/python -m benchmarks

format: .venv-dev/ready
	.venv-dev/bin/ruff format src tests benchmarks
	.venv-dev/bin/snakefmt Snakefile rules

clean:
	rm -rf .venv .venv-dev .data .data.cache .snakemake logs

# An environment is ready when its stamp is newer than what it was made from.
.venv/ready: pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install $(PIP_FLAGS) --constraint requirements/constraints.txt --editable '.[build]'
	touch $@

.venv-dev/ready: pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip install $(PIP_FLAGS) --constraint requirements/constraints.txt --editable '.[build,torch,dev,bench]'
	touch $@
