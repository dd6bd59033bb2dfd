"""`python -m admin.tenant` on a deployed stack in moto."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from admin import deployment, tenant
from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.job_table import JobTable
from afterthought.adapters.kms import KmsCipher
from afterthought.domain.errors import Unauthenticated
from afterthought.domain.webhooks.signature import sign
from afterthought.services.intake.authenticate import Authenticator

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
STACK = "afterthought-test"
# The outputs of template.yaml, with their resources.
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    },
}
TEMPLATE: dict[str, dict[str, Any]] = {
    "Resources": {
        "AccountTable": TABLE,
        "JobTable": TABLE,
        "SecretsKey": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {}}},
    },
    "Outputs": {
        "AccountTableName": {"Value": {"Ref": "AccountTable"}},
        "JobTableName": {"Value": {"Ref": "JobTable"}},
        "SecretsKeyArn": {"Value": {"Fn::GetAtt": ["SecretsKey", "Arn"]}},
    },
}


class Stack:
    """A deployed stack and the command."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        client = boto3.client("cloudformation", REGION)
        client.create_stack(StackName=STACK, TemplateBody=json.dumps(TEMPLATE))
        self._capsys = capsys
        outputs = deployment.outputs(client, STACK, REGION)
        self.table = outputs["AccountTableName"]
        self.dynamodb = boto3.client("dynamodb", REGION)
        self.jobs = JobTable(self.dynamodb, outputs["JobTableName"], self.table)
        self.accounts = AccountTable(self.dynamodb, self.table)
        self.cipher = KmsCipher(boto3.client("kms", REGION))

    def run(self, *arguments: str, stack: str = STACK) -> tuple[int, str, str]:
        """The exit code, stdout and stderr."""
        code = tenant.main([*arguments, "--stack-name", stack, "--region", REGION])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def stored_text(self) -> str:
        return repr(self.dynamodb.scan(TableName=self.table)["Items"])

    def tenant_of(self, api_key: str) -> str:
        return Authenticator(self.accounts).authenticate(f"Bearer {api_key}")

    def secrets_of(self, name: str) -> list[str]:
        tenant = self.accounts.tenant(name)
        assert tenant is not None
        return [self.cipher.decrypt(sealed, tenant=name) for sealed in tenant.webhook_secrets]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Stack]:
    for name, value in (("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(name, value)
    # moto supports the classic endpoints only.
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    with mock_aws():
        yield Stack(capsys)


def key_in(printed: str) -> str:
    match = re.search(r"^API key +(at_[0-9a-f]{48})$", printed, re.MULTILINE)
    assert match is not None, printed
    return match[1]


def secret_in(printed: str) -> str:
    match = re.search(r"^Webhook secret +(whsec_\S+)$", printed, re.MULTILINE)
    assert match is not None, printed
    return match[1]


def test_template_has_the_outputs_it_reads() -> None:
    template = (ROOT / "template.yaml").read_text()
    declared = re.findall(r"^  (\w+):$", template.partition("\nOutputs:\n")[2], re.MULTILINE)
    assert set(TEMPLATE["Outputs"]) <= set(declared)


def test_created_tenant_is_ready(stack: Stack) -> None:
    code, printed, errors = stack.run("create", "acme")
    assert (code, errors) == (0, "")
    assert "only once" in printed
    assert stack.tenant_of(key_in(printed)) == "acme"
    assert stack.secrets_of("acme") == [secret_in(printed)]
    assert sign(secret_in(printed), message_id="msg_1", timestamp=1, body=b"").startswith("v1,")


def test_key_and_secret_are_not_stored(stack: Stack) -> None:
    _, printed, _ = stack.run("create", "acme")
    api_key, secret = key_in(printed), secret_in(printed)
    stored = stack.stored_text()
    assert "acme" in stored
    # The hint is the start of the key, 28 of its 192 bits. No larger part may be stored.
    assert api_key[:10] in stored
    for part in (api_key, api_key[:14], api_key[10:], secret, secret.removeprefix("whsec_"), secret[6:20]):
        assert part not in stored


def tables(printed: str) -> list[list[list[str]]]:
    """The cells of the printed tables, without the header rows."""
    return [[re.split(r" {2,}", row) for row in table.splitlines()[1:]] for table in printed.split("\n\n")]


def test_list_shows_tenants_and_no_key(stack: Stack) -> None:
    api_key = key_in(stack.run("create", "globex")[1])
    stack.run("create", "acme")
    code, printed, _ = stack.run("list")
    limits, keys = tables(printed)
    assert code == 0
    assert [row[0] for row in limits] == [row[0] for row in keys] == ["acme", "globex"]
    assert keys[1][1] == f"{api_key[:10]}…"
    assert api_key[:11] not in printed


def test_list_shows_tiers_and_limits(stack: Stack) -> None:
    stack.run("create", "acme", "--tier", "tier3")
    stack.run("create", "globex")
    stack.run("set", "globex", "--month-budget", "100", "--day-budget", "0.50", "--tokens-per-minute", "12000")
    assert tables(stack.run("list")[1])[0] == [
        ["acme", "tier3", "none", "none", "from tier", "from tier"],
        ["globex", "tier1", "$100", "$0.5", "from tier", "12,000"],
    ]


def test_settings_are_stored_and_shown(stack: Stack) -> None:
    stack.run("create", "acme")
    code, printed, errors = stack.run(
        "set", "acme", "--tier", "tier2", "--month-budget", "100", "--requests-per-minute", "7"
    )
    assert (code, errors) == (0, "")
    assert printed.splitlines() == [
        "Tenant               acme",
        "Tier                 tier2",
        "Month budget         $100",
        "Day budget           none",
        "Requests per minute  7 (own limit)",
        "Tokens per minute    2,000,000 (from the tier)",
    ]
    stored = stack.accounts.tenant("acme")
    assert stored is not None
    assert (stored.tier, stored.month_cap_usd, stored.requests_per_minute) == ("tier2", Decimal(100), 7)


def test_none_removes_a_setting(stack: Stack) -> None:
    stack.run("create", "acme")
    stack.run("set", "acme", "--month-budget", "100", "--day-budget", "0", "--tokens-per-minute", "9")
    code, printed, _ = stack.run("set", "acme", "--month-budget", "none", "--tokens-per-minute", "none")
    assert code == 0
    assert "Month budget         none" in printed
    assert "Day budget           $0\n" in printed
    assert "Tokens per minute    200,000 (from the tier)" in printed


def test_tier_without_requests_is_shown(stack: Stack) -> None:
    stack.run("create", "acme")
    code, printed, _ = stack.run("set", "acme", "--tier", "free")
    assert code == 0
    assert printed.count("none: the tier admits no requests") == 2


def test_empty_list_says_so(stack: Stack) -> None:
    assert stack.run("list") == (0, "There are no tenants yet.\n", "")


def test_key_is_replaced_without_a_gap(stack: Stack) -> None:
    old = key_in(stack.run("create", "acme")[1])
    new = key_in(stack.run("key", "acme")[1])
    assert stack.tenant_of(old) == stack.tenant_of(new) == "acme"
    code, printed, _ = stack.run("revoke", "acme", old[:10])
    assert code == 0
    assert old[:10] in printed
    assert stack.tenant_of(new) == "acme"
    with pytest.raises(Unauthenticated):
        stack.tenant_of(old)
    keys = tables(stack.run("list")[1])[1]
    assert [len(row) for row in keys] == [4, 3], "the old one with its revocation, then the new one"


def test_rotation_keeps_one_old_secret(stack: Stack) -> None:
    first = secret_in(stack.run("create", "acme")[1])
    second = secret_in(stack.run("rotate", "acme")[1])
    assert stack.secrets_of("acme") == [second, first]
    third = secret_in(stack.run("rotate", "acme")[1])
    assert stack.secrets_of("acme") == [third, second]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("create", "acme"), "The tenant 'acme' exists already."),
        (
            ("create", "No Such Name"),
            "'No Such Name' is not a valid tenant name: use 1 to 40 characters of a-z, 0-9 and -.",
        ),
        (("key", "globex"), "There is no tenant 'globex'."),
        (("rotate", "globex"), "There is no tenant 'globex'."),
        (("revoke", "acme", "at_none"), "0 active keys of 'acme' start with 'at_none'; it must be exactly one."),
        (
            ("create", "globex", "--tier", "gold"),
            "There is no tier 'gold'. The tiers are free, tier1, tier2, tier3, tier4, tier5.",
        ),
        (("set", "globex", "--tier", "tier2"), "There is no tenant 'globex'."),
        (("set", "acme"), "Nothing to set: give a tier, a budget or a limit."),
        (
            ("set", "acme", "--tier", "tier2", "--month-budget", "1e3"),
            (
                "month-budget is '1e3'; it must be dollars such as 100 or 0.25, with at most 9 digits before the "
                "decimal point and 12 after it, or none."
            ),
        ),
        (
            ("set", "acme", "--requests-per-minute", "0"),
            "requests-per-minute is '0'; it must be a whole number of at least 1, or none for the tier's limit.",
        ),
    ],
)
def test_refused_command_changes_nothing(arguments: tuple[str, ...], error: str, stack: Stack) -> None:
    stack.run("create", "acme")
    before = stack.stored_text()
    assert stack.run(*arguments) == (1, "", f"{error}\n")
    assert stack.stored_text() == before


def test_ambiguous_key_is_not_revoked(stack: Stack) -> None:
    stack.run("create", "acme")
    stack.run("key", "acme")
    code, _, error = stack.run("revoke", "acme", "at_")
    assert (code, error) == (1, "2 active keys of 'acme' start with 'at_'; it must be exactly one.\n")


def test_key_of_another_tenant_is_kept(stack: Stack) -> None:
    api_key = key_in(stack.run("create", "acme")[1])
    stack.run("create", "globex")
    assert stack.run("revoke", "globex", api_key[:10])[0] == 1
    assert stack.tenant_of(api_key) == "acme"


def test_missing_stack_is_named(stack: Stack) -> None:
    assert stack.run("list", stack="other") == (1, "", f"There is no stack 'other' in {REGION}.\n")


def test_unrelated_stack_is_refused(stack: Stack) -> None:
    other = {"Resources": TEMPLATE["Resources"]}
    boto3.client("cloudformation", REGION).create_stack(StackName="other", TemplateBody=json.dumps(other))
    code, _, error = stack.run("create", "acme", stack="other")
    assert code == 1
    assert "it has no output AccountTableName, JobTableName, SecretsKeyArn." in error


def run_in_shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a process, without any AWS configuration."""
    return subprocess.run(
        [sys.executable, "-m", "admin.tenant", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("list", "--stack-name", "x", "--region", REGION), 1, "No AWS credentials found."),
        (("list", "--stack-name", "x"), 1, "No AWS region found."),
        (("create", "--stack-name", "x"), 2, "the following arguments are required: NAME"),
        (("destroy", "--stack-name", "x"), 2, "invalid choice: 'destroy'"),
    ],
)
def test_missing_input_is_reported(arguments: tuple[str, ...], code: int, error: str) -> None:
    done = run_in_shell(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert error in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        (("NAME=acme",), "create acme --stack-name afterthought-dev"),
        (("NAME=acme", "ACTION=key", "STAGE=prod"), "key acme --stack-name afterthought-prod"),
        (("ACTION=list",), "list --stack-name afterthought-dev"),
        (("NAME=acme", "ARGS=--tier tier2"), "create acme --tier tier2 --stack-name afterthought-dev"),
        (
            ("NAME=acme", "ACTION=set", "ARGS=--tier tier2 --month-budget 100", "STAGE=prod"),
            "set acme --tier tier2 --month-budget 100 --stack-name afterthought-prod",
        ),
        (("NAME=acme", "ACTION=rotate"), "rotate acme --stack-name afterthought-dev"),
        (
            ("NAME=acme", "ACTION=revoke", "KEY=at_0123456", "STACK=mine", f"REGION={REGION}"),
            f"revoke acme at_0123456 --stack-name mine --region {REGION}",
        ),
    ],
)
def test_make_tenant_passes_its_variables(variables: tuple[str, ...], arguments: str) -> None:
    assert run_make("tenant", *variables) == arguments
    tenant.parser().parse_args(arguments.split())


def test_make_tenant_can_use_local_stack() -> None:
    """An AWS profile of the shell must not redirect it to AWS."""
    command = run_make("tenant", "LOCAL=1", "NAME=acme", "ACTION=list", option="--dry-run")
    assert command.startswith("env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE .venv/bin/python -m local.admin list")
    arguments = run_make("tenant", "LOCAL=1", "NAME=acme", "ACTION=set", "ARGS=--month-budget 5")
    assert arguments == "set acme --month-budget 5"


def test_dollar_sign_is_passed_literally() -> None:
    """Make and the shell must not expand it: $100 would become 00, a budget of zero."""
    assert run_make("tenant", "NAME=acme", "ACTION=set", "ARGS=--month-budget $100") == (
        "set acme --month-budget $100 --stack-name afterthought-dev"
    )


def run_make(*arguments: str, option: str = "TENANTS=echo") -> str:
    """The arguments that make passes to the command; in a dry run, the command line."""
    # Under `make test`, this make would inherit the options of that one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ARGS", "MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--silent", "--assume-old=.venv/.made", option, *arguments],  # noqa: S607 - make is where it is
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return " ".join(done.stdout.replace("\\\n", " ").split())
