"""`python -m local.demo` (make demo): jobs from end to end on this machine, followed live, with all that came of them.

Environment: QUESTION, MODEL, EFFORT ask the person's own question; OPENAI_API_KEY and OPENAI_BASE_URL let a real
endpoint with background mode answer; STANDIN_SPEED (1) divides the stand-in's thinking time; EVENTS=0 keeps the
stand-in from saying when it is done. Ends 0 if every job completed, its webhook was accepted and its SNS message came.
"""

import os
import sys
import time

import openai

from local import endpoint, questions, receiver, service
from local.address import HOST, free_port
from local.announcements import Announcements
from local.console import Line, Screen
from local.failure import LocalFailure
from local.ministack import LOGS
from local.poll import Followed, follow, submit
from local.report import report
from local.serve import number, shown
from local.signals import Stopped, stoppable
from local.tenants import ACME

ARRIVAL_SECONDS = 60.0


def main() -> int:
    with stoppable():
        try:
            return demonstrate(questions.chosen(os.environ))
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except openai.APIStatusError as refused:
            told = refused.body.get("message") if isinstance(refused.body, dict) else None
            print(f"Refused ({refused.status_code}): {told or refused.message}", file=sys.stderr)
            if refused.status_code >= 500:
                print(f"The functions' log is {shown(LOGS / 'demo-ministack.log')}.", file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
            return 130


def demonstrate(asked: tuple[questions.Question, ...]) -> int:
    started = time.monotonic()
    say("Starting the whole service on this machine (the first time it also builds the functions' layer)…")
    port = free_port()
    with (
        receiver.receiving({ACME.name: ACME.webhook_secret}, port) as hooks,
        endpoint.chosen(os.environ, speed=number("STANDIN_SPEED", 1)) as models,
        service.running("demo", models, webhook_origins=[f"http://{HOST}:{port}"]) as running,
    ):
        announcements = Announcements.subscribed(running.cloud, running.stack["CompletionTopicArn"])
        say(f"template.yaml is deployed after {time.monotonic() - started:.1f} s: {running.base_url}")
        say(f"Answers come from {models.described}\n")
        client = openai.OpenAI(base_url=running.base_url, api_key=ACME.api_key, max_retries=5)
        jobs = ask(client, asked, hooks.url(ACME.name))
        say("")
        good = [tell(place, job, hooks, announcements) for place, job in enumerate(jobs, 1)]
        say(f"Answers came from {models.described}")
    if all(good):
        say(f"{len(good)} of {len(good)} jobs completed and announced. All stopped again.")
        return 0
    say(f"{good.count(False)} of {len(good)} jobs did not come through as they should.")
    return 1


def ask(client: openai.OpenAI, asked: tuple[questions.Question, ...], webhook_url: str) -> list[Followed]:
    """Submit all, then redraw one line a job until all have ended."""
    screen = Screen(sys.stdout)
    submitted = [submit(client, question, webhook_url) for question in asked]
    jobs = submitted
    for jobs in follow(client, submitted):
        screen.draw([line(place, job) for place, job in enumerate(jobs, 1)])
    return jobs


def line(place: int, job: Followed) -> Line:
    label = f"{place}. {job.question.model:14} {job.question.effort or 'default':8} {job.response.id[:14]}…"
    return Line(label, job.status, f"{job.seconds:.1f} s")


def tell(place: int, job: Followed, hooks: receiver.Receiver, announcements: Announcements) -> bool:
    arrival = hooks.wait_for(job.response.id, ARRIVAL_SECONDS)
    announced = announcements.wait_for(job.response.id, ARRIVAL_SECONDS)
    say(report(place, job, arrival, announced) + "\n")
    return job.status == "completed" and arrival is not None and bool(announced)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
