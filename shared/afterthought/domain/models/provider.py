"""A model provider: which models it serves, how it is called, and until when."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EVERY_MODEL = "*"
"""In `limits`: the entry for every model that has no entry of its own."""

Mode = Literal["background", "direct"]

MAX_DIRECT_SECONDS = 840
"""The longest direct call. A Lambda function runs for at most 900 s; the rest is left for storing the result."""

_MAX_WINDOWS_PER_MINUTE = 6
_Limit = Annotated[int, Field(gt=0)]


class ProviderLimits(BaseModel):
    """What a provider accepts for one model per minute. None: no such limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: _Limit | None = None
    tokens_per_minute: _Limit | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ValueError("needs requests_per_minute, tokens_per_minute or both")
        return self

    @property
    def windows_per_minute(self) -> int:
        """Six, or fewer where a sixth of a limit is less than one."""
        limits = (self.requests_per_minute, self.tokens_per_minute)
        return min(_MAX_WINDOWS_PER_MINUTE, *(limit for limit in limits if limit is not None))


class Provider(BaseModel):
    """An endpoint that implements the Responses API.

    - `mode`: `background` (start the call and fetch the result later) or `direct` (wait for the result). `modes` holds
      the exceptions by model.
    - `models`: the catalogue ids of the models it serves, or "*" for all.
    - `shutdown`: the first day on which it no longer serves a model. Another provider may still serve that model.
    - `names`: its own name of a model, where that differs from the catalogue id.
    - `direct_seconds`: the time limit of a direct call. A call that reaches it is abandoned and counts as one that may
      have run.
    - `limits`: the rate limits by model; "*" is for models without an entry. Without limits, calls are not throttled.
    - `cache_salt`: whether it separates its prompt cache by a `cache_salt` in the request, as vLLM does. Otherwise all
      tenants share one cache.
    - `stand_in`: whether it only simulates the models.

    Raises ValueError (pydantic's ValidationError) if `shutdown`, `modes`, `names` or `limits` has a model that is not
    in `models`, or if two models have the same name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    mode: Mode
    modes: Mapping[str, Mode] = Field(default_factory=dict)
    models: tuple[str, ...] | Literal["*"]
    shutdown: Mapping[str, date] = Field(default_factory=dict)
    names: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    direct_seconds: Annotated[int, Field(ge=1, le=MAX_DIRECT_SECONDS)] = 600
    limits: Mapping[str, ProviderLimits] = Field(default_factory=dict)
    cache_salt: bool = False
    stand_in: bool = False

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        by_model = {"shutdown": self.shutdown, "modes": self.modes, "names": self.names, "limits": self.limits}
        for field, entries in by_model.items():
            for model_id in entries.keys() - ({EVERY_MODEL} if field == "limits" else set()):
                if not self.lists(model_id):
                    raise ValueError(f"{field}: {model_id} is not among its models")
        if len(set(self.names.values())) < len(self.names):
            raise ValueError("names: two models have the same name")
        return self

    def lists(self, model_id: str) -> bool:
        """Whether this provider serves the model, or did before its shutdown."""
        return self.models == "*" or model_id in self.models

    def shutdown_date(self, model_id: str) -> date | None:
        """The first day without the model, or None if no shutdown is announced."""
        return self.shutdown.get(model_id)

    def retired(self, model_id: str, on: date) -> bool:
        """Whether this provider has shut down the model on or before a day."""
        end = self.shutdown_date(model_id)
        return end is not None and on >= end

    def mode_for(self, model_id: str) -> Mode:
        return self.modes.get(model_id, self.mode)

    def name_of(self, model_id: str) -> str:
        """The provider's name of a model or snapshot: the catalogue's name unless `names` has another."""
        return self.names.get(model_id, model_id)

    def model_named(self, name: str) -> str:
        """The catalogue id of a model that has this name at the provider: the inverse of `name_of`."""
        return next((model_id for model_id, provider_name in self.names.items() if provider_name == name), name)

    def limits_for(self, model_id: str) -> ProviderLimits | None:
        """The rate limits of a model, or None if it has none."""
        return self.limits.get(model_id, self.limits.get(EVERY_MODEL))
