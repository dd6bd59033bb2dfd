# An environment is created when a target first needs it, and recreated when its pins change.
# Needs only POSIX sh and GNU make 3.81, the version of macOS.

PYTHON ?= python3
ACTION ?= create
STAGE  ?= dev
STACK  ?= afterthought-$(STAGE)
ARGS   ?=

BIN    := .venv/bin
CODE   := $(wildcard shared functions local admin apidocs bench tests)

# Variables of make's command line (QUESTION=, MODEL=, EFFORT=, PORT=) and of the environment (OPENAI_API_KEY,
# OPENAI_BASE_URL) reach the commands as environment variables. With $(value …), make does not expand a dollar sign in
# a question.
ifdef QUESTION
override QUESTION := $(value QUESTION)
export QUESTION
endif

# The build sends no telemetry.
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help demo serve test prove sweep soak check format build deploy tenant bench studies pins docs clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- run -----------------------------------------------------------------------------------------------------------

# boto3 fails if the shell names a profile that does not exist; these commands need no profile.
LOCALLY := env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE

demo: .venv/.made .venv-ministack/.made ## Run three jobs end to end on this machine (QUESTION=, MODEL=, EFFORT= for your own)
	@$(LOCALLY) $(BIN)/python -m local.demo

serve: .venv/.made .venv-ministack/.made ## Run the service on this machine (PORT=8000); Ctrl-C stops it
	@$(LOCALLY) $(BIN)/python -m local.serve

bench: .venv/.made .venv-ministack/.made ## Measure what a job costs and how fast it is
	@$(LOCALLY) $(BIN)/python -m bench $(ARGS)

studies: .venv/.made ## The studies for docs/decisions.md: contention, rising load, requests of a step (ARGS="load")
	@$(LOCALLY) $(BIN)/python -m bench.studies $(ARGS)

# ---- prove ---------------------------------------------------------------------------------------------------------

PYTEST := $(LOCALLY) $(BIN)/python -m pytest -n auto --maxprocesses 4 --no-loadscope-reorder

test: .venv/.made .venv-ministack/.made ## All tests except the slow proofs (ARGS= is passed to pytest)
	$(PYTEST) -m "not slow_proof" $(ARGS)

# The hypothesis plugin marks its tests; they run again here with more examples.
prove: .venv/.made .venv-ministack/.made ## The slow proofs: the complete sweep, kills, races, the commands, more examples
	PYTHONPATH=shared $(BIN)/python -m tests.sweep
	$(PYTEST) -m "slow_proof or hypothesis" --hypothesis-profile prove $(ARGS)

sweep: .venv/.made ## Inject each fault at each call of a job and show how the job ends (ARGS="--only direct")
	@PYTHONPATH=shared $(BIN)/python -m tests.sweep $(ARGS)

soak: .venv/.made .venv-ministack/.made ## Run a thousand jobs with random faults on this machine, in ten minutes (ARGS="--seed 2")
	@$(LOCALLY) $(BIN)/python -m tests.soak $(ARGS)

check: .venv/.made ## Check format, lint, types, the catalogue and the template
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	PYTHONPATH=shared $(BIN)/python -m afterthought.catalogue
	$(BIN)/cfn-lint template.yaml
	$(BIN)/python -m pytest -q tests/template

format: .venv/.made ## Format the code with ruff
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

# ---- deploy --------------------------------------------------------------------------------------------------------

build: .venv/.made .venv-sam/.made ## Build the functions and the layer into .aws-sam (needs python3.13 on PATH)
	@python3.13 -c "" 2>/dev/null || { echo "sam build needs python3.13 on PATH, the version of the Lambda runtime." >&2; exit 1; }
	PYTHONPATH=shared $(BIN)/python -m afterthought.catalogue
	.venv-sam/bin/sam validate --lint
	.venv-sam/bin/sam build
	@# Lambda cannot write where the layer is mounted: without bytecode each cold start would compile every file again.
	python3.13 -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/AfterthoughtLayer

deploy: build ## Deploy the build to your AWS account (STAGE=dev|prod)
	.venv-sam/bin/sam deploy --config-env $(STAGE)

# LOCAL=1 selects the stack of a running `make serve`.
TENANTS = $(if $(LOCAL),$(LOCALLY) $(BIN)/python -m local.admin,$(BIN)/python -m admin.tenant)

# Neither make nor the shell expands a dollar sign in ARGS: $100 would become 00.
tenant: export TENANT_ARGS = $(value ARGS)
tenant: .venv/.made ## NAME=, ACTION=create|set|usage|reconcile|key|rotate|revoke|list, ARGS="--month-budget 100", KEY=, STAGE=, REGION=; LOCAL=1
	@$(TENANTS) $(ACTION) $(if $(filter list,$(ACTION)),,$(NAME)) $(if $(filter revoke,$(ACTION)),$(KEY)) $$TENANT_ARGS \
	  $(if $(LOCAL),,--stack-name $(STACK) $(if $(REGION),--region $(REGION)))

# ---- environments --------------------------------------------------------------------------------------------------

# pip installs only uv, by its hash, and uv installs the rest: 10 seconds instead of 75. If the package index is only
# configured for pip (pip.conf), uv fails and pip installs everything.
.venv/.made: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Afterthought needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Choose another: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Creating .venv (once)…" >&2
	@test -x $(BIN)/uv && $(BIN)/python -c "" 2>/dev/null || { $(PYTHON) -m venv --clear .venv && \
	  awk '/^uv==/ { on = 1; print; next } on && /^ / { print; next } { on = 0 }' requirements/dev.txt > .venv/uv.txt && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r .venv/uv.txt; }
	@$(BIN)/uv pip sync -q --require-hashes --python $(BIN)/python requirements/dev.txt || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv-%/.made: requirements/%.txt | .venv/.made
	@echo "Creating .venv-$* (once)…" >&2
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-$*
	@$(BIN)/uv pip sync -q --require-hashes --python .venv-$*/bin/python $< || \
	  $(BIN)/python -m pip --python .venv-$*/bin/python install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Existing pins are kept unless UPGRADE=--upgrade. The layer uses the dev pins, so the tests run the deployed versions.
PIN := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
       --no-emit-find-links --custom-compile-command "make pins" $(UPGRADE)

pins: .venv/.made ## Resolve pyproject.toml into hashed pins (UPGRADE=--upgrade for newer ones)
	$(PIN) pyproject.toml --group dev -o requirements/dev.txt
	$(PIN) pyproject.toml -c requirements/dev.txt -o shared/requirements.txt
	$(PIN) --group ministack -o requirements/ministack.txt
	$(PIN) --group sam -o requirements/sam.txt

docs: .venv/.made ## Generate the OpenAPI document and the page at /docs
	@PYTHONPATH=shared $(BIN)/python -m apidocs

clean: ## Remove environments, builds and caches
	rm -rf .venv .venv-ministack .venv-sam .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
