"""The headers of some answers, in words."""

from afterthought.domain.wire.deprecation import NOTICE_PERIOD
from afterthought.services.describe.schema import of

RATE_LIMITS = {
    f"x-ratelimit-{what}-{kind}": {"description": words.format(kind), "schema": schema}
    for what, words, schema in (
        ("limit", "How many {} the tenant may send to this model in a minute.", of("string", pattern="^[0-9]+$")),
        ("remaining", "How many {} are left of this minute.", of("string", pattern="^[0-9]+$")),
        ("reset", "The time until the minute ends, and the {} are counted anew: `37s`, `1m0s`.", of("string")),
    )
    for kind in ("requests", "tokens")
}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until the next minute begins.", "schema": of("string", pattern="^[0-9]+$")}
}
LIFECYCLE = {
    "deprecation": {
        "description": f"`@` and seconds since 1970 (RFC 9745). Of a job whose model ends within {NOTICE_PERIOD.days} "
        "days at everybody who serves it, or has ended: when that notice began.",
        "schema": of("string", pattern="^@[0-9]+$"),
    },
    "sunset": {
        "description": "Beside `deprecation`: the first moment without the model, past once it is gone (RFC 8594).",
        "schema": of("string"),
    },
    "link": {
        "description": 'Beside them, where a successor is served: `</v1/models/…>; rel="successor-version"` '
        "(RFC 5829).",
        "schema": of("string"),
    },
}
