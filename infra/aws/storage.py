"""Buckets for data, artifacts and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.policies import tls_only
from infra.settings.aws_data import StorageSettings

PURPOSES = ("data", "artifacts", "checkpoints")


@dataclass(frozen=True)
class StorageArgs:
    place: Place
    settings: StorageSettings


class Storage(pulumi.ComponentResource):
    """`names` by purpose. A bucket that is kept on destroy is neither emptied nor deleted."""

    def __init__(self, name: str, args: StorageArgs, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Storage", name, None, opts)
        self.names = {purpose: args.place.bucket(args.settings.prefix, purpose) for purpose in PURPOSES}
        self.ready: list[pulumi.Resource] = []
        for purpose in PURPOSES:
            self._bucket(purpose, args, protect)
        self.register_outputs({"buckets": self.names})

    def _bucket(self, purpose: str, args: StorageArgs, protect: bool) -> None:
        settings = args.settings
        inside = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            purpose,
            bucket=self.names[purpose],
            force_destroy=not settings.keep_on_destroy,
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=settings.keep_on_destroy),
        )
        closed = aws.s3.BucketPublicAccessBlock(
            purpose,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=inside,
        )
        aws.s3.BucketOwnershipControls(
            purpose, bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=inside
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.bucket,
            rules=[
                {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}, "bucket_key_enabled": True}
            ],
            opts=inside,
        )
        versioned = aws.s3.BucketVersioning(
            purpose, bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=inside
        )
        aws.s3.BucketPolicy(
            purpose,
            bucket=bucket.bucket,
            policy=tls_only(args.place.partition, self.names[purpose]),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        rules: list[aws.s3.BucketLifecycleConfigurationRuleArgs] = [
            aws.s3.BucketLifecycleConfigurationRuleArgs(
                id="clean-up",
                status="Enabled",
                filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                # A run that is killed in the middle of an upload leaves parts that cost and that no listing shows.
                abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=2
                ),
                noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=settings.noncurrent_days
                ),
            )
        ]
        if purpose == "checkpoints":
            rules.append(
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="checkpoints",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=settings.checkpoint_days),
                )
            )
        lifecycle = aws.s3.BucketLifecycleConfiguration(
            purpose,
            bucket=bucket.bucket,
            rules=rules,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioned]),
        )
        self.ready.append(lifecycle)
