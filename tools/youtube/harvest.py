"""What a run has to show: the videos with their thumbnails, those left out, and what is missing."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Iterator, Sequence

from tools.core.errors import DataError, RemoteError
from tools.core.pairs.dataset import Pair
from tools.youtube.api import GO_ON
from tools.youtube.cache import KEPT_DAYS
from tools.youtube.channels import Channel
from tools.youtube.target import Target
from tools.youtube.thumbnails import Failure, Thumbnail
from tools.youtube.videos import Listing, Reason, Video, Wanted

EXAMPLES = 5
NOT_NOW = "whose thumbnail could not be fetched just now"
NO_PICTURE = "without a usable thumbnail"


@dataclasses.dataclass(frozen=True)
class Harvest:
    """The videos of a run that have a thumbnail, newest first, and the reasons for the others."""

    channel: Channel
    listing: Listing
    rows: list[tuple[Video, Thumbnail]]
    excluded: Counter[str]
    examples: tuple[str, ...]
    not_now: frozenset[str]  # videos whose thumbnail another run may get
    partial: str  # empty when nothing is missing that may come

    @property
    def oldest(self) -> datetime.datetime:
        """When the oldest of what is kept was fetched."""
        return min(min(video.fetched_at, thumbnail.fetched_at) for video, thumbnail in self.rows)

    @property
    def refresh_before(self) -> str:
        """The day, as YYYY-MM-DD, by which YouTube's policies want it fetched again or deleted."""
        return (self.oldest + datetime.timedelta(days=KEPT_DAYS)).date().isoformat()

    def pairs(self) -> Iterator[Pair]:
        """Yield the rows; a picture is read when its turn comes."""
        for video, thumbnail in self.rows:
            extra = {
                "video_id": video.id,
                "channel": video.channel,
                "duration_seconds": video.duration_seconds,
                "published_at": video.published_at or None,
                "thumbnail_url": thumbnail.address,
                "fetched_at": min(video.fetched_at, thumbnail.fetched_at).isoformat(timespec="seconds"),
            }
            yield Pair(thumbnail.file.read_bytes(), video.title, extra)


def gather(channel: Channel, listing: Listing, pictures: Sequence[Thumbnail | Failure], wanted: Wanted) -> Harvest:
    """Put videos and thumbnails together."""
    both = list(zip(listing.videos, pictures, strict=True))
    failures = [(video, one) for video, one in both if isinstance(one, Failure)]
    excluded = name_reasons(listing, wanted)
    excluded.update(NOT_NOW if failure.may_pass else NO_PICTURE for _, failure in failures)
    examples = tuple(f"no thumbnail for {video.title!r} ({video.id}): {one.reason}" for video, one in failures)
    not_now = frozenset(video.id for video, failure in failures if failure.may_pass)
    partial = ""
    if listing.interrupted:
        of = f" of about {channel.videos:,}" if channel.videos else ""
        partial = f"{listing.looked_at:,}{of} videos were looked at. {listing.interrupted}."
    elif not_now:
        partial = f"there are videos ({len(not_now)}) {NOT_NOW}; collect the channel again to get them."
    rows = [(video, one) for video, one in both if isinstance(one, Thumbnail)]
    return Harvest(channel, listing, rows, +excluded, examples[:EXAMPLES], not_now, partial)


def name_reasons(listing: Listing, wanted: Wanted) -> Counter[str]:
    """Return how many videos were left out for which reason, in words."""
    too_short = f"not longer than {wanted.min_minutes:g} minutes"
    return Counter(
        {too_short if one is Reason.TOO_SHORT else one.value: listing.excluded[one] for one in Reason}
    )  # in the order of `Reason`


def check_listing(channel: Channel, listing: Listing, wanted: Wanted) -> None:
    """Refuse to go on with a listing without a video.

    Raises:
        QuotaError: The quota ended before there was one.
        DataError: The channel has none that is wanted.
    """
    if listing.videos:
        return
    if listing.interrupted:
        raise listing.interrupted
    if not listing.looked_at:
        raise DataError(f"The channel {channel.title} ({channel.address}) has no public videos")
    each = ", ".join(f"{count} {reason}" for reason, count in name_reasons(listing, wanted).items() if count)
    hint = f"; lower min_minutes, now {wanted.min_minutes:g}" if listing.excluded[Reason.TOO_SHORT] else ""
    raise DataError(f"None of the {listing.looked_at:,} videos of {channel.title} is wanted: {each}{hint}")


def check_harvest(harvest: Harvest, target: Target) -> None:
    """Refuse to save nothing, or to take pairs away of which it is not known that they are gone.

    Raises:
        DataError: No video has a usable thumbnail.
        RemoteError: What is missing may come with another run, which goes on where this one was.
    """
    if not harvest.rows:
        title, example = harvest.channel.title, harvest.examples[0]
        if harvest.partial:
            raise RemoteError(f"Not one thumbnail of {title} could be fetched ({example}). {GO_ON}")
        raise DataError(f"No video of {title} has a usable thumbnail: {example}")
    fewer = len(harvest.rows) < len(target.videos)
    if (harvest.listing.interrupted and fewer) or harvest.not_now & target.videos:
        raise RemoteError(
            f"The dataset {target.name!r} stays as it was, with {len(target.videos)} pairs, as only "
            f"{len(harvest.rows)} could be fetched: {harvest.partial}"
        )
