"""What every tool is given: the library, the encoders, the collections, and the watch of the call."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import threading
from pathlib import Path

from tools.core.encoders import STARTER, Encoder, EncoderChoice, choose_encoder
from tools.core.errors import ModelError, first_line
from tools.core.files import replacing
from tools.core.library import Card, Kind, Library
from tools.core.pictures import suffix_of
from tools.core.settings import Settings
from tools.core.store import VectorCollection
from tools.core.watch import Watch

MATCHING_RECIPE = "title_thumbnail"
SAMPLES = Path(__file__).parent.parent / "starter" / "pictures"


class _Shelf:
    """What is loaded once a process and shared by all calls."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.encoders: dict[str, Encoder] = {}
        self.loading: dict[str, threading.Lock] = {}  # one a model
        self.collections: dict[str, tuple[str, VectorCollection]] = {}  # name → (created, collection)
        self.choice: EncoderChoice | None = None


@dataclasses.dataclass(frozen=True)
class Secrets:
    """Keys of whoever makes a call; kept in memory only, and never shown."""

    youtube_api_key: str | None = dataclasses.field(default=None, repr=False)
    hub_token: str | None = dataclasses.field(default=None, repr=False)


class Workspace:
    """The state of Pairwright under one folder.

    A process needs only one for a folder (`watched` gives more views of it): Chroma shares what it has open by path.
    """

    def __init__(self, settings: Settings | None = None, watch: Watch | None = None) -> None:
        """Open the workspace of `settings` (the environment's when None); nothing is loaded or written yet."""
        self.settings = settings or Settings.from_env()
        self.library = Library(self.settings.home)
        self.watch = watch or Watch()
        own_token = None if self.settings.on_space else self.settings.hub_token  # a Space's is its owner's
        self.secrets = Secrets(self.settings.youtube_api_key, own_token)
        self.call_id: str | None = None  # of the agent's call that is being carried out; None outside a conversation
        self._shelf = _Shelf()

    def watched(self, watch: Watch, secrets: Secrets | None = None, call_id: str | None = None) -> Workspace:
        """Return this workspace for one call; encoders and collections are shared.

        Args:
            watch: Where the call reports its progress and learns that it should stop.
            secrets: Keys of the visitor; this workspace's own when None.
            call_id: Names the call: what may happen only once is not done again for the same id.
        """
        other = copy.copy(self)
        other.watch, other.call_id = watch, call_id
        other.secrets = secrets or self.secrets
        return other

    def encoder_choice(self, model: str | None = None) -> EncoderChoice:
        """Tell which encoder would be used and why, without loading it; `auto` is decided once a process."""
        if model:
            return choose_encoder(self.settings, self.library, model)
        if self._shelf.choice is None:  # two threads may both ask the hub; the answers are alike
            self._shelf.choice = choose_encoder(self.settings, self.library)
        return self._shelf.choice

    def encoder(self, model: str | None = None) -> Encoder:
        """Return an encoder by name, loaded once; the one of the settings when None.

        Where `auto` chose a model that then cannot be loaded, the starter model takes its place and the choice says so.
        """
        choice = self.encoder_choice(model)
        try:
            return self._loaded(choice)
        except ModelError as error:
            if model or self.settings.encoder != "auto" or choice.name == STARTER:
                raise
            self._shelf.choice = EncoderChoice(STARTER, f"{choice.name} failed: {first_line(error)}")
            return self._loaded(self._shelf.choice)

    def matcher_choice(self, model: str | None = None) -> EncoderChoice:
        """Tell which model would match titles with thumbnails: the newest one fine-tuned for it when none is named."""
        trained = [card for card in self.library.cards(Kind.MODEL) if card.parameters.get("recipe") == MATCHING_RECIPE]
        if model is None and trained:
            return EncoderChoice(trained[-1].name, f"the newest model fine-tuned on titles, {trained[-1].updated[:10]}")
        return self.encoder_choice(model)

    def matcher(self, model: str | None = None) -> Encoder:
        """Return the model of `matcher_choice`, loaded once.

        Raises:
            ModelError: It cannot be loaded.
        """
        choice = self.matcher_choice(model)
        return self.encoder(model) if choice == self.encoder_choice(model) else self._loaded(choice)

    def _loaded(self, choice: EncoderChoice) -> Encoder:
        key = self._key(choice.name)
        with self._shelf.lock:
            loading = self._shelf.loading.setdefault(key, threading.Lock())
        with loading:  # only who needs this very model waits for it
            if key not in self._shelf.encoders:
                self.watch.tell(f"loading {choice.name}, {choice.reason}", 0)
                self._shelf.encoders[key] = Encoder.load(choice.name, self.settings, self.library)
            return self._shelf.encoders[key]

    def _key(self, name: str) -> str:
        """Return what a loaded encoder is kept under: a model deleted and made again under its name is another one."""
        made = [card.created for card in self.library.cards(Kind.MODEL) if name in (card.name, card.reference)]
        return f"{name} {made[0]}" if made else name

    def collection(self, card: Card) -> VectorCollection:
        """Return the vectors of a collection artifact, opened once."""
        with self._shelf.lock:
            known = self._shelf.collections.get(card.name)
            if known is None or known[0] != card.created:  # deleted and made again under the same name
                if known:
                    known[1].close()
                known = (card.created, VectorCollection(self.library.folder(Kind.COLLECTION, card.name)))
                self._shelf.collections[card.name] = known
            return known[1]

    def forget_collection(self, name: str) -> None:
        """Close a collection's files before they are deleted."""
        with self._shelf.lock:
            if known := self._shelf.collections.pop(name, None):
                known[1].close()

    def picture_file(self, content: bytes) -> Path:
        """Return a file with these bytes, for showing a picture that has no file of its own."""
        name = hashlib.sha256(content).hexdigest()[:32] + suffix_of(content)
        file = self.settings.home / "cache" / "pictures" / name
        if not file.exists():
            with replacing(file, durable=False) as aside:
                aside.write_bytes(content)
        return file
