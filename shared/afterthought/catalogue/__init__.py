"""The models, providers and rate tiers, read from TOML files and checked once per process.

`python -m afterthought.catalogue` checks the files. README.md describes the format and how to add your own models.
"""

from afterthought.catalogue.catalogue import Catalogue, CatalogueError
from afterthought.catalogue.loader import default_catalogue, load

__all__ = ["Catalogue", "CatalogueError", "default_catalogue", "load"]
