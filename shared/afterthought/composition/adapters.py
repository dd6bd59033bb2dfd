"""The adapters that several functions use, for the resources that the environment names."""

from afterthought.adapters import aws, settings
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.payloads import Payloads
from afterthought.adapters.sqs import SqsJobQueue


def job_table() -> JobTable:
    return JobTable(aws.dynamodb(), settings.required("JOB_TABLE"), settings.required("ACCOUNT_TABLE"))


def account_table() -> AccountTable:
    return AccountTable(aws.dynamodb(), settings.required("ACCOUNT_TABLE"))


def payloads() -> Payloads:
    return Payloads(aws.dynamodb(), aws.s3, settings.required("JOB_TABLE"), settings.required("PAYLOAD_BUCKET"))


def job_queue() -> SqsJobQueue:
    return SqsJobQueue(
        aws.sqs(), {"background": settings.required("JOB_QUEUE_URL"), "direct": settings.required("DIRECT_QUEUE_URL")}
    )
