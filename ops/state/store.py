"""The bucket that holds the stacks' state and the key that their secrets are encrypted with.

Both lie outside of every stack: a stack cannot hold its own state. So they are made by API calls, each of which first
looks: a second time changes nothing, and what was changed by hand comes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import boto3
from botocore.exceptions import ClientError

from infra.aws.policies import tls_only
from local.errors import MantaError

# Versions of a state file that was overwritten: the way back from a broken one.
_NONCURRENT_DAYS = 90
_ABSENT = ("404", "NoSuchBucket", "NotFoundException", "NoSuchLifecycleConfiguration", "NoSuchBucketPolicy",
           "ServerSideEncryptionConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration")  # fmt: skip


@dataclass(frozen=True)
class Store:
    """`bucket` and `alias` are one for all environments of an account and region; `key` is the key's ARN."""

    account: str
    region: str
    key: str = ""

    @property
    def bucket(self) -> str:
        return f"manta-{self.account}-{self.region}-state"

    @property
    def alias(self) -> str:
        return "alias/manta-state"

    @property
    def backend(self) -> str:
        return f"s3://{self.bucket}?region={self.region}&awssdk=v2"

    @property
    def secrets_provider(self) -> str:
        return f"awskms:///{self.alias}?region={self.region}&awssdk=v2"


@dataclass(frozen=True)
class Step:
    """What was looked at, and whether it had to be made or put right."""

    what: str
    done: bool


def ensure(store: Store) -> Iterator[Step]:
    """Bring bucket and key to what they must be; raises MantaError for credentials of another account."""
    session: Any = cast(Any, boto3).Session(region_name=store.region)
    mine = session.client("sts").get_caller_identity()["Account"]
    if mine != store.account:
        raise MantaError(
            f"the credentials belong to account {mine}, and manta:aws.account says {store.account}: take the "
            "credentials of that account"
        )
    kms, s3 = session.client("kms"), session.client("s3")
    key = _key(kms, store.alias)
    yield Step(f"key {store.alias}", key is None)
    if key is None:
        key = _make_key(kms, store.alias)
    yield Step("the key is changed every year", _rotate(kms, key))
    yield Step(f"bucket {store.bucket}", _bucket(s3, store))
    for what, read, wanted, write in _properties(s3, store, key):
        there = _found(read)
        if there != wanted:
            write(wanted)
        yield Step(what, there != wanted)


def _key(kms: Any, alias: str) -> str | None:
    described = _found(lambda: kms.describe_key(KeyId=alias)["KeyMetadata"])
    if described and described["KeyState"] != "Enabled":
        raise MantaError(
            f"the key {alias} is {described['KeyState']}: with it go the secrets of every stack, so cancel its "
            "deletion or enable it (aws kms cancel-key-deletion, enable-key)"
        )
    return described["Arn"] if described else None


def _make_key(kms: Any, alias: str) -> str:
    made = kms.create_key(
        Description="Secrets in the state of Manta's stacks",
        Tags=[{"TagKey": "manta:managed-by", "TagValue": "ops state"}],
    )["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
    return str(made["Arn"])


def _rotate(kms: Any, key: str) -> bool:
    if kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]:
        return False
    kms.enable_key_rotation(KeyId=key)
    return True


def _bucket(s3: Any, store: Store) -> bool:
    try:
        s3.head_bucket(Bucket=store.bucket, ExpectedBucketOwner=store.account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise MantaError(
                f"the bucket {store.bucket} cannot be used ({error.response['Error']['Code']}): it belongs to another "
                "account, or these credentials may not read it"
            ) from None
        # us-east-1 refuses to be named.
        place = {"CreateBucketConfiguration": {"LocationConstraint": store.region}}
        s3.create_bucket(Bucket=store.bucket, **(place if store.region != "us-east-1" else {}))
        return True
    return False


Property = tuple[str, Callable[[], Any], Any, Callable[[Any], Any]]


def _properties(s3: Any, store: Store, key: str) -> Iterator[Property]:
    """Of the bucket: what it is called, how it is read, what it must be, how it is written."""
    name = {"Bucket": store.bucket}
    every = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    yield (
        "versions are kept",
        lambda: s3.get_bucket_versioning(**name).get("Status"),
        "Enabled",
        lambda wanted: s3.put_bucket_versioning(**name, VersioningConfiguration={"Status": wanted}),
    )
    yield (
        "nothing of it is public",
        lambda: s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"],
        dict.fromkeys(every, True),
        lambda wanted: s3.put_public_access_block(**name, PublicAccessBlockConfiguration=wanted),
    )
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    yield (
        "it is encrypted with the key",
        lambda: s3.get_bucket_encryption(**name)["ServerSideEncryptionConfiguration"]["Rules"][0][
            "ApplyServerSideEncryptionByDefault"
        ],
        encryption,
        lambda wanted: s3.put_bucket_encryption(
            **name,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": wanted, "BucketKeyEnabled": True}]
            },
        ),
    )
    yield (
        "TLS alone",
        lambda: json.loads(s3.get_bucket_policy(**name)["Policy"]),
        json.loads(tls_only("aws", store.bucket)),
        lambda wanted: s3.put_bucket_policy(**name, Policy=json.dumps(wanted)),
    )
    yield (
        f"older versions go after {_NONCURRENT_DAYS} days",
        lambda: [
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            for rule in s3.get_bucket_lifecycle_configuration(**name)["Rules"]
        ],
        [_NONCURRENT_DAYS],
        lambda wanted: s3.put_bucket_lifecycle_configuration(
            **name,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "older-versions",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    }
                    for days in wanted
                ]
            },
        ),
    )


def _found(read: Callable[[], Any]) -> Any:
    """None for what is not there."""
    try:
        return read()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    except KeyError:
        return None
