"""Console output of the admin commands."""

from collections.abc import Sequence


def show_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints the rows in columns. The first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
