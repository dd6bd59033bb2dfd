"""`python -m local.admin` finds the stack of a running `make serve`, or reports that there is none."""

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
    """An address without a server, like that of a killed stack."""
    with socket.socket() as listener:
        listener.bind((HOST, free_port()))
        yield Cloud(f"http://{HOST}:{listener.getsockname()[1]}")


def error_output(capsys: pytest.CaptureFixture[str]) -> str:
    assert admin.main(["list"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_missing_service_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        error_output(capsys)
        == f"No local service runs on port {PORT}: `make serve` starts one (and PORT= says where).\n"
    )


def test_notice_of_killed_service_is_ignored(silent: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    with admin.reachable(PORT, silent):
        assert "No local service runs" in error_output(capsys)


def test_ended_service_removes_its_notice(silent: Cloud, tmp_path: Path) -> None:
    with admin.reachable(PORT, silent):
        assert [path.read_text() for path in (tmp_path / "serving").iterdir()] == [silent.url]
    assert list((tmp_path / "serving").iterdir()) == []


def test_notices_are_per_port(silent: Cloud, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with admin.reachable(PORT + 1, silent):
        assert f"port {PORT}:" in error_output(capsys)
        with admin.reachable(PORT, silent):
            pass
        assert len(list((tmp_path / "serving").iterdir())) == 1


def test_hint_names_an_unusual_port() -> None:
    assert "PORT=8001" in admin.hint(8001)
    assert "PORT" not in admin.hint(8000)
