"""The catalogue as a whole, and the questions it answers."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from afterthought.domain.errors import AfterthoughtError
from afterthought.domain.limits.rate_tier import RateTier
from afterthought.domain.model import Model
from afterthought.domain.pricing import Price
from afterthought.domain.provider import Provider


class CatalogueError(AfterthoughtError):
    """The catalogue is wrong, or was asked for a provider it does not have. The message names the file and the row."""


class Catalogue(BaseModel):
    """Every known model by id, provider by name and rate tier by name, in the order of the files.

    A model may be named by its id or by one of its snapshots wherever a `name` is asked for. `enabled` are the names
    of the providers in use, by preference; a name that is not in the catalogue raises CatalogueError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Mapping[str, Model]
    providers: Mapping[str, Provider]
    tiers: Mapping[str, RateTier]

    @model_validator(mode="after")
    def _keys_are_names(self) -> Self:
        for kind, keyed in (
            ("model", {key: model.id for key, model in self.models.items()}),
            ("provider", {key: provider.name for key, provider in self.providers.items()}),
            ("tier", {key: tier.name for key, tier in self.tiers.items()}),
        ):
            for key, name in keyed.items():
                if key != name:
                    raise ValueError(f"{kind} {name} stands under the name {key}")
        return self

    @cached_property
    def _by_name(self) -> Mapping[str, Model]:
        return {name: model for model in self.models.values() for name in (model.id, *model.snapshots)}

    @cached_property
    def _by_price_id(self) -> Mapping[str, Price]:
        return {price.id: price for model in self.models.values() for price in model.prices}

    def price_row(self, price_id: str) -> Price | None:
        """The row that has this id, in force or not."""
        return self._by_price_id.get(price_id)

    def find(self, name: str) -> Model | None:
        return self._by_name.get(name)

    def provider_for(self, name: str, enabled: Sequence[str], on: date) -> Provider | None:
        """The first enabled provider that serves the model on that day, or None."""
        offering = self._offering(name, enabled)
        return next((provider for provider in offering if not self._gone(provider, name, on)), None)

    def retired_everywhere(self, name: str, enabled: Sequence[str], on: date) -> bool:
        """Whether enabled providers once served the model and every one of them has shut it down by that day.

        False for a model that none of them ever had: that one is unknown here, not retired.
        """
        offering = list(self._offering(name, enabled))
        return bool(offering) and all(self._gone(provider, name, on) for provider in offering)

    def shutdown_date(self, name: str, enabled: Sequence[str]) -> date | None:
        """The first day on which no enabled provider serves the model; None while one of them has announced no end."""
        model = self.find(name)
        if model is None:
            return None
        ends = [provider.shutdown_date(model.id) for provider in self._offering(name, enabled)]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def successor_of(self, name: str) -> Model | None:
        """The model that its maker recommends instead, be that one retired itself; None when none is known."""
        model = self.find(name)
        return self.models[model.successor] if model is not None and model.successor is not None else None

    def live_successor_of(self, name: str, enabled: Sequence[str], on: date) -> Model | None:
        """The first successor down the line that an enabled provider serves on that day; None when there is none."""
        successor = self.successor_of(name)
        while successor is not None and self.provider_for(successor.id, enabled, on) is None:
            successor = self.successor_of(successor.id)
        return successor

    def _offering(self, name: str, enabled: Sequence[str]) -> Iterator[Provider]:
        model = self.find(name)
        for provider_name in enabled:
            provider = self.providers.get(provider_name)
            if provider is None:
                raise CatalogueError(f"provider {provider_name} is unknown; known are {', '.join(self.providers)}")
            if model is not None and provider.lists(model.id):
                yield provider

    def _gone(self, provider: Provider, name: str, on: date) -> bool:
        model = self.find(name)
        return model is None or provider.retired(model.id, on)
