"""Write the two files that the api function serves: `python -m apidocs`."""

import json
from pathlib import Path

from apidocs.document import document
from apidocs.page import page

TARGET = Path(__file__).resolve().parent.parent / "functions" / "api"


def build() -> dict[Path, bytes]:
    """The contents of the files by path."""
    api = document()
    return {
        TARGET / "openapi.json": f"{json.dumps(api, indent=1, ensure_ascii=False)}\n".encode(),
        TARGET / "docs.html": page(api).encode(),
    }


if __name__ == "__main__":
    for path, content in build().items():
        path.write_bytes(content)
        print(f"{path.name}: {len(content):,} bytes")
