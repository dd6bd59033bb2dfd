"""Prints the reports."""


def show(lines: list[str]) -> None:
    print("\n".join(line.rstrip() for line in lines), end="\n\n", flush=True)
