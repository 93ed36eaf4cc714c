"""Read a Dockerfile and carry out what it says in an ordinary folder, without a container engine.

Only what this project's Dockerfile uses is understood; anything else raises `Unknown` instead of being passed over.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path, PurePosixPath

KEYWORDS = set("FROM ARG ENV RUN WORKDIR COPY VOLUME EXPOSE USER STOPSIGNAL HEALTHCHECK CMD".split())


class Unknown(Exception):
    """The Dockerfile says something that is not understood here."""


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction, with its continued lines joined."""

    keyword: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments as a shell would split them."""
        return shlex.split(self.text)


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile in order."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    instructions = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword not in KEYWORDS or "<<" in rest:
            raise Unknown(line)
        instructions.append(Instruction(keyword, rest.strip()))
    if [instruction.keyword for instruction in instructions].count("FROM") != 1:
        raise Unknown("a Dockerfile with several stages, or none")
    return instructions


def exec_form(text: str) -> list[str]:
    """Return the words of `["a", "b"]`, the form that runs without a shell."""
    words = json.loads(text)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Unknown(text)
    return words


def environment(instructions: list[Instruction]) -> dict[str, str]:
    """Return what the ENV instructions set."""
    pairs = [word.partition("=") for step in instructions if step.keyword == "ENV" for word in step.words]
    return {name: value for name, _, value in pairs}


class Ignored:
    """The patterns of a .dockerignore: the last that fits a path, or a folder above it, decides."""

    def __init__(self, text: str) -> None:
        """Read the patterns."""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        self.rules = [(_glob(line.removeprefix("!").strip("/")), not line.startswith("!")) for line in lines]

    def __contains__(self, path: str) -> bool:
        """Tell whether the file at `path` (relative, with slashes) is kept out of the build."""
        parts = PurePosixPath(path).parts
        names = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        verdict = False
        for pattern, ignored in self.rules:
            if any(pattern.fullmatch(name) for name in names):
                verdict = ignored
        return verdict


def _glob(pattern: str) -> re.Pattern[str]:
    if set(pattern) & set("[]\\"):
        raise Unknown(pattern)
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        re.sub(r"\\\*\\\*/|\\\*\\\*|\\\*|\\\?", lambda m: pieces[m[0].replace("\\", "")], re.escape(pattern))
    )


def sent_to_build(context: Path, ignored: Ignored) -> list[str]:
    """Return the files below `context` that a build can see, as relative paths with slashes."""
    tops = [path for path in context.iterdir() if path.name not in (".git", ".venv")]  # never sent, and large
    files = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    return sorted(name for name in (path.relative_to(context).as_posix() for path in files) if name not in ignored)


def copy(instruction: Instruction, context: Path, files: list[str], root: Path, workdir: str) -> None:
    """Carry out a COPY of `files` (those the build can see) into the file system below `root`."""
    *sources, target = instruction.words
    if any(word.startswith("--") for word in sources):
        raise Unknown(instruction.text)
    into = root / PurePosixPath(workdir, target).as_posix().lstrip("/")
    for source in sources:
        source = PurePosixPath(source).as_posix()
        inside = [name for name in files if source == "." or name.startswith(f"{source}/")]
        if source in files:
            to_folder = target.endswith(("/", ".")) or len(sources) > 1
            _place(context / source, into / PurePosixPath(source).name if to_folder else into)
        elif inside:
            for name in inside:
                _place(context / name, into / (name if source == "." else name.removeprefix(f"{source}/")))
        else:
            raise FileNotFoundError(f"COPY {source}: the build sees no such file; is it let in by .dockerignore?")


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
