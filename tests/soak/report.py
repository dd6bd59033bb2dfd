"""What a soak tells when it is over."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from afterthought.adapters.clock import now
from afterthought.domain.jobs.job import Job
from tests.soak.laws import DEAD_LETTERS, Found, waiting

QUEUES = ("JobQueue", "DirectQueue", "WebhookQueue", *DEAD_LETTERS)
MOST_SHOWN = 10


def report(found: Found, broken: Mapping[str, Sequence[str]], stages: Mapping[str, float]) -> str:
    direct = sum(job.mode == "direct" for job in found.jobs.values())
    tenants = Counter(job.tenant for job in found.jobs.values())
    attempts = sum(len(job.attempts) for job in found.jobs.values())
    told = (
        f"{len(found.accepted)} jobs ({shown(tenants)}; {direct} of them awaited on the line), on {os.cpu_count()} "
        f"processors: {attempts} attempts, {len(found.generations)} generations"
    )
    parts = [
        told,
        section("Jobs by their end", ends(found.jobs.values())),
        section("Faults that struck", found.faults),
        section("What callers met and did", found.callers.counts),
        section("Webhooks, by what was answered", answered(found)),
        budgets(found),
        queues(found),
        laws(broken),
        section("Seconds from the first request", {name: round(at) for name, at in stages.items()}),
    ]
    return "\n\n".join(["", *parts])


def unfinished(seconds: float, found: Found) -> str:
    """How far it came."""
    restless = [job for job in found.jobs.values() if job.overdue_at is not None or not found.told(job.id)]
    lines = [f"NOT QUIET after {seconds:.0f} s: {len(restless)} jobs of {len(found.accepted)} are not at rest"]
    lines += [f"  {standing(job)}" for job in restless[:MOST_SHOWN]]
    lines += [f"  and {len(restless) - MOST_SHOWN} more"] if len(restless) > MOST_SHOWN else []
    parts = [
        "\n".join(lines),
        section("Jobs as they stand", ends(found.jobs.values())),
        section("Faults that struck", found.faults),
        section("What callers met and did", found.callers.counts),
        queues(found),
        "\n".join(["Problems of the callers", *(f"  {each}" for each in found.callers.problems[:MOST_SHOWN])]),
    ]
    return "\n\n".join(["", *parts])


def standing(job: Job) -> str:
    at, attempt = now(), job.attempt
    moments = {"wanted": job.next_step_at, "due": job.overdue_at, "deadline": job.deadline_at}
    told = (f"{name} in {(moment - at).total_seconds():.0f} s" for name, moment in moments.items() if moment)
    return f"{job.id}: {job.status}, its attempt {attempt.state if attempt else None}, {', '.join(told)}"


def ends(jobs: Iterable[Job]) -> Counter[str]:
    return Counter(
        f"failed: {job.failure.code}"
        if job.failure is not None
        else f"incomplete: {job.incomplete_reason}"
        if job.status == "incomplete"
        else job.status
        for job in jobs
    )


def answered(found: Found) -> Counter[str]:
    told: Counter[str] = Counter()
    for arrivals in found.arrivals.values():
        for each in arrivals:
            told[str(each.response_status)] += 1
        told["jobs that were told of more than once"] += len(arrivals) > 1
    return told


def budgets(found: Found) -> str:
    full = (
        f"{tenant} {found.used[tenant] / cap:.1%} of ${format(cap.normalize(), 'f')}"
        for tenant, cap in sorted(found.caps.items())
    )
    return f"Budgets at their fullest\n  {', '.join(full)}"


def queues(found: Found) -> str:
    """A killed process's messages are hidden until their time is over (12 minutes, for a job's), and an estimate is
    looked at again after 15."""
    lying = ((name, waiting(found.service, name)) for name in QUEUES)
    return "Messages that still lie\n" + "\n".join(f"  {name:26} {shown(counts) or 'none'}" for name, counts in lying)


def laws(broken: Mapping[str, Sequence[str]]) -> str:
    lines = ["Laws"]
    for law, breaches in broken.items():
        lines.append(f"  {'held  ' if not breaches else 'BROKEN'}  {law}")
        lines += [f"            {breach}" for breach in breaches[:MOST_SHOWN]]
        if len(breaches) > MOST_SHOWN:
            lines.append(f"            and {len(breaches) - MOST_SHOWN} more")
    return "\n".join(lines)


def section(title: str, counts: Mapping[str, int]) -> str:
    return "\n".join([title, *(f"  {count:6} {name}" for name, count in sorted(counts.items()) if count)])


def shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
