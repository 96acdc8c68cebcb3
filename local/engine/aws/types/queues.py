"""SQS queues and who may send to them."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import flag, number, policy, text


@kind("aws:sqs/queue:Queue")
class Queue(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[\w-]+(\.fifo)?", longest=80),
        "messageRetentionSeconds": number(computed=True),
        "visibilityTimeoutSeconds": number(computed=True),
        "sqsManagedSseEnabled": flag(computed=True),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        seconds = want.get("messageRetentionSeconds", 300)
        if isinstance(seconds, int) and not 60 <= seconds <= 1_209_600:
            return [("messageRetentionSeconds", f"messageRetentionSeconds={seconds} is not between 60 and 1209600")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("sqs").create_queue(
            QueueName=want["name"], Attributes=self._attributes(want), tags=tagging.wanted(want)
        )
        return made["QueueUrl"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        sqs = cloud.client("sqs")
        if had:
            sqs.set_queue_attributes(QueueUrl=identifier, Attributes=self._attributes(want))
        write, remove = tagging.differences(sqs.list_queue_tags(QueueUrl=identifier).get("Tags", {}), want)
        if write:
            sqs.tag_queue(QueueUrl=identifier, Tags=write)
        if remove:
            sqs.untag_queue(QueueUrl=identifier, TagKeys=remove)

    def _attributes(self, want: Values) -> dict[str, str]:
        names = {
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
            "sqsManagedSseEnabled": "SqsManagedSseEnabled",
        }
        return {attribute: str(want[name]).lower() for name, attribute in names.items() if name in want}

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        sqs = cloud.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=identifier, AttributeNames=["All"])["Attributes"]
        managed = found.get("SqsManagedSseEnabled")
        return {
            "arn": found["QueueArn"],
            "url": identifier,
            "name": found["QueueArn"].rpartition(":")[2],
            "messageRetentionSeconds": int(found.get("MessageRetentionPeriod", 345600)),
            "visibilityTimeoutSeconds": int(found.get("VisibilityTimeout", 30)),
            # The simulation may not keep it.
            "sqsManagedSseEnabled": managed == "true"
            if managed is not None
            else known.get("sqsManagedSseEnabled", True),
            "tagsAll": sqs.list_queue_tags(QueueUrl=identifier).get("Tags", {}),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("sqs").delete_queue(QueueUrl=identifier)


@kind("aws:sqs/queuePolicy:QueuePolicy")
class QueuePolicy(Kind):
    tagged = False
    properties = {
        "queueUrl": text(required=True, replaces=True, pattern=r"https?://.+"),
        "policy": policy(required=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want["queueUrl"], want["policy"])
        return want["queueUrl"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self._put(cloud, identifier, want["policy"])

    def _put(self, cloud: Cloud, url: str, document: str) -> None:
        cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("sqs").get_queue_attributes(QueueUrl=identifier, AttributeNames=["All"])["Attributes"]
        return {"queueUrl": identifier, "policy": found["Policy"]} if found.get("Policy") else None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        self._put(cloud, identifier, "")
