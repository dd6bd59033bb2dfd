"""Submit the demo's questions and follow them to their ends, as any caller would: by the openai SDK."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from openai import OpenAI
from openai.types.responses import Response

from local.questions import Question

POLL_SECONDS = 0.3
ENDED = frozenset(("completed", "failed", "incomplete", "cancelled"))


@dataclass(frozen=True)
class Followed:
    """A job as it stands: `seconds` since it was submitted, until it was seen to have ended."""

    question: Question
    response: Response
    started: float
    seconds: float = 0.0

    @property
    def status(self) -> str:
        return self.response.status or "unknown"

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def submit(client: OpenAI, question: Question, webhook_url: str) -> Followed:
    """Raises openai.APIError: a model or an effort that there is not is refused here, before anything is stored."""
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
    return Followed(question, response, started)


def follow(client: OpenAI, jobs: Sequence[Followed]) -> Iterator[list[Followed]]:
    """Every job as it stands, again and again, the last time when all have ended."""
    current = list(jobs)
    while True:
        yield current
        if all(job.ended for job in current):
            return
        time.sleep(POLL_SECONDS)
        current = [job if job.ended else look(client, job) for job in current]


def look(client: OpenAI, job: Followed) -> Followed:
    response = client.responses.retrieve(job.response.id)
    return replace(job, response=response, seconds=time.monotonic() - job.started)
