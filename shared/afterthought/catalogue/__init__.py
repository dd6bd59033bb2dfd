"""The models, providers and rate tiers that the service knows: data in TOML, read and checked once a process.

`python -m afterthought.catalogue` checks it. The format, and how to add a model of your own, is in README.md beside.
"""

from afterthought.catalogue.catalogue import Catalogue, CatalogueError
from afterthought.catalogue.loader import default_catalogue, load

__all__ = ["Catalogue", "CatalogueError", "default_catalogue", "load"]
