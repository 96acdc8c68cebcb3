"""Launch templates. A change makes a new version, which becomes the default."""

from __future__ import annotations

from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import block, blocks, flag, mapping, number, required, text


@kind("aws:ec2/launchTemplate:LaunchTemplate")
class LaunchTemplate(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[\w()./-]+", longest=128),
        "updateDefaultVersion": flag(),
        "metadataOptions": block(
            {
                "httpTokens": text(choices=("required", "optional")),
                "httpPutResponseHopLimit": number(choices=tuple(str(hops) for hops in range(1, 65))),
                "httpEndpoint": text(choices=("enabled", "disabled")),
            }
        ),
        "blockDeviceMappings": blocks(
            {
                "deviceName": required(text(pattern=r"/dev/\w+")),
                "ebs": block(
                    {
                        "volumeSize": number(),
                        "volumeType": text(choices=("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")),
                        "encrypted": text(choices=("true", "false")),
                        "deleteOnTermination": text(choices=("true", "false")),
                    }
                ),
            }
        ),
        "tagSpecifications": blocks(
            {
                "resourceType": required(
                    text(choices=("instance", "volume", "network-interface", "spot-instances-request"))
                ),
                "tags": mapping(),
            }
        ),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").create_launch_template(
            LaunchTemplateName=want["name"],
            LaunchTemplateData=_data(want),
            TagSpecifications=tagging.specification("launch-template", want),
        )
        return made["LaunchTemplate"]["LaunchTemplateId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        ec2 = cloud.client("ec2")
        latest = _latest(cloud, identifier)
        if latest["LaunchTemplateData"] != _data(want) and had:
            made = ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData=_data(want))
            if want.get("updateDefaultVersion"):
                number = str(made["LaunchTemplateVersion"]["VersionNumber"])
                ec2.modify_launch_template(LaunchTemplateId=identifier, DefaultVersion=number)
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        answer = cloud.client("ec2").describe_launch_templates(LaunchTemplateIds=[identifier])["LaunchTemplates"]
        if not answer:
            return None
        found = answer[0]
        data = _latest(cloud, identifier)["LaunchTemplateData"]
        options = data.get("MetadataOptions")
        return {
            "arn": cloud.arn("ec2", f"launch-template/{identifier}"),
            "name": found["LaunchTemplateName"],
            "latestVersion": int(found["LatestVersionNumber"]),
            "defaultVersion": int(found["DefaultVersionNumber"]),
            "updateDefaultVersion": known.get("updateDefaultVersion"),
            "metadataOptions": options and {
                "httpTokens": options.get("HttpTokens"),
                "httpPutResponseHopLimit": int(options.get("HttpPutResponseHopLimit", 1)),
                "httpEndpoint": options.get("HttpEndpoint"),
            },
            "blockDeviceMappings": [_disk(item) for item in data.get("BlockDeviceMappings", [])],
            "tagSpecifications": [
                {"resourceType": item["ResourceType"], "tags": tagging.plain(item["Tags"])}
                for item in data.get("TagSpecifications", [])
                # The simulation notes the template's own tags here too.
                if item["ResourceType"] != "launch-template"
            ],
            "tagsAll": tagging.plain(found.get("Tags")),
        }  # fmt: skip

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ec2").delete_launch_template(LaunchTemplateId=identifier)


def _latest(cloud: Cloud, identifier: str) -> dict[str, Any]:
    answer = cloud.client("ec2").describe_launch_template_versions(LaunchTemplateId=identifier, Versions=["$Latest"])
    return answer["LaunchTemplateVersions"][0]


def _disk(item: dict[str, Any]) -> Values:
    ebs = item.get("Ebs", {})
    return {
        "deviceName": item["DeviceName"],
        "ebs": {
            "volumeSize": int(ebs["VolumeSize"]),
            "volumeType": ebs["VolumeType"],
            "encrypted": str(ebs.get("Encrypted", False)).lower(),
            "deleteOnTermination": str(ebs.get("DeleteOnTermination", True)).lower(),
        },
    }


def _data(want: Values) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if options := want.get("metadataOptions"):
        data["MetadataOptions"] = {
            "HttpTokens": options["httpTokens"],
            "HttpPutResponseHopLimit": int(options["httpPutResponseHopLimit"]),
            "HttpEndpoint": options["httpEndpoint"],
        }
    if disks := want.get("blockDeviceMappings"):
        data["BlockDeviceMappings"] = [
            {
                "DeviceName": item["deviceName"],
                "Ebs": {
                    "VolumeSize": int(item["ebs"]["volumeSize"]),
                    "VolumeType": item["ebs"]["volumeType"],
                    "Encrypted": item["ebs"]["encrypted"] == "true",
                    "DeleteOnTermination": item["ebs"]["deleteOnTermination"] == "true",
                },
            }
            for item in disks
        ]
    if specifications := want.get("tagSpecifications"):
        data["TagSpecifications"] = [
            {"ResourceType": item["resourceType"], "Tags": tagging.pairs(item["tags"])} for item in specifications
        ]
    return data
