"""How much a tenant may send to one model per minute."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Limit = Annotated[int, Field(gt=0)]


class RateTier(BaseModel):
    """A limit of None is not stated. A tier that is not `supported` admits no requests and has no limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    supported: bool = True
    requests_per_minute: _Limit | None = None
    tokens_per_minute: _Limit | None = None
    batch_queue_tokens: _Limit | None = None

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        limits = (self.requests_per_minute, self.tokens_per_minute)
        if self.supported and None in limits:
            raise ValueError("a supported tier needs requests_per_minute and tokens_per_minute")
        if not self.supported and (self.batch_queue_tokens, *limits) != (None, None, None):
            raise ValueError("an unsupported tier has no limits")
        return self
