"""The report of a soak."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from afterthought.adapters.clock import now
from afterthought.domain.jobs.job import Job
from tests.soak.laws import DEAD_LETTERS, Observation, messages_in

QUEUES = ("JobQueue", "DirectQueue", "WebhookQueue", *DEAD_LETTERS)
MAX_SHOWN = 10


def report(observed: Observation, broken: Mapping[str, Sequence[str]], stages: Mapping[str, float]) -> str:
    direct = sum(job.mode == "direct" for job in observed.view.jobs.values())
    tenants = Counter(job.tenant for job in observed.view.jobs.values())
    attempts = sum(len(job.attempts) for job in observed.view.jobs.values())
    summary = (
        f"{len(observed.view.accepted)} jobs ({shown(tenants)}; {direct} of them direct), on {os.cpu_count()} "
        f"processors: {attempts} attempts, {len(observed.view.generations)} generations"
    )
    parts = [
        summary,
        section("Jobs by their end", ends(observed.view.jobs.values())),
        section("Faults that occurred", observed.faults),
        section("Callers", observed.callers.counts),
        section("Webhooks by the receiver's answer", answered(observed)),
        budgets(observed),
        queues(observed),
        laws(broken),
        section("Seconds from the first request", {name: round(at) for name, at in stages.items()}),
    ]
    return "\n\n".join(["", *parts])


def unfinished(seconds: float, observed: Observation) -> str:
    """The report where the service is not at rest in time."""
    open_jobs = [
        job
        for job in observed.view.jobs.values()
        if job.overdue_at is not None or not observed.webhook_accepted(job.id)
    ]
    lines = [f"NOT AT REST after {seconds:.0f} s: {len(open_jobs)} jobs of {len(observed.view.accepted)}"]
    lines += [f"  {state_of(job)}" for job in open_jobs[:MAX_SHOWN]]
    lines += [f"  and {len(open_jobs) - MAX_SHOWN} more"] if len(open_jobs) > MAX_SHOWN else []
    parts = [
        "\n".join(lines),
        section("Jobs by their state", ends(observed.view.jobs.values())),
        section("Faults that occurred", observed.faults),
        section("Callers", observed.callers.counts),
        queues(observed),
        "\n".join(["Problems of the callers", *(f"  {each}" for each in observed.callers.problems[:MAX_SHOWN])]),
    ]
    return "\n\n".join(["", *parts])


def state_of(job: Job) -> str:
    at, attempt = now(), job.attempt
    times = {"next step": job.next_step_at, "due": job.overdue_at, "deadline": job.deadline_at}
    shown_times = (f"{name} in {(time - at).total_seconds():.0f} s" for name, time in times.items() if time)
    return f"{job.id}: {job.status}, its attempt {attempt.state if attempt else None}, {', '.join(shown_times)}"


def ends(jobs: Iterable[Job]) -> Counter[str]:
    return Counter(
        f"failed: {job.failure.code}"
        if job.failure is not None
        else f"incomplete: {job.incomplete_reason}"
        if job.status == "incomplete"
        else job.status
        for job in jobs
    )


def answered(observed: Observation) -> Counter[str]:
    counts = Counter(str(arrival.response_status) for arrival in observed.arrivals)
    per_job = Counter(arrival.job_id for arrival in observed.arrivals)
    counts["jobs with more than one"] = sum(count > 1 for count in per_job.values())
    return counts


def budgets(observed: Observation) -> str:
    full = (
        f"{each.tenant} {each.used / each.cap:.1%} of ${format(each.cap.normalize(), 'f')}"
        for each in sorted(observed.view.balances, key=lambda each: each.tenant)
        if each.cap
    )
    return f"Highest use of the budgets\n  {', '.join(full)}"


def queues(observed: Observation) -> str:
    """The messages of a killed process are hidden until their visibility timeout (12 minutes for a job). An estimate is
    checked again after 15 minutes."""
    counts_by_queue = ((name, messages_in(observed.service, name)) for name in QUEUES)
    return "Messages in the queues\n" + "\n".join(
        f"  {name:26} {shown(counts) or 'none'}" for name, counts in counts_by_queue
    )


def laws(broken: Mapping[str, Sequence[str]]) -> str:
    lines = ["Laws"]
    for law, breaches in broken.items():
        lines.append(f"  {'holds ' if not breaches else 'BROKEN'}  {law}")
        lines += [f"            {breach}" for breach in breaches[:MAX_SHOWN]]
        if len(breaches) > MAX_SHOWN:
            lines.append(f"            and {len(breaches) - MAX_SHOWN} more")
    return "\n".join(lines)


def section(title: str, counts: Mapping[str, int]) -> str:
    return "\n".join([title, *(f"  {count:6} {name}" for name, count in sorted(counts.items()) if count)])


def shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
