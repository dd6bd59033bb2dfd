"""The catalogue of models, providers and rate tiers."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.models.model import Model
from afterthought.domain.models.pricing import Price
from afterthought.domain.models.provider import Provider


class CatalogueError(AfterthoughtError):
    """The catalogue is invalid or lacks an enabled provider. The message names the file and the row."""


class Catalogue(BaseModel):
    """All models by id, and providers and rate tiers by name, in the order of the files.

    A `name` of a model is its id or one of its snapshots. `enabled` lists provider names by preference; an unknown one
    raises CatalogueError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Mapping[str, Model]
    providers: Mapping[str, Provider]
    tiers: Mapping[str, RateTier]

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        for kind, keyed in (
            ("model", {key: model.id for key, model in self.models.items()}),
            ("provider", {key: provider.name for key, provider in self.providers.items()}),
            ("tier", {key: tier.name for key, tier in self.tiers.items()}),
        ):
            for key, name in keyed.items():
                if key != name:
                    raise ValueError(f"{kind} {name} is stored under the key {key}")
        return self

    @cached_property
    def _by_name(self) -> Mapping[str, Model]:
        return {name: model for model in self.models.values() for name in (model.id, *model.snapshots)}

    @cached_property
    def _by_price_id(self) -> Mapping[str, Price]:
        return {price.id: price for model in self.models.values() for price in model.prices}

    def price_row(self, price_id: str) -> Price | None:
        """The row with this id, whether it is in effect or not."""
        return self._by_price_id.get(price_id)

    def find(self, name: str) -> Model | None:
        return self._by_name.get(name)

    def provider_for(self, name: str, enabled: Sequence[str], on: date) -> Provider | None:
        """The first enabled provider that serves the model on a day, or None."""
        listing = self._listing(name, enabled)
        return next((provider for provider, model_id in listing if not provider.retired(model_id, on)), None)

    def retired_everywhere(self, name: str, enabled: Sequence[str], on: date) -> bool:
        """Whether at least one enabled provider lists the model and all that do have shut it down.

        False for a model that no enabled provider lists: it is unknown, not retired.
        """
        retired = [provider.retired(model_id, on) for provider, model_id in self._listing(name, enabled)]
        return bool(retired) and all(retired)

    def shutdown_date(self, name: str, enabled: Sequence[str]) -> date | None:
        """The first day without the model at any enabled provider; None if one of them has no shutdown date for it."""
        dates = [provider.shutdown_date(model_id) for provider, model_id in self._listing(name, enabled)]
        days = [day for day in dates if day is not None]
        return max(days) if days and len(days) == len(dates) else None

    def successor_of(self, name: str) -> Model | None:
        """The replacement that the maker recommends, even if that is retired too; None if there is none."""
        model = self.find(name)
        return self.models[model.successor] if model is not None and model.successor is not None else None

    def live_successor_of(self, name: str, enabled: Sequence[str], on: date) -> Model | None:
        """The first model in the chain of successors that an enabled provider serves on a day, or None."""
        successor = self.successor_of(name)
        while successor is not None and self.provider_for(successor.id, enabled, on) is None:
            successor = self.successor_of(successor.id)
        return successor

    def _listing(self, name: str, enabled: Sequence[str]) -> Iterator[tuple[Provider, str]]:
        """The enabled providers that list the model, with its id."""
        model = self.find(name)
        for provider_name in enabled:
            provider = self.providers.get(provider_name)
            if provider is None:
                raise CatalogueError(
                    f"provider {provider_name} is unknown; the catalogue has {', '.join(self.providers)}"
                )
            if model is not None and provider.lists(model.id):
                yield provider, model.id
