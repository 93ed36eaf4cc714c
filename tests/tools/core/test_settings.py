import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.core.errors import SettingsError
from tools.core.settings import Settings, quieten_libraries

ROOT = Path(__file__).parents[3]
LAYERS = ("tools.core", "tools", "agent", "demo")  # each may import itself and those before it


def test_an_empty_environment_gives_the_documented_defaults():
    settings = Settings.from_env({})
    assert settings == Settings(home=Path.home() / ".pairwright")
    assert (settings.encoder, settings.chat_model, settings.host, settings.port) == (
        "auto",
        "planner",
        "127.0.0.1",
        7860,
    )


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("PAIRWRIGHT_ENCODER", "starter-clip", "encoder", "starter-clip"),
        ("PAIRWRIGHT_ENCODER", "", "encoder", "auto"),
        ("PAIRWRIGHT_MODEL", "planner", "chat_model", "planner"),
        ("PAIRWRIGHT_MODEL", "openai:gpt-x", "chat_model", "openai:gpt-x"),
        ("PAIRWRIGHT_MODEL", "", "chat_model", "planner"),
        ("OPENAI_BASE_URL", "http://localhost:1/v1", "openai_base_url", "http://localhost:1/v1"),
        ("OPENAI_BASE_URL", "", "openai_base_url", None),
        ("OPENAI_API_KEY", "k", "openai_api_key", "k"),
        ("HF_HUB_OFFLINE", "1", "hub_offline", True),
        ("HF_HUB_OFFLINE", "TRUE", "hub_offline", True),
        ("HF_HUB_OFFLINE", "0", "hub_offline", False),
        ("HF_HUB_OFFLINE", "", "hub_offline", False),
        ("HF_ENDPOINT", "https://mirror.example/", "hub_endpoint", "https://mirror.example"),
        ("HF_ENDPOINT", "", "hub_endpoint", "https://huggingface.co"),
        ("PAIRWRIGHT_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("SPACE_ID", "me/space", "on_space", True),
        ("SPACE_ID", "me/space", "host", "0.0.0.0"),
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65535),
        ("PORT", "", "port", 7860),
    ],
)
def test_each_variable_sets_its_field(variable: str, value: str, field: str, expected: object):
    assert getattr(Settings.from_env({variable: value}), field) == expected


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "7860.0", "²", "9" * 5000])
def test_a_bad_port_is_refused_with_the_range(port: str):
    with pytest.raises(SettingsError, match="expected a number from 1 to 65535"):
        Settings.from_env({"PORT": port})


@pytest.mark.parametrize("model", ["gpt-x", "openai:", "openai: ", "OpenAI:gpt"])
def test_a_bad_chat_model_is_refused_with_the_forms_there_are(model: str):
    with pytest.raises(SettingsError, match="planner or openai:MODEL"):
        Settings.from_env({"PAIRWRIGHT_MODEL": model})


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://huggingface.co"])
def test_a_hub_that_is_no_web_address_is_refused(endpoint: str):
    with pytest.raises(SettingsError, match="starts with https://"):
        Settings.from_env({"HF_ENDPOINT": endpoint})


def test_a_home_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a file; set it to a folder"):
        Settings.from_env({"PAIRWRIGHT_HOME": str(tmp_path / "file")})


def test_a_home_of_an_unknown_user_is_refused():
    with pytest.raises(SettingsError, match="no such user; set it to a folder"):
        Settings.from_env({"PAIRWRIGHT_HOME": "~nobody-of-this-name/pairs"})


def test_a_home_is_absolute_and_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env({"PAIRWRIGHT_HOME": "pairs"}).home == tmp_path / "pairs"
    assert Settings.from_env({"PAIRWRIGHT_HOME": "~/pairs"}).home == Path.home() / "pairs"


def test_the_key_is_not_shown():
    assert "sesame" not in repr(Settings.from_env({"OPENAI_API_KEY": "sesame"}))


def test_quieting_leaves_the_users_own_values(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED")
    quieten_libraries()
    assert (os.environ["LANGSMITH_TRACING"], os.environ["GRADIO_ANALYTICS_ENABLED"]) == ("true", "False")


def test_every_variable_that_is_read_stands_in_the_table():
    file = ROOT / "tools/core/settings.py"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "env.get"]
    read = {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}
    assert "PAIRWRIGHT_HOME" in read
    assert [name for name in read - {"SPACE_ID"} if name not in str(ast.get_docstring(tree))] == []


def python_files(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield file.relative_to(ROOT), ast.parse(file.read_text(encoding="utf-8"))


def reads_environment(tree: ast.Module) -> bool:
    """Tell whether a module looks at the environment's values; copying it whole for a child process is no look."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        ):
            return True
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) == "os.environ"
        ):
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.getenv", "os.environ.get", "os.environ.pop"):
            return True
        if isinstance(node, ast.Compare) and "os.environ" in map(ast.unparse, node.comparators):
            return True
    return False


def imported_modules(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    "code", ["import os\nos.getenv('A')", "import os\nx = os.environ['A']", "from os import environ"]
)
def test_the_environment_check_sees_a_reader(code: str):
    assert reads_environment(ast.parse(code))


def test_only_settings_reads_the_environment():
    readers = [file for file, tree in python_files("tools", "agent", "demo") if reads_environment(tree)]
    allowed = {"tools/core/settings.py", "tools/core/jobs/worker.py"}  # the latter: which process it is, from torchrun
    assert [str(file) for file in readers if str(file) not in allowed] == []


def layer_of(module: str) -> int | None:
    parts = module.split(".")
    name = ".".join(parts[:2]) if parts[:2] == ["tools", "core"] else parts[0]
    return LAYERS.index(name) if name in LAYERS else None


def test_imports_flow_from_demo_to_agent_to_tools_to_core():
    upward = []
    for file, tree in python_files("tools", "agent", "demo"):
        own = layer_of(".".join(file.with_suffix("").parts))
        layers = {module: layer_of(module) for module in imported_modules(tree)}
        upward += [f"{file} imports {name}" for name, layer in layers.items() if layer is not None and layer > own]
    assert upward == []


def test_recipes_import_only_core_and_other_recipes():
    strangers = []
    for file, tree in python_files("tools/recipes"):
        ours = {name for name in imported_modules(tree) if layer_of(name) is not None}
        strangers += [f"{file}: {name}" for name in ours if not name.startswith(("tools.core", "tools.recipes"))]
    assert strangers == []


def test_all_tools_can_be_imported_where_langchain_and_gradio_are_absent():
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("langchain", "langchain_core", "langgraph", "gradio", "gradio_client"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import pkgutil, importlib, tools, tools.core
for package in (tools, tools.core):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
try:
    import gradio
except ImportError:
    print(len(tools.TOOLS), "torch" in sys.modules, "chromadb" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, torch, chroma = done.stdout.split()
    assert int(count) >= 6
    assert (torch, chroma) == ("False", "False")  # heavy packages load when they are needed
