# One command each. `make run` and `make test` do all the set-up they need themselves.
SHELL := /bin/bash
CMD ?= uname -a; cat /etc/os-release
SEED ?= 1
MINUTES ?= 2
HOSTILE ?= user,bridge
SMOKE ?=
BENCH ?=
SMOKE_KVM ?=
BIN := .venv/bin
WORKERS ?= 4
# The tests of a file share services, so they stay in one process; long ones come first.
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Without bytecode on disk every process that is started compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-tests run test unit integration e2e hostile chaos chaos-store coverage smoke smoke-kvm smoke-coverage-html \
  smoke-clean check bench docs clean

setup:  ## Debian packages, virtualenv with pinned dependencies
	@scripts/setup

setup-tests:
	@scripts/setup tests

run: setup  ## Boot a VM, run CMD in it, exit with its status
	@$(BIN)/banger vm run --rm -- sh -c '$(subst ','\'',$(CMD))'

test: setup-tests  ## Unit, integration and e2e tests (e2e boots real VMs)
	@$(BIN)/banger image build debian-bookworm
	@$(BIN)/banger kernel pull debian-bookworm
	$(BIN)/pytest $(SIDE_BY_SIDE) tests

unit integration e2e: setup-tests
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/$@

chaos: setup-tests  ## Seeded faults on four VMs at work (SEED, MINUTES): docs/reliability.md
	$(BIN)/banger image build debian-bookworm
	$(BIN)/banger kernel pull debian-bookworm
	$(BIN)/python -m tests.chaos --seed $(SEED) --minutes $(MINUTES)

hostile: setup-tests  ## A guest whose root attacks its host, in both network modes (HOSTILE=bridge)
	@$(BIN)/banger image build debian-bookworm
	@$(BIN)/banger kernel pull debian-bookworm
	BANGER_HOSTILE_MODES=$(HOSTILE) $(BIN)/pytest tests/e2e/test_hostile_guest.py

chaos-store: setup-tests  ## 500 changes of the database, the store killed in one of eight
	BANGER_STORE_MUTATIONS=500 $(BIN)/pytest --timeout 600 tests/integration/test_store.py

coverage: setup-tests  ## What unit and integration tests cover, for `make smoke` to compare with
	rm -rf .coverage-data && mkdir .coverage-data
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml BANGER_COVERAGE_ROOT=$(CURDIR) \
	  COVERAGE_FILE=$(CURDIR)/.coverage-data/tests $(BIN)/pytest --timeout 180 tests/unit tests/integration; \
	  status=$$?; $(BIN)/coverage combine --quiet --data-file=.coverage-data/tests; exit $$status

smoke: setup-tests  ## The real command on real VMs, with the coverage of every process: docs/testing.md
	@$(BIN)/banger image build debian-bookworm
	@$(BIN)/banger kernel pull debian-bookworm
	$(BIN)/python -m scripts.smoke --coverage $(SMOKE)

smoke-kvm: setup  ## The same on Firecracker and real KVM, in an emulated host: docs/testing.md
	$(BIN)/python -m scripts.smoke_kvm $(SMOKE_KVM)

smoke-coverage-html:  ## What the last `make smoke` has run, line by line, in htmlcov/
	$(BIN)/coverage html --quiet --data-file=.smoke/coverage/combined --directory=htmlcov

smoke-clean:  ## Results and coverage of smoke and tests
	rm -rf .smoke .smoke-kvm .coverage-data htmlcov

check: setup  ## Lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup-tests  ## Ratios against a floor or a peer, measured in the same run: docs/benchmarks.md
	$(BIN)/python -m benchmarks $(BENCH)

docs: setup  ## Documents that are printed from the code
	$(BIN)/python scripts/cli_docs.py
	$(BIN)/python scripts/lifecycle_table.py --write
	$(BIN)/python scripts/protocol_table.py --write

clean:  ## What the build left in this checkout; VMs and images stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .smoke .smoke-kvm .coverage-data htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
