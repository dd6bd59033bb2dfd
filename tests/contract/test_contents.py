"""The port `Contents`, for every implementation."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterthought.adapters.payloads import MAX_BYTES_IN_TABLE
from bench.units import WRITE_UNIT_BYTES, item_bytes
from tests.contract.backing import AwsBacking, Backing
from tests.simulator.clock import START
from tests.simulator.examples import JOB_ID

EXPIRES = START + timedelta(days=30)
INPUT = "INPUT#" + "ab" * 32

# Random bytes do not compress, so the stored content has the size of the original.
LARGE = Random(1).randbytes(MAX_BYTES_IN_TABLE + 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", "Ωé\U0001f600".encode(), b"\x00\xff", b"x" * 100_000, LARGE, Random(2).randbytes(5_000_000)],
    ids=["empty", "small", "text", "binary", "well compressed", "just too large", "the largest"],
)
def test_content_is_returned_unchanged(backing: Backing, content: bytes) -> None:
    backing.contents.put(JOB_ID, INPUT, content, expires_at=EXPIRES)
    assert backing.contents.get(JOB_ID, INPUT) == content


def test_missing_content_is_none(backing: Backing) -> None:
    assert backing.contents.get(JOB_ID, INPUT) is None


def test_contents_of_a_job_are_separate(backing: Backing) -> None:
    backing.contents.put(JOB_ID, INPUT, b"question", expires_at=EXPIRES)
    backing.contents.put(JOB_ID, "OUTPUT#1", b"answer", expires_at=EXPIRES)
    backing.contents.put(JOB_ID, "OUTPUT#2", LARGE, expires_at=EXPIRES)
    assert backing.contents.get(JOB_ID, INPUT) == b"question"
    assert backing.contents.get(JOB_ID, "OUTPUT#1") == b"answer"
    assert backing.contents.get(JOB_ID, "OUTPUT#2") == LARGE


def test_contents_of_jobs_are_separate(backing: Backing) -> None:
    other = JOB_ID.replace("0a", "0b")
    for job_id, content in ((JOB_ID, b"mine"), (other, b"yours")):
        backing.contents.put(job_id, INPUT, content, expires_at=EXPIRES)
    assert backing.contents.get(JOB_ID, INPUT) == b"mine"


def test_put_is_idempotent(backing: Backing) -> None:
    for _ in range(2):
        backing.contents.put(JOB_ID, INPUT, LARGE, expires_at=EXPIRES)
    assert backing.contents.get(JOB_ID, INPUT) == LARGE


def test_content_is_not_a_job(backing: Backing) -> None:
    backing.contents.put(JOB_ID, INPUT, b"{}", expires_at=EXPIRES)
    assert backing.jobs.get(JOB_ID) is None
    assert list(backing.jobs.overdue(EXPIRES)) == []


def test_large_content_is_in_the_bucket(moto: AwsBacking) -> None:
    moto.contents.put(JOB_ID, INPUT, LARGE, expires_at=EXPIRES)
    item = content_item(moto)
    assert item_bytes(item) < WRITE_UNIT_BYTES
    objects = moto.clients.s3.list_objects_v2(Bucket=moto.names.bucket)["Contents"]
    assert [each["Key"] for each in objects] == [item["s3_key"]["S"]]


def test_small_content_is_only_in_the_table(moto: AwsBacking) -> None:
    moto.contents.put(JOB_ID, INPUT, LARGE[: MAX_BYTES_IN_TABLE - 100], expires_at=EXPIRES)
    assert item_bytes(content_item(moto)) > MAX_BYTES_IN_TABLE - 100
    assert "Contents" not in moto.clients.s3.list_objects_v2(Bucket=moto.names.bucket)


def test_content_has_a_time_to_live(moto: AwsBacking) -> None:
    moto.contents.put(JOB_ID, INPUT, b"{}", expires_at=EXPIRES)
    described = moto.clients.dynamodb.describe_time_to_live(TableName=moto.names.job_table)
    attribute = described["TimeToLiveDescription"]["AttributeName"]
    assert content_item(moto)[attribute] == {"N": str(int(EXPIRES.timestamp()))}


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=20_000))
def test_any_bytes_are_returned_unchanged(moto: AwsBacking, content: bytes) -> None:
    moto.contents.put(JOB_ID, INPUT, content, expires_at=EXPIRES)
    assert moto.contents.get(JOB_ID, INPUT) == content


def content_item(moto: AwsBacking) -> dict[str, dict[str, str]]:
    key = {"pk": {"S": f"JOB#{JOB_ID}"}, "sk": {"S": INPUT}}
    item: dict[str, dict[str, str]] = moto.clients.dynamodb.get_item(TableName=moto.names.job_table, Key=key)["Item"]  # type: ignore[assignment]
    return item
