"""`make bench` runs, and counts what the functions really do. No figure of time is judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def printed() -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench", "--runs", "1"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def section(printed: str, title: str) -> str:
    """From its title to the next."""
    found = re.search(rf"^{re.escape(title)}$.*?(?=^[A-Z][A-Z' ,]+$|\Z)", printed, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[0]


def row(printed: str, name: str) -> list[str]:
    """The cells of the row that begins so."""
    found = [line for line in printed.splitlines() if re.match(rf"{re.escape(name)}  ", line)]
    assert len(found) == 1, f"{name}: {found}"
    return found[0].removeprefix(name).split()


def test_it_times_every_function_against_the_floor(printed: str) -> None:
    starts = section(printed, "COLD START")
    assert row(starts, "floor")[6] == "1.00×"
    for name in ("api", "worker", "notifier", "webhooks", "sweeper"):
        cells = row(starts, name)
        assert re.fullmatch(r"\d+\.\d\d×", cells[6])
        assert all(float(cells[column]) > 0 for column in (0, 2, 4, 7))


def test_it_counts_the_requests_of_a_small_and_of_a_large_job(printed: str) -> None:
    counted = section(printed, "AWS REQUESTS PER JOB")
    small, large = row(counted, "together")[:2]
    assert int(small) < int(large) < 40
    assert row(printed, "worker                s3 GetObject") == ["1"], "a large question is fetched once"
    assert row(printed, "notifier              sns Publish") == ["1", "1"], "a job is announced once"
    assert row(printed, "webhooks              kms Decrypt") == ["1"], "a secret is opened once a process"


def test_the_state_of_a_job_fits_one_write_unit(printed: str) -> None:
    left = re.search(r"STATE (\d+) bytes", printed)
    assert left is not None
    assert int(left[1]) < 1024


@pytest.mark.parametrize("step", ["an admission", "a settlement"])
def test_it_shows_what_each_request_of_a_step_is_for_and_that_a_history_changes_nothing(
    printed: str, step: str
) -> None:
    steps = section(printed, "AN ADMISSION AND A SETTLEMENT, REQUEST BY REQUEST")
    lines = steps[steps.index(f"\n{step} ") + 1 :].partition("\n\n")[0].splitlines()[1:]
    *items, together, after = [re.split(r" {2,}", line.strip()) for line in lines]
    assert (together[0], after[0]) == ("together", "after 200 jobs")
    assert re.fullmatch(r"\d: \d+ w \d r", together[2])
    assert together[1:] == after[1:], "a step costs the same whatever came before"
    for name, *cells in items:
        assert not re.fullmatch(r"\d+ [rw]|•", cells[0]), f"{name}: nobody says what it is for"
    units = {name: cells[-1] for name, *cells in items}
    assert units["BUDGET"] == units["USAGE"] == "2 w", "an item below a kilobyte is two units in a transaction"


def test_it_shows_what_one_budget_bears(printed: str) -> None:
    bears = section(printed, "ONE TENANT'S BUDGET UNDER LOAD")
    rows = re.findall(r"^(\d+) +(\d+\.\d) +(\d+\.\d)%", bears, re.MULTILINE)
    assert rows[0][2] == "0.0", "a job a second is never refused"
    assert float(rows[-1][2]) > 10, "ever more jobs a second are"
    most = [int(jobs) for jobs in re.findall(r"(\d+) at \d+ ms", bears)]
    assert len(most) == 3
    assert most == sorted(most, reverse=True)


def test_it_prices_a_million_jobs_by_service(printed: str) -> None:
    table = section(printed, "DOLLARS PER MILLION JOBS")
    rows = re.findall(r"^(\S.*?) {2,}(\d+\.\d\d) +(\d+\.\d\d) +(\d+\.\d\d)$", table, re.MULTILINE)
    priced = {name: (float(small), float(large)) for name, small, large, _ in rows}
    total = priced.pop("together")
    assert {"HTTP API", "Lambda duration", "SQS", "SNS", "DynamoDB writes", "DynamoDB reads", "Logs"} <= set(priced)
    for column in (0, 1):
        assert sum(each[column] for each in priced.values()) == pytest.approx(total[column], abs=0.01 * len(priced))
    assert re.search(r"List prices of us-east-1, 20\d\d-\d\d-\d\d", table)
