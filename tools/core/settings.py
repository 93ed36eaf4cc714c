"""The one place that reads the environment.

| variable | meaning | default |
| --- | --- | --- |
| PAIRWRIGHT_HOME | folder that holds the whole state | ~/.pairwright; /data on a Space with a volume |
| PAIRWRIGHT_ENCODER | image-text model: starter-clip, a library model, a folder, a hub id, or auto | auto |
| PAIRWRIGHT_MODEL | chat model: planner, or openai:MODEL | planner |
| OPENAI_BASE_URL, OPENAI_API_KEY | endpoint and key for openai:MODEL | OpenAI's, none |
| YOUTUBE_API_KEY | key of the YouTube Data API v3, for collect_youtube | none |
| YOUTUBE_ENDPOINT | where that API is | https://www.googleapis.com/youtube/v3 |
| HF_TOKEN | huggingface_hub's own: token for private and gated repositories, and for publish | none |
| HF_HUB_OFFLINE, HF_ENDPOINT | huggingface_hub's own: never look on the hub; another hub | unset |
| PAIRWRIGHT_HOST, PORT | address the app listens on | 127.0.0.1 (0.0.0.0 on a Space), 7860 |
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from tools.core.errors import SettingsError

PREFERRED_ENCODER = "sentence-transformers/clip-ViT-L-14"
YOUTUBE_ENDPOINT = "https://www.googleapis.com/youtube/v3"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a process; see the module's table."""

    home: Path
    encoder: str = "auto"
    chat_model: str = "planner"
    openai_base_url: str | None = None  # None: OpenAI's own
    openai_api_key: str | None = dataclasses.field(default=None, repr=False)
    youtube_api_key: str | None = dataclasses.field(default=None, repr=False)
    youtube_endpoint: str = YOUTUBE_ENDPOINT
    hub_token: str | None = dataclasses.field(default=None, repr=False)
    hub_offline: bool = False
    hub_endpoint: str = "https://huggingface.co"
    on_space: bool = False  # running as a Hugging Face Space
    host: str = "127.0.0.1"
    port: int = 7860

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environment` (`os.environ` when None).

        Raises:
            SettingsError: A variable holds a value that cannot be used.
        """
        env = os.environ if environment is None else environment
        on_space = bool(env.get("SPACE_ID"))
        given = env.get("PAIRWRIGHT_HOME")
        home = Path(os.path.expanduser(given)) if given else _default_home(on_space)
        if str(home).startswith("~"):
            raise SettingsError(f"PAIRWRIGHT_HOME is {given!r}, and there is no such user; set it to a folder")
        if home.exists() and not home.is_dir():
            raise SettingsError(f"PAIRWRIGHT_HOME is {home}, which is a file; set it to a folder")
        chat_model = env.get("PAIRWRIGHT_MODEL") or "planner"
        if chat_model != "planner" and not chat_model.removeprefix("openai:").strip():
            raise SettingsError("PAIRWRIGHT_MODEL is 'openai:' without a model; set it to planner or openai:MODEL")
        if chat_model != "planner" and not chat_model.startswith("openai:"):
            raise SettingsError(f"PAIRWRIGHT_MODEL is {chat_model!r}; expected planner or openai:MODEL")
        port = env.get("PORT") or "7860"
        if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
            raise SettingsError(f"PORT is {port!r}; expected a number from 1 to 65535")
        endpoint = _address(env, "HF_ENDPOINT", "https://huggingface.co")
        return cls(
            home=home.absolute(),
            encoder=env.get("PAIRWRIGHT_ENCODER") or "auto",
            chat_model=chat_model,
            openai_base_url=env.get("OPENAI_BASE_URL") or None,
            openai_api_key=env.get("OPENAI_API_KEY") or None,
            youtube_api_key=env.get("YOUTUBE_API_KEY") or None,
            youtube_endpoint=_address(env, "YOUTUBE_ENDPOINT", YOUTUBE_ENDPOINT),
            hub_token=env.get("HF_TOKEN") or None,
            hub_offline=env.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"),
            hub_endpoint=endpoint,
            on_space=on_space,
            host=env.get("PAIRWRIGHT_HOST") or ("0.0.0.0" if on_space else "127.0.0.1"),
            port=int(port),
        )


def quieten_libraries() -> None:
    """Turn off telemetry and chatter of the libraries; call before importing them. The user's own values win."""
    quiet = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "ANONYMIZED_TELEMETRY": "False",
        "LANGSMITH_TRACING": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)


def _address(env: Mapping[str, str], name: str, default: str) -> str:
    given = (env.get(name) or default).rstrip("/")
    if not given.startswith(("http://", "https://")):
        raise SettingsError(f"{name} is {given!r}; expected an address that starts with https://")
    return given


def _default_home(on_space: bool) -> Path:
    volume = Path("/data")
    if on_space and volume.is_dir() and os.access(volume, os.W_OK):
        return volume
    return Path.home() / ".pairwright"
