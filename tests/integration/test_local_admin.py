"""`python -m local.admin`: finds the stack of a running `make serve`, and says so when there is none."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import admin
from local.address import HOST, free_port
from local.cloud import Cloud

PORT = 8123


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "NOTICES", tmp_path / "serving")
    monkeypatch.setenv("PORT", str(PORT))


@pytest.fixture
def silent() -> Iterator[Cloud]:
    """An address at which nobody answers, as that of a stack that was killed."""
    with socket.socket() as taken:
        taken.bind((HOST, free_port()))
        yield Cloud(f"http://{HOST}:{taken.getsockname()[1]}")


def told(capsys: pytest.CaptureFixture[str]) -> str:
    assert admin.main(["list"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_without_a_service_a_person_is_told_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys) == f"No local service runs on port {PORT}: `make serve` starts one (and PORT= says where).\n"


def test_what_a_killed_service_left_behind_is_no_service(silent: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    with admin.reachable(PORT, silent):
        assert "No local service runs" in told(capsys)


def test_a_service_that_ends_leaves_nothing_behind(silent: Cloud, tmp_path: Path) -> None:
    with admin.reachable(PORT, silent):
        assert [path.read_text() for path in (tmp_path / "serving").iterdir()] == [silent.url]
    assert list((tmp_path / "serving").iterdir()) == []


def test_a_service_on_another_port_is_another(
    silent: Cloud, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with admin.reachable(PORT + 1, silent):
        assert f"port {PORT}:" in told(capsys)
        with admin.reachable(PORT, silent):
            pass
        assert len(list((tmp_path / "serving").iterdir())) == 1


def test_the_hint_names_the_port_only_where_it_is_another_than_usual() -> None:
    assert "PORT=8001" in admin.hint(8001)
    assert "PORT" not in admin.hint(8000)
