"""The bench's figures as text."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from bench.cold import Starts
from bench.cost import WAY
from bench.job import Case, Jobs
from bench.meter import INDEX_UNITS, READ_UNITS, WRITE_UNITS, Request, Tally
from bench.studies.capacity import Demand
from bench.studies.contention import Survey
from bench.studies.load import MOST_PER_SECOND, RAISED_BY, SWEEPING_SECONDS, Met
from bench.studies.steps import MANY, Steps
from bench.thinking import Thinking

_START_COLUMNS = {
    "import": 10,
    "first": 9,
    "together": 10,
    "to floor": 10,
    "warm": 10,
    "cold work": 11,
    "warm work": 11,
    "memory": 9,
    "largest": 9,
}


def starts(measured: Starts, machine: str) -> list[str]:
    floor = measured.floor
    lines = [
        "COLD START",
        f"{machine}; medians of {measured.runs} fresh processes, AWS and the model on loopback.",
        "The floor: boto3, Powertools and pydantic, one client, one read, one line of log. Work: the processor's,",
        "at the least: cold with the import, warm for a later request. Memory: the most that it has had, and the",
        "same after the largest jobs: questions of 4 MiB, answers of 600 KB, a whole batch of direct calls.",
        "",
        f"{'':<16}" + "".join(f"{name:>{width}}" for name, width in _START_COLUMNS.items()),
    ]
    lines += [
        f"{start.name:<16}{start.import_ms:>7.0f} ms{start.first_ms:>6.0f} ms{start.total_ms:>7.0f} ms"
        f"{start.total_ms / floor.total_ms:>9.2f}×{start.warm_ms:>7.1f} ms{start.cold_work_ms:>8.0f} ms"
        f"{start.warm_work_ms:>8.1f} ms{_megabytes(start.peak_mb):>9}{_megabytes(start.largest_peak_mb):>9}"
        for start in (floor, *measured.functions)
    ]
    return lines


def requests(jobs: Jobs) -> list[str]:
    columns = {
        "woken": jobs.usual,
        "checked": jobs.cases[Case("checked", 60, "medium")],
        "direct": jobs.cases[Case("direct", 60, "low")],
        "large": jobs.large,
        "a GET": jobs.read,
        "a process": jobs.first,
    }
    lines = [
        "AWS REQUESTS PER JOB",
        "Counted as they leave botocore, from the POST to the delivered webhook, of a job that thinks for a minute,",
        "woken by the provider's event, checked by delayed looks, or awaited. Large: its question is in S3. A process:",
        "what it asks once and keeps.",
        "",
        f"{'':<52}" + "".join(f"{name:>10}" for name in columns),
    ]
    keys = sorted({key for tally in columns.values() for key, number in tally.requests.items() if number}, key=_order)
    for who, service, operation in keys:
        shown = [tally.requests[who, service, operation] for tally in columns.values()]
        lines.append(_row(f"{who:<27} {service} {operation}", shown))
    lines.append(_row("together", [tally.requests.total() for tally in columns.values()]))
    lines += [
        _row(kind, [tally.units.get(kind, Decimal(0)) for tally in columns.values()])
        for kind in (WRITE_UNITS, INDEX_UNITS, READ_UNITS)
    ]
    # A line's times take a digit more or less, so that of two equal jobs one may seem to log less than nothing.
    lines.append(_row("bytes of log", [max(0, tally.log_bytes.total()) for tally in columns.values()]))
    left = ", ".join(f"{kind} {size} bytes" for kind, size in jobs.item_bytes.items())
    return [*lines, "", f"A woken job leaves in the table: {left}."]


def thinks(found: Sequence[Thinking]) -> list[str]:
    lines = [
        "WHILE MODELS THINK",
        "On the tests' simulator, the whole service in virtual time: from when the last job was at its model to when",
        "the first ended. The sweeper's pass of each minute is there anyway, and found nothing due.",
        "",
    ]
    for each in found:
        told = "woken by events" if each.events else "looked at"
        lines.append(f"{each.jobs} jobs that are {told} think for {each.seconds:.0f} s at once: {_ran(each)}.")
    return lines


def _ran(found: Thinking) -> str:
    if not found.running:
        return "no function runs"
    return "meanwhile " + ", ".join(f"the {name} makes {number} calls" for name, number in found.calls.items())


def rises(many: Sequence[Met], one: Sequence[Met], demand: Demand) -> list[str]:
    """What is met in an hour of rising load, of many tenants and of one."""
    keys = ", ".join(f"{name} {units * MOST_PER_SECOND:.0f}" for name, units in demand.key_units.items())
    swept = SWEEPING_SECONDS / demand.swept_seconds / 60
    return [
        "AN HOUR OF RISING LOAD",
        f"Simulated, second by second: from 1 to {MOST_PER_SECOND:.0f} jobs a second in an hour, each thinks a minute,",
        "by AWS's documented limits, the template's numbers and what is counted and assumed above. Full: from so many",
        "jobs a second on there is more than can be done; felt: a minute's wait, or one in a hundred refused. Each",
        "limit is met once those above it are lifted.",
        *(line for name, met in (("many tenants", many), ("one tenant", one)) for line in _met(name, met)),
        "",
        f"At {MOST_PER_SECOND:.0f} a second the busiest partition keys take, of 1,000 write units a second: {keys}.",
        f"The sweeper can move {swept:.0f} jobs a second: so many may think longer than their effort lets expect.",
    ]


def _met(tenants: str, met: Sequence[Met]) -> Iterator[str]:
    yield ""
    yield f"{tenants:<22}{'full at':>9}{'felt at':>9}{'minute':>8}   {'':<9}raised by"
    for each in met:
        what = "waits" if each.waits else "refused"
        yield (
            f"{each.limit:<22}{each.full:>9.0f}{each.felt:>9.0f}{each.minute:>8.0f}   {what:<9}{RAISED_BY[each.limit]}"
        )


def steps(measured: Steps) -> list[str]:
    first, after = measured.first, measured.after_many
    return [
        "AN ADMISSION AND A SETTLEMENT, REQUEST BY REQUEST",
        "w: write units, of which a transaction takes two for each of its writes; r: read units; •: not DynamoDB's.",
        "",
        *_steps("an admission", _ADMISSION, first.admissions, after.admissions),
        "",
        *_steps("a settlement", _SETTLEMENT, first.settlements, after.settlements),
        "",
        "budgets: a month's and a day's; a key: an Idempotency-Key; its minute: settled within the admission's minute.",
        f"After {MANY} jobs, which are on all days of a month, the tenant has {measured.usage_rows} usage rows,",
        f"and the month's budget item has {measured.budget_bytes} bytes.",
    ]


def bears(found: Survey) -> list[str]:
    most = ", ".join(f"{load.offered_per_second:.0f} at {locked_ms} ms" for locked_ms, load in found.most.items())
    bursts = "; ".join(f"{b.jobs}: {b.refused:.0%}, {b.slowest_ms / 1000:.1f} s" for b in found.bursts)
    return [
        "ONE TENANT'S BUDGET UNDER LOAD",
        "Simulated: transactions of admissions and settlements, each of which locks the budget item and the usage row",
        f"for {found.locked_ms} ms (assumed). Put off: settlements that used up their tries, for now.",
        "",
        f"{'jobs a second':<16}{'admitted':>10}{'refused':>10}{'put off':>10}{'median':>11}{'p99':>11}{'tries':>8}",
        *(
            f"{load.offered_per_second:<16.0f}{load.admitted_per_second:>10.1f}{load.refused:>10.1%}{load.put_off:>10.1%}"
            f"{load.median_ms:>8.0f} ms{load.p99_ms:>8.0f} ms{load.tries:>8.1f}"
            for load in found.loads
        ),
        "",
        f"Jobs all at once, the share refused and the slowest admission: {bursts}.",
        f"Borne, with under 1 % refused and 99 % within a second, by how long they lock: {most}.",
    ]


_TRANSACTION = {"TransactWriteItems": "all of these or none"}
_ADMISSION = _TRANSACTION | {
    "GetItem KEY": "whose the API key is",
    "GetItem STATE": "whether the Idempotency-Key has made a job",
    "GetItem TENANT": "tier, limits, caps",
    "UpdateItem RATE": "a place in the minute",
    "GetItem BUDGET": "whether the hold fits, before more is done",
    "PutItem INPUT": "the request",
    "  STATE": "the job",
    "  STATE in the index": "when it would be overdue",
    "  BUDGET": "the hold, in month and day",
    "  USAGE": "one more open job",
    "sqs SendMessage": "that somebody looks at the job",
}
_SETTLEMENT = _TRANSACTION | {
    "Lambda's ReceiveMessage": "that somebody looks at the job",
    "GetItem STATE": "the job",
    "PutItem OUTPUT": "the answer",
    "  STATE": "how it ended, its usage and cost",
    "  STATE in the index": "when its event would be overdue",
    "  BUDGET": "the hold goes, the cost comes",
    "  USAGE": "one open job less, its tokens and cost",
    "UpdateItem RATE": "what was used for what was estimated",
    "Lambda's DeleteMessage": "that it was done",
}


def _steps(
    name: str, purposes: Mapping[str, str], first: Mapping[str, Tally], after: Mapping[str, Tally]
) -> Iterator[str]:
    yield f"{name:<28}{'':<44}" + "".join(f"{column:>12}" for column in first)
    columns = [dict(line for request in tally.made for line in _lines(request)) for tally in first.values()]
    # The longest has every line, in its order.
    for line in dict.fromkeys(line for column in sorted(columns, key=len, reverse=True) for line in column):
        yield f"{line:<28}{purposes.get(line, ''):<44}" + "".join(f"{column.get(line, ''):>12}" for column in columns)
    for when, tallies in (("together", first), (f"after {MANY} jobs", after)):
        shown = (
            f"{len(tally.made)}: {tally.units.get(WRITE_UNITS, 0)} w {tally.units.get(READ_UNITS, Decimal(0)):f} r"
            for tally in tallies.values()
        )
        yield f"{when:<28}{'requests, and their units':<44}" + "".join(f"{text:>12}" for text in shown)


def _lines(request: Request) -> Iterator[tuple[str, str]]:
    """A request's line with its cell; a transaction's members have lines of their own."""
    if request.service != "dynamodb":
        asker = "Lambda's" if request.who.startswith("Lambda") else request.service
        yield f"{asker} {request.operation}", "•"
        return
    cell = f"{request.write_units} w" if request.write_units else f"{request.read_units:f} r"
    if len(request.items) == 1:
        yield f"{request.operation} {request.items[0].kind}", cell
        return
    yield request.operation, cell
    for item in request.items:
        yield f"  {item.kind}", f"{item.write_units} w"
        if item.index_units:
            yield f"  {item.kind} in the index", f"{item.index_units} w"


def _order(key: tuple[str, str, str]) -> tuple[int, str, str, str]:
    """In the order a job travels."""
    who, service, operation = key
    return WAY.index(who.rpartition(" ")[2]), who, service, operation


def _row(name: str, numbers: list[int] | list[Decimal]) -> str:
    shown = (f"{number.normalize():f}" if isinstance(number, Decimal) else str(number) for number in numbers)
    return f"{name:<52}" + "".join(f"{text if text != '0' else '':>10}" for text in shown)


def _megabytes(number: float | None) -> str:
    return "" if number is None else f"{number:.0f} MB"
