"""The models as OpenAI's Model objects, with prices and limits under `afterthought`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import NotFound
from afterthought.domain.models.model import Model
from afterthought.domain.models.pricing import Price, format_usd
from afterthought.domain.wire.deprecation import deprecation_headers

if TYPE_CHECKING:
    from afterthought.domain.wire import report_schemas as schemas


@dataclass(frozen=True)
class ModelReader:
    catalogue: Catalogue
    providers: tuple[str, ...]
    clock: Callable[[], datetime]

    def list(self) -> "schemas.ModelList":
        """All models that an enabled provider serves or has retired. A retired one is marked as such."""
        offered = (model for model in self.catalogue.models.values() if self._offered(model))
        return {"object": "list", "data": [self._render(model) for model in offered]}

    def get(self, name: str) -> "schemas.Model":
        """One model, by its id or a snapshot id. Raises NotFound."""
        model = self.catalogue.find(name)
        if model is None or not self._offered(model):
            raise NotFound(f"The model '{name[:80]}' does not exist.", param="model", code="model_not_found")
        return self._render(model)

    def deprecation_headers(self, name: str) -> dict[str, str]:
        """The headers for responses of this model if its shutdown at all enabled providers is near or past."""
        today = self.clock().date()
        successor = self.catalogue.live_successor_of(name, self.providers, today)
        return deprecation_headers(
            self.catalogue.shutdown_date(name, self.providers),
            today=today,
            successor=None if successor is None else successor.id,
        )

    def _offered(self, model: Model) -> bool:
        enabled = (self.catalogue.providers.get(name) for name in self.providers)
        return any(provider is not None and provider.lists(model.id) for provider in enabled)

    def _render(self, model: Model) -> "schemas.Model":
        today = self.clock().date()
        provider = self.catalogue.provider_for(model.id, self.providers, today)
        shutdown = self.catalogue.shutdown_date(model.id, self.providers)
        return {
            "id": model.id,
            "object": "model",
            "created": model.created or 0,
            "owned_by": provider.name if provider else self.providers[0],
            "shutdown_date": None if shutdown is None else shutdown.isoformat(),
            "afterthought": {
                "provider": provider.name if provider else None,
                "stand_in": provider is not None and provider.stand_in,
                "mode": provider.mode_for(model.id) if provider else None,
                "retired": provider is None,
                "successor": model.successor,
                "snapshots": list(model.snapshots),
                "context_window_input": model.context_window_input,
                "max_output_tokens": model.max_output_tokens,
                "typical_output_tokens": model.typical_output_tokens,
                "efforts": list(model.efforts),
                "default_effort": model.default_effort,
                "input_modalities": list(model.input_modalities),
                "tools": model.tools,
                "parallel_tool_calls": model.parallel_tool_calls,
                "structured_outputs": model.structured_outputs,
                "usd_per_million_tokens": [
                    _price(row) for tier in model.priced_tiers(today) for row in model.price_rows(tier, today)
                ],
            },
        }


def _price(row: Price) -> "schemas.Price":
    return {
        "id": row.id,
        "tier": row.tier,
        "effective_from": row.effective_from.isoformat(),
        "above_input_tokens": row.above_input_tokens,
        "input": format_usd(row.input),
        "cached_input": None if row.cached_input is None else format_usd(row.cached_input),
        "cache_write": None if row.cache_write is None else format_usd(row.cache_write),
        "output": format_usd(row.output),
    }
