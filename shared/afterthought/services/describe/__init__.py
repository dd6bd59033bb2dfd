"""The API in words: an OpenAPI document made from the request's own models, and a page that shows it.

Nothing of it is loaded before somebody asks: a job's cold start must not pay for its documentation.
"""

from functools import cache
from typing import Any


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html), made once a process. Not to be changed."""
    from afterthought.services.describe.document import document  # noqa: PLC0415 - see above

    return document()


@cache
def docs_page() -> str:
    """The page at /docs: the document in one HTML file that loads nothing."""
    from afterthought.services.describe.page import page  # noqa: PLC0415 - see above

    return page(openapi())
