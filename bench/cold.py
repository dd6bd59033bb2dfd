"""Each function in fresh processes, against the floor: its import, its first request, those after, and its memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

from afterthought.adapters import clock
from bench import ROOT
from bench.cost import WAY
from bench.fake_aws import Loopback
from bench.fake_provider import SIGNING_SECRET, Provider
from bench.fixture import BACKGROUND, DIRECT
from bench.sample_requests import Seeds

FLOOR = "floor"
REQUESTS = 8
_MOST_SECONDS = 30.0
_FEWEST_RUNS = 3


@dataclass(frozen=True)
class Start:
    """In milliseconds: medians of the clock, and the least that the processor worked. `peak_mb` is the most memory it
    has had, `largest_peak_mb` the same after jobs as large as there can be; None where the system does not tell."""

    name: str
    import_ms: float
    first_ms: float
    warm_ms: float
    cold_work_ms: float
    warm_work_ms: float
    peak_mb: float | None
    largest_peak_mb: float | None

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
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (FLOOR, *WAY)}
    with Provider(clock.now, lambda _: None) as provider, Loopback(_provider_secret(provider)) as aws:
        seeds = Seeds(aws.url, provider, _SETTINGS)
        for run in range(runs):
            if run >= _FEWEST_RUNS and monotonic() - began > _MOST_SECONDS:
                break
            for name, samples in found.items():
                event = seeds.events(name)
                samples.append(_fresh(name, [event() for _ in range(REQUESTS)], aws.url))
        largest = {name: _fresh(name, seeds.largest(name), aws.url) for name in WAY}
    starts = {name: _medians(name, samples, largest.get(name)) for name, samples in found.items()}
    return Starts(starts[FLOOR], tuple(starts[name] for name in WAY), len(found[FLOOR]))


def _medians(name: str, samples: list[dict[str, Any]], largest: dict[str, Any] | None) -> Start:
    def after_the_first(what: str) -> list[float]:
        return [seconds for sample in samples for seconds in sample[what][1:]]

    return Start(
        name,
        import_ms=1000 * median(sample["import"] for sample in samples),
        first_ms=1000 * median(sample["requests"][0] for sample in samples),
        warm_ms=1000 * median(after_the_first("requests")),
        # Others on the machine make work longer, and never shorter.
        cold_work_ms=1000 * min(sample["import_work"] + sample["work"][0] for sample in samples),
        warm_work_ms=1000 * min(after_the_first("work")),
        peak_mb=_megabytes(max(sample["peak_kb"] or 0 for sample in samples)),
        largest_peak_mb=_megabytes(largest["peak_kb"] if largest else None),
    )


def _megabytes(kilobytes: int | None) -> float | None:
    return kilobytes / 1024 if kilobytes else None


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
    "DIRECT_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/direct",
    "WEBHOOK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/webhooks",
    "COMPLETION_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:completions",
    "PROVIDER_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:provider",
    "PROVIDERS": f"{BACKGROUND},{DIRECT}",
}


def _provider_secret(provider: Provider) -> str:
    connection = {"api_key": "sk-bench", "base_url": provider.base_url}
    return json.dumps({BACKGROUND: {**connection, "webhook_secrets": [SIGNING_SECRET]}, DIRECT: connection})
