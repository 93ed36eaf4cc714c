"""The container: what its Dockerfile says, and that what it copies and installs is enough to start the app."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deploy import container

ROOT = Path(__file__).parents[2]
STEPS = container.parse((ROOT / "Dockerfile").read_text())
START_SECONDS = 60
ORDINARY = {"user": 1000, "group": 1000, "extra_groups": []} if os.geteuid() == 0 else {}
ROOTS_WORK = {"useradd", "mkdir", "chown"}  # steps of the image's root that a prefix has no use for


def the(keyword: str) -> container.Instruction:
    """Return the one instruction with this keyword."""
    (instruction,) = [step for step in STEPS if step.keyword == keyword]
    return instruction


# What the Dockerfile says


def test_the_base_is_a_slim_python_that_the_project_supports() -> None:
    name, _, tag = the("FROM").text.partition(":")
    assert name == "python" and tag.endswith("-slim")
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert Requirement(f"python{lowest}").specifier.contains(tag.removesuffix("-slim"))


def test_the_app_listens_on_7860_of_every_address_and_keeps_its_state_on_a_volume() -> None:
    env = container.environment(STEPS)
    assert (env["PAIRWRIGHT_HOST"], env["PORT"], the("EXPOSE").text) == ("0.0.0.0", "7860", "7860")
    assert env["PAIRWRIGHT_HOME"] == the("VOLUME").text == "/data"
    assert env["HF_HOME"].startswith("/data/")


def test_nothing_runs_as_root_after_the_build() -> None:
    keywords = [step.keyword for step in STEPS]
    assert the("USER").text == "1000"
    assert keywords.index("USER") > max(n for n, keyword in enumerate(keywords) if keyword in ("RUN", "COPY"))
    assert "useradd --uid 1000" in STEPS[keywords.index("RUN")].text


def test_the_command_and_the_health_check_run_without_a_shell() -> None:
    assert container.exec_form(the("CMD").text) == ["python", "-m", "demo"]
    assert container.exec_form(the("HEALTHCHECK").text.partition("CMD ")[2])[0] == "python"


def test_dependencies_are_installed_before_the_source_is_copied() -> None:
    texts = [f"{step.keyword} {step.text}" for step in STEPS]
    install = texts.index("RUN pip install -r requirements.txt")
    assert texts.index("COPY requirements.txt ./") < install
    copied_later = [text for text in texts[install:] if text.startswith("COPY")]
    assert all(
        any(package in text for text in copied_later) for package in ("agent", "demo", "tools", "pyproject.toml")
    )
    assert [text for text in texts[:install] if text.startswith("COPY")] == ["COPY requirements.txt ./"]


def test_torch_comes_from_the_cpu_index_unless_the_build_names_another() -> None:
    assert the("ARG").text == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    (torch,) = [step for step in STEPS if step.keyword == "RUN" and "torch" in step.text]
    assert '--index-url "$TORCH_INDEX"' in torch.text


# The parser itself


def test_an_instruction_that_is_not_understood_is_refused() -> None:
    with pytest.raises(container.Unknown, match="ONBUILD"):
        container.parse("FROM python\nONBUILD RUN ls")


def test_the_last_pattern_that_fits_decides_what_the_build_sees() -> None:
    ignored = container.Ignored("*\n!tools\n**/__pycache__\n*.log\n")
    assert "secret.txt" in ignored and ".venv/bin/python" in ignored and "x.log" in ignored
    assert "tools/__pycache__/a.pyc" in ignored and "tools/core/__pycache__/a.pyc" in ignored
    assert "tools/core/a.py" not in ignored and "tools/core/x.log" not in ignored


def test_copying_what_the_build_cannot_see_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"COPY demo: .*\.dockerignore"):
        container.copy(container.Instruction("COPY", "demo demo"), tmp_path, ["agent/a.py"], tmp_path / "to", "/app")


# The image, carried out in a prefix


@dataclasses.dataclass(frozen=True)
class Prefix:
    """A folder that stands for the image's file system."""

    root: Path
    python: Path  # of a virtual environment that stands for the image's own
    app: Path
    env: dict[str, str]

    def command(self, words: list[str]) -> list[str]:
        """Return a command of the image as it is called here."""
        return [str(self.python.parent / words[0]), *words[1:]]

    def run(self, words: list[str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command of the image to its end, as an ordinary user."""
        return subprocess.run(
            self.command(words), cwd=self.app, env=self.env, capture_output=True, text=True, timeout=seconds, **ORDINARY
        )


def site_folders() -> list[str]:
    """Return where the running interpreter finds third-party packages."""
    return [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]


def usable_python() -> str:
    """Return an interpreter of this version that an ordinary user may run, or skip."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    check = f"import sys, os, venv, sqlite3; sys.exit(not all(os.access(f, os.X_OK) for f in {site_folders()!r}))"
    for python in (getattr(sys, "_base_executable", sys.executable), f"/usr/bin/python{version}"):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", check], cwd="/", env={}, capture_output=True, **ORDINARY).returncode == 0:
                return python
    pytest.skip(f"no Python {version} with these packages that an ordinary user may run")


@pytest.fixture(scope="module")
def prefix() -> Iterator[Prefix]:
    """Carry out the Dockerfile's COPY and install steps, as an ordinary user."""
    python = usable_python()
    # Not pytest's own folder: an ordinary user may not enter root's.
    with tempfile.TemporaryDirectory(prefix="pairwright-image-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        files = container.sent_to_build(ROOT, container.Ignored((ROOT / ".dockerignore").read_text()))
        environment = root / "venv"
        workdir, built = "/", None
        for step in STEPS:
            if step.keyword == "WORKDIR":
                workdir = step.text
            elif step.keyword == "COPY":
                container.copy(step, ROOT, files, root, workdir)
            elif step.keyword == "RUN" and step.words[0] not in ROOTS_WORK:
                if built is None:
                    give_away(root)
                    built = make_environment(root, environment, python)
                app = root / workdir.lstrip("/")
                install(step, dataclasses.replace(built, app=app))
        assert built is not None
        (root / "data").mkdir()
        give_away(root)
        yield dataclasses.replace(built, app=root / workdir.lstrip("/"))


def give_away(root: Path) -> None:
    """Make everything below `root` the ordinary user's."""
    if ORDINARY:
        for path in [root, *root.rglob("*")]:
            os.chown(path, 1000, 1000, follow_symlinks=False)


def make_environment(root: Path, folder: Path, python: str) -> Prefix:
    """Make a virtual environment that sees the third-party packages already installed, and nothing of this checkout."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], cwd="/", env={}, check=True, **ORDINARY)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Folders named in a .pth file are searched, but their own .pth files (an editable checkout's) are not read.
    (packages / "installed.pth").write_text("\n".join(site_folders()))
    paths = {name: str(root) + value if value.startswith("/") else value for name, value in image_environment().items()}
    return Prefix(
        root, folder / "bin" / "python", root, {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(root), **paths}
    )


def image_environment() -> dict[str, str]:
    """Return the environment of the image, with what a test must change."""
    changed = {"PAIRWRIGHT_HOST": "127.0.0.1", "PORT": str(free_port()), "HF_HUB_OFFLINE": "1"}
    return {**container.environment(STEPS), **changed, "LANG": "C.UTF-8"}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def install(step: container.Instruction, prefix: Prefix) -> None:
    """Carry out a `pip install`; a third-party package must be there already, in a version that fits."""
    words = shlex.split(step.text.replace("$(grep '^torch==' requirements.txt)", "torch"))
    if words[:2] != ["pip", "install"]:
        raise container.Unknown(step.text)
    if "--no-deps" in words:
        offline = ["--quiet", "--no-index", "--no-build-isolation", "--force-reinstall"]
        done = prefix.run(["python", "-m", "pip", "install", *offline, *words[2:]])
        assert done.returncode == 0, done.stderr
    elif words[2:] != ["--upgrade", "pip"]:
        assert words[2:] in (["-r", "requirements.txt"], ["--index-url", "$TORCH_INDEX", "torch"]), step.text
        for line in (prefix.app / "requirements.txt").read_text().splitlines():
            if not line.startswith("#"):
                requirement = Requirement(line)
                assert requirement.specifier.contains(metadata.version(requirement.name)), line


def test_the_image_imports_its_own_code_and_not_this_checkout(prefix: Prefix) -> None:
    show = "import agent, demo, tools; print(*(p.__file__ for p in (agent, demo, tools)), sep='\\n')"
    done = prefix.run(["python", "-c", show])
    assert done.returncode == 0, done.stderr
    assert [Path(line).parent for line in done.stdout.split()] == [prefix.app / n for n in ("agent", "demo", "tools")]


def test_every_file_of_the_packages_reaches_the_image(prefix: Prefix) -> None:
    assert package_files(prefix.app) == package_files(ROOT)


def test_the_terminal_command_is_installed(prefix: Prefix) -> None:
    done = prefix.run(["pairwright", "--help"])
    assert done.returncode == 0, done.stderr
    assert "plan" in done.stdout


def test_the_app_of_the_image_answers_and_is_found_healthy(prefix: Prefix) -> None:
    with started(prefix, prefix.command(container.exec_form(the("CMD").text)), prefix.env):
        health = prefix.run(container.exec_form(the("HEALTHCHECK").text.partition("CMD ")[2]))
        assert health.returncode == 0, health.stderr


def test_the_file_of_a_gradio_space_answers_without_the_project_being_installed(prefix: Prefix) -> None:
    packages = {"PYTHONPATH": os.pathsep.join(site_folders()), "SPACE_ID": "someone/pairwright"}
    with started(prefix, [usable_python(), "demo/app.py"], {**prefix.env, **packages}) as address:
        assert answer(address) == 200


@contextlib.contextmanager
def started(prefix: Prefix, command: list[str], env: dict[str, str]) -> Iterator[str]:
    """Start the app as an ordinary user, wait until its first page answers 200, and stop it in the end."""
    address = f"http://127.0.0.1:{env['PORT']}/"
    with (prefix.root / "log").open("w+") as log:
        app = subprocess.Popen(command, cwd=prefix.app, env=env, stdout=log, stderr=log, **ORDINARY)
        try:
            deadline = time.monotonic() + START_SECONDS
            while (status := answer(address)) != 200 and app.poll() is None and time.monotonic() < deadline:
                time.sleep(0.3)
            log.seek(0)
            assert status == 200, (
                f"answer {status}, exit code {app.poll()}, within {START_SECONDS} s:\n{log.read()[-3000:]}"
            )
            yield address
        finally:
            app.terminate()
            try:
                app.wait(15)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def test_the_health_check_fails_when_nothing_listens(prefix: Prefix) -> None:
    silent = dataclasses.replace(prefix, env={**prefix.env, "PORT": str(free_port())})
    health = silent.run(container.exec_form(the("HEALTHCHECK").text.partition("CMD ")[2]))
    assert health.returncode == 1
    assert "refused" in health.stderr


def answer(address: str) -> int | None:
    """Return the status of a page, None while nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


# The wheel


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    for name in ("agent", "demo", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--wheel-dir", tmp_path, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == package_files(source)


def package_files(root: Path) -> set[str]:
    """Return the files of the packages below `root`, relative and with slashes."""
    files = (file for name in ("agent", "demo", "tools") for file in (root / name).rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix() for file in files if file.suffix != ".pyc"}
