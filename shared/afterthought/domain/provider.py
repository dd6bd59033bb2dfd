"""Who answers for a model, in which way, and until when."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from afterthought.domain.limits.throttle import ProviderLimits

EVERY_MODEL = "*"
"""The name of every model of a provider that has no entry of its own."""

Mode = Literal["background", "direct"]

MOST_DIRECT_SECONDS = 840
"""The longest that a call may be awaited: a function of Lambda lives 900 s, and what the call came to must be written
down in the rest."""


class Provider(BaseModel):
    """An endpoint that speaks the Responses API.

    `mode` says how it is called: `background` (submit, leave, come back) or `direct` (the call is awaited); `modes` has
    the models that differ. `models` lists what it serves, or is "*" for all. `shutdown` has the first day on which it
    no longer serves a model: retirement belongs to a provider and a model together, another may go on serving it.
    `names` has what it calls a model where that is not the catalogue's id. `direct_seconds` is the longest that a
    direct call takes: one that has not ended by then is given up, and counts as a call that may have run.
    `limits` are how fast it takes calls to a model, those of "*" to one that has none of its own; without them, calls
    are not throttled. `cache_salt` is true for one whose cache of prompts is kept apart by a `cache_salt` in the
    request, as vLLM's is: without it, one cache serves all tenants. `stand_in` is true for an endpoint that only plays
    the model.

    Raises ValueError (pydantic's ValidationError) when it dates, modes, names or limits a model that it does not list,
    or calls two by one name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    mode: Mode
    modes: Mapping[str, Mode] = Field(default_factory=dict)
    models: tuple[str, ...] | Literal["*"]
    shutdown: Mapping[str, date] = Field(default_factory=dict)
    names: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    direct_seconds: Annotated[int, Field(ge=1, le=MOST_DIRECT_SECONDS)] = 600
    limits: Mapping[str, ProviderLimits] = Field(default_factory=dict)
    cache_salt: bool = False
    stand_in: bool = False

    @model_validator(mode="after")
    def _speaks_of_its_own_models(self) -> Self:
        of_models = {"shutdown": self.shutdown, "modes": self.modes, "names": self.names, "limits": self.limits}
        for field, named in of_models.items():
            for model_id in named.keys() - ({EVERY_MODEL} if field == "limits" else set()):
                if not self.lists(model_id):
                    raise ValueError(f"{field}: {model_id} is not among its models")
        if len(set(self.names.values())) < len(self.names):
            raise ValueError("names: two models have the same")
        return self

    def lists(self, model_id: str) -> bool:
        """Whether this provider serves the model or once did."""
        return self.models == "*" or model_id in self.models

    def serves(self, model_id: str, on: date) -> bool:
        """Whether a call made on that day would find the model here."""
        return self.lists(model_id) and not self.retired(model_id, on)

    def shutdown_date(self, model_id: str) -> date | None:
        """The first day without the model, or None while no end is announced."""
        return self.shutdown.get(model_id)

    def retired(self, model_id: str, on: date) -> bool:
        """Whether this provider once served the model and no longer does on that day."""
        end = self.shutdown_date(model_id)
        return end is not None and on >= end

    def mode_for(self, model_id: str) -> Mode:
        return self.modes.get(model_id, self.mode)

    def calls(self, model_id: str) -> str:
        """The name that the provider has for the model, or for one of its snapshots: the catalogue's, where it says no
        other."""
        return self.names.get(model_id, model_id)

    def means(self, name: str) -> str:
        """The model that the provider calls so: the other way of `calls`."""
        return next((model_id for model_id, other in self.names.items() if other == name), name)

    def limits_for(self, model_id: str) -> ProviderLimits | None:
        """How fast it takes calls to the model; None where it sets no limit."""
        return self.limits.get(model_id, self.limits.get(EVERY_MODEL))
