"""What a provider says in an error goes to the job's owner. All tenants share one account there, so nothing of that
account may stand in it: not its keys, nor its ids, nor how much of its limits the others have used."""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

_LEAST_KNOWN_CHARACTERS = 8
"""A shorter one is a word ("ollama", "EMPTY"), which servers without keys are given: it would be found everywhere."""

# A key that the provider has masked itself still shows its ends.
_KEY = re.compile(r"\b(?:sk|pk|rk|sess)-[\w*.…-]*[\w*…]", re.ASCII)
_BEARER = re.compile(r"\b(bearer)\s+[^\s\"',]+", re.IGNORECASE)
_ID = re.compile(r"\b(?:org|proj|user|req|acct)[-_](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{4,}[\w-]*", re.ASCII)
# In small letters alone an id looks like a word (org-chart): it is one where it is long, or where it is called one.
_LONG_ID = re.compile(r"\b(?:org|proj)[-_][a-z]{8,}[\w-]*", re.ASCII | re.IGNORECASE)
_AFTER_ITS_KIND = (
    r"\b((?:organi[sz]ation|project)[\s_]{0,3}[:=]?\s{0,3}(?:(?:id|name|named|called)\b\s{0,3}[:=]?\s{0,3})?"
)
_CALLED_ID = re.compile(rf"{_AFTER_ITS_KIND}['\"`(]?)(?:org|proj)[-_]\w[\w-]*", re.ASCII | re.IGNORECASE)
# An apostrophe within a name does not end it.
_NAME = re.compile(rf"{_AFTER_ITS_KIND}(?<=[\s:=(])(['\"`]))(?:(?!\2).|\2(?=\w)){{1,100}}(?=\2(?!\w))", re.IGNORECASE)
_REQUEST_ID = re.compile(r"\b(request[ _-]?id:?\s+)['\"`(]*[\w-]*\d[\w-]*", re.IGNORECASE)
_CREDENTIALS = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@]{1,500}@[^\s\"',)]*", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?\"']{1,500}\?)[^\s\"',)]+", re.IGNORECASE)
_FIGURE = re.compile(r"\b(limit|used|current|remaining)(:?\s+(?:(?:is|are):?\s+)?)\d+(?:[.,]\d+)*", re.IGNORECASE)


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """The text without what tells of the account. `known` are secrets to be taken out wherever they stand."""
    for secret in known:
        if len(secret) >= _LEAST_KNOWN_CHARACTERS:
            text = text.replace(secret, REDACTED)
    text = _CREDENTIALS.sub(rf"\1{REDACTED}", text)
    text = _QUERY.sub(rf"\1{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _REQUEST_ID.sub(rf"\1{REDACTED}", text)
    text = _FIGURE.sub(rf"\1\2{REDACTED}", text)
    text = _NAME.sub(rf"\1{REDACTED}", text)
    text = _CALLED_ID.sub(rf"\1{REDACTED}", text)
    for pattern in (_KEY, _ID, _LONG_ID):
        text = pattern.sub(REDACTED, text)
    return text
