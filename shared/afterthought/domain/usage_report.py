"""What a tenant's jobs used and cost, added up as it is asked for: by day, model, tag and status."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, get_args

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.ledger import OPEN, Amounts, UsageKey
from afterthought.domain.pricing import exact_sum, format_usd
from afterthought.domain.record import TERMINAL, Status

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
MOST_DAYS = 366
# A function may give back 6 MB, and a row has up to 600 bytes.
MOST_ROWS = 8_000
# A full processor reads and adds up 50,000 stored rows in 5 to 16 s, the more statuses they have the longer; the
# function has about half of one, and 29 s. Who gives each job a tag of its own has as many rows as jobs.
MOST_ROWS_READ = 15_000

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MODEL = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_TAG = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Wire = dict[str, Any]
Group = tuple[str | None, ...]


class UsageQuery(NamedTuple):
    """`start` and `end` are days (UTC), both included; a filter of None lets everything through."""

    start: date
    end: date
    group_by: tuple[str, ...] = GROUPS
    model: str | None = None
    tag: str | None = None
    status: str | None = None


class Row(NamedTuple):
    """`group` is named by the query's `group_by`. What `counts` does not have is 0."""

    group: Group
    counts: Amounts

    def cells(self, group_by: tuple[str, ...]) -> Wire:
        """As JSON shows it: a job without a tag has the tag null."""
        return {**dict(zip(group_by, self.group, strict=True)), **measures(self.counts)}


class Summary(NamedTuple):
    """`rows` are in the order of their groups. In `total` each job counts once; in the rows it counts under each of its
    tags, when they are grouped by tag."""

    query: UsageQuery
    rows: tuple[Row, ...]
    total: Amounts

    def wire(self) -> Wire:
        """As the API shows it: dollars as decimal strings, all else as whole numbers."""
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
        """The rows in RFC 4180's form, under a header line."""
        written = io.StringIO(newline="")
        table = csv.writer(written, lineterminator="\r\n")
        table.writerow((*self.query.group_by, *MEASURES))
        for row in self.rows:
            table.writerow((*(_harmless(name or "") for name in row.group), *measures(row.counts).values()))
        return written.getvalue()


def measures(counts: Amounts) -> Wire:
    """All measures by name, on the wire."""
    return {name: int(counts.get(name, 0)) for name in COUNTS} | {
        name: format_usd(counts.get(name, Decimal(0))) for name in DOLLARS
    }


def query_of(parameters: Mapping[str, str], today: date) -> UsageQuery:
    """What is asked for by the parameters of a URL. Raises InvalidRequest."""
    for name in parameters:
        if name not in PARAMETERS:
            shown = name[:80]
            raise InvalidRequest(
                f"The query parameter '{shown}' is not supported here. There are {', '.join(PARAMETERS)}.",
                param=shown,
                code="unknown_parameter",
            )
    end = _day("end", parameters["end"]) if "end" in parameters else today
    start = _day("start", parameters["start"]) if "start" in parameters else end.replace(day=1)
    if start > end:
        raise InvalidRequest(
            f"start ({start}) must not be after end ({end}), which is today when it is not given.", param="start"
        )
    if (days := (end - start).days + 1) > MOST_DAYS:
        raise InvalidRequest(
            f"From {start} to {end} is {days} days; at most {MOST_DAYS} can be asked for at once.", param="start"
        )
    return UsageQuery(
        start,
        end,
        _group_by(parameters["group_by"]) if "group_by" in parameters else GROUPS,
        model=_name("model", parameters.get("model"), _MODEL, "the name of one model, such as o3"),
        tag=_name("tag", parameters.get("tag"), _TAG, "one tag: 1 to 64 letters, digits and _ . : / -"),
        status=_status(parameters.get("status")),
    )


def summed(stands: Iterable[tuple[UsageKey, Amounts]], query: UsageQuery) -> Summary:
    """The sums over what stands in the books. Raises InvalidRequest when there is too much of it for one answer."""
    groups: dict[Group, dict[str, Decimal]] = {}
    total: dict[str, Decimal] = {}
    for number, (key, counts) in enumerate(stands):
        if number >= MOST_ROWS_READ:
            raise _too_much(f"more than {MOST_ROWS_READ} combinations of day, model and tags", "Ask for fewer days")
        if _passes(key, query):
            for status, counted in _by_status(counts, query.status):
                _add(total, counted)
                for group in _groups(key, status, query):
                    _add(groups.setdefault(group, {}), counted)
        if len(groups) > MOST_ROWS:
            raise _too_much(f"more than {MOST_ROWS} rows", "Ask for fewer days, or leave a part out of group_by")
    rows = sorted(groups.items(), key=lambda each: [(name is not None, name or "") for name in each[0]])
    return Summary(query, tuple(Row(group, counts) for group, counts in rows if any(counts.values())), total)


def _passes(key: UsageKey, query: UsageQuery) -> bool:
    return query.model in (None, key.model) and (query.tag is None or query.tag in key.tags)


def _by_status(counts: Amounts, wanted: str | None) -> Iterator[tuple[str, Amounts]]:
    found: dict[str, dict[str, Decimal]] = {}
    for name, amount in counts.items():
        status, _, measure = name.partition("_")
        if wanted in (None, status):
            found.setdefault(status, {})[measure] = amount
    yield from found.items()


def _groups(key: UsageKey, status: str, query: UsageQuery) -> Iterator[Group]:
    tags: tuple[str | None, ...] = (None,)
    if "tag" in query.group_by:
        # Of a job with several tags, who asks for one tag wants to see that one.
        tags = (query.tag,) if query.tag is not None else key.tags or (None,)
    for tag in tags:
        names = {"day": key.day.isoformat(), "model": key.model, "tag": tag, "status": status}
        yield tuple(names[part] for part in query.group_by)


def _add(to: dict[str, Decimal], counts: Amounts) -> None:
    for name, amount in counts.items():
        to[name] = exact_sum(to.get(name, Decimal(0)), amount)


def _day(name: str, value: str) -> date:
    try:
        # fromisoformat takes other forms too, "20261102" and "2026-W45-1".
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise InvalidRequest(
        f"{name} must be one day (UTC) of the calendar in the form YYYY-MM-DD, such as 2026-11-02.", param=name
    )


def _group_by(value: str) -> tuple[str, ...]:
    parts = tuple(value.split(","))
    if unknown := [part for part in parts if part not in GROUPS]:
        raise InvalidRequest(
            f"group_by must be one or more of {', '.join(GROUPS)}, parted by commas; '{unknown[0][:80]}' is none.",
            param="group_by",
        )
    if len(set(parts)) < len(parts):
        twice = next(part for part in parts if parts.count(part) > 1)
        raise InvalidRequest(f"group_by names '{twice}' more than once.", param="group_by")
    return parts


def _name(name: str, value: str | None, form: re.Pattern[str], what: str) -> str | None:
    if value is not None and not form.fullmatch(value):
        raise InvalidRequest(f"{name} must be {what}.", param=name)
    return value


def _status(value: str | None) -> str | None:
    if value is not None and value not in STATUSES:
        raise InvalidRequest(
            f"status must be one of {', '.join(STATUSES)}; '{OPEN}' is what has not ended: queued or in progress.",
            param="status",
        )
    return value


def _too_much(what: str, way_out: str) -> InvalidRequest:
    return InvalidRequest(f"That would be {what}. {way_out}.", param="start", code="too_much_usage")


def _harmless(text: str) -> str:
    """A text that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
