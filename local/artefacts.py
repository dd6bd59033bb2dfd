"""Builds the zips that Lambda gets: one for each function, and one for the layer.

The layer has wheels for this machine's Python; `sam build` packs those for Lambda's. Results are cached in .local, by
the hash of their sources.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local import ROOT
from local.failure import LocalFailure

CACHE = ROOT / ".local" / "artefacts"
REQUIREMENTS = ROOT / "shared" / "requirements.txt"
PACKAGE = ROOT / "shared" / "afterthought"
# Compiled once, not at each cold start. The mode ignores the sources' times, which unpacking changes.
COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
# Libraries are stored without their sources (`-b` puts the compiled file beside the source): each function process
# unpacks the layer's thousands of files, which is most of a cold start.
COMPILE_IN_PLACE = (*COMPILE, "-b")
KEPT_VERSIONS = 4
# The earliest date of the zip format. A fixed date makes equal contents equal bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Artefacts:
    """Zips by their source path in template.yaml, such as `functions/api` or `shared`."""

    by_source: dict[str, Path]


def build(python: Path) -> Artefacts:
    """Build the zips that are not in the cache. `python` is the interpreter that runs the functions."""
    functions = sorted(path.parent for path in (ROOT / "functions").glob("*/app.py"))
    zips = {f"functions/{folder.name}": function_zip(folder) for folder in functions}
    return Artefacts({**zips, "shared": layer_zip(python)})


def function_zip(folder: Path) -> Path:
    sources = source_files(folder)
    target = CACHE / f"{folder.name}-{digest(sources, folder)}.zip"
    if not target.exists():
        write_zip(target, ((path, path.relative_to(folder)) for path in sources))
    return target


def layer_zip(python: Path) -> Path:
    """The package `afterthought` and its libraries, in the folder `python/` that Lambda requires."""
    libraries = layer_libraries(python)
    sources = source_files(PACKAGE)
    target = CACHE / f"layer-{libraries.name.rpartition('-')[2]}-{digest(sources, PACKAGE)}.zip"
    if target.exists():
        return target
    staging = CACHE / f"staging-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(PACKAGE, staging / "afterthought", ignore=shutil.ignore_patterns("__pycache__"))
    run(python, *COMPILE, "afterthought", folder=staging)
    folders = (libraries, staging)
    files = ((path, "python" / path.relative_to(base)) for base in folders for path in all_files(base))
    write_zip(target, files)
    shutil.rmtree(staging)
    return target


def layer_libraries(python: Path) -> Path:
    """The folder of the layer's libraries, installed for `python` from the hashed pins."""
    version = run(python, "-c", "import sys, sysconfig; print(sys.version, sysconfig.get_platform())")
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode() + b"compiled alone").hexdigest()[:16]
    target = CACHE / f"libraries-{key}"
    if target.exists():
        return target
    partial = CACHE / f"partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    install(python, partial)
    shutil.rmtree(partial / "bin", ignore_errors=True)
    run(python, *COMPILE_IN_PLACE, ".", folder=partial)
    for source in partial.rglob("*.py"):
        source.unlink()
    # A rename is atomic, so a folder with the final name is complete.
    try:
        partial.rename(target)
    except OSError:
        if not target.exists():
            raise
        # Another process has built the same folder.
        shutil.rmtree(partial)
    return target


def install(python: Path, target: Path) -> None:
    """With uv, or with pip if uv fails: a package index may be configured for pip only."""
    pins = ("--require-hashes", "--only-binary", ":all:", "--target", str(target), "-r", str(REQUIREMENTS))
    installer = Path(sys.executable)
    try:
        run(installer, "-m", "uv", "pip", "install", "-q", "--link-mode", "copy", "--python", str(python), *pins)
    except LocalFailure:
        shutil.rmtree(target)
        target.mkdir()
        quiet = ("-q", "--disable-pip-version-check", "--no-compile")
        run(installer, "-m", "pip", "--python", str(python), "install", *quiet, *pins)


def run(python: Path, *arguments: str, folder: Path | None = None) -> str:
    """The command's output. Raises LocalFailure with its error output if it fails."""
    result = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False, cwd=folder)
    if result.returncode:
        raise LocalFailure(f"{python} {' '.join(arguments)} failed:\n{result.stderr.strip()[-2000:]}")
    return result.stdout


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def source_files(folder: Path) -> list[Path]:
    return [path for path in all_files(folder) if "__pycache__" not in path.parts]


def digest(files: Iterable[Path], base: Path) -> str:
    total = hashlib.sha256()
    for path in files:
        body = path.read_bytes()
        total.update(f"{path.relative_to(base)}\0{len(body)}\0".encode() + body)
    return total.hexdigest()[:16]


def write_zip(target: Path, files: Iterable[tuple[Path, Path]]) -> None:
    """Without compression, because each function process unpacks it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            entry = zipfile.ZipInfo(name.as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    partial.rename(target)
    delete_old(target)


def delete_old(newest: Path) -> None:
    """Keep the newest few of the same kind: another process may be deploying one of them."""
    kind = newest.name.partition("-")[0]
    for path in sorted(newest.parent.glob(f"{kind}-*.zip"), key=_modified_at)[:-KEPT_VERSIONS]:
        path.unlink(missing_ok=True)


def _modified_at(path: Path) -> float:
    """0 if another process has removed the file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
