"""`python -m bench` and `python -m bench.studies` run and count the functions' real requests. Times are not judged."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench import cold_starts
from bench.cost import FUNCTIONS
from bench.template import memory_mb

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def bench() -> str:
    return run("bench", "--quick")


@pytest.fixture(scope="module")
def studies() -> str:
    """The contention study has unit tests."""
    return run("bench.studies", "steps", "load", "--history", "31")


@pytest.fixture(scope="module")
def peaks_mb() -> Mapping[str, float | None]:
    return cold_starts.largest_peaks_mb()


def section(printed: str, title: str) -> str:
    """From this title to the next."""
    match = re.search(rf"^{re.escape(title)}$.*?(?=^[A-Z][A-Z' ,]+$|\Z)", printed, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[0]


def row(printed: str, name: str) -> list[str]:
    """The cells of the row with this name."""
    lines = [line for line in printed.splitlines() if re.match(rf"{re.escape(name)}  ", line)]
    assert len(lines) == 1, f"{name}: {lines}"
    return lines[0].removeprefix(name).split()


def test_cold_starts_are_compared_to_the_floor(bench: str) -> None:
    starts = section(bench, "COLD STARTS")
    assert row(starts, "floor")[6] == "1.00×"
    cells = row(starts, "notifier")
    assert re.fullmatch(r"\d+\.\d\d×", cells[6])
    assert all(float(cells[column]) > 0 for column in (0, 2, 4, 7, 9, 11))


@pytest.mark.slow_proof
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not report peak memory")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_largest_jobs_fit_in_memory(peaks_mb: Mapping[str, float | None], function: str) -> None:
    """With a reserve for Lambda's own part of the process, and for another CPU and another Python."""
    peak = peaks_mb[function]
    assert peak is not None
    assert peak * 1.2 + 20 < memory_mb()[function]


def test_requests_are_counted(bench: str) -> None:
    counted = section(bench, "AWS REQUESTS PER JOB")
    with_events, _, _, large = row(counted, "total")[:4]
    assert int(with_events) < int(large) < 40
    assert row(bench, "worker                      s3 GetObject") == ["1"], "a large question is read once"
    published = row(bench, "notifier                    sns Publish")
    assert published == ["1", "1", "1", "1"], "each job is published once"


def test_thinking_time_is_free(bench: str) -> None:
    """The requests and milliseconds of a woken job do not grow with its thinking time."""
    table = section(bench, "COST BY WAKE MODE")
    cases = ("1 s, effort low", "60 s, effort medium", "3600 s, effort max")
    (_, *second, _), (_, *minute, _), (_, *hour, _) = (row(table, f"woken, {case}") for case in cases)
    assert minute == hour, "invocations, and billed milliseconds"
    assert minute[0] == second[0]


def test_baseline_is_priced(bench: str) -> None:
    table = section(bench, "COST BY WAKE MODE")
    milliseconds = float(row(table, "woken, 60 s, effort medium")[3])
    small, large = (float(row(table, f"baseline (a Lambda waits), 60 s, {mb} MB")[3]) for mb in (256, 1024))
    assert milliseconds < 50
    assert 200 < small < 220
    assert 800 < large < 830
    assert row(table, "baseline (a Lambda waits), 3600 s, 256 MB") == ["too", "long"]


def test_state_fits_one_write_unit(bench: str) -> None:
    size = re.search(r"STATE (\d+) bytes", bench)
    assert size is not None
    assert int(size[1]) < 1024


def test_bill_adds_up_by_call(bench: str) -> None:
    bill = section(bench, "DOLLARS PER MILLION JOBS, CALL BY CALL")
    dollars = re.findall(r"^(?!storage|POST).{84} +(\d+\.\d{3})$", bill, re.MULTILINE)
    (total,) = re.findall(r"^POST to webhook +(\d+\.\d{3})$", bill, re.MULTILINE)
    assert len(dollars) > 40
    assert sum(map(float, dollars)) == pytest.approx(float(total), abs=0.001 * len(dollars))
    assert float(total) < 31.5
    assert len(re.findall(r"^storage: ", bill, re.MULTILINE)) == 2


def test_bill_adds_up_by_service(bench: str) -> None:
    table = section(bench, "DOLLARS PER MILLION JOBS, BY SERVICE")
    rows = re.findall(r"^(\S.*?) {2,}(\d+\.\d\d(?: +\d+\.\d\d)+)$", table, re.MULTILINE)
    dollars = {name: [float(cell) for cell in cells.split()] for name, cells in rows}
    totals = dollars.pop("total")
    assert {"HTTP API", "Lambda duration", "SQS", "SNS", "DynamoDB writes", "DynamoDB reads", "Logs"} <= set(dollars)
    for column, total in enumerate(totals):
        assert sum(cells[column] for cells in dollars.values()) == pytest.approx(total, abs=0.01 * len(dollars))


@pytest.mark.slow_proof
@pytest.mark.parametrize("step", ["an admission", "a settlement"])
def test_history_adds_no_cost(studies: str, step: str) -> None:
    """Each request of a step has a purpose, and a step costs the same after other jobs."""
    steps = section(studies, "AN ADMISSION AND A SETTLEMENT, REQUEST BY REQUEST")
    lines = steps[steps.index(f"\n{step} ") + 1 :].partition("\n\n")[0].splitlines()[1:]
    *items, total, after = [re.split(r" {2,}", line.strip()) for line in lines]
    assert (total[0], after[0]) == ("total", "after 31 jobs")
    assert re.fullmatch(r"\d: \d+ w \d r", total[2])
    assert total[1:] == after[1:]
    for name, *cells in items:
        assert not re.fullmatch(r"\d+ [rw]|•", cells[0]), f"{name} has no purpose"
    units = {name: cells[-1] for name, *cells in items}
    assert units["BUDGET"] == units["USAGE"] == "2 w", "an item below 1 KB is two units in a transaction"


@pytest.mark.slow_proof
def test_limits_are_reached_in_order(studies: str) -> None:
    load = section(studies, "AN HOUR OF RISING LOAD")
    many, one = re.split(r"^one tenant ", load[load.index("\nmany tenants") :], flags=re.MULTILINE)
    for table, expected in ((many, {"worker", "webhooks", "gateway", "job table"}), (one, {"budget", "worker"})):
        rows = re.findall(r"^(\S.*?) {2,}(\d+) +(\d+) +(\d+) {3}(waits|refused) +\S", table, re.MULTILINE)
        assert expected <= {name for name, *_ in rows}
        assert all(float(full) <= float(observed) for _, full, observed, *_ in rows)
    assert "budget" not in many.split("\n\n")[0], "each tenant has its own budget"
