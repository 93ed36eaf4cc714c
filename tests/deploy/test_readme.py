"""The README: front matter that a Space accepts, and statements that hold in the tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import tools
from tools.core import settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SPACE_COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def section(title: str) -> str:
    """Return the text below a heading of the README, up to the next of its level."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def front_matter() -> dict[str, object]:
    """Return the YAML block that the README begins with."""
    start, block, _ = README.split("---\n", 2)
    assert start == ""
    return dict(yaml.safe_load(block))


def test_the_front_matter_describes_a_docker_space() -> None:
    given = front_matter()
    assert (given["sdk"], given["app_port"], given["license"]) == ("docker", 7860, "apache-2.0")
    assert given["title"] == "Pairwright" and given["emoji"] and given["pinned"] is False
    assert {given["colorFrom"], given["colorTo"]} <= SPACE_COLOURS
    assert len(str(given["short_description"])) <= 60  # the hub refuses longer ones


def test_the_file_that_a_gradio_space_runs_exists() -> None:
    assert (ROOT / str(front_matter()["app_file"])).is_file()


def test_the_lines_for_a_gradio_space_name_versions_that_the_project_supports() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", section("Docker and Spaces"), re.DOTALL)
    given = yaml.safe_load(block)
    (gradio,) = [line for line in map(Requirement, PROJECT["dependencies"]) if line.name == "gradio"]
    assert given["sdk"] == "gradio" and gradio.specifier.contains(given["sdk_version"])
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(given["python_version"])


@pytest.mark.parametrize("name", re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bPORT\b", settings.__doc__ or ""))
def test_the_settings_table_names_every_setting(name: str) -> None:
    rows = [line.split("|")[1] for line in section("Settings").splitlines() if line.startswith("|")]
    assert any(f"`{name}`" in row for row in rows)


def test_the_file_tree_names_only_what_exists_and_every_tool() -> None:
    paths = tree_paths(section("File structure"))
    assert [path for path in paths if not (ROOT / path).exists()] == []
    files = {function.__module__.replace(".", "/") + ".py" for function in tools.TOOLS}
    assert {file for file in files if file.count("/") == 1} <= set(paths)


def tree_paths(text: str) -> list[str]:
    """Return the paths of an indented file tree, two spaces a level."""
    paths: list[str] = []
    above: list[str] = []
    (block,) = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        del above[indent // 2 :]
        paths.append("".join(above) + name)
        above.append(name)
    return paths


def test_a_file_tree_is_read_with_its_folders() -> None:
    assert tree_paths("```\na/  x\n  b.py  y\n  c/  z\n    d.py  z\nE  w\n```\n") == [
        "a/",
        "a/b.py",
        "a/c/",
        "a/c/d.py",
        "E",
    ]


def test_the_licence_is_the_apache_license_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]
    assert "END OF TERMS AND CONDITIONS" in text and "Copyright The Pairwright authors" in text
    assert PROJECT["license"] == "Apache-2.0"
