"""`python -m local.admin` finds the stack of a running `make serve`."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import admin
from local.address import HOST, free_port
from local.cloud import Cloud

PORT = 8123


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "URL_FILES", tmp_path / "serving")
    monkeypatch.setenv("PORT", str(PORT))


@pytest.fixture
def dead_cloud() -> Iterator[Cloud]:
    """An address that does not answer, as after the emulator was killed."""
    with socket.socket() as listener:
        listener.bind((HOST, free_port()))
        yield Cloud(f"http://{HOST}:{listener.getsockname()[1]}")


def error_of_list(capsys: pytest.CaptureFixture[str]) -> str:
    assert admin.main(["list"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_error_says_how_to_start_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    message = f"No local service runs on port {PORT}. Start one with `make serve`, or name its port with PORT=.\n"
    assert error_of_list(capsys) == message


def test_killed_service_is_not_running(dead_cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    with admin.reachable(PORT, dead_cloud):
        assert "No local service runs" in error_of_list(capsys)


def test_stopped_service_leaves_no_file(dead_cloud: Cloud, tmp_path: Path) -> None:
    with admin.reachable(PORT, dead_cloud):
        assert [path.read_text() for path in (tmp_path / "serving").iterdir()] == [dead_cloud.url]
    assert list((tmp_path / "serving").iterdir()) == []


def test_services_differ_by_port(dead_cloud: Cloud, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with admin.reachable(PORT + 1, dead_cloud):
        assert f"port {PORT}." in error_of_list(capsys)
        with admin.reachable(PORT, dead_cloud):
            pass
        assert len(list((tmp_path / "serving").iterdir())) == 1


def test_hint_names_a_port_other_than_8000() -> None:
    assert "PORT=8001" in admin.hint(8001)
    assert "PORT" not in admin.hint(8000)
