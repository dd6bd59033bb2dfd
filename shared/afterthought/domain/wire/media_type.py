"""Which form of an answer a caller wants, by its `Accept` header (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class _Range(NamedTuple):
    """`precision` is 2 for a type, 1 for all of a kind (`text/*`), 0 for all there are."""

    precision: int
    quality: float


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of `offered` that the header wants most. Of two that it wants alike, the one that it names more
    precisely, then the one that is offered first; that one too where the header is absent or wants none of them."""
    ranges = [] if accept is None else accept.lower().split(",")
    best = max(offered, key=lambda each: _wanted(each, ranges))
    return best if _wanted(best, ranges)[0] > 0 else offered[0]


def _wanted(offer: str, ranges: Sequence[str]) -> tuple[float, int]:
    """How much, and how precisely it was named."""
    kind = offer.partition("/")[0]
    precisions = {offer: 2, f"{kind}/*": 1, "*/*": 0}
    fitting = [
        _Range(precisions[name], quality)
        for each in ranges
        if (name := each.partition(";")[0].strip()) in precisions and (quality := _quality(each)) is not None
    ]
    # The most precise range decides: "text/csv;q=0, */*" wants no CSV.
    best = max(fitting, default=_Range(0, 0.0))
    return best.quality, best.precision


def _quality(media_range: str) -> float | None:
    """None for one out of form, which then says nothing. Other parameters (`charset`) are passed over."""
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value := value.strip()) else None
    return 1.0
