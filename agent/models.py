"""Chooses the chat model: our planner, or any OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tools.core.errors import PairwrightError
from tools.core.library import Library
from tools.core.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

REQUEST_SECONDS = 60.0
RETRIES = 3  # with back-off, on rate limits, time-outs and server errors


def build_chat_model(settings: Settings, library: Library) -> BaseChatModel:
    """Return the chat model of `PAIRWRIGHT_MODEL`: `planner`, or `openai:MODEL` with the usual key and base URL."""
    if settings.chat_model == "planner":
        from agent.planner_model import PlannerModel

        return PlannerModel(library=library)
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    return ChatOpenAI(
        model=settings.chat_model.removeprefix("openai:"),
        base_url=settings.openai_base_url,
        api_key=SecretStr(settings.openai_api_key or "none"),  # local servers want any non-empty key
        timeout=REQUEST_SECONDS,
        max_retries=RETRIES,
        temperature=0,
    )


def describe_chat_model(settings: Settings) -> str:
    """Say in a line of Markdown which chat model is in use and how to switch."""
    if settings.chat_model == "planner":
        return "**planner**, no language model (OPENAI_API_KEY and PAIRWRIGHT_MODEL=openai:MODEL add one)"
    return f"**{settings.chat_model}** at {_endpoint(settings)}"


def explain_model_error(error: Exception, settings: Settings) -> str:
    """Turn what went wrong with the endpoint into a message with a way on."""
    if isinstance(error, PairwrightError):
        return str(error)
    where = _endpoint(settings)
    known = {
        "APIConnectionError": f"the endpoint {where} cannot be reached",
        "APITimeoutError": f"the endpoint {where} did not answer within {REQUEST_SECONDS:.0f} seconds",
        "AuthenticationError": f"the endpoint {where} refused the key (check OPENAI_API_KEY)",
        "PermissionDeniedError": f"the endpoint {where} refused access to {settings.chat_model}",
        "RateLimitError": f"the endpoint {where} is rate-limiting or the quota is used up",
        "NotFoundError": f"the endpoint {where} has no model {settings.chat_model.removeprefix('openai:')!r}",
    }
    kinds = (kind.__name__ for kind in type(error).__mro__)  # langchain raises its own heirs of openai's errors
    what = next(
        (known[kind] for kind in kinds if kind in known), f"the chat model failed ({type(error).__name__}: {error})"
    )
    return f"I could not go on: {what}. Try again, or set PAIRWRIGHT_MODEL=planner to work without a language model."


def _endpoint(settings: Settings) -> str:
    """Return the endpoint's host, without a password that its address may hold."""
    address = urlsplit(settings.openai_base_url or "https://api.openai.com")
    return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)
