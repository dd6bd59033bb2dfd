"""What a job costs and how fast it is: `python -m bench`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The layer's package is not installed anywhere: `python -m bench` finds it where it lives.
if (layer := str(ROOT / "shared")) not in sys.path:
    sys.path.append(layer)
