"""EventBridge rules, what they are sent to, and CloudWatch's log groups."""

from __future__ import annotations

import json

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import number, policy, text

DAYS = (
    "1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545",
    "731", "1096", "1827", "2192", "2557", "2922", "3288", "3653",
)  # fmt: skip


@kind("aws:cloudwatch/eventRule:EventRule")
class EventRule(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[\w.-]+", longest=64),
        "description": text(longest=512),
        "eventPattern": policy(required=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want, tags=True)
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        events = cloud.client("events")
        if had:
            self._put(cloud, want, tags=False)
        arn = events.describe_rule(Name=identifier)["Arn"]
        now = tagging.plain(events.list_tags_for_resource(ResourceARN=arn)["Tags"])
        write, remove = tagging.differences(now, want)
        if write:
            events.tag_resource(ResourceARN=arn, Tags=tagging.pairs(write))
        if remove:
            events.untag_resource(ResourceARN=arn, TagKeys=remove)

    def _put(self, cloud: Cloud, want: Values, *, tags: bool) -> None:
        said = {"Description": want["description"]} if "description" in want else {}
        first = {"Tags": tagging.pairs(tagging.wanted(want))} if tags and want.get("tagsAll") else {}
        cloud.client("events").put_rule(Name=want["name"], EventPattern=want["eventPattern"], **said, **first)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        events = cloud.client("events")
        found = events.describe_rule(Name=identifier)
        return {
            "arn": found["Arn"],
            "name": found["Name"],
            "description": found.get("Description") or None,
            "eventPattern": json.dumps(json.loads(found["EventPattern"])),
            "eventBusName": found.get("EventBusName", "default"),
            "tagsAll": tagging.plain(events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        if cloud.client("events").list_targets_by_rule(Rule=identifier)["Targets"]:
            raise AwsError(f"DeleteRule: {identifier} still has targets (ValidationException)")
        cloud.client("events").delete_rule(Name=identifier)


@kind("aws:cloudwatch/eventTarget:EventTarget")
class EventTarget(Kind):
    tagged = False
    properties = {
        "rule": text(required=True, replaces=True),
        "arn": text(required=True, pattern=r"arn:.+"),
        "targetId": text(required=True, replaces=True, pattern=r"[\w.-]+", longest=64),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want)
        return f"{want['rule']}-{want['targetId']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self._put(cloud, want)

    def _put(self, cloud: Cloud, want: Values) -> None:
        answer = cloud.client("events").put_targets(
            Rule=want["rule"], Targets=[{"Id": want["targetId"], "Arn": want["arn"]}]
        )
        if answer.get("FailedEntryCount"):
            raise AwsError(f"PutTargets: {answer['FailedEntries'][0].get('ErrorMessage', 'refused')}")

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        rule, target = known.get("rule"), known.get("targetId")
        if not rule or not target:
            rule, _, target = identifier.rpartition("-")
        for found in cloud.client("events").list_targets_by_rule(Rule=rule)["Targets"]:
            if found["Id"] == target:
                return {"rule": rule, "targetId": target, "arn": found["Arn"]}
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("events").remove_targets(Rule=known["rule"], Ids=[known["targetId"]])


@kind("aws:cloudwatch/logGroup:LogGroup")
class LogGroup(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[\w./#-]+", longest=512),
        "retentionInDays": number(choices=DAYS),
        "kmsKeyId": text(pattern=r"arn:.+"),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tags = tagging.wanted(want)
        cloud.client("logs").create_log_group(logGroupName=want["name"], **({"tags": tags} if tags else {}))
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        logs = cloud.client("logs")
        if "retentionInDays" in want:
            logs.put_retention_policy(logGroupName=identifier, retentionInDays=int(want["retentionInDays"]))
        elif "retentionInDays" in had:
            logs.delete_retention_policy(logGroupName=identifier)
        arn = cloud.arn("logs", f"log-group:{identifier}")
        write, remove = tagging.differences(logs.list_tags_for_resource(resourceArn=arn)["tags"], want)
        if write:
            logs.tag_resource(resourceArn=arn, tags=write)
        if remove:
            logs.untag_resource(resourceArn=arn, tagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        logs = cloud.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=identifier)["logGroups"]
        found = next((group for group in groups if group["logGroupName"] == identifier), None)
        if found is None:
            return None
        arn = cloud.arn("logs", f"log-group:{identifier}")
        return {
            "arn": arn,
            "name": identifier,
            "retentionInDays": found.get("retentionInDays"),
            "kmsKeyId": found.get("kmsKeyId"),
            "tagsAll": logs.list_tags_for_resource(resourceArn=arn)["tags"],
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("logs").delete_log_group(logGroupName=identifier)
