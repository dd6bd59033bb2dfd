"""The usage report: usage and cost of a tenant's jobs, grouped by day, model, tag or status."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, get_args

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.jobs.status import TERMINAL, Status
from afterthought.domain.ledger.ledger import OPEN, Amounts, UsageKey
from afterthought.domain.models.pricing import exact_sum, format_usd

GROUPS = ("day", "model", "tag", "status")
STATUSES = (OPEN, *(status for status in get_args(Status) if status in TERMINAL))
PARAMETERS = ("start", "end", "group_by", "model", "tag", "status")
COUNTS = (
    "jobs",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
DOLLARS = ("held_usd", "spent_usd")
MEASURES = (*COUNTS, *DOLLARS)
MAX_DAYS = 366
# A function's response is limited to 6 MB, and a row has up to 600 bytes.
MAX_ROWS = 8_000
# A whole processor reads and adds up 50,000 stored rows in 5 to 16 s, depending on their number of statuses. The
# function has half a processor and 29 s. A tenant with a unique tag per job has as many rows as jobs.
MAX_STORED_ROWS = 15_000

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MODEL = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_TAG = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
# Prefixes that a spreadsheet reads as a formula (OWASP, "CSV Injection").
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n")

Wire = dict[str, Any]
Group = tuple[str | None, ...]


class UsageQuery(NamedTuple):
    """`start` and `end` are days (UTC), both included. `model`, `tag` and `status` are filters; None matches all."""

    start: date
    end: date
    group_by: tuple[str, ...] = GROUPS
    model: str | None = None
    tag: str | None = None
    status: str | None = None


class UsageRow(NamedTuple):
    """`group` has a value for each part of the query's `group_by`. Absent amounts are 0."""

    group: Group
    amounts: Amounts

    def cells(self, group_by: tuple[str, ...]) -> Wire:
        """The row in JSON. Jobs without tags have the tag null."""
        return {**dict(zip(group_by, self.group, strict=True)), **measures(self.amounts)}


class UsageReport(NamedTuple):
    """`rows` are sorted by group. A job counts once in `total`, and once for each of its tags in rows by tag."""

    query: UsageQuery
    rows: tuple[UsageRow, ...]
    total: Amounts

    def wire(self) -> Wire:
        """The report in JSON: dollars as decimal strings, everything else as whole numbers."""
        query = self.query
        return {
            "object": "usage",
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            "group_by": list(query.group_by),
            "data": [row.cells(query.group_by) for row in self.rows],
            "total": measures(self.total),
        }

    def csv(self) -> str:
        """The rows in the format of RFC 4180, with a header line."""
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\r\n")
        table.writerow((*self.query.group_by, *MEASURES))
        for row in self.rows:
            table.writerow((*(_without_formula(name or "") for name in row.group), *measures(row.amounts).values()))
        return text.getvalue()


def measures(amounts: Amounts) -> Wire:
    """All measures by name, in the format of the API."""
    return {name: int(amounts.get(name, 0)) for name in COUNTS} | {
        name: format_usd(amounts.get(name, Decimal(0))) for name in DOLLARS
    }


def parse_query(parameters: Mapping[str, str], today: date) -> UsageQuery:
    """Reads the query parameters of the URL. Raises InvalidRequest."""
    for name in parameters:
        if name not in PARAMETERS:
            shown = name[:80]
            raise InvalidRequest(
                f"The query parameter '{shown}' is not supported here. Supported are {', '.join(PARAMETERS)}.",
                param=shown,
                code="unknown_parameter",
            )
    end = _day("end", parameters["end"]) if "end" in parameters else today
    start = _day("start", parameters["start"]) if "start" in parameters else end.replace(day=1)
    if start > end:
        raise InvalidRequest(f"start ({start}) must not be after end ({end}). Without end it is today.", param="start")
    if (days := (end - start).days + 1) > MAX_DAYS:
        raise InvalidRequest(f"From {start} to {end} is {days} days; at most {MAX_DAYS} are allowed.", param="start")
    return UsageQuery(
        start,
        end,
        _group_by(parameters["group_by"]) if "group_by" in parameters else GROUPS,
        model=_name("model", parameters.get("model"), _MODEL, "the name of one model, such as o3"),
        tag=_name("tag", parameters.get("tag"), _TAG, "one tag: 1 to 64 letters, digits and _ . : / -"),
        status=_status(parameters.get("status")),
    )


def build_report(stored_rows: Iterable[tuple[UsageKey, Amounts]], query: UsageQuery) -> UsageReport:
    """Adds up the usage rows of the ledger. Raises InvalidRequest when there are too many for one response."""
    groups: dict[Group, dict[str, Decimal]] = {}
    total: dict[str, Decimal] = {}
    for number, (key, amounts) in enumerate(stored_rows):
        if number >= MAX_STORED_ROWS:
            raise _too_much(f"more than {MAX_STORED_ROWS} combinations of day, model and tags", "Ask for fewer days")
        if _matches(key, query):
            for status, part in _by_status(amounts, query.status):
                _add(total, part)
                for group in _groups(key, status, query):
                    _add(groups.setdefault(group, {}), part)
        if len(groups) > MAX_ROWS:
            raise _too_much(f"more than {MAX_ROWS} rows", "Ask for fewer days, or leave a part out of group_by")
    rows = sorted(groups.items(), key=lambda row: [(name is not None, name or "") for name in row[0]])
    return UsageReport(query, tuple(UsageRow(group, sums) for group, sums in rows if any(sums.values())), total)


def _matches(key: UsageKey, query: UsageQuery) -> bool:
    return query.model in (None, key.model) and (query.tag is None or query.tag in key.tags)


def _by_status(amounts: Amounts, only: str | None) -> Iterator[tuple[str, Amounts]]:
    parts: dict[str, dict[str, Decimal]] = {}
    for name, amount in amounts.items():
        status, _, measure = name.partition("_")
        if only in (None, status):
            parts.setdefault(status, {})[measure] = amount
    yield from parts.items()


def _groups(key: UsageKey, status: str, query: UsageQuery) -> Iterator[Group]:
    tags: tuple[str | None, ...] = (None,)
    if "tag" in query.group_by:
        # With a tag filter, a job with several tags is shown under that one only.
        tags = (query.tag,) if query.tag is not None else key.tags or (None,)
    for tag in tags:
        names = {"day": key.day.isoformat(), "model": key.model, "tag": tag, "status": status}
        yield tuple(names[part] for part in query.group_by)


def _add(to: dict[str, Decimal], amounts: Amounts) -> None:
    for name, amount in amounts.items():
        to[name] = exact_sum(to.get(name, Decimal(0)), amount)


def _day(name: str, value: str) -> date:
    try:
        # fromisoformat accepts other forms too, such as "20261102" and "2026-W45-1".
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise InvalidRequest(f"{name} must be one day (UTC) in the form YYYY-MM-DD, such as 2026-11-02.", param=name)


def _group_by(value: str) -> tuple[str, ...]:
    parts = tuple(value.split(","))
    if unknown := [part for part in parts if part not in GROUPS]:
        raise InvalidRequest(
            f"group_by must be one or more of {', '.join(GROUPS)}, separated by commas; '{unknown[0][:80]}' is not.",
            param="group_by",
        )
    if len(set(parts)) < len(parts):
        repeated = next(part for part in parts if parts.count(part) > 1)
        raise InvalidRequest(f"group_by names '{repeated}' more than once.", param="group_by")
    return parts


def _name(name: str, value: str | None, pattern: re.Pattern[str], what: str) -> str | None:
    if value is not None and not pattern.fullmatch(value):
        raise InvalidRequest(f"{name} must be {what}.", param=name)
    return value


def _status(value: str | None) -> str | None:
    if value is not None and value not in STATUSES:
        raise InvalidRequest(
            f"status must be one of {', '.join(STATUSES)}; '{OPEN}' means queued or in progress.",
            param="status",
        )
    return value


def _too_much(what: str, advice: str) -> InvalidRequest:
    return InvalidRequest(f"The report needs {what}. {advice}.", param="start", code="too_much_usage")


def _without_formula(text: str) -> str:
    """The text, quoted where a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text
