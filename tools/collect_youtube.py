"""Collect a YouTube channel's titles and thumbnails as a dataset of pairs."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Callable

from tools.core.errors import DataError, InputError
from tools.core.library import Card, check_name
from tools.core.pairs.dataset import PairCounts, save_pairs
from tools.core.workspace import Workspace
from tools.youtube.api import Api, RefusedError, check_key
from tools.youtube.cache import KEPT_DAYS, Cache, Now, utc_now
from tools.youtube.channels import Channel, find_channel, read_reference
from tools.youtube.harvest import Harvest, check_harvest, check_listing, gather
from tools.youtube.ledger import DAILY_UNITS, Ledger
from tools.youtube.patience import Patience
from tools.youtube.target import Target, check_free, choose_target
from tools.youtube.thumbnails import Failure, Fetcher, Rules, Thumbnail
from tools.youtube.videos import Listing, Wanted, estimate, list_videos

MAX_LIMIT = 20_000  # as many as a list of uploads has at most
MAX_MINUTES = 24 * 60.0
POLICY = (
    f"YouTube's API policies: what was fetched may be kept for {KEPT_DAYS} days, then it is to be fetched again or "
    "deleted; titles and thumbnails remain their makers'"
)


@dataclasses.dataclass(frozen=True)
class Collected:
    """What was collected of a channel."""

    dataset: str
    channel: str  # its title
    channel_id: str
    address: str
    pairs: int
    videos: int  # that were looked at
    excluded: dict[str, int]  # videos that were left out, by reason
    examples: tuple[str, ...]  # some whose thumbnail is missing, with the reason
    was_live: int  # of the pairs: recorded streams, and premieres
    splits: dict[str, int]
    near_duplicates: int  # pairs that look or read like another one
    near_duplicate_groups: int
    note: str  # what should be known of the splits; empty when there is nothing
    estimate: Ledger  # what the calls were thought to cost
    spent: Ledger  # what they did cost
    partial: str  # why videos are missing and how to go on; empty when none are
    refresh_before: str  # the day, as YYYY-MM-DD
    added: int | None = None  # when the dataset was refreshed: videos that are new in it; None when it was made
    dropped: int | None = None  # likewise: videos that are no longer in it
    outdated: tuple[str, ...] = ()  # likewise: artifacts that were made from its earlier state

    def __str__(self) -> str:
        """Say it in a few lines."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [
            f"Collected {self.pairs} pairs of title and thumbnail from {self.channel} as the dataset {self.dataset!r}: "
            f"{sizes}."
        ]
        if self.added is not None:
            lines.append(f"It was there before; new in it: {self.added}, no longer in it: {self.dropped}.")
        if self.outdated:
            lines.append(f"Made from its earlier state, and left as they are: {', '.join(self.outdated)}.")
        if self.partial:
            lines.append(f"Not all of them: {self.partial}")
        if self.excluded:
            each = ", ".join(f"{count} {reason}" for reason, count in self.excluded.items())
            lines.append(f"Left out {sum(self.excluded.values())} of {self.videos} videos: {each}.")
        lines += [f"- {example}" for example in self.examples]
        if self.was_live:
            lines.append(f"{self.was_live} of the pairs are recorded streams or premieres.")
        if self.near_duplicates:
            lines.append(
                f"{self.near_duplicates} near-duplicates in {self.near_duplicate_groups} groups, each kept in one "
                "split."
            )
        if self.note:
            lines.append(self.note)
        lines.append(
            f"YouTube API: {self.spent} of the usual {DAILY_UNITS:,} a day; {self.estimate.units:,} were estimated."
        )
        lines.append(f"Refresh or delete it by {self.refresh_before}: collect the channel again. {POLICY}.")
        return "\n".join(lines)


def collect_youtube(
    workspace: Workspace, channel: str, min_minutes: float = 3.0, limit: int | None = None, name: str | None = None
) -> Collected:
    """Collect the titles and thumbnails of a YouTube channel's long videos into the library as a dataset of pairs.

    Shorts, live and upcoming streams, private and deleted videos are left out and counted. Collecting a channel again
    refreshes its dataset; a run that was stopped, or ended with the quota, goes on where it was.

    Args:
        workspace: Where the state is.
        channel: Handle such as @ShawhinTalebi, id, or address of a YouTube channel or of one of its videos.
        min_minutes: Only videos longer than this many minutes are wanted.
        limit: How many are wanted, the newest first; all when omitted.
        name: Name of the dataset; made from the channel's handle when omitted.

    Raises:
        InputError: There is no such channel, an argument is not possible, or the name belongs to something else.
        SettingsError: There is no API key, or YouTube does not accept it.
        DataError: The channel has no video that is wanted.
        RemoteError: YouTube cannot be reached, or the quota ended before anything was fetched.
    """
    return Collector(workspace).collect(channel, Wanted(min_minutes, limit), name)


class Collector:
    """Collects into one workspace; tests give it a clock, less patience and other rules."""

    def __init__(
        self, workspace: Workspace, patience: Patience | None = None, rules: Rules | None = None, now: Now = utc_now
    ) -> None:
        """Collect into `workspace`; None means the usual patience, and the rules that fit the endpoint."""
        self._workspace, self._now = workspace, now
        self._patience = patience or Patience()
        self._endpoint = workspace.settings.youtube_endpoint.rstrip("/")
        self._rules = rules or Rules.for_endpoint(self._endpoint)
        self._cache = Cache(workspace.settings.home / "cache" / "youtube", now)

    def collect(self, channel: str, wanted: Wanted, name: str | None) -> Collected:
        """Do what `collect_youtube` says."""
        reference = read_reference(channel)
        _check(wanted)
        if name is not None:
            check_free(self._workspace.library, check_name(name))  # before anything is spent
        key = check_key(self._workspace.secrets.youtube_api_key)
        began = self._now()
        self._cache.sweep()
        with Api(self._endpoint, key, self._cache, self._workspace.watch, self._patience) as api:
            found = find_channel(api, reference, self._cache.unfinished_since())
            handle = reference.value if reference.kind == "handle" else None
            target = choose_target(self._workspace, found, handle, name)
            since = self._cache.begin(found.id, began)
            try:
                return self._go_through(api, found, wanted, target, since)
            except (DataError, RefusedError):  # going on where it was would lead to the same end
                self._cache.finish(found.id)
                raise

    def _go_through(
        self, api: Api, channel: Channel, wanted: Wanted, target: Target, since: datetime.datetime
    ) -> Collected:
        watch, expected = self._workspace.watch, estimate(channel, wanted, api.tally.ledger())
        watch.tell(f"collecting {channel.title}: about {expected.units:,} of {DAILY_UNITS:,} units a day", 0)
        listing = list_videos(api, channel, wanted, since, self._tell_listing(channel))
        check_listing(channel, listing, wanted)
        harvest = gather(channel, listing, self._fetch(listing, since), wanted)
        check_harvest(harvest, target)
        card, counts = self._save(harvest, wanted, target)
        if not listing.interrupted:
            self._cache.finish(channel.id)
        return _report(card, counts, harvest, target, expected, api.tally.ledger())

    def _tell_listing(self, channel: Channel) -> Callable[[Listing], None]:
        def tell(listing: Listing) -> None:
            total = None if channel.videos is None else max(channel.videos, listing.looked_at)
            self._workspace.watch.tell(f"looking at the videos of {channel.title}", listing.looked_at, total)

        return tell

    def _fetch(self, listing: Listing, since: datetime.datetime) -> list[Thumbnail | Failure]:
        watch, total = self._workspace.watch, len(listing.videos)
        fetcher = Fetcher(self._cache, watch, self._patience, self._rules)
        return fetcher.fetch(listing.videos, since, lambda done: watch.tell("fetching thumbnails", done, total))

    def _save(self, harvest: Harvest, wanted: Wanted, target: Target) -> tuple[Card, PairCounts]:
        channel = harvest.channel
        return save_pairs(
            target.workspace(self._workspace),
            target.name,
            harvest.pairs(),
            source=f"the YouTube channel {channel.title} ({channel.address})",
            parameters={
                "channel": channel.title,
                "channel_id": channel.id,
                **dataclasses.asdict(wanted),
                "partial": bool(harvest.partial),
                "fetched_at": harvest.oldest.isoformat(timespec="seconds"),
                "refresh_before": harvest.refresh_before,
                "policy": POLICY,
            },
            left_out=sum(harvest.excluded.values()),
            total=len(harvest.rows),
        )


def _report(
    card: Card, counts: PairCounts, harvest: Harvest, target: Target, expected: Ledger, spent: Ledger
) -> Collected:
    channel, kept = harvest.channel, {video.id for video, _ in harvest.rows}
    return Collected(
        dataset=card.name,
        channel=channel.title,
        channel_id=channel.id,
        address=channel.address,
        pairs=counts.pairs,
        videos=harvest.listing.looked_at,
        excluded=dict(harvest.excluded + Counter(item.reason for item in counts.left_out)),
        examples=harvest.examples,
        was_live=sum(video.was_live for video, _ in harvest.rows),
        splits=counts.splits,
        near_duplicates=counts.near_duplicates,
        near_duplicate_groups=counts.near_duplicate_groups,
        note=counts.note,
        estimate=expected,
        spent=spent,
        partial=harvest.partial,
        refresh_before=harvest.refresh_before,
        added=len(kept - target.videos) if target.old else None,
        dropped=len(target.videos - kept) if target.old else None,
        outdated=target.made_from,
    )


def _check(wanted: Wanted) -> None:
    min_minutes, limit = wanted.min_minutes, wanted.limit
    numeric = isinstance(min_minutes, (int, float)) and not isinstance(min_minutes, bool)
    if not numeric or not 0 <= min_minutes <= MAX_MINUTES:  # NaN is in no range
        raise InputError(f"min_minutes is {min_minutes!r}; expected a number of minutes from 0 to {MAX_MINUTES:g}")
    whole = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and (not whole or not 1 <= limit <= MAX_LIMIT):
        raise InputError(f"limit is {limit!r}; expected a whole number from 1 to {MAX_LIMIT:,}, or nothing for all")
