"""Import and first request of each function in a fresh process, against the floor."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import median
from time import monotonic
from typing import Any

import boto3

from afterthought.adapters import clock
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.ledger import LedgerTable
from afterthought.adapters.payloads import Payloads
from afterthought.domain import body, identity, job
from afterthought.domain.budget import Caps
from afterthought.domain.event import CompletionEvent
from afterthought.domain.job import Job
from afterthought.domain.pricing import Usage, price_id
from afterthought.domain.signature import new_secret
from afterthought.domain.tenant import ApiKey, Tenant
from afterthought.services.contents import put_request
from bench import ROOT
from bench.events import queue_event, request_event, stream_event
from bench.loopback import Loopback
from local.standin import StandIn

FLOOR = "floor"
FUNCTIONS = ("api", "worker", "notifier", "webhooks", "sweeper")
REQUESTS = 8
API_KEY = "at_bench"
_TENANT = "bench"
_MOST_SECONDS = 30.0
_FEWEST_RUNS = 3


@dataclass(frozen=True)
class Start:
    """Medians, in milliseconds."""

    name: str
    import_ms: float
    first_ms: float
    warm_ms: float

    @property
    def total_ms(self) -> float:
        return self.import_ms + self.first_ms


@dataclass(frozen=True)
class Starts:
    floor: Start
    functions: tuple[Start, ...]
    runs: int


def measure(runs: int) -> Starts:
    """Fresh processes in turns, so that a slow moment of the machine hits all alike. Fewer runs than asked for (but
    three) when the machine is slow."""
    began = monotonic()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (FLOOR, *FUNCTIONS)}
    with StandIn(speed=1000) as standin, Loopback(_provider_secret(standin.base_url)) as aws:
        seeds = Seeds(aws.url)
        for run in range(runs):
            if run >= _FEWEST_RUNS and monotonic() - began > _MOST_SECONDS:
                break
            for name, samples in found.items():
                samples.append(_fresh(name, seeds.events(name), aws.url))
    starts = {name: _medians(name, samples) for name, samples in found.items()}
    return Starts(starts[FLOOR], tuple(starts[name] for name in FUNCTIONS), len(found[FLOOR]))


def _medians(name: str, samples: list[dict[str, Any]]) -> Start:
    return Start(
        name,
        import_ms=1000 * median(sample["import"] for sample in samples),
        first_ms=1000 * median(sample["requests"][0] for sample in samples),
        warm_ms=1000 * median(seconds for sample in samples for seconds in sample["requests"][1:]),
    )


def _fresh(name: str, events: list[dict[str, Any]], url: str) -> dict[str, Any]:
    folder = ROOT / "bench" if name == FLOOR else ROOT / "functions" / name
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "child.py"), "floor" if name == FLOOR else "app"],
        input=json.dumps(events),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT / "shared"))),
            "AWS_ENDPOINT_URL": url,
            **_SETTINGS,
            "WEBHOOK_ALLOWED_ORIGINS": url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed in a fresh process:\n{done.stdout}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "Afterthought",
    "JOB_TABLE": "jobs",
    "ACCOUNT_TABLE": "accounts",
    "PAYLOAD_BUCKET": "payloads",
    "JOB_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    "WEBHOOK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/webhooks",
    "COMPLETION_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:completions",
    "PROVIDER_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:provider",
    "PROVIDERS": "standin",
}


def _provider_secret(base_url: str) -> str:
    return json.dumps({"standin": {"api_key": "sk-bench", "base_url": base_url}})


class Seeds:
    """What each function's requests are about, written by the service's own adapters."""

    def __init__(self, url: str) -> None:
        client = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",  # noqa: S106 - of the loopback
        )
        self._jobs = LedgerTable(client, _SETTINGS["JOB_TABLE"], _SETTINGS["ACCOUNT_TABLE"])
        self._contents = Payloads(client, _no_s3, _SETTINGS["JOB_TABLE"], _SETTINGS["PAYLOAD_BUCKET"])
        self._request = {
            "model": "o3",
            "input": "What is 17 times 23?",
            "reasoning": {"effort": "high"},
            "afterthought": {"webhook_url": f"{url}/hook"},
        }
        accounts = AccountTable(client, _SETTINGS["ACCOUNT_TABLE"])
        secret = new_secret(secrets.token_bytes(32)).encode()
        accounts.put_tenant(Tenant(name=_TENANT, created_at=clock.now(), webhook_secrets=(secret,)))
        accounts.put_key(
            ApiKey(key_hash=identity.key_hash(API_KEY), tenant=_TENANT, hint=API_KEY, created_at=clock.now())
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        make: dict[str, Callable[[], dict[str, Any]]] = {
            FLOOR: lambda: {"table": _SETTINGS["JOB_TABLE"]},
            "api": lambda: request_event("POST", "/v1/responses", API_KEY, self._request),
            "worker": lambda: queue_event(json.dumps({"job_id": self._queued().id})),
            "notifier": lambda: stream_event(self._finished().id),
            "webhooks": lambda: queue_event(CompletionEvent.of(self._finished()).payload().decode()),
            "sweeper": dict,
        }
        return [make[name]() for _ in range(REQUESTS)]

    def _queued(self) -> Job:
        canonical = body.canonical(body.read(json.dumps(self._request).encode()))
        made = job.accept(
            id=identity.random_job_id(secrets.token_bytes(24)),
            tenant=_TENANT,
            model="o3",
            effort="high",
            max_output_tokens=None,
            service_tier="default",
            body_hash=body.body_hash(canonical),
            webhook=True,
            hold_usd=Decimal("0.801268"),
            now=clock.now(),
        )
        put_request(self._contents, made, canonical)
        self._jobs.create(made, Caps())
        return made

    def _finished(self) -> Job:
        queued = self._queued()
        begun = queued.begin(token="", provider="standin", now=clock.now())
        taken = begun.submitted(response_id="resp_bench", now=clock.now(), check_seconds=5)
        ended = taken.settled(
            "completed",
            now=clock.now(),
            served_model="o3",
            usage=Usage(input_tokens=15, output_tokens=413, reasoning_tokens=384),
            price_id=price_id("o3", "standard", date(2025, 6, 10)),
            cost_usd=Decimal("0.003334"),
        )
        # As if it had come in one step.
        ended = ended.model_copy(update={"version": queued.version + 1})
        self._jobs.save(queued, ended)
        return ended


def _no_s3() -> Any:
    raise RuntimeError("these requests are small: none goes to S3")
