# demo: the app on http://127.0.0.1:7860    test: every test    check, format, clean: for developers
#
#   make demo PORT=8000                  another port
#   make demo PYTHON=/opt/python3.12     another interpreter
#   make demo TORCH_INDEX=ADDRESS        another index for PyTorch, such as https://download.pytorch.org/whl/cpu

PORT ?= 7860
PYTHON ?=
TORCH_INDEX ?=

BIN = .venv/bin/python
PIP = $(BIN) -m pip install --disable-pip-version-check

.PHONY: demo test check format clean

demo: .venv/.installed
	@PORT="$(PORT)" exec $(BIN) -m demo

test: .venv/.installed-dev
	@exec $(BIN) -m pytest

check: .venv/.installed-dev
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy

format: .venv/.installed-dev
	$(BIN) -m ruff format .
	$(BIN) -m ruff check --fix .

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache pairwright.egg-info
	find agent demo tools tests -type d -name __pycache__ -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml when its packages are installed, so a second start installs nothing.
# pip goes first, as the one that comes with an older Python finds no set of versions that fit together; then PyTorch,
# by far the largest download, which shows its progress.
.venv/.installed: pyproject.toml
	@$(BIN) -m pip --version >/dev/null 2>&1 || { $(FIND_PYTHON); "$$python" -m venv --clear .venv; }
	$(PIP) --quiet --upgrade pip
	@echo "Installing PyTorch (once; the largest part)"
	$(PIP) $${TORCH_INDEX:+--index-url "$$TORCH_INDEX"} "$$(sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)"
	@echo "Installing Pairwright and the rest"
	PYTHONWARNINGS=ignore $(PIP) --quiet --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Installing what the tests and checks need"
	PYTHONWARNINGS=ignore $(PIP) --quiet --editable '.[dev]'
	@touch $@

# Sets $python to the first interpreter that is new enough and can make a virtual environment.
FIND_PYTHON = \
	for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python ""; do \
		test -n "$$python" || { \
			echo "Pairwright needs Python 3.11 or newer with its venv module (Debian: apt install python3-venv);" \
				"none was found. Name one with PYTHON=/path/to/python" >&2; \
			exit 1; \
		}; \
		"$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && break; \
	done

export TORCH_INDEX
