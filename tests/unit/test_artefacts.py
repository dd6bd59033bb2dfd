"""The zips of the functions and the layer."""

import os
import zipfile
from pathlib import Path

from local.artefacts import delete_old, digest, source_files, write_zip


def test_equal_contents_make_equal_zips(tmp_path: Path) -> None:
    """The time of the file does not matter."""
    source = tmp_path / "app.py"
    source.write_text("x = 1\n")
    write_zip(tmp_path / "a-1.zip", [(source, Path("app.py"))])
    os.utime(source, (0, 0))
    write_zip(tmp_path / "b-1.zip", [(source, Path("app.py"))])

    assert (tmp_path / "a-1.zip").read_bytes() == (tmp_path / "b-1.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a-1.zip") as archive:
        assert archive.read("app.py") == b"x = 1\n"


def test_digest_depends_on_names_and_contents(tmp_path: Path) -> None:
    """It does not depend on compiled files."""

    def key() -> str:
        return digest(source_files(tmp_path), tmp_path)

    (tmp_path / "app.py").write_text("x = 1\n")
    first = key()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "app.pyc").write_bytes(b"compiled")
    assert key() == first
    (tmp_path / "app.py").write_text("x = 2\n")
    changed = key()
    (tmp_path / "app.py").rename(tmp_path / "app2.py")

    assert len({first, changed, key()}) == 3


def test_old_zips_of_a_kind_are_deleted(tmp_path: Path) -> None:
    for age in range(6):
        path = tmp_path / f"api-{age}.zip"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "layer-0.zip").touch()

    delete_old(tmp_path / "api-0.zip")

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "api-0.zip",
        "api-1.zip",
        "api-2.zip",
        "api-3.zip",
        "layer-0.zip",
    ]
