"""What the functions run from: one zip of code each, and the layer they share, as Lambda would get them.

The layer holds wheels for this machine's Python, where `sam build` packs those of Lambda's. Everything made is kept
under .local, by the hash of what it was made from.
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
# Compiled here once, not at each cold start. Unpacking changes the sources' times, hence the mode that asks no time.
COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
# Each function's process unpacks the layer: thousands of files, which is most of a cold start. Libraries therefore go
# in compiled alone (`-b` puts that where the source was).
COMPILE_ALONE = (*COMPILE, "-b")
# A zip has no date before 1980; a fixed one makes equal contents equal bytes.
KEPT = 4
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Artefacts:
    """Zips by the path that template.yaml gives for their source, such as `functions/api` or `shared`."""

    by_source: dict[str, Path]


def build(python: Path) -> Artefacts:
    """Make what is missing. `python` is the interpreter that will run the functions."""
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
    """The package `afterthought` and what it imports, under `python/` as Lambda wants it."""
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
    """The folder with the layer's third-party packages, installed for `python` from the hashed pins."""
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
    run(python, *COMPILE_ALONE, ".", folder=partial)
    for source in partial.rglob("*.py"):
        source.unlink()
    # A rename is all or nothing: what is there under its final name is whole.
    try:
        partial.rename(target)
    except OSError:
        if not target.exists():
            raise
        # Another process was first, with the same.
        shutil.rmtree(partial)
    return target


def install(python: Path, target: Path) -> None:
    """By uv, or by pip where only pip knows the machine's package index."""
    pins = ("--require-hashes", "--only-binary", ":all:", "--target", str(target), "-r", str(REQUIREMENTS))
    this = Path(sys.executable)
    try:
        run(this, "-m", "uv", "pip", "install", "-q", "--link-mode", "copy", "--python", str(python), *pins)
    except LocalFailure:
        shutil.rmtree(target)
        target.mkdir()
        quiet = ("-q", "--disable-pip-version-check", "--no-compile")
        run(this, "-m", "pip", "--python", str(python), "install", *quiet, *pins)


def run(python: Path, *arguments: str, folder: Path | None = None) -> str:
    """What the command printed. Raises LocalFailure with its complaint if it fails."""
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise LocalFailure(f"{python} {' '.join(arguments)} failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def source_files(folder: Path) -> list[Path]:
    return [path for path in all_files(folder) if "__pycache__" not in path.parts]


def digest(files: Iterable[Path], base: Path) -> str:
    found = hashlib.sha256()
    for path in files:
        body = path.read_bytes()
        found.update(f"{path.relative_to(base)}\0{len(body)}\0".encode() + body)
    return found.hexdigest()[:16]


def write_zip(target: Path, files: Iterable[tuple[Path, Path]]) -> None:
    """Uncompressed: it travels over loopback only, and each function's process unpacks it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            entry = zipfile.ZipInfo(name.as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    partial.rename(target)
    forget_old(target)


def forget_old(newest: Path) -> None:
    """Keep the last few of a kind: somebody else may be deploying one of them just now."""
    kind = newest.name.partition("-")[0]
    for path in sorted(newest.parent.glob(f"{kind}-*.zip"), key=_made_at)[:-KEPT]:
        path.unlink(missing_ok=True)


def _made_at(path: Path) -> float:
    """0 for what another process has just removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
