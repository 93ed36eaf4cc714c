"""The Makefile and .ci/run, called with stand-ins for Python and for make that write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (shutil.which("make") and shutil.which("bash")), reason="make or bash is missing")
UTILITIES = "sh bash make sed touch rm find env dirname timeout id cat".split()


def script(path: Path, *lines: str) -> None:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the build files, and a PATH of its own without any Python."""
    for name in ("Makefile", "pyproject.toml", ".ci/run"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    for name in ("agent", "demo", "tools", "tests"):
        (tmp_path / "tree" / name).mkdir()
    (tmp_path / "bin").mkdir()
    for name in UTILITIES:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path / "tree"


def call(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout with its own PATH."""
    env = {"PATH": str(checkout.parent / "bin"), **environment}
    return subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, timeout=60)


def installed(checkout: Path, *, exit_code: int = 0) -> Path:
    """Put a stand-in for the virtual environment's Python there, as after an installation; return its record."""
    record = checkout / "record"
    fail = f'case "$*" in "-m pytest"*) exit {exit_code};; esac'
    script(checkout / ".venv/bin/python", f'echo "PORT=$PORT $*" >> {record}', fail)
    now = (checkout / "pyproject.toml").stat().st_mtime
    for seconds, name in enumerate((".installed", ".installed-dev"), start=1):
        (checkout / ".venv" / name).touch()
        os.utime(checkout / ".venv" / name, (now + seconds, now + seconds))
    record.touch()
    return record


def test_without_a_suitable_python_one_line_says_what_is_needed(checkout: Path) -> None:
    script(checkout.parent / "bin/python3", "exit 1")  # too old, or without venv
    done = call(checkout, "make", "demo")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1 and "Python 3.11 or newer" in said[0]


def test_the_first_suitable_python_makes_the_environment(checkout: Path) -> None:
    made = 'test "$*" = "-m venv --clear .venv" && echo made-by-$0 >> record'
    script(checkout.parent / "bin/python3.12", "exit 127")  # a shim for a version that is not there
    script(checkout.parent / "bin/python3.11", f'case "$1" in -c) exec {sys.executable} "$@";; esac', made, "exit 1")
    assert call(checkout, "make", "demo").returncode != 0
    assert "python3.11" in (checkout / "record").read_text()


def test_a_second_start_installs_nothing(checkout: Path) -> None:
    record = installed(checkout)
    assert call(checkout, "make", "demo", "PORT=7993").returncode == 0
    assert record.read_text() == "PORT=7993 -m demo\n"


def test_the_port_is_7860_unless_said_otherwise(checkout: Path) -> None:
    record = installed(checkout)
    call(checkout, "make", "demo")
    call(checkout, "make", "demo", PORT="8001")
    assert record.read_text().splitlines() == ["PORT=7860 -m demo", "PORT=8001 -m demo"]


def test_a_changed_pyproject_is_installed_with_pip_and_torch_first(checkout: Path) -> None:
    record = installed(checkout)
    os.utime(checkout / "pyproject.toml", (4e9, 4e9))
    assert call(checkout, "make", "demo", "TORCH_INDEX=https://example.org/cpu").returncode == 0
    pip, torch, rest = [line for line in record.read_text().splitlines() if " pip install " in line]
    assert pip.endswith("--upgrade pip")
    assert "--index-url https://example.org/cpu torch==" in torch
    assert rest.endswith("--editable .")


def test_a_failed_installation_is_tried_again(checkout: Path) -> None:
    record = installed(checkout)
    script(checkout / ".venv/bin/python", f'echo "$*" >> {record}', 'case "$*" in *torch==*) exit 1;; esac')
    os.utime(checkout / "pyproject.toml", (4e9, 4e9))
    assert call(checkout, "make", "demo").returncode != 0
    assert call(checkout, "make", "demo").returncode != 0
    assert "-m demo" not in record.read_text()
    assert len([line for line in record.read_text().splitlines() if "torch==" in line]) == 2


@pytest.mark.parametrize("exit_code", [0, 1])
def test_make_test_passes_on_whether_the_tests_passed(checkout: Path, exit_code: int) -> None:
    record = installed(checkout, exit_code=exit_code)
    assert bool(call(checkout, "make", "test").returncode) is bool(exit_code)
    assert record.read_text().endswith("-m pytest\n")


def test_clean_removes_the_environment_and_caches_and_nothing_else(checkout: Path) -> None:
    installed(checkout)
    kept = {"Makefile", "pyproject.toml", ".ci/run", "record", "tools/a.py", "data/b.csv", "data/__pycache__/c.txt"}
    for name in (*kept, "tools/__pycache__/a.pyc", ".ruff_cache/x", ".mypy_cache/x", ".pytest_cache/x"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    assert call(checkout, "make", "clean").returncode == 0
    assert {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("exit_code", [0, 2])
def test_ci_passes_on_whether_the_tests_passed(checkout: Path, exit_code: int) -> None:
    with_chromium(checkout, f"exit {exit_code}")
    assert call(checkout, ".ci/run").returncode == exit_code


def test_ci_runs_make_test_without_input_and_with_ci_set(checkout: Path) -> None:
    with_chromium(checkout, 'echo "$* CI=$CI input=$(cat)"')
    assert call(checkout, ".ci/run").stdout == "test CI=true input=\n"


def test_ci_goes_on_without_chromium_and_says_so(checkout: Path) -> None:
    with_chromium(checkout, "echo tested")
    (checkout.parent / "bin/chromium").unlink()  # and there is no apt-get on this PATH
    done = call(checkout, ".ci/run")
    assert done.returncode == 0
    assert "the browser tests will skip\ntested" in done.stdout


def with_chromium(checkout: Path, make: str) -> None:
    """Put stand-ins for Chromium and for make there."""
    script(checkout.parent / "bin/chromium", "exit 0")
    (checkout.parent / "bin/make").unlink()
    script(checkout.parent / "bin/make", make)
