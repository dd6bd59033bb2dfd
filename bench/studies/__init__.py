"""Studies whose results are in docs/decisions.md: `python -m bench.studies [name]`."""
