"""Loads the catalogue from TOML files. An error names the file and the row."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from afterthought.catalogue.catalogue import Catalogue, CatalogueError
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.models.model import Model
from afterthought.domain.models.pricing import Price, price_id
from afterthought.domain.models.provider import EVERY_MODEL, Provider

DEFAULT_DIRECTORY = Path(__file__).parent
_PRICE_COLUMNS = ("input", "cached_input", "cache_write", "output")

Entry = TypeVar("Entry", bound=BaseModel)


@cache
def default_catalogue() -> Catalogue:
    """The catalogue of this package, loaded once per process. Raises CatalogueError."""
    return load()


def load(directory: Path | None = None) -> Catalogue:
    """Loads `models/*.toml`, `providers/*.toml` and `tiers.toml` from a directory, by default this package's own.

    Raises CatalogueError for the first invalid row and for rows that contradict each other.
    """
    root = DEFAULT_DIRECTORY if directory is None else directory
    models = _read(root, sorted((root / "models").glob("*.toml")), "model", "id", _model)
    providers = _read(root, sorted((root / "providers").glob("*.toml")), "provider", "name", partial(_build, Provider))
    tiers = _read(root, [root / "tiers.toml"], "tier", "name", partial(_build, RateTier))
    _check_names(models)
    _check_successors(models)
    _check_providers(providers, models)
    return Catalogue(
        models={name: model for name, (_, model) in models.items()},
        providers={name: provider for name, (_, provider) in providers.items()},
        tiers={name: tier for name, (_, tier) in tiers.items()},
    )


# Each entry with its place ("models/openai-gpt-5.toml: model gpt-5") for error messages.
_Placed = Mapping[str, tuple[str, Entry]]


def _read(
    root: Path, files: list[Path], kind: str, key: str, build: Callable[[str, dict[str, Any]], Entry]
) -> _Placed[Entry]:
    entries: dict[str, tuple[str, Entry]] = {}
    for file in files:
        where = file.relative_to(root).as_posix()
        for number, row in enumerate(_rows(where, file, kind), start=1):
            name = row.get(key)
            if not isinstance(name, str) or not name:
                raise CatalogueError(f"{where}: {kind} number {number}: {key} must be a string")
            place = f"{where}: {kind} {name}"
            if name in entries:
                raise CatalogueError(f"{place}: is already in {entries[name][0]}")
            entries[name] = (place, build(place, row))
    if not entries:
        raise CatalogueError(f"{root}: contains no {kind}")
    return entries


def _rows(where: str, file: Path, kind: str) -> Iterator[dict[str, Any]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{where}: cannot be read: {error}") from error
    unknown = sorted(set(document) - {kind})
    if unknown:
        raise CatalogueError(f"{where}: has {', '.join(unknown)}; only [[{kind}]] is allowed")
    rows = document.get(kind, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CatalogueError(f"{where}: {kind} must be a list of tables, each under [[{kind}]]")
    yield from rows


def _model(place: str, row: dict[str, Any]) -> Model:
    prices = row.get("prices", [])
    if not isinstance(prices, list):
        raise CatalogueError(f"{place}: prices must be a list of rows")
    fields = {**row, "prices": [_price(place, row["id"], number, price) for number, price in enumerate(prices, 1)]}
    if "created" in fields:
        fields["created"] = _unix_seconds(place, fields["created"])
    return _build(Model, place, fields)


def _price(place: str, model_id: str, number: int, row: object) -> Price:
    if not isinstance(row, dict):
        raise CatalogueError(f"{place}: price row {number}: must be an inline table")
    start, tier = row.get("from"), row.get("tier")
    place = f"{place}: price row {number} ({tier} from {start})"
    # isinstance accepts a datetime as a date; the row's id would then contain a time.
    if not isinstance(start, date) or isinstance(start, datetime):
        raise CatalogueError(f"{place}: from must be a date such as 2026-07-30, without quotes")
    for column in _PRICE_COLUMNS:
        if column in row and not isinstance(row[column], str):
            raise CatalogueError(f'{place}: {column} must be a string such as "0.25": a float is not exact')
    above = row.get("above_input_tokens", 0)
    if not isinstance(above, int) or isinstance(above, bool):
        raise CatalogueError(f"{place}: above_input_tokens must be a whole number")
    fields = {**row, "model": model_id, "effective_from": start, "id": f"{model_id}/{tier}"}
    del fields["from"]
    price = _build(Price, place, fields)
    return price.model_copy(update={"id": price_id(model_id, price.tier, start, above)})


def _build(kind: type[Entry], place: str, fields: dict[str, Any]) -> Entry:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise CatalogueError(f"{place}: {'; '.join(_messages(error))}") from error


def _messages(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        field = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        yield f"{field}: {message}" if field else message


def _unix_seconds(place: str, day: object) -> int:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise CatalogueError(f"{place}: created must be a date such as 2026-07-30, without quotes")
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _check_names(models: _Placed[Model]) -> None:
    owners: dict[str, str] = {name: place for name, (place, _) in models.items()}
    for place, model in models.values():
        for snapshot in model.snapshots:
            if snapshot in owners:
                raise CatalogueError(f"{place}: snapshot {snapshot} is already the name of {owners[snapshot]}")
            owners[snapshot] = place


def _check_successors(models: _Placed[Model]) -> None:
    for place, model in models.values():
        chain = [model.id]
        successor = model.successor
        while successor is not None:
            if successor not in models:
                raise CatalogueError(f"{place}: successor {successor} is not a model of the catalogue")
            if successor in chain:
                raise CatalogueError(f"{place}: its successors form a cycle at {successor}")
            chain.append(successor)
            successor = models[successor][1].successor


def _check_providers(providers: _Placed[Provider], models: _Placed[Model]) -> None:
    for place, provider in providers.values():
        model_ids = [
            *provider.shutdown,
            *provider.modes,
            *provider.names,
            *(model_id for model_id in provider.limits if model_id != EVERY_MODEL),
            *(provider.models if provider.models != "*" else ()),
        ]
        for model_id in model_ids:
            if model_id not in models:
                raise CatalogueError(f"{place}: {model_id} is not a model of the catalogue")
