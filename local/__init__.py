"""The service on one machine: template.yaml, deployed to an emulator of AWS that listens on loopback only."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The layer's package is not installed, so `python -m local.…` imports it from its folder.
if (layer := str(ROOT / "shared")) not in sys.path:
    sys.path.append(layer)
