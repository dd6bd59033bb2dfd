"""`python -m local.demo` (make demo): submits jobs on this machine, shows their progress, then results and webhooks.

Environment: QUESTION, MODEL and EFFORT replace the demo's questions. OPENAI_API_KEY and OPENAI_BASE_URL select a real
model endpoint. STANDIN_SPEED (1) divides the stand-in's thinking time. EVENTS=0 turns off the stand-in's webhooks.
The exit code is 0 if every job completed and its webhook and SNS message arrived.
"""

import os
import sys
import time

import openai

from local import endpoint, questions, receiver, service
from local.address import HOST, free_port
from local.console import Console, Line
from local.failure import LocalFailure
from local.ministack import LOGS
from local.poll import PolledJob, poll, submit
from local.report import report
from local.serve import STARTING, positive_integer, relative_path
from local.signals import Stopped, stop_on_signal
from local.tenants import ACME
from local.topic import TopicSubscription

ARRIVAL_SECONDS = 60.0


def main() -> int:
    with stop_on_signal():
        try:
            return run(questions.from_environment(os.environ))
        except LocalFailure as failure:
            print(failure, file=sys.stderr)
            return 1
        except openai.APIStatusError as error:
            message = error.body.get("message") if isinstance(error.body, dict) else None
            print(f"Refused ({error.status_code}): {message or error.message}", file=sys.stderr)
            if error.status_code >= 500:
                print(f"See the functions' log: {relative_path(LOGS / 'demo-ministack.log')}", file=sys.stderr)
            return 1
        except Stopped:
            print("\nStopped; nothing is left running.", flush=True)
            return 130


def run(selected: tuple[questions.Question, ...]) -> int:
    started = time.monotonic()
    echo(STARTING)
    port = free_port()
    with (
        receiver.receiving({ACME.name: ACME.webhook_secret}, port) as webhooks,
        endpoint.from_environment(os.environ, speed=positive_integer("STANDIN_SPEED", 1)) as models,
        service.running("demo", models, webhook_origins=[f"http://{HOST}:{port}"]) as running,
    ):
        topic = TopicSubscription.create(running.cloud, running.stack["CompletionTopicArn"])
        echo(f"Deployed template.yaml in {time.monotonic() - started:.1f} s: {running.base_url}")
        echo(f"The answers come from {models.description}\n")
        client = openai.OpenAI(base_url=running.base_url, api_key=ACME.api_key, max_retries=5)
        jobs = run_jobs(client, selected, webhooks.url(ACME.name))
        echo("")
        complete = [show(number, job, webhooks, topic) for number, job in enumerate(jobs, 1)]
        echo(f"The answers came from {models.description}")
    if all(complete):
        echo(f"{len(complete)} of {len(complete)} jobs completed, with webhook and SNS message. Everything is stopped.")
        return 0
    echo(
        f"{complete.count(False)} of {len(complete)} jobs did not complete, or their webhook or SNS message is missing."
    )
    return 1


def run_jobs(client: openai.OpenAI, selected: tuple[questions.Question, ...], webhook_url: str) -> list[PolledJob]:
    """Submit all questions, then show one status line for each job until all have ended."""
    console = Console(sys.stdout)
    jobs = [submit(client, question, webhook_url) for question in selected]
    for current in poll(client, jobs):
        jobs = current
        console.draw([status_line(number, job) for number, job in enumerate(jobs, 1)])
    return jobs


def status_line(number: int, job: PolledJob) -> Line:
    label = f"{number}. {job.question.model:14} {job.question.effort or 'default':8} {job.response.id[:14]}…"
    return Line(label, job.status, f"{job.seconds:.1f} s")


def show(number: int, job: PolledJob, webhooks: receiver.Receiver, topic: TopicSubscription) -> bool:
    """Print the result of a job. Returns whether it completed and both its webhook and its SNS message arrived."""
    webhook = webhooks.wait_for(job.response.id, ARRIVAL_SECONDS)
    messages = topic.wait_for(job.response.id, ARRIVAL_SECONDS)
    echo(report(number, job, webhook, messages) + "\n")
    return job.status == "completed" and webhook is not None and bool(messages)


def echo(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
