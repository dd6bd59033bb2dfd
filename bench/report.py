"""The bench's figures as text."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bench import cost
from bench.cold import Starts
from bench.job import Jobs
from bench.meter import INDEX_UNITS, READ_UNITS, WRITE_UNITS


def starts(measured: Starts, machine: str) -> list[str]:
    floor = measured.floor
    lines = [
        "COLD START",
        f"{machine}; medians of {measured.runs} fresh processes, AWS and the model on loopback.",
        "The floor: boto3, Powertools and pydantic, one client, one read, one line of log.",
        "",
        f"{'':<10} {'import':>9} {'first request':>14} {'together':>9} {'to the floor':>13} {'warm request':>13}",
    ]
    lines += [
        f"{start.name:<10} {start.import_ms:>6.0f} ms {start.first_ms:>11.0f} ms {start.total_ms:>6.0f} ms "
        f"{start.total_ms / floor.total_ms:>12.2f}× {start.warm_ms:>10.1f} ms"
        for start in (floor, *measured.functions)
    ]
    return lines


def requests(jobs: Jobs) -> list[str]:
    columns = {
        "small": jobs.small,
        "large": jobs.large,
        "a look more": jobs.look,
        "a GET": jobs.read,
        "once a process": jobs.first,
    }
    lines = [
        "AWS REQUESTS PER JOB",
        "Counted as they leave botocore, from the POST to the delivered webhook. A small job's content stays in the",
        "table, a large one's question is in S3. A look more: each further time that the model is still thinking.",
        "",
        f"{'':<48}" + "".join(f"{name:>15}" for name in columns),
    ]
    keys = sorted({key for tally in columns.values() for key, number in tally.requests.items() if number}, key=_order)
    for who, service, operation in keys:
        shown = [tally.requests[who, service, operation] for tally in columns.values()]
        lines.append(_row(f"{who:<21} {service} {operation}", shown))
    lines.append(_row("together", [tally.requests.total() for tally in columns.values()]))
    lines += [
        _row(kind, [tally.units.get(kind, Decimal(0)) for tally in columns.values()])
        for kind in (WRITE_UNITS, INDEX_UNITS, READ_UNITS)
    ]
    lines.append(_row("bytes of log", [tally.log_bytes for tally in columns.values()]))
    left = ", ".join(f"{kind} {size} bytes" for kind, size in jobs.item_bytes.items())
    return [*lines, "", f"A small job leaves in the table: {left}."]


def costs(jobs: Jobs, prices: cost.Prices, template: Mapping[str, Any]) -> list[str]:
    memory = cost.memory(template)
    columns = {
        name: cost.of_jobs(cost.priced(jobs, kind, prices), prices, memory)
        | cost.of_storage(items, jobs.object_bytes if kind is jobs.large else 0, prices)
        for name, kind, items in (("small", jobs.small, jobs.item_bytes), ("large", jobs.large, jobs.large_item_bytes))
    }
    read = cost.of_jobs(jobs.read, prices, memory)
    columns["a GET"] = {name: read.get(name, Decimal(0)) for name in columns["small"]}
    idle = cost.of_idleness(prices, memory, template)
    looks = cost.looks(prices.effort, prices.thinking_seconds)
    billed = ", ".join(f"{name} {ms} ms at {memory[name]} MB" for name, ms in prices.billed_ms.items())
    standing = ", ".join(f"{name} {dollars:.2f}" for name, dollars in idle.items())
    access = prices.log_bytes["an_http_request"]
    metrics = len(jobs.metrics) * prices.per_month["metric"]
    return [
        "DOLLARS PER MILLION JOBS",
        f"List prices of {prices.region}, {prices.as_of}, without free tier, data transfer and the model.",
        f"A job thinks for {prices.thinking_seconds} s at effort {prices.effort}: the worker looks {looks} times.",
        f"Assumed, billed: {billed}.",
        f"Assumed, AWS's own log: {prices.log_bytes['an_invocation']} bytes an invocation, {access} an HTTP request.",
        "",
        f"{'':<24}" + "".join(f"{name:>12}" for name in columns),
        *(
            f"{name:<24}" + "".join(f"{column[name]:>12.2f}" for column in columns.values())
            for name in columns["small"]
            if any(column[name] for column in columns.values())
        ),
        f"{'together':<24}" + "".join(f"{sum(column.values()):>12.2f}" for column in columns.values()),
        "",
        f"Standing still, dollars a month: {sum(idle.values()):.2f} ({standing}).",
        f"In use, dollars a month: {metrics:.2f} for the {len(jobs.metrics)} metrics of one model whose jobs complete.",
    ]


def _order(key: tuple[str, str, str]) -> tuple[int, str, str, str]:
    """In the order a job travels."""
    who, service, operation = key
    way = ("api", "worker", "notifier", "webhooks")
    return way.index(who.rpartition(" ")[2]), who, service, operation


def _row(name: str, numbers: list[int] | list[Decimal]) -> str:
    shown = (f"{number.normalize():f}" if isinstance(number, Decimal) else str(number) for number in numbers)
    return f"{name:<48}" + "".join(f"{text if text != '0' else '':>15}" for text in shown)
