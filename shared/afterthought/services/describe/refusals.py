"""Every way the API says no: which status and code, when, and whether the same request may succeed later."""

from dataclasses import dataclass

from afterthought.domain.body import MAX_BODY_BYTES, MAX_DEPTH
from afterthought.domain.usage_report import MAX_ROWS


@dataclass(frozen=True)
class Row:
    """`operations` are the ids of the operations that answer it; empty for all that ask for a key."""

    status: int
    code: str
    when: str
    operations: frozenset[str] = frozenset()
    retryable: bool = False


_CREATE = frozenset({"createResponse"})
_CANCEL = frozenset({"cancelResponse"})
_RETRIEVE = frozenset({"retrieveResponse"})
_USAGE = frozenset({"readUsage"})
_MIB = MAX_BODY_BYTES // 2**20

REFUSALS = (
    Row(400, "invalid_json", f"The body is no JSON object, no UTF-8, or nested over {MAX_DEPTH} levels deep.", _CREATE),
    Row(400, "missing_required_parameter", "A parameter that is needed is absent.", _CREATE),
    Row(400, "unknown_parameter", "There is no such parameter.", _CREATE | _CANCEL | _RETRIEVE | _USAGE),
    Row(400, "invalid_type", "A value has the wrong type, such as a number as a string.", _CREATE),
    Row(
        400,
        "invalid_value",
        "A value is out of its range or form: an empty input, a 17th metadata pair, a NUL, a hosted tool, a webhook "
        "URL that is no public https, a cap that is no decimal string, a deadline of a week, a day that is no day.",
        _CREATE | _USAGE,
    ),
    Row(400, "unsupported_parameter", "The parameter is not offered, here or by this model.", _CREATE),
    Row(
        400, "unsupported_value", "The model does not take this value: an effort, a modality, a service tier.", _CREATE
    ),
    Row(
        400,
        "model_not_found",
        "There is no such model, or it has been retired: then its successor is named, and with a "
        "`afterthought.model_policy` of `successor` it would run.",
        _CREATE,
    ),
    Row(400, "integer_below_min_value", "`max_output_tokens` is too small.", _CREATE),
    Row(400, "integer_above_max_value", "`max_output_tokens` is over the model's maximum.", _CREATE),
    Row(400, "context_length_exceeded", "The input certainly does not fit the model.", _CREATE),
    Row(
        400,
        "request_too_large_for_tier",
        "The request is estimated at more tokens than the tenant's limit for a whole minute: waiting would not help. "
        "Figures: `estimated_tokens`, `tokens_per_minute`, and `fitting_max_output_tokens` where a lower one would do.",
        _CREATE,
    ),
    Row(
        400,
        "too_much_usage",
        f"The answer would have more than {MAX_ROWS} rows, or be the sum of too many: ask for fewer days or groups.",
        _USAGE,
    ),
    Row(401, "invalid_api_key", "There is no key, or it is unknown or revoked."),
    Row(
        402,
        "max_cost_exceeded",
        "The job could cost more than its own `max_cost_usd`. Figures: `bound_usd`, `max_cost_usd`, and the "
        "`max_output_tokens` with which it would fit (null: its input alone can cost more).",
        _CREATE,
    ),
    Row(
        402,
        "budget_exceeded",
        "The job could cost more than is left of the tenant's budget of the month or the day. Figures: `bound_usd`, "
        "`budgets` (those it does not fit: what is held, spent and left, and when each renews), and the "
        "`max_output_tokens` with which it would fit (null: none would do).",
        _CREATE,
    ),
    Row(403, "tier_not_supported", "The tenant's rate tier admits no requests. Figures: `tier`.", _CREATE),
    Row(404, "not_found", "There is no such response, or it is another tenant's.", _CANCEL | _RETRIEVE),
    Row(404, "model_not_found", "There is no such model.", frozenset({"retrieveModel"})),
    Row(404, "unknown_url", "There is no such path or method.", frozenset({""})),
    Row(409, "idempotency_conflict", "The `Idempotency-Key` was used with another body.", _CREATE),
    Row(413, "body_too_large", f"The body is over {_MIB} MiB.", _CREATE),
    Row(
        429,
        "rate_limit_exceeded",
        "The tenant's requests or tokens of this minute for this model are used up: `type` says which. Wait for "
        "`Retry-After` seconds. Figures: `model`, `kind`, `limit`, `used`, `requested`, `resets_in_seconds`.",
        _CREATE,
        retryable=True,
    ),
    Row(500, "internal_error", "Something went wrong here. Try again.", retryable=True),
    Row(
        503,
        "tables_busy",
        "Too many jobs of the tenant change at once, or this one does. Try again in a moment.",
        _CREATE | _CANCEL,
        retryable=True,
    ),
)


def refusals_of(operation: str) -> dict[int, list[Row]]:
    """What an operation can answer besides success, by status."""
    found: dict[int, list[Row]] = {}
    for row in REFUSALS:
        if not row.operations or operation in row.operations:
            found.setdefault(row.status, []).append(row)
    return found
