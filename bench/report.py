"""Counted requests and cold starts as text."""

from decimal import Decimal

from bench.cold_starts import ColdStarts
from bench.cost import FUNCTIONS
from bench.job import TYPICAL, Jobs
from bench.meter import INDEX_UNITS, READ_UNITS, WRITE_UNITS, Tally

_START_COLUMNS = {
    "import": 10,
    "first": 9,
    "total": 10,
    "to floor": 10,
    "warm": 10,
    "cold CPU": 11,
    "warm CPU": 11,
    "memory": 9,
    "largest": 9,
}


def requests(jobs: Jobs) -> list[str]:
    columns: dict[str, Tally] = {
        case.wake_mode: job for case, job in jobs.cases.items() if case.thinking_seconds == TYPICAL.thinking_seconds
    }
    columns |= {"large": jobs.large, "a GET": jobs.read, "a process": jobs.first}
    lines = [
        "AWS REQUESTS PER JOB",
        "Counted where they leave botocore, from the POST to the delivered webhook, for a job that thinks a minute.",
        "Woken: by the provider's event. Checked: polled. Direct: one call that waits for the answer. Large: the",
        "question is in S3. A process: what each process requests once.",
        "",
        f"{'':<52}" + "".join(f"{name:>10}" for name in columns),
    ]
    keys = sorted({key for tally in columns.values() for key, number in tally.requests.items() if number}, key=_order)
    for sender, service, operation in keys:
        numbers = [tally.requests[sender, service, operation] for tally in columns.values()]
        lines.append(_row(f"{sender:<27} {service} {operation}", numbers))
    lines.append(_row("total", [tally.requests.total() for tally in columns.values()]))
    lines += [
        _row(kind, [tally.units.get(kind, Decimal(0)) for tally in columns.values()])
        for kind in (WRITE_UNITS, INDEX_UNITS, READ_UNITS)
    ]
    # The digits of logged times vary, so a difference of two equal jobs can be negative.
    lines.append(_row("bytes of log", [max(0, tally.log_bytes.total()) for tally in columns.values()]))
    items = ", ".join(f"{kind} {size} bytes" for kind, size in jobs.item_bytes.items())
    return [*lines, "", f"Table items of a finished woken job: {items}."]


def cold_starts(measured: ColdStarts, machine: str) -> list[str]:
    floor = measured.floor
    lines = [
        "COLD STARTS",
        f"{machine}; medians of {measured.runs} fresh processes, with AWS and the provider on loopback.",
        "Floor: boto3, Powertools and pydantic, one client, one read, one log line. CPU: the lowest CPU time, cold",
        "with the import, warm for a later request. Memory: the peak, and the peak after the largest jobs (questions",
        "of 4 MiB, answers of 600 KB, a full batch of direct calls).",
        "",
        f"{'':<16}" + "".join(f"{name:>{width}}" for name, width in _START_COLUMNS.items()),
    ]
    lines += [
        f"{start.name:<16}{start.import_ms:>7.0f} ms{start.first_ms:>6.0f} ms{start.total_ms:>7.0f} ms"
        f"{start.total_ms / floor.total_ms:>9.2f}×{start.warm_ms:>7.1f} ms{start.cold_cpu_ms:>8.0f} ms"
        f"{start.warm_cpu_ms:>8.1f} ms{_megabytes(start.peak_mb):>9}{_megabytes(start.largest_peak_mb):>9}"
        for start in (floor, *measured.functions)
    ]
    return lines


def _order(key: tuple[str, str, str]) -> tuple[int, str, str, str]:
    """In the order in which a job uses the functions."""
    sender, service, operation = key
    return FUNCTIONS.index(sender.rpartition(" ")[2]), sender, service, operation


def _row(name: str, numbers: list[int] | list[Decimal]) -> str:
    cells = (f"{number.normalize():f}" if isinstance(number, Decimal) else str(number) for number in numbers)
    return f"{name:<52}" + "".join(f"{cell if cell != '0' else '':>10}" for cell in cells)


def _megabytes(number: float | None) -> str:
    return "" if number is None else f"{number:.0f} MB"
