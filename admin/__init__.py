"""Commands for the operator of the service."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The layer's package is not installed: `python -m admin.…` imports it from the source tree.
if (layer := str(ROOT / "shared")) not in sys.path:
    sys.path.append(layer)
