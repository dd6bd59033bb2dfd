"""How the tests are distributed over several processes, and how many examples hypothesis tries."""

from pathlib import Path

import pytest
from hypothesis import settings

E2E = Path(__file__).parent / "e2e"

settings.register_profile("test", deadline=None, max_examples=50)
settings.register_profile("prove", deadline=None, max_examples=200)
settings.load_profile("test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All end-to-end tests run in one process, because they share one deployed service. The tests of another file run
    in one process, because they share fixtures. The slow group starts first, so that no process waits for it alone."""
    items.sort(key=lambda item: not item.path.is_relative_to(E2E))
    for item in items:
        item.add_marker(pytest.mark.xdist_group("e2e" if item.path.is_relative_to(E2E) else str(item.path)))
