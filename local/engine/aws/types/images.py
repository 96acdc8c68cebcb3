"""ECR repositories and how long they keep images."""

from __future__ import annotations

import json

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.parts import rows, table
from local.engine.aws.schema import block, blocks, flag, policy, required, text

NAME = r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"


@kind("aws:ecr/repository:Repository")
class Repository(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=NAME, longest=256),
        "imageTagMutability": text(choices=("MUTABLE", "IMMUTABLE")),
        "imageScanningConfiguration": block({"scanOnPush": required(flag())}),
        "encryptionConfigurations": blocks(
            {"encryptionType": text(choices=("AES256", "KMS")), "kmsKey": text()}, replaces=True, computed=True
        ),
        "forceDelete": flag(),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        encryption = (rows(want, "encryptionConfigurations") or [{}])[0]
        key = {"kmsKey": encryption["kmsKey"]} if "kmsKey" in encryption else {}
        cloud.client("ecr").create_repository(
            repositoryName=want["name"],
            imageTagMutability=want.get("imageTagMutability", "MUTABLE"),
            imageScanningConfiguration=want.get("imageScanningConfiguration", {"scanOnPush": False}),
            encryptionConfiguration={"encryptionType": encryption.get("encryptionType", "AES256"), **key},
            tags=tagging.pairs(tagging.wanted(want)),
        )
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        ecr = cloud.client("ecr")
        if had:
            mutability = want.get("imageTagMutability", "MUTABLE")
            ecr.put_image_tag_mutability(repositoryName=identifier, imageTagMutability=mutability)
            scanning = want.get("imageScanningConfiguration", {"scanOnPush": False})
            ecr.put_image_scanning_configuration(repositoryName=identifier, imageScanningConfiguration=scanning)
        arn = cloud.arn("ecr", f"repository/{identifier}")
        write, remove = tagging.differences(tagging.plain(ecr.list_tags_for_resource(resourceArn=arn)["tags"]), want)
        if write:
            ecr.tag_resource(resourceArn=arn, tags=tagging.pairs(write))
        if remove:
            ecr.untag_resource(resourceArn=arn, tagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        ecr = cloud.client("ecr")
        found = ecr.describe_repositories(repositoryNames=[identifier])["repositories"][0]
        arn = found["repositoryArn"]
        encryption = table(found, "encryptionConfiguration")
        return {
            "arn": arn,
            "name": identifier,
            "registryId": found["registryId"],
            "repositoryUrl": found["repositoryUri"],
            "imageTagMutability": found["imageTagMutability"],
            "imageScanningConfiguration": {"scanOnPush": found["imageScanningConfiguration"]["scanOnPush"]},
            "encryptionConfigurations": [
                {"encryptionType": encryption.get("encryptionType", "AES256")}
                | ({"kmsKey": encryption["kmsKey"]} if encryption.get("kmsKey") else {})
            ],
            "forceDelete": known.get("forceDelete"),
            "tagsAll": tagging.plain(ecr.list_tags_for_resource(resourceArn=arn)["tags"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ecr").delete_repository(repositoryName=identifier, force=bool(known.get("forceDelete")))


@kind("aws:ecr/lifecyclePolicy:LifecyclePolicy")
class LifecyclePolicy(Kind):
    tagged = False
    properties = {"repository": text(required=True, replaces=True), "policy": policy(required=True)}

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want)
        return want["repository"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self._put(cloud, want)

    def _put(self, cloud: Cloud, want: Values) -> None:
        cloud.client("ecr").put_lifecycle_policy(repositoryName=want["repository"], lifecyclePolicyText=want["policy"])

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("ecr").get_lifecycle_policy(repositoryName=identifier)
        document = json.dumps(json.loads(found["lifecyclePolicyText"]))
        return {"repository": identifier, "registryId": found["registryId"], "policy": document}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ecr").delete_lifecycle_policy(repositoryName=identifier)
