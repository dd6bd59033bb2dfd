"""`python -m afterthought.catalogue [DIRECTORY]` checks the catalogue and prints a summary.

Exits with 1 if the catalogue is invalid, and names the file and the row.
"""

import sys
from pathlib import Path

from afterthought.catalogue.catalogue import Catalogue, CatalogueError
from afterthought.catalogue.loader import load


def summary(catalogue: Catalogue) -> str:
    rows = sum(len(model.prices) for model in catalogue.models.values())
    providers, tiers = len(catalogue.providers), len(catalogue.tiers)
    lines = [f"catalogue: {len(catalogue.models)} models, {rows} price rows, {providers} providers, {tiers} rate tiers"]
    for provider in catalogue.providers.values():
        listed = [model_id for model_id in catalogue.models if provider.lists(model_id)]
        stand_in = ", a stand-in" if provider.stand_in else ""
        shutdowns = len(provider.shutdown)
        lines.append(f"  {provider.name} ({provider.mode}{stand_in}): {len(listed)} models, {shutdowns} with an end")
    orphans = [
        model_id
        for model_id in catalogue.models
        if not any(provider.lists(model_id) for provider in catalogue.providers.values() if not provider.stand_in)
    ]
    if orphans:
        lines.append(f"  served only by the stand-in: {', '.join(orphans)}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    try:
        catalogue = load(Path(arguments[0]) if arguments else None)
    except CatalogueError as error:
        print(f"catalogue: {error}", file=sys.stderr)
        return 1
    print(summary(catalogue))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
