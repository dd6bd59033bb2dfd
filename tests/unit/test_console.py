"""The demo's changing lines: redrawn for a terminal, told once for everything else."""

import io

from local.console import Line, Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(*states: str, moving: str = "0.0 s") -> list[Line]:
    return [Line(f"job {place}", state, moving) for place, state in enumerate(states, 1)]


def test_a_pipe_is_told_of_a_change_of_state_and_not_of_the_time_that_passes() -> None:
    stream = io.StringIO()
    screen = Screen(stream)

    screen.draw(lines("queued", "queued"))
    screen.draw(lines("queued", "queued", moving="1.0 s"))
    screen.draw(lines("completed", "queued", moving="2.0 s"))

    told = stream.getvalue().splitlines()
    assert [line.split()[:3] for line in told] == [
        ["job", "1", "queued"],
        ["job", "2", "queued"],
        ["job", "1", "completed"],
    ]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_sees_every_line_again_in_the_same_place() -> None:
    stream = Terminal()
    screen = Screen(stream)

    screen.draw(lines("queued", "queued"))
    screen.draw(lines("queued", "completed", moving="1.0 s"))

    first, second = stream.getvalue().split("\x1b[2A\x1b[J")
    assert first.count("\n") == second.count("\n") == 2
    assert "completed" in second


def test_no_line_is_wider_than_the_terminal() -> None:
    stream = Terminal()

    Screen(stream).draw([Line("x" * 500, "queued", "0.0 s")])

    assert len(stream.getvalue()) < 500
