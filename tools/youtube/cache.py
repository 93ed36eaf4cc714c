"""Answers and thumbnails on disk, with their ETags: an interrupted run goes on, an unchanged answer is not sent again.

    <folder>/answers/<hash>.json        an answer of the API; the key is in neither the file nor its name
    <folder>/thumbnails/<hash>.json     what is known of a picture's address; the picture lies beside it
    <folder>/unfinished/<channel>.json  since when a run for this channel is under way

YouTube's policies let data be kept for 30 days without asking again, so `sweep` removes what is older.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.core.files import replacing
from tools.core.pictures import suffix_of

KEPT_DAYS = 30
UNFINISHED_DAYS = 7  # an older run is not gone on with: its listing is too old

Now = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass(frozen=True)
class KeptAnswer:
    """An answer of the API as it was given."""

    body: dict[str, Any]
    etag: str  # empty when there was none
    fetched_at: datetime.datetime  # when the API last said that this is so


@dataclasses.dataclass(frozen=True)
class KeptPicture:
    """What an address of a picture gave."""

    file: Path | None  # None: there is no picture at this address
    etag: str
    fetched_at: datetime.datetime


class Cache:
    """What was fetched, under one folder; several processes may use it at once."""

    def __init__(self, folder: Path, now: Now = utc_now) -> None:
        """Use `folder`, made when first written to; `now` tells the time."""
        self.folder, self.now = folder, now

    def sweep(self) -> int:
        """Remove what is older than 30 days; return how many files that were."""
        oldest = self.now().timestamp() - KEPT_DAYS * 86_400
        removed = 0
        for file in self.folder.rglob("*"):
            try:
                if file.is_file() and file.stat().st_mtime < oldest:
                    file.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # another process was faster
        return removed

    def answer(self, request: str) -> KeptAnswer | None:
        """Return the answer kept for a request; None when there is none."""
        known = _read(self._answer_file(request))
        return KeptAnswer(known["body"], known["etag"], known["fetched_at"]) if known else None

    def keep_answer(self, request: str, body: dict[str, Any], etag: str) -> KeptAnswer:
        """Keep an answer, dated now."""
        kept = KeptAnswer(body, etag, self.now())
        content = {"request": request, "etag": etag, "fetched_at": kept.fetched_at.isoformat(), "body": body}
        self._write(self._answer_file(request), content)
        return kept

    def picture(self, address: str) -> KeptPicture | None:
        """Return what an address gave; None when that is not known, or the picture is gone."""
        known = _read(self._picture_file(address))
        file = self.folder / "thumbnails" / known["file"] if known.get("file") else None
        if not known or (file and not file.is_file()):
            return None
        return KeptPicture(file, known["etag"], known["fetched_at"])

    def keep_picture(self, address: str, content: bytes | None, etag: str) -> KeptPicture:
        """Keep a picture (None: there is none at this address), dated now."""
        file = None
        if content is not None:
            name = hashlib.sha256(content).hexdigest()[:32] + suffix_of(content)
            file = self.folder / "thumbnails" / name
            with replacing(file, durable=False) as aside:
                aside.write_bytes(content)
        return self._note_picture(address, KeptPicture(file, etag, self.now()))

    def renew_picture(self, address: str, kept: KeptPicture) -> KeptPicture:
        """Date a kept picture now: its host said that it is unchanged."""
        if kept.file:
            os.utime(kept.file)  # `sweep` goes by this
        return self._note_picture(address, dataclasses.replace(kept, fetched_at=self.now()))

    def begin(self, channel_id: str, now: datetime.datetime) -> datetime.datetime:
        """Return since when a run for a channel is under way: `now`, unless an earlier one was not finished."""
        file = self.folder / "unfinished" / f"{channel_id}.json"
        since = self._began(file)
        if since is None:
            self._write(file, {"fetched_at": now.isoformat()})
        return since or now

    def unfinished_since(self) -> datetime.datetime | None:
        """Return when the earliest of all unfinished runs began; None when all were finished."""
        began = map(self._began, (self.folder / "unfinished").glob("*.json"))
        return min((since for since in began if since), default=None)

    def finish(self, channel_id: str) -> None:
        """Note that the run for a channel is complete: the next one asks for everything anew."""
        (self.folder / "unfinished" / f"{channel_id}.json").unlink(missing_ok=True)

    def _began(self, file: Path) -> datetime.datetime | None:
        since: datetime.datetime | None = _read(file).get("fetched_at")
        too_old = since and self.now() - since >= datetime.timedelta(days=UNFINISHED_DAYS)
        return None if too_old else since

    def _note_picture(self, address: str, kept: KeptPicture) -> KeptPicture:
        name = kept.file.name if kept.file else None
        content = {"address": address, "file": name, "etag": kept.etag, "fetched_at": kept.fetched_at.isoformat()}
        self._write(self._picture_file(address), content)
        return kept

    def _answer_file(self, request: str) -> Path:
        return self.folder / "answers" / f"{hashlib.sha256(request.encode()).hexdigest()[:32]}.json"

    def _picture_file(self, address: str) -> Path:
        return self.folder / "thumbnails" / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.json"

    @staticmethod
    def _write(file: Path, content: dict[str, Any]) -> None:
        with replacing(file, durable=False) as aside:
            aside.write_text(json.dumps(content), encoding="utf-8")


def _read(file: Path) -> dict[str, Any]:
    """Return a file's object; empty when there is none, or a damaged one: what it held is then fetched again."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        content["fetched_at"] = datetime.datetime.fromisoformat(content["fetched_at"])
        return content
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
