"""What AWS answers about an account: who asks, what may be launched, and how much of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from ops.preflight.outcome import Outcome
from ops.preflight.stackfile import Wanted
from ops.prices.table import load

# vCPUs that may run at once, by what they are bought as; AWS counts G and VT, and P, apart.
_QUOTAS = {
    ("g", True): "L-3819A6DF", ("g", False): "L-DB2E81BA",
    ("p", True): "L-7212CCBC", ("p", False): "L-417A185B",
}  # fmt: skip
_ADDRESSES, _VPCS = "L-0263D0A3", "L-F678F1CE"
_TRIES = Config(retries={"max_attempts": 5, "mode": "adaptive"}, connect_timeout=5, read_timeout=20)
_HINTS = {
    "hrottl|RequestLimitExceeded": "ask again in a minute",
    "Denied|Unauthorized": "ask for the permission",
    "Expired|InvalidClientToken": "log in again",
}
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^@:]+)(?::[^@]+)?@(sha256:[0-9a-f]{64})")


class Account:
    """An AWS account through boto3; AWS_ENDPOINT_URL leads to a simulated one."""

    def __init__(self, region: str) -> None:
        # A session of its own: boto3's shared one keeps the credentials that it found first.
        self._session = boto3.Session(region_name=region)

    def client(self, service: str) -> Any:
        return cast(Any, self._session).client(service, config=_TRIES)

    def quota(self, service: str, code: str) -> float | None:
        """None where the account's own value cannot be read; the default is not a substitute."""
        answer = self.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
        return float(answer["Quota"]["Value"])


def check(wanted: Wanted, account: Account) -> Iterator[Outcome]:
    """Every question about `wanted`; one that AWS does not answer is `unknown` with AWS's reason."""
    identity = _ask("credentials", lambda: [_identity(wanted, account)])
    yield from identity
    if identity[0].status in ("failed", "unknown"):
        return  # every other question would get the same answer
    yield from _ask("zones", lambda: _offerings(wanted, account))
    yield from _ask("GPU quota", lambda: _vcpus(wanted, account))
    yield from _ask("addresses", lambda: [_addresses(wanted, account)])
    yield from _ask("VPCs", lambda: [_vpcs(account)])
    yield from _ask("images", lambda: [_image(account, image) for image in wanted.images])
    if wanted.spot and wanted.gpu_types:
        yield from _ask("spot placement", lambda: [_placement(wanted, account)])


def _ask(check: str, question: Callable[[], list[Outcome]]) -> list[Outcome]:
    try:
        return question()
    except NoCredentialsError:
        return [Outcome(check, "failed", "no AWS credentials: set AWS_PROFILE, or log in with `aws sso login`")]
    except ClientError as error:
        code = str(cast(Any, error.response).get("Error", {}).get("Code", "an error"))
        hint = next((hint for pattern, hint in _HINTS.items() if re.search(pattern, code)), "it cannot be told")
        return [Outcome(check, "unknown", f"AWS answered {code} to {error.operation_name}: {hint}")]
    except (BotoCoreError, ResponseParserError, KeyError, ValueError) as error:
        # A simulated AWS answers some questions not at all.
        return [Outcome(check, "unknown", f"AWS gave no answer that can be read ({type(error).__name__})")]


def _identity(wanted: Wanted, account: Account) -> Outcome:
    answer = account.client("sts").get_caller_identity()
    if wanted.account and answer["Account"] != wanted.account:
        return Outcome(
            "credentials", "failed",
            f"these are credentials of account {answer['Account']}, and {wanted.stack} belongs to {wanted.account}",
        )  # fmt: skip
    return Outcome("credentials", "ok", f"account {answer['Account']}")


def _offerings(wanted: Wanted, account: Account) -> list[Outcome]:
    pages = account.client("ec2").get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(wanted.gpu_types)}]
    )  # fmt: skip
    offered: dict[str, set[str]] = defaultdict(set)
    for page in pages:
        for offering in page["InstanceTypeOfferings"]:
            offered[offering["Location"]].add(offering["InstanceType"])
    outcomes: list[Outcome] = []
    for zone in wanted.zones if wanted.gpu_types else ():
        here = offered.get(zone, set())
        if not here:
            says = f"{zone} offers none of the GPU types: its part of the capacity never comes; choose another zone"
            outcomes.append(Outcome("zones", "warning", says))
        else:
            outcomes.append(Outcome("zones", "ok", f"{zone} offers {len(here)} of {len(wanted.gpu_types)} GPU types"))
    if outcomes and all(outcome.status == "warning" for outcome in outcomes):
        outcomes.append(
            Outcome("zones", "failed", "no zone offers any of the GPU types: every GPU run would wait for ever")
        )
    return outcomes


def _vcpus(wanted: Wanted, account: Account) -> list[Outcome]:
    """Whether the quota lets the pool reach its limit with the type that needs the most vCPUs for a GPU."""
    prices, needs = load(), defaultdict[str, float](float)
    for name in wanted.gpu_types:
        if (kind := prices.types.get(name)) and kind.gpus:
            needs[name[0]] = max(needs[name[0]], wanted.gpu_limit / kind.gpus * kind.cpus)
    outcomes: list[Outcome] = []
    for letter, vcpus in needs.items():
        for spot in (True, False) if wanted.spot else (False,):
            if (letter, spot) not in _QUOTAS:
                continue
            title = f"{letter.upper()} instances, {'spot' if spot else 'on-demand'}"
            limit = account.quota("ec2", _QUOTAS[letter, spot])
            if limit is None or limit >= vcpus:
                outcomes.append(Outcome("GPU quota", "ok", f"{title}: {limit or 0:g} vCPUs, {vcpus:g} needed at most"))
            else:
                status = "failed" if limit == 0 else "warning"
                says = (
                    f"{title}: {limit:g} vCPUs, and {wanted.gpu_limit:g} GPUs may need {vcpus:g}; beyond it pods stay "
                    "pending: ask for more in Service Quotas, which can take days"
                )
                outcomes.append(Outcome("GPU quota", status, says))
    return outcomes


def _addresses(wanted: Wanted, account: Account) -> Outcome:
    used = len(account.client("ec2").describe_addresses()["Addresses"])
    return _room("addresses", "Elastic IPs", used, wanted.nat_gateways, account.quota("ec2", _ADDRESSES))


def _vpcs(account: Account) -> Outcome:
    used = sum(len(page["Vpcs"]) for page in account.client("ec2").get_paginator("describe_vpcs").paginate())
    return _room("VPCs", "VPCs", used, 1, account.quota("vpc", _VPCS))


def _room(check: str, what: str, used: int, wanted: int, limit: float | None) -> Outcome:
    if limit is None:
        return Outcome(check, "unknown", f"{used} {what} in use, and the quota cannot be read")
    if used + wanted > limit:
        # Those of a stack that is up already are among the used ones.
        says = f"{used} of {limit:g} {what} in use, and a new platform takes {wanted}: release some, or ask for more"
        return Outcome(check, "warning", says)
    return Outcome(check, "ok", f"{used} of {limit:g} {what} in use")


def _image(account: Account, image: str) -> Outcome:
    found = _ECR.fullmatch(image)
    if found is None:
        return Outcome("images", "unknown", f"{image.partition('@')[0]} is in no registry that can be asked here")
    registry, _, repository, digest = found.groups()
    try:
        account.client("ecr").describe_images(
            registryId=registry, repositoryName=repository, imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            says = f"{repository} holds no image {digest[:19]}…: pods would wait in ImagePullBackOff; push it first"
            return Outcome("images", "failed", says)
        raise
    return Outcome("images", "ok", f"{repository} holds {digest[:19]}…")


def _placement(wanted: Wanted, account: Account) -> Outcome:
    answer = account.client("ec2").get_spot_placement_scores(
        InstanceTypes=list(wanted.gpu_types)[:50], TargetCapacity=max(1, round(wanted.gpu_limit)),
        SingleAvailabilityZone=False, RegionNames=[wanted.region],
    )  # fmt: skip
    scores = [int(each["Score"]) for each in answer["SpotPlacementScores"]]
    best = max(scores, default=0)
    if best < 4:
        says = f"spot placement score {best} of 10: spot will often be short, and runs fall back to on-demand prices"
        return Outcome("spot placement", "warning", says)
    return Outcome("spot placement", "ok", f"spot placement score {best} of 10")
