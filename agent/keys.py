"""Keys that a person gives: used while they are here, kept nowhere, shown nowhere."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tools.core.settings import Settings
from tools.core.workspace import Secrets

REMOVED = "[key removed]"
SHORTEST = 8  # characters; what is shorter is no key, and hiding it would garble texts
_YOUTUBE = re.compile(r"(?<![\w-])AIza[\w-]{30,}")
_HUB = re.compile(r"(?<!\w)hf_[A-Za-z0-9]{20,}")
_AROUND = re.compile(
    r"[\s,;:(]*(?:\b(?:and|with|using|use|here|is|heres|my|the|this|a|api|key|token|youtube|google|hugging|face|hf|hub)\b"
    rf"[\s,;:=]*)*{re.escape(REMOVED)}[).]?",
    re.IGNORECASE,
)


def take_keys(text: str) -> tuple[str, Secrets]:
    """Return a message without the keys that were pasted into it, and those keys."""
    youtube, hub = _YOUTUBE.search(text), _HUB.search(text)
    clean = _HUB.sub(REMOVED, _YOUTUBE.sub(REMOVED, text))
    return clean, Secrets(youtube and youtube[0], hub and hub[0])


def without_mention(text: str) -> str:
    """Return a cleaned message without what tells of the key: "collect @x with key [key removed]" is "collect @x"."""
    return _AROUND.sub("", text).strip() if REMOVED in text else text


def joined(first: Secrets, second: Secrets) -> Secrets:
    """Return the keys of both, the first one's where both have one."""
    return Secrets(first.youtube_api_key or second.youtube_api_key, first.hub_token or second.hub_token)


def visitor_keys(settings: Settings, youtube: str | None = None, hub: str | None = None) -> Secrets:
    """Return the keys that count for a visitor of the app: those typed, else the settings' own.

    On a Space the owner's hub token is not lent out: it could write to the owner's repositories.
    """
    own = None if settings.on_space else settings.hub_token
    return Secrets((youtube or "").strip() or settings.youtube_api_key, (hub or "").strip() or own)


def hide(value: Any, secrets: Secrets) -> Any:
    """Return text, or plain data with texts in it, in which none of these keys can be read."""
    keys = [key for key in dataclasses.astuple(secrets) if key and len(key) >= SHORTEST]
    if not keys:
        return value
    if isinstance(value, str):
        for key in keys:
            value = value.replace(key, REMOVED)
        return value
    if isinstance(value, dict):
        return {hide(name, secrets): hide(one, secrets) for name, one in value.items()}
    return type(value)(hide(one, secrets) for one in value) if isinstance(value, list | tuple) else value
