"""`make bench` runs, and counts what the functions really do. No figure of time is judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cost import memory
from local.stack import read_template

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
        timeout=400,
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
    for name in ("api", "worker", "direct", "provider_events", "notifier", "webhooks", "sweeper"):
        cells = row(starts, name)
        assert re.fullmatch(r"\d+\.\d\d×", cells[6])
        assert all(float(cells[column]) > 0 for column in (0, 2, 4, 7, 9, 11))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_the_largest_jobs_fit_the_memory_that_the_template_gives(printed: str) -> None:
    starts = section(printed, "COLD START")
    for name, memory_mb in memory(read_template()).items():
        needed_mb = float(row(starts, name)[15])
        # Lambda's own part of the process, and what another processor and another Python take more.
        assert needed_mb * 1.2 + 20 < memory_mb, name


def test_it_counts_the_requests_of_a_small_and_of_a_large_job(printed: str) -> None:
    counted = section(printed, "AWS REQUESTS PER JOB")
    woken, _, _, large = row(counted, "together")[:4]
    assert int(woken) < int(large) < 40
    assert row(printed, "worker                      s3 GetObject") == ["1"], "a large question is fetched once"
    published = row(printed, "notifier                    sns Publish")
    assert published == ["1", "1", "1", "1"], "a job is announced once"


def test_no_function_runs_while_a_thousand_jobs_think(printed: str) -> None:
    thinks = section(printed, "WHILE MODELS THINK")
    woken = r"^1000 jobs that are woken by events think for \d+ s at once: no function runs\.$"
    assert re.search(woken, thinks, re.MULTILINE)
    assert re.search(r"looked at .* the worker makes \d+ calls", thinks)


def test_it_says_what_breaks_first_under_a_rising_load(printed: str) -> None:
    load = section(printed, "AN HOUR OF RISING LOAD")
    many, one = re.split(r"^one tenant ", load[load.index("\nmany tenants") :], flags=re.MULTILINE)
    for met, names in ((many, {"worker", "webhooks", "gateway", "job table"}), (one, {"budget", "worker"})):
        rows = re.findall(r"^(\S.*?) {2,}(\d+) +(\d+) +(\d+) {3}(waits|refused) +\S", met, re.MULTILINE)
        assert names <= {name for name, *_ in rows}
        assert all(float(full) <= float(felt) for _, full, felt, *_ in rows)


def test_what_a_woken_job_asks_for_does_not_grow_with_its_thinking(printed: str) -> None:
    table = section(printed, "WHAT THINKING COSTS")
    (_, *second, _), (_, *minute, _), (_, *hour, _) = (row(table, f"woken, {s} s") for s in (1, 60, 3600))
    assert minute == hour, "invocations, and billed milliseconds"
    assert minute[0] == second[0]


def test_the_usual_design_is_priced_beside_it_and_cannot_think_for_an_hour(printed: str) -> None:
    table = section(printed, "WHAT THINKING COSTS")
    woken = float(row(table, "woken, 60 s")[3])
    small, large = (float(row(table, f"the usual design, 60 s, {mb} MB")[3]) for mb in (256, 1024))
    assert woken < 50
    assert 200 < small < 220
    assert 800 < large < 830
    assert row(table, "the usual design, 3600 s, 256 MB") == ["cannot"]


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


def test_it_prices_a_million_jobs_call_by_call(printed: str) -> None:
    bill = section(printed, "DOLLARS PER MILLION JOBS, CALL BY CALL")
    dollars = re.findall(r"^(?!kept|submit).{84} +(\d+\.\d{3})$", bill, re.MULTILINE)
    (together,) = re.findall(r"^submit to webhook .* (\d+\.\d{3})$", bill, re.MULTILINE)
    assert len(dollars) > 40
    assert sum(map(float, dollars)) == pytest.approx(float(together), abs=0.001 * len(dollars))
    assert float(together) < 30, "the aim, of a million such jobs"
    assert len(re.findall(r"^kept afterwards: ", bill, re.MULTILINE)) == 2


def test_it_prices_a_million_jobs_by_service(printed: str) -> None:
    table = section(printed, "DOLLARS PER MILLION JOBS, BY SERVICE")
    rows = re.findall(r"^(\S.*?) {2,}(\d+\.\d\d(?: +\d+\.\d\d)+)$", table, re.MULTILINE)
    priced = {name: [float(cell) for cell in cells.split()] for name, cells in rows}
    total = priced.pop("together")
    assert {"HTTP API", "Lambda duration", "SQS", "SNS", "DynamoDB writes", "DynamoDB reads", "Logs"} <= set(priced)
    for column, sum_ in enumerate(total):
        assert sum(each[column] for each in priced.values()) == pytest.approx(sum_, abs=0.01 * len(priced))
