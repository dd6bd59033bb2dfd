"""The demo's status lines, on a terminal and elsewhere."""

import io

from local.console import Console, Line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(*statuses: str, elapsed: str = "0.0 s") -> list[Line]:
    return [Line(f"job {number}", status, elapsed) for number, status in enumerate(statuses, 1)]


def test_pipe_shows_status_changes_only() -> None:
    stream = io.StringIO()
    console = Console(stream)

    console.draw(lines("queued", "queued"))
    console.draw(lines("queued", "queued", elapsed="1.0 s"))
    console.draw(lines("completed", "queued", elapsed="2.0 s"))

    assert [line.split()[:3] for line in stream.getvalue().splitlines()] == [
        ["job", "1", "queued"],
        ["job", "2", "queued"],
        ["job", "1", "completed"],
    ]
    assert "\x1b" not in stream.getvalue()


def test_terminal_redraws_all_lines_in_place() -> None:
    stream = Terminal()
    console = Console(stream)

    console.draw(lines("queued", "queued"))
    console.draw(lines("queued", "completed", elapsed="1.0 s"))

    first, second = stream.getvalue().split("\x1b[2A\x1b[J")
    assert first.count("\n") == second.count("\n") == 2
    assert "completed" in second


def test_line_fits_the_terminal() -> None:
    stream = Terminal()

    Console(stream).draw([Line("x" * 500, "queued", "0.0 s")])

    assert len(stream.getvalue()) < 500
