"""Lines that change: redrawn in place in a terminal, printed when they change anywhere else."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

UP_AND_CLEAR_BELOW = "\x1b[{count}A\x1b[J"


@dataclass(frozen=True)
class Line:
    """A change of `state` is told to a reader of plain lines; that of `moving` (the time) only in a terminal."""

    label: str
    state: str
    moving: str

    def text(self) -> str:
        return f"{self.label}  {self.state:12} {self.moving:>9}"


@dataclass
class Screen:
    stream: TextIO
    _drawn: int = 0
    _states: list[str] = field(default_factory=list)

    def draw(self, lines: Sequence[Line]) -> None:
        if self.stream.isatty():
            self._redraw(lines)
        else:
            self._append(lines)
        self.stream.flush()

    def _redraw(self, lines: Sequence[Line]) -> None:
        # A line that wraps would be two lines, and the cursor would go up too few.
        width = shutil.get_terminal_size().columns - 1
        if self._drawn:
            self.stream.write(UP_AND_CLEAR_BELOW.format(count=self._drawn))
        for line in lines:
            self.stream.write(line.text()[:width] + "\n")
        self._drawn = len(lines)

    def _append(self, lines: Sequence[Line]) -> None:
        known = self._states or [""] * len(lines)
        for line, state in zip(lines, known, strict=True):
            if line.state != state:
                self.stream.write(line.text() + "\n")
        self._states = [line.state for line in lines]
