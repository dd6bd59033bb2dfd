"""The only way to write a job: change it, save it over the version that was read, resolve a conflict."""

from collections.abc import Callable
from typing import NamedTuple

from afterthought.domain.errors import IllegalTransition, VersionConflict
from afterthought.domain.jobs.job import Job
from afterthought.domain.ledger.budget import NO_CAPS, Caps
from afterthought.services.ports import JobStore

MAX_TRIES = 8
"""Several writers can change one job at the same moment: a worker, its owner's cancel, the sweeper, the notifier."""


class Committed(NamedTuple):
    """The version that was read and the version that is stored now; equal when there was nothing to write."""

    before: Job
    after: Job


def never(_stored: Job) -> bool:
    """A `rebase` rule: the change depends on the version that was read, so the other writer wins."""
    return False


def always(_stored: Job) -> bool:
    """A `rebase` rule: the change is computed again from the stored version."""
    return True


def same_call(job: Job) -> Callable[[Job], bool]:
    """A `rebase` rule: the outcome of a call is valid while its attempt is open, whatever else changed in the job. An
    attempt without a token made no call; the other writer then wins."""
    token = job.attempt.token if job.attempt is not None else None

    def rebase(stored: Job) -> bool:
        return token is not None and stored.open_attempt is not None and stored.open_attempt.token == token

    return rebase


def commit(
    jobs: JobStore,
    job: Job,
    change: Callable[[Job], Job | None],
    *,
    caps: Caps = NO_CAPS,
    rebase: Callable[[Job], bool] = never,
) -> Committed:
    """Saves `change(job)`; `change` returns None if there is nothing to write.

    On a version conflict the job is read again. If the stored version equals ours, the write succeeded and only its
    answer was lost: tokens are random, so no other writer's version can equal ours. Otherwise `change` is applied to
    the stored version if `rebase` allows it.

    Raises VersionConflict when another writer wins, OverBudget and TablesBusy as `JobStore.save` does, and
    IllegalTransition when `change` does not fit the version that was passed in.
    """
    current = job
    for _ in range(MAX_TRIES):
        try:
            after = change(current)
        except IllegalTransition as illegal:
            if current is job:
                raise
            raise VersionConflict(job.id) from illegal
        if after is None:
            return Committed(current, current)
        try:
            jobs.save(current, after, caps)
        except VersionConflict:
            stored = jobs.get(job.id)
            if stored == after:
                return Committed(current, after)
            if stored is None or not rebase(stored):
                raise
            current = stored
        else:
            return Committed(current, after)
    raise VersionConflict(job.id)
