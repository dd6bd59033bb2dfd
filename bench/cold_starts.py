"""Measures each function in fresh processes: the time of import, first request and later requests, and memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

from bench import ROOT
from bench.clock import ShiftedClock
from bench.cost import FUNCTIONS
from bench.fake_aws import FakeAws
from bench.fake_provider import FakeProvider
from bench.fixture import BACKGROUND_PROVIDER, DIRECT_PROVIDER, PROVIDERS
from bench.sample_requests import SampleRequests

FLOOR = "floor"
REQUESTS = 8
_MAX_SECONDS = 30.0
_MIN_RUNS = 3

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
    "PROVIDERS": PROVIDERS,
}


@dataclass(frozen=True)
class Start:
    """Times are medians of wall time in milliseconds; CPU times are minima. `peak_mb` is the peak memory,
    `largest_peak_mb` the same after jobs of the largest size. None where the system does not report it."""

    name: str
    import_ms: float
    first_ms: float
    warm_ms: float
    cold_cpu_ms: float
    warm_cpu_ms: float
    peak_mb: float | None
    largest_peak_mb: float | None

    @property
    def total_ms(self) -> float:
        return self.import_ms + self.first_ms


@dataclass(frozen=True)
class ColdStarts:
    floor: Start
    functions: tuple[Start, ...]
    runs: int


def measure(runs: int, functions: Sequence[str] = FUNCTIONS) -> ColdStarts:
    """The functions take turns, so that a slow moment of the machine affects all. On a slow machine there are fewer
    runs, but at least three."""
    start = monotonic()
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in (FLOOR, *functions)}
    clock = ShiftedClock()
    with FakeProvider(clock) as provider, FakeAws(_provider_secret(provider)) as aws:
        requests = SampleRequests(aws, provider, _SETTINGS)
        for run in range(runs):
            if run >= _MIN_RUNS and monotonic() - start > _MAX_SECONDS:
                break
            for name, of_function in samples.items():
                event = requests.events(name)
                of_function.append(_run(name, [event() for _ in range(REQUESTS)], aws.origin))
        largest = {name: _run(name, requests.largest(name), aws.origin) for name in functions}
    starts = {name: _start(name, of_function, largest.get(name)) for name, of_function in samples.items()}
    return ColdStarts(starts[FLOOR], tuple(starts[name] for name in functions), len(samples[FLOOR]))


def largest_peaks_mb() -> Mapping[str, float | None]:
    """The peak memory of each function after jobs of the largest size."""
    with FakeProvider(ShiftedClock()) as provider, FakeAws(_provider_secret(provider)) as aws:
        requests = SampleRequests(aws, provider, _SETTINGS)
        return {name: _megabytes(_run(name, requests.largest(name), aws.origin)["peak_kb"]) for name in FUNCTIONS}


def _start(name: str, samples: list[dict[str, Any]], largest: dict[str, Any] | None) -> Start:
    def later_requests(field: str) -> list[float]:
        return [seconds for sample in samples for seconds in sample[field][1:]]

    return Start(
        name,
        import_ms=1000 * median(sample["import_seconds"] for sample in samples),
        first_ms=1000 * median(sample["request_seconds"][0] for sample in samples),
        warm_ms=1000 * median(later_requests("request_seconds")),
        # The minimum, because other processes can only increase it.
        cold_cpu_ms=1000 * min(s["import_cpu_seconds"] + s["request_cpu_seconds"][0] for s in samples),
        warm_cpu_ms=1000 * min(later_requests("request_cpu_seconds")),
        peak_mb=_megabytes(max(sample["peak_kb"] or 0 for sample in samples)),
        largest_peak_mb=_megabytes(largest["peak_kb"] if largest else None),
    )


def _megabytes(kilobytes: int | None) -> float | None:
    return kilobytes / 1024 if kilobytes else None


def _run(name: str, events: list[dict[str, Any]], aws_url: str) -> dict[str, Any]:
    folder = ROOT / "bench" if name == FLOOR else ROOT / "functions" / name
    process = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "child.py"), "floor" if name == FLOOR else "app"],
        input=json.dumps(events),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT / "shared"))),
            "AWS_ENDPOINT_URL": aws_url,
            **_SETTINGS,
            "WEBHOOK_ALLOWED_ORIGINS": aws_url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if process.returncode:
        raise RuntimeError(f"{name} failed in a fresh process:\n{process.stdout}\n{process.stderr}")
    measured: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return measured


def _provider_secret(provider: FakeProvider) -> str:
    background, direct = (provider.connection(events=events) for events in (True, False))
    return json.dumps({BACKGROUND_PROVIDER: background, DIRECT_PROVIDER: direct})
