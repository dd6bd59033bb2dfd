"""Deploys template.yaml through CloudFormation as `sam deploy` does: upload, rewrite, change set, wait."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from local import ROOT
from local.artefacts import Artefacts
from local.cloud import REGION, Cloud
from local.failure import LocalFailure

TEMPLATE = ROOT / "template.yaml"
STACK = "afterthought-local"
DEPLOY_SECONDS = 60.0

Template = dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """A deployed stack. `outputs` are those of template.yaml, by name."""

    outputs: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        if name not in self.outputs:
            raise LocalFailure(f"template.yaml has no output {name}.")
        return self.outputs[name]

    @property
    def api_path(self) -> str:
        """The path of the HTTP API in the emulator, which has no host name for each API."""
        return f"/_aws/execute-api/{self['ApiId']}/$default"


def read_template() -> Template:
    """template.yaml as a dict, with short intrinsics (`!Ref`) in their long form."""
    template: Template = yaml_parse(TEMPLATE.read_text())
    return template


def deploy(
    cloud: Cloud,
    artefacts: Artefacts,
    parameters: Mapping[str, str],
    change: Callable[[Template], None] = lambda _template: None,
) -> Stack:
    """Deploy the template with these parameters. `change` edits it first (for tests).

    Raises LocalFailure with CloudFormation's reasons if the deployment fails.
    """
    template = read_template()
    change(template)
    bucket = f"{STACK}-artefacts"
    cloud.s3.create_bucket(Bucket=bucket)
    for source, path in artefacts.by_source.items():
        cloud.s3.put_object(Bucket=bucket, Key=path.name, Body=path.read_bytes())
        point_at(template, source, f"s3://{bucket}/{path.name}")
    body = json.dumps(template, indent=1).encode()
    cloud.s3.put_object(Bucket=bucket, Key="template.json", Body=body)
    execute(cloud, f"{cloud.url}/{bucket}/template.json", parameters)
    return Stack(read_outputs(cloud))


def point_at(template: Template, source: str, location: str) -> None:
    """Replace the local folder `source` by the uploaded zip."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if properties.get(name) == source:
                properties[name] = location


def execute(cloud: Cloud, template_url: str, parameters: Mapping[str, str]) -> None:
    api = cloud.cloudformation
    try:
        api.create_change_set(
            StackName=STACK,
            ChangeSetName="deploy",
            ChangeSetType="CREATE",
            TemplateURL=template_url,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        wait_until_complete(lambda: change_set_status(cloud))
        api.execute_change_set(StackName=STACK, ChangeSetName="deploy")
        wait_until_complete(lambda: stack_status(cloud))
    except ClientError as error:
        raise LocalFailure(f"CloudFormation refused template.yaml in {REGION}: {error}") from error


def change_set_status(cloud: Cloud) -> tuple[str, str]:
    change_set = cloud.cloudformation.describe_change_set(StackName=STACK, ChangeSetName="deploy")
    return change_set["Status"], change_set.get("StatusReason", "")


def stack_status(cloud: Cloud) -> tuple[str, str]:
    stack = cloud.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    return stack["StackStatus"], failure_reasons(cloud)


def failure_reasons(cloud: Cloud) -> str:
    events = cloud.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return "\n".join(
        f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
        for event in events
        if event.get("ResourceStatus", "").endswith("FAILED")
    )


def wait_until_complete(status_of: Callable[[], tuple[str, str]]) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while True:
        status, reason = status_of()
        if status == "CREATE_COMPLETE":
            return
        if not status.endswith(("PENDING", "IN_PROGRESS")) or "ROLLBACK" in status or time.monotonic() > deadline:
            raise LocalFailure(f"The deployment failed: {status}. {reason}")
        time.sleep(0.1)


def read_outputs(cloud: Cloud) -> dict[str, str]:
    stack = cloud.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
