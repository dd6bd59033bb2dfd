"""How the tests are shared out when several processes run them."""

from pathlib import Path

import pytest

E2E = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All end-to-end tests go to one process, since they share one running service; of the others, a file is not torn
    apart, since its tests share what is dear to make. The slow group comes first, so that nobody waits for it last."""
    items.sort(key=lambda item: not item.path.is_relative_to(E2E))
    for item in items:
        item.add_marker(pytest.mark.xdist_group("e2e" if item.path.is_relative_to(E2E) else str(item.path)))
