"""Measures what a job costs and how fast the functions start: `python -m bench`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The layer's package is not installed: `python -m bench` needs its folder.
if (layer := str(ROOT / "shared")) not in sys.path:
    sys.path.append(layer)
