"""Ids and keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.errors import InvalidRequest, NotFound, Unauthenticated
from afterthought.domain.tenants.identity import (
    bearer,
    key_hash,
    keyed_job_id,
    known_form,
    no_such_response,
    random_job_id,
)

keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
tenants = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=40)


@given(tenants, keys)
def test_one_tenants_key_is_one_job(tenant: str, key: str) -> None:
    assert keyed_job_id(tenant, key) == keyed_job_id(tenant, key)
    assert known_form(keyed_job_id(tenant, key)) == keyed_job_id(tenant, key)


@given(tenants, keys, tenants, keys)
def test_two_tenants_or_two_keys_are_two_jobs(tenant: str, key: str, other_tenant: str, other_key: str) -> None:
    same = (tenant, key) == (other_tenant, other_key)
    assert (keyed_job_id(tenant, key) == keyed_job_id(other_tenant, other_key)) == same


@given(st.binary(min_size=24, max_size=24))
def test_a_random_id_has_the_form_of_ours(random_bytes: bytes) -> None:
    assert known_form(random_job_id(random_bytes)) == random_job_id(random_bytes)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a\n", "a\x7f", "x" * 256])
def test_an_idempotency_key_out_of_form_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        keyed_job_id("acme", key)
    assert refused.value.param == "Idempotency-Key"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resp_",
        "resp_" + "0" * 47,
        "resp_" + "0" * 49,
        "resp_" + "A" * 48,
        "resp_" + "0" * 48 + "\n",
        "msg_" + "0" * 48,
        "resp_" + "٠" * 48,
        "JOB#x",
    ],
)
def test_an_id_that_is_none_of_ours_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        known_form(text)


def test_what_is_not_found_and_what_is_anothers_sound_the_same() -> None:
    asked = "resp_" + "0" * 47
    with pytest.raises(NotFound) as unknown:
        known_form(asked)
    others = no_such_response(asked)
    assert (unknown.value.message, unknown.value.code, unknown.value.param) == (
        others.message,
        others.code,
        others.param,
    )


def test_a_long_id_is_not_repeated_whole() -> None:
    assert len(no_such_response("x" * 10_000).message) < 200


@pytest.mark.parametrize("header", ["Bearer key-1", "bearer key-1", "BEARER   key-1 "])
def test_the_key_of_a_bearer_header_is_read(header: str) -> None:
    assert bearer(header) == "key-1"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic key-1", "key-1", "Bearer é", "Bearer " + "x" * 257]
)
def test_a_header_without_a_usable_key_is_unauthenticated(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        bearer(header)
    assert "é" not in refused.value.message
    assert "x" * 10 not in refused.value.message


def test_what_is_kept_of_a_key_is_not_the_key() -> None:
    assert "key-1" not in key_hash("key-1")
    assert key_hash("key-1") != key_hash("key-2")
    assert len(key_hash("key-1")) == 64
