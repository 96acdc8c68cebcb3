"""The registry of the image of the runs."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.settings.aws_data import RegistrySettings

REPOSITORY = "ray"


def lifecycle(keep: int) -> str:
    """The newest `keep` images stay, tagged or not."""
    rule = {
        "rulePriority": 1,
        "description": f"keep {keep} images",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep},
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})


class Registry(pulumi.ComponentResource):
    """`url` is what images are pushed to. Tags cannot be moved: what ran once can be found again."""

    def __init__(
        self, name: str, place: Place, settings: RegistrySettings, *, keep: bool, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("manta:aws:Registry", name, None, opts)
        repository = aws.ecr.Repository(
            "ray",
            name=f"{place.cluster}/{REPOSITORY}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": settings.scan},
            encryption_configurations=[{"encryption_type": "AES256"}],
            force_delete=not keep,
            opts=pulumi.ResourceOptions(parent=self, protect=keep),
        )
        aws.ecr.LifecyclePolicy(
            "ray",
            repository=repository.name,
            policy=lifecycle(settings.keep_images),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = repository.repository_url
        self.register_outputs({"url": self.url})
