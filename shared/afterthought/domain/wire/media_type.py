"""Content negotiation by the `Accept` header (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class _Range(NamedTuple):
    """`precision` is 2 for a full media type, 1 for `text/*`, 0 for `*/*`."""

    precision: int
    quality: float


def preferred_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The offered media type with the highest quality in the header.

    Between equal qualities, the type that the header names more precisely is preferred, then the first one offered.
    The first offer is also the default if the header is absent or accepts none of them.
    """
    ranges = [] if accept is None else accept.lower().split(",")
    best = max(offered, key=lambda offer: _preference(offer, ranges))
    return best if _preference(best, ranges)[0] > 0 else offered[0]


def _preference(offer: str, ranges: Sequence[str]) -> tuple[float, int]:
    """The quality and the precision of the range that applies to the offer."""
    kind = offer.partition("/")[0]
    precisions = {offer: 2, f"{kind}/*": 1, "*/*": 0}
    matching = [
        _Range(precisions[name], quality)
        for media_range in ranges
        if (name := media_range.partition(";")[0].strip()) in precisions
        and (quality := _quality(media_range)) is not None
    ]
    # The most precise range decides: "text/csv;q=0, */*" excludes CSV.
    best = max(matching, default=_Range(0, 0.0))
    return best.quality, best.precision


def _quality(media_range: str) -> float | None:
    """The `q` parameter, 1 by default; None if it is malformed, and the range is then ignored."""
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value := value.strip()) else None
    return 1.0
