"""Redaction of provider error messages, which tenants can read.

All tenants share one provider account, so a message must not show that account's keys, ids, or usage of its limits.
"""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

_MIN_SECRET_CHARACTERS = 8
"""Shorter values are placeholder keys ("ollama", "EMPTY") for servers without authentication, and ordinary words."""

# Also keys that the provider masked: both ends are still visible.
_KEY = re.compile(r"\b(?:sk|pk|rk|sess)-[\w*.…-]*[\w*…]", re.ASCII)
_BEARER = re.compile(r"\b(bearer)\s+[^\s\"',]+", re.IGNORECASE)
_ID = re.compile(r"\b(?:org|proj|user|req|acct)[-_](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{4,}[\w-]*", re.ASCII)
# In lower case an id looks like a word (org-chart). It is an id when it is long, or when its label says so.
_LONG_ID = re.compile(r"\b(?:org|proj)[-_][a-z]{8,}[\w-]*", re.ASCII | re.IGNORECASE)
_LABEL = r"\b((?:organi[sz]ation|project)[\s_]{0,3}[:=]?\s{0,3}(?:(?:id|name|named|called)\b\s{0,3}[:=]?\s{0,3})?"
_LABELLED_ID = re.compile(rf"{_LABEL}['\"`(]?)(?:org|proj)[-_]\w[\w-]*", re.ASCII | re.IGNORECASE)
# An apostrophe inside a name does not end the name.
_NAME = re.compile(rf"{_LABEL}(?<=[\s:=(])(['\"`]))(?:(?!\2).|\2(?=\w)){{1,100}}(?=\2(?!\w))", re.IGNORECASE)
_REQUEST_ID = re.compile(r"\b(request[ _-]?id:?\s+)['\"`(]*[\w-]*\d[\w-]*", re.IGNORECASE)
_CREDENTIALS = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@]{1,500}@[^\s\"',)]*", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?\"']{1,500}\?)[^\s\"',)]+", re.IGNORECASE)
_FIGURE = re.compile(r"\b(limit|used|current|remaining)(:?\s+(?:(?:is|are):?\s+)?)\d+(?:[.,]\d+)*", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without account details and without `secrets`."""
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(secret, REDACTED)
    text = _CREDENTIALS.sub(rf"\1{REDACTED}", text)
    text = _QUERY.sub(rf"\1{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _REQUEST_ID.sub(rf"\1{REDACTED}", text)
    text = _FIGURE.sub(rf"\1\2{REDACTED}", text)
    text = _NAME.sub(rf"\1{REDACTED}", text)
    text = _LABELLED_ID.sub(rf"\1{REDACTED}", text)
    for pattern in (_KEY, _ID, _LONG_ID):
        text = pattern.sub(REDACTED, text)
    return text
