"""S3 buckets, and what is said of them one call each."""

from __future__ import annotations

import json
from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import block, blocks, flag, number, policy, required, text

NAME = r"(?!xn--|sthree-)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
BUCKET = text(required=True, replaces=True, pattern=NAME)


@kind("aws:s3/bucket:Bucket")
class Bucket(Kind):
    named_by = "bucket"
    properties = {"bucket": BUCKET, "forceDestroy": flag()}

    def create(self, cloud: Cloud, want: Values) -> str:
        s3, name = cloud.client("s3"), want["bucket"]
        # In us-east-1 a second creation by the owner is no error, and would adopt another stack's bucket.
        if cloud.find(lambda: s3.head_bucket(Bucket=name)) is not None:
            raise AwsError(f"CreateBucket: {name} exists already (BucketAlreadyOwnedByYou)")
        place = {} if cloud.region == "us-east-1" else {"LocationConstraint": cloud.region}
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
        return name

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        s3, wanted = cloud.client("s3"), tagging.wanted(want)
        if wanted:
            s3.put_bucket_tagging(Bucket=identifier, Tagging={"TagSet": tagging.pairs(wanted)})
        else:
            s3.delete_bucket_tagging(Bucket=identifier)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        s3 = cloud.client("s3")
        s3.head_bucket(Bucket=identifier)
        tags = cloud.find(lambda: s3.get_bucket_tagging(Bucket=identifier))
        return {
            "arn": f"arn:aws:s3:::{identifier}",
            "bucket": identifier,
            "forceDestroy": known.get("forceDestroy", False),
            "bucketDomainName": f"{identifier}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{identifier}.s3.{cloud.region}.amazonaws.com",
            "tagsAll": tagging.plain(tags and tags["TagSet"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        s3 = cloud.client("s3")
        if known.get("forceDestroy"):
            self._empty(s3, identifier)
        s3.delete_bucket(Bucket=identifier)

    def _empty(self, s3: Any, name: str) -> None:
        """Every version of every object, and every upload that never ended."""
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            for start in range(0, len(found), 1000):
                keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found[start : start + 1000]]
                s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
        for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


class _OfBucket(Kind):
    """One thing said of a bucket; its id is the bucket's name."""

    tagged = False

    def put(self, s3: Any, name: str, want: Values) -> None:
        raise NotImplementedError

    def create(self, cloud: Cloud, want: Values) -> str:
        self.put(cloud.client("s3"), want["bucket"], want)
        return want["bucket"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self.put(cloud.client("s3"), identifier, want)


_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


@kind("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
class PublicAccessBlock(_OfBucket):
    properties = {"bucket": BUCKET, **{name: flag() for name in _BLOCKS}}

    def put(self, s3: Any, name: str, want: Values) -> None:
        said = {flag[0].upper() + flag[1:]: bool(want.get(flag)) for flag in _BLOCKS}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=said)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        answer = cloud.client("s3").get_public_access_block(Bucket=identifier)["PublicAccessBlockConfiguration"]
        return {"bucket": identifier, **{name: answer.get(name[0].upper() + name[1:], False) for name in _BLOCKS}}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").delete_public_access_block(Bucket=identifier)


@kind("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
class OwnershipControls(_OfBucket):
    properties = {
        "bucket": BUCKET,
        "rule": block(
            {
                "objectOwnership": required(
                    text(choices=("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"))
                )
            },
            required=True,
        ),
    }

    def put(self, s3: Any, name: str, want: Values) -> None:
        rules = [{"ObjectOwnership": want["rule"]["objectOwnership"]}]
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": rules})

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("s3").get_bucket_ownership_controls(Bucket=identifier)["OwnershipControls"]["Rules"]
        return {"bucket": identifier, "rule": {"objectOwnership": found[0]["ObjectOwnership"]}}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").delete_bucket_ownership_controls(Bucket=identifier)


@kind("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
class Encryption(_OfBucket):
    properties = {
        "bucket": BUCKET,
        "rules": blocks(
            {
                "applyServerSideEncryptionByDefault": block(
                    {
                        "sseAlgorithm": required(text(choices=("AES256", "aws:kms", "aws:kms:dsse"))),
                        "kmsMasterKeyId": text(),
                    }
                ),
                "bucketKeyEnabled": flag(),
            },
            required=True,
        ),
    }

    def put(self, s3: Any, name: str, want: Values) -> None:
        rules: list[dict[str, Any]] = []
        for rule in want["rules"]:
            default = rule["applyServerSideEncryptionByDefault"]
            key = {"KMSMasterKeyID": default["kmsMasterKeyId"]} if "kmsMasterKeyId" in default else {}
            rules.append(
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"], **key},
                    "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
                }
            )
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        answer = cloud.client("s3").get_bucket_encryption(Bucket=identifier)["ServerSideEncryptionConfiguration"]
        rules: list[Values] = []
        for rule in answer["Rules"]:
            default = rule["ApplyServerSideEncryptionByDefault"]
            key = {"kmsMasterKeyId": default["KMSMasterKeyID"]} if default.get("KMSMasterKeyID") else {}
            rules.append(
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": default["SSEAlgorithm"], **key},
                    "bucketKeyEnabled": bool(rule.get("BucketKeyEnabled")),
                }
            )
        return {"bucket": identifier, "rules": rules}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").delete_bucket_encryption(Bucket=identifier)


@kind("aws:s3/bucketVersioning:BucketVersioning")
class Versioning(_OfBucket):
    properties = {
        "bucket": BUCKET,
        "versioningConfiguration": block(
            {"status": required(text(choices=("Enabled", "Suspended", "Disabled")))}, required=True
        ),
    }

    def put(self, s3: Any, name: str, want: Values) -> None:
        status = want["versioningConfiguration"]["status"]
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        status = cloud.client("s3").get_bucket_versioning(Bucket=identifier).get("Status", "Disabled")
        return {"bucket": identifier, "versioningConfiguration": {"status": status}}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").put_bucket_versioning(Bucket=identifier, VersioningConfiguration={"Status": "Suspended"})


@kind("aws:s3/bucketPolicy:BucketPolicy")
class BucketPolicy(_OfBucket):
    properties = {"bucket": BUCKET, "policy": policy(required=True)}

    def put(self, s3: Any, name: str, want: Values) -> None:
        s3.put_bucket_policy(Bucket=name, Policy=want["policy"])

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("s3").get_bucket_policy(Bucket=identifier)["Policy"]
        return {"bucket": identifier, "policy": json.dumps(json.loads(found))}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").delete_bucket_policy(Bucket=identifier)


@kind("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
class Lifecycle(_OfBucket):
    properties = {
        "bucket": BUCKET,
        "rules": blocks(
            {
                "id": required(text(longest=255)),
                "status": required(text(choices=("Enabled", "Disabled"))),
                "filter": block({"prefix": text()}),
                "expiration": block({"days": number()}),
                "noncurrentVersionExpiration": block({"noncurrentDays": required(number())}),
                "abortIncompleteMultipartUpload": block({"daysAfterInitiation": required(number())}),
            },
            required=True,
        ),
    }
    _PARTS = (
        ("expiration", "Expiration", "days", "Days"),
        ("noncurrentVersionExpiration", "NoncurrentVersionExpiration", "noncurrentDays", "NoncurrentDays"),
        (
            "abortIncompleteMultipartUpload",
            "AbortIncompleteMultipartUpload",
            "daysAfterInitiation",
            "DaysAfterInitiation",
        ),
    )

    def put(self, s3: Any, name: str, want: Values) -> None:
        rules: list[dict[str, Any]] = []
        for rule in want["rules"]:
            said: dict[str, Any] = {
                "ID": rule["id"],
                "Status": rule["status"],
                "Filter": {"Prefix": rule.get("filter", {}).get("prefix", "")},
            }
            for ours, theirs, key, their_key in self._PARTS:
                if ours in rule:
                    said[theirs] = {their_key: int(rule[ours][key])}
            rules.append(said)
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("s3").get_bucket_lifecycle_configuration(Bucket=identifier)["Rules"]
        rules: list[Values] = []
        for rule in found:
            prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
            read: Values = {"id": rule["ID"], "status": rule["Status"], "filter": {"prefix": prefix}}
            for ours, theirs, key, their_key in self._PARTS:
                if their_key in rule.get(theirs, {}):
                    read[ours] = {key: int(rule[theirs][their_key])}
            rules.append(read)
        return {"bucket": identifier, "rules": rules}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("s3").delete_bucket_lifecycle(Bucket=identifier)
