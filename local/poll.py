"""Submits the demo's questions and polls the jobs until they end, with the openai SDK."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from openai import OpenAI
from openai.types.responses import Response

from local.questions import Question

POLL_SECONDS = 0.3
TERMINAL = frozenset(("completed", "failed", "incomplete", "cancelled"))


@dataclass(frozen=True)
class PolledJob:
    """`seconds` is the time from the submit to the last poll."""

    question: Question
    response: Response
    started: float
    seconds: float = 0.0

    @property
    def status(self) -> str:
        return self.response.status or "unknown"

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL


def submit(client: OpenAI, question: Question, webhook_url: str) -> PolledJob:
    """Raises openai.APIError, for example for an unknown model or effort."""
    started = time.monotonic()
    response = client.responses.create(
        model=question.model,
        input=question.text,
        background=True,
        extra_body={
            "afterthought": {"webhook_url": webhook_url},
            **({"reasoning": {"effort": question.effort}} if question.effort else {}),
        },
    )
    return PolledJob(question, response, started)


def poll(client: OpenAI, jobs: Sequence[PolledJob]) -> Iterator[list[PolledJob]]:
    """Yields all jobs after each poll, until all have ended."""
    current = list(jobs)
    while True:
        yield current
        if all(job.ended for job in current):
            return
        time.sleep(POLL_SECONDS)
        current = [job if job.ended else retrieve(client, job) for job in current]


def retrieve(client: OpenAI, job: PolledJob) -> PolledJob:
    response = client.responses.retrieve(job.response.id)
    return replace(job, response=response, seconds=time.monotonic() - job.started)
