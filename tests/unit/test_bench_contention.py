"""The simulation of one budget under load."""

import pytest

from bench.studies import contention
from bench.studies.contention import Contention, RetryPolicy, burst, highest_sustained, offer


def test_same_seed_repeats_a_run() -> None:
    assert offer(20, 10, seed=7, seconds=2) == offer(20, 10, seed=7, seconds=2)
    assert offer(20, 10, seed=7, seconds=2) != offer(20, 10, seed=8, seconds=2)


def test_no_wait_without_contention() -> None:
    load = offer(20, 0.001, policy=RetryPolicy(tries=1))
    assert (load.refused, load.postponed, load.tries) == (0, 0, 1)
    # To DynamoDB and back, and a moment between its two items.
    assert load.p99_ms < 6


def test_conflicts_are_refused_without_retries() -> None:
    load = offer(10, 10, policy=RetryPolicy(tries=1))
    # About twenty transactions a second of ten milliseconds each: an item is locked for a fifth of the time.
    assert load.refused == pytest.approx(0.2, abs=0.1)


def test_lock_time_limits_admissions() -> None:
    load = offer(150, 20, seconds=3)
    assert load.admitted_per_second < 50, "twenty milliseconds each"
    assert load.refused > 0.5


def test_write_units_limit_admissions() -> None:
    # The key's thousand units a second pay for five hundred transactions.
    load = offer(1000, 0.001, policy=RetryPolicy(tries=1), seconds=2)
    assert load.admitted_per_second < 500


def test_highest_load_is_found() -> None:
    highest = highest_sustained(20)
    assert highest.sustained
    assert not offer(highest.offered_per_second + 1, 20).sustained


def test_burst_is_served_one_by_one() -> None:
    result = burst(50, 10)
    assert result.refused == 0
    assert result.slowest_ms >= 50 * 10
    assert burst(50, 10, policy=RetryPolicy(tries=1)).refused > 0.9


def test_report_shows_loads_and_limits() -> None:
    load = offer(5, 10, seconds=2)
    printed = contention.report(Contention(10, [load], [burst(5, 10)], {10: load, 20: load}))
    assert any(line.startswith("5  ") and "0.0%" in line for line in printed)
    assert printed[-1].endswith("5 at 10 ms, 5 at 20 ms.")
