"""API keys and job ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.errors import InvalidRequest, NotFound, Unauthenticated
from afterthought.domain.tenants.identity import (
    bearer_key,
    hash_api_key,
    idempotent_job_id,
    random_job_id,
    response_not_found,
    valid_job_id,
)

keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
tenants = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=40)


@given(tenants, keys)
def test_job_id_is_repeatable(tenant: str, key: str) -> None:
    assert idempotent_job_id(tenant, key) == idempotent_job_id(tenant, key)
    assert valid_job_id(idempotent_job_id(tenant, key)) == idempotent_job_id(tenant, key)


@given(tenants, keys, tenants, keys)
def test_job_id_differs_by_tenant_and_key(tenant: str, key: str, other_tenant: str, other_key: str) -> None:
    equal = (tenant, key) == (other_tenant, other_key)
    assert (idempotent_job_id(tenant, key) == idempotent_job_id(other_tenant, other_key)) == equal


@given(st.binary(min_size=24, max_size=24))
def test_random_job_id_is_valid(random_bytes: bytes) -> None:
    assert valid_job_id(random_job_id(random_bytes)) == random_job_id(random_bytes)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a\n", "a\x7f", "x" * 256])
def test_malformed_idempotency_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        idempotent_job_id("acme", key)
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
def test_malformed_job_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        valid_job_id(text)


def test_malformed_and_unknown_ids_look_equal() -> None:
    job_id = "resp_" + "0" * 47
    with pytest.raises(NotFound) as malformed:
        valid_job_id(job_id)
    unknown = response_not_found(job_id)
    assert malformed.value.wire() == unknown.wire()


def test_long_job_id_is_truncated() -> None:
    assert len(response_not_found("x" * 10_000).message) < 200


@pytest.mark.parametrize("header", ["Bearer key-1", "bearer key-1", "BEARER   key-1 "])
def test_bearer_header_is_read(header: str) -> None:
    assert bearer_key(header) == "key-1"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic key-1", "key-1", "Bearer é", "Bearer " + "x" * 257]
)
def test_header_without_key_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        bearer_key(header)
    assert "é" not in refused.value.message
    assert "x" * 10 not in refused.value.message


def test_api_key_is_hashed() -> None:
    assert "key-1" not in hash_api_key("key-1")
    assert hash_api_key("key-1") != hash_api_key("key-2")
    assert len(hash_api_key("key-1")) == 64
