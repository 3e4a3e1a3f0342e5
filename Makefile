# The two commands of a newcomer are `make demo` and `make test`. Each makes its own environment from pinned versions.
PYTHON ?= python3
PIP_FLAGS := --quiet --disable-pip-version-check --no-input

NPM_FLAGS := --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error

.PHONY: demo test test-fiftyone test-slurm tools bench check format clean

# Build the demo cache through the workflow and look at it. Installs no torch.
demo: .venv/ready
	.venv/bin/snakemake cache_demo --cores all --quiet rules host
	.venv/bin/regioncache bench .data.cache/demo/train
	.venv/bin/regioncache view .data.cache/demo/train 3 --out .data.cache/demo/overlay.png

# Every test.
test: .venv-dev/ready tools
	.venv-dev/bin/python -m pytest $(PYTEST_FLAGS)

# Azure's downloader, the emulator that it is tested with, and Snakemake's plugins for Azure and Slurm. Where the first two cannot be had, their
# tests are skipped, but not in CI.
tools: .tools/snakemake-azure/ready .tools/snakemake-slurm/ready
	@if command -v npm > /dev/null && [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(MAKE) --no-print-directory .tools/azcopy/ready .tools/azurite/ready; \
	elif [ -n "$$CI" ]; then \
		echo "npm on x86-64 Linux is needed to install azcopy and Azurite (apt-get install nodejs npm libsecret-1-0)" >&2; exit 1; \
	else \
		echo "without npm on x86-64 Linux, the tests of downloads from Azure are skipped"; \
	fi

# What only FiftyOne's own downloader can show, in an environment of its own (1 GB).
test-fiftyone: .venv-dev/ready .venv-fiftyone/ready
	.venv-dev/bin/python -m pytest tests/fiftyone $(PYTEST_FLAGS)

# The profile `slurm` on a cluster of one node, which the tests start and stop. Needs root; installs the daemons by apt-get.
test-slurm: .venv-dev/ready .tools/snakemake-slurm/ready
	tests/slurm/install.sh
	TEST_SLURM=1 .venv-dev/bin/python -m pytest tests/slurm $(PYTEST_FLAGS)

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
	rm -rf .venv .venv-dev .tools .data .data.cache .snakemake logs

# An environment is ready when its stamp is newer than what it was made from.
.venv/ready: pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install $(PIP_FLAGS) --constraint requirements/constraints.txt --editable '.[build]'
	touch $@

.venv-dev/ready: pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip install $(PIP_FLAGS) --constraint requirements/constraints.txt --editable '.[build,torch,dev,bench]'
	touch $@

# The npm package holds the program without its right to be run, and without a link to it.
.tools/azcopy/ready: envs/azcopy/package.json
	mkdir -p .tools/azcopy/bin
	cp envs/azcopy/package.json .tools/azcopy/
	npm install $(NPM_FLAGS) --prefix .tools/azcopy
	chmod +x .tools/azcopy/node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64
	ln -sf ../node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64 .tools/azcopy/bin/azcopy
	touch $@

.tools/azurite/ready: envs/azurite/package.json
	mkdir -p .tools/azurite
	cp envs/azurite/package.json .tools/azurite/
	npm install $(NPM_FLAGS) --prefix .tools/azurite
	touch $@

# Apart from the environment, as every start of Snakemake imports the plugins that it finds. Their dependencies are all in the file.
.tools/snakemake-azure/ready: requirements/snakemake-azure.txt .venv-dev/ready
	rm -rf .tools/snakemake-azure
	.venv-dev/bin/python -m pip install $(PIP_FLAGS) --no-deps --target .tools/snakemake-azure --requirement requirements/snakemake-azure.txt
	touch $@

.tools/snakemake-slurm/ready: requirements/snakemake-slurm.txt .venv-dev/ready
	rm -rf .tools/snakemake-slurm
	.venv-dev/bin/python -m pip install $(PIP_FLAGS) --no-deps --target .tools/snakemake-slurm --requirement requirements/snakemake-slurm.txt
	touch $@

.venv-fiftyone/ready: envs/fiftyone.txt
	$(PYTHON) -m venv .venv-fiftyone
	.venv-fiftyone/bin/python -m pip install $(PIP_FLAGS) --requirement envs/fiftyone.txt
	touch $@
