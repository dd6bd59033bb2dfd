"""Every way the API says no: which status and code, when, and whether the same request may succeed later."""

from dataclasses import dataclass

from afterthought.domain.body import MAX_BODY_BYTES, MAX_DEPTH


@dataclass(frozen=True)
class Row:
    """`operations` are the ids of the operations that answer it; empty for all that ask for a key."""

    status: int
    code: str
    when: str
    operations: frozenset[str] = frozenset()
    retryable: bool = False


_CREATE = frozenset({"createResponse"})
_MIB = MAX_BODY_BYTES // 2**20

REFUSALS = (
    Row(400, "invalid_json", f"The body is no JSON object, no UTF-8, or nested over {MAX_DEPTH} levels deep.", _CREATE),
    Row(400, "missing_required_parameter", "A parameter that is needed is absent.", _CREATE),
    Row(400, "unknown_parameter", "There is no such parameter.", _CREATE),
    Row(400, "invalid_type", "A value has the wrong type, such as a number as a string.", _CREATE),
    Row(
        400,
        "invalid_value",
        "A value is out of its range or form: an empty input, a 17th metadata pair, a NUL, a hosted tool, a webhook "
        "URL that is no public https.",
        _CREATE,
    ),
    Row(400, "unsupported_parameter", "The parameter is not offered, here or by this model.", _CREATE),
    Row(
        400, "unsupported_value", "The model does not take this value: an effort, a modality, a service tier.", _CREATE
    ),
    Row(
        400, "model_not_found", "There is no such model, or it has been retired: then its successor is named.", _CREATE
    ),
    Row(400, "unsupported_model", "The provider serves the model without a background mode.", _CREATE),
    Row(400, "integer_below_min_value", "`max_output_tokens` is too small.", _CREATE),
    Row(400, "integer_above_max_value", "`max_output_tokens` is over the model's maximum.", _CREATE),
    Row(400, "context_length_exceeded", "The input certainly does not fit the model.", _CREATE),
    Row(401, "invalid_api_key", "There is no key, or it is unknown or revoked."),
    Row(404, "not_found", "There is no such response, or it is another tenant's.", frozenset({"retrieveResponse"})),
    Row(404, "model_not_found", "There is no such model.", frozenset({"retrieveModel"})),
    Row(404, "unknown_url", "There is no such path or method.", frozenset({""})),
    Row(409, "idempotency_conflict", "The `Idempotency-Key` was used with another body.", _CREATE),
    Row(413, "body_too_large", f"The body is over {_MIB} MiB.", _CREATE),
    Row(500, "internal_error", "Something went wrong here. Try again.", retryable=True),
)


def refusals_of(operation: str) -> dict[int, list[Row]]:
    """What an operation can answer besides success, by status."""
    found: dict[int, list[Row]] = {}
    for row in REFUSALS:
        if not row.operations or operation in row.operations:
            found.setdefault(row.status, []).append(row)
    return found
