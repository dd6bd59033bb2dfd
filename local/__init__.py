"""The whole service on one machine: the same template, deployed to an emulator of AWS that listens on loopback only."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The layer's package is not installed anywhere: `python -m local.…` finds it where it lives.
if (layer := str(ROOT / "shared")) not in sys.path:
    sys.path.append(layer)
