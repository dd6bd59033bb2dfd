"""Status lines: redrawn in place on a terminal, printed once for each change elsewhere."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

UP_AND_CLEAR_BELOW = "\x1b[{count}A\x1b[J"


@dataclass(frozen=True)
class Line:
    """Off a terminal, only a change of `status` prints the line again; a change of `elapsed` does not."""

    label: str
    status: str
    elapsed: str

    def text(self) -> str:
        return f"{self.label}  {self.status:12} {self.elapsed:>9}"


@dataclass
class Console:
    stream: TextIO
    _drawn: int = 0
    _statuses: list[str] = field(default_factory=list)

    def draw(self, lines: Sequence[Line]) -> None:
        if self.stream.isatty():
            self._redraw(lines)
        else:
            self._append(lines)
        self.stream.flush()

    def _redraw(self, lines: Sequence[Line]) -> None:
        # A wrapped line takes two rows, and the cursor would not go up far enough.
        width = shutil.get_terminal_size().columns - 1
        if self._drawn:
            self.stream.write(UP_AND_CLEAR_BELOW.format(count=self._drawn))
        for line in lines:
            self.stream.write(line.text()[:width] + "\n")
        self._drawn = len(lines)

    def _append(self, lines: Sequence[Line]) -> None:
        previous = self._statuses or [""] * len(lines)
        for line, status in zip(lines, previous, strict=True):
            if line.status != status:
                self.stream.write(line.text() + "\n")
        self._statuses = [line.status for line in lines]
