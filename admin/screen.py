"""What the admin's commands print."""

from collections.abc import Sequence


def show_table(rows: Sequence[tuple[str, ...]]) -> None:
    """In columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
