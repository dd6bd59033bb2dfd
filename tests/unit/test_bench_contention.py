"""The simulation of one budget under load: that it plays what it says."""

import pytest

from bench.studies.contention import Policy, burst, most_borne, offer


def test_the_same_seed_gives_the_same_run() -> None:
    assert offer(20, 10, seed=7) == offer(20, 10, seed=7)
    assert offer(20, 10, seed=7) != offer(20, 10, seed=8)


def test_without_contention_nothing_waits_and_nothing_is_refused() -> None:
    load = offer(20, 0.001, policy=Policy(tries=1))
    assert (load.refused, load.put_off, load.tries) == (0, 0, 1)
    # To DynamoDB and back, and a moment between its two items.
    assert load.p99_ms < 6


def test_whoever_does_not_try_again_is_refused_as_often_as_others_are_at_it() -> None:
    load = offer(10, 10, policy=Policy(tries=1))
    # Some twenty transactions a second of ten milliseconds each: an item is busy for a fifth of the time.
    assert load.refused == pytest.approx(0.2, abs=0.1)


def test_no_more_is_admitted_than_the_items_have_time_for() -> None:
    load = offer(200, 20)
    assert load.admitted_per_second < 50, "twenty milliseconds of each second's thousand"
    assert load.refused > 0.5


def test_the_write_units_of_one_partition_key_bound_what_fast_transactions_could_do() -> None:
    # A thousand tries of two units each; five hundred are paid for.
    load = offer(1000, 0.001, policy=Policy(tries=1))
    assert load.admitted_per_second < 500


def test_what_is_borne_is_borne_and_the_next_step_is_not() -> None:
    most = most_borne(20)
    assert most.borne
    assert not offer(most.offered_per_second + 1, 20).borne


def test_a_burst_is_worked_off_one_by_one() -> None:
    found = burst(50, 10)
    assert found.refused == 0
    assert found.slowest_ms >= 50 * 10, "none is written while another is"
    assert burst(50, 10, policy=Policy(tries=1)).refused > 0.9
