"""How the tests are distributed over several processes, and how many examples hypothesis tries."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler.loadscope import LoadScopeScheduling

E2E = Path(__file__).parent / "e2e"

settings.register_profile("test", deadline=None, max_examples=30)
settings.register_profile("prove", deadline=None, max_examples=200)
settings.load_profile("test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end tests start first, so that no process waits for them alone."""
    items.sort(key=lambda item: not item.path.is_relative_to(E2E))


class FileScheduler(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """The tests of one file run in one process, because they share fixtures. All end-to-end tests run in one process,
    because they share one deployed service. xdist's groups do not work with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "e2e" if file.startswith("tests/e2e/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduler:
    return FileScheduler(config, log)
