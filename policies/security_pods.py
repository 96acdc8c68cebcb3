"""What a pod may do to its node, and what is written into it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.facts import REGISTRIES
from policies.pods import RAY, WORKLOADS, PodTemplate, cluster_of, pods
from policies.rule import About, Resource
from policies.values import Values, at, each, entries, items, section

_ALLOWED = re.compile("|".join(REGISTRIES))
_SECRET = re.compile(r"SECRET|TOKEN|PASSW|PRIVATE_KEY|API_KEY|ACCESS_KEY", re.IGNORECASE)
# A file or a name, not the secret itself.
_REFERENCE = re.compile(r"_(FILE|PATH|NAME|URL|URI|MODE|ENABLED|TTL|REGION|ARN)$", re.IGNORECASE)
_KNOWN_SECRET = re.compile(r"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN|://[^/\s:@]+:[^/\s@]+@")
Container = tuple[PodTemplate, Values]


@About(
    "pods-restricted", "security", "critical",
    "A pod that is root on its node reads every secret on it.",
    "give the pod Kubernetes' restricted level: runAsNonRoot, no privilege escalation, drop ALL, RuntimeDefault",
).resources(*WORKLOADS)  # fmt: skip
def restricted(resource: Resource) -> Iterator[str]:
    def pod(found: PodTemplate) -> Iterator[str]:
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if at(found.spec, key) is True:
                yield f"{found.where}: {key} is true"
        for volume in entries(found.spec, "volumes"):
            if "hostPath" in volume:
                yield f"{found.where}: volume {at(volume, 'name')} is a hostPath"
        yield from each([(found, container) for container in found.containers], _container)

    yield from each(pods(resource), pod)


@About(
    "pods-allowed-registries", "security", "high",
    "An image from anywhere runs anyone's code beside your data.",
    "push the image to your own registry, or add the registry to policies/facts.py",
).resources(*WORKLOADS)  # fmt: skip
def allowed_registries(resource: Resource) -> Iterator[str]:
    def container(found: Container) -> Iterator[str]:
        image = str(at(found[1], "image") or "")
        if image and not _ALLOWED.match(image):
            yield f"{found[0].where}: image {image} comes from a registry that is not allowed"

    yield from each([(pod, one) for pod in pods(resource) for one in pod.containers], container)


@About(
    "secrets-not-in-variables", "security", "critical",
    "Everybody who may read a pod reads its variables, and so does every log of its manifest.",
    "put the value into a Secret and refer to it by valueFrom.secretKeyRef",
).resources(*WORKLOADS)  # fmt: skip
def not_in_variables(resource: Resource) -> Iterator[str]:
    def container(found: Container) -> Iterator[str]:
        for entry in entries(found[1], "env"):
            name = str(at(entry, "name"))
            text = at(entry, "value")
            named = bool(_SECRET.search(name)) and not _REFERENCE.search(name)
            if text and (named or _KNOWN_SECRET.search(str(text))):
                # Never the value: this sentence ends up in logs.
                yield f"{found[0].where}: variable {name} holds a secret as plain text"

    yield from each([(pod, one) for pod in pods(resource) for one in pod.containers], container)


@About(
    "ray-token-auth", "security", "critical",
    "Ray runs whatever code reaches its dashboard or client port (CVE-2023-48022) unless it asks for a token.",
    "set authOptions.mode to token, with the name of a Secret",
).resources(*RAY)  # fmt: skip
def token_auth(resource: Resource) -> Iterator[str]:
    cluster = cluster_of(resource)
    if cluster and at(cluster, "authOptions", "mode") != "token":
        yield f"authOptions.mode is {at(cluster, 'authOptions', 'mode') or 'not set'}"


def _container(found: Container) -> Iterator[str]:
    pod, container = found
    where = f"{pod.where}, container {at(container, 'name')}"
    own, around = section(container, "securityContext"), section(pod.spec, "securityContext")
    if at(own, "privileged") is True:
        yield f"{where}: privileged"
    non_root = at(own, "runAsNonRoot")
    if (at(around, "runAsNonRoot") if non_root is None else non_root) is not True:
        yield f"{where}: runAsNonRoot is not true"
    if at(own, "allowPrivilegeEscalation") is not False:
        yield f"{where}: allowPrivilegeEscalation is not false"
    if "ALL" not in items(own, "capabilities", "drop"):
        yield f"{where}: capabilities do not drop ALL"
    if added := set(items(own, "capabilities", "add")) - {"NET_BIND_SERVICE"}:
        yield f"{where}: capabilities add {', '.join(sorted(map(str, added)))}"
    profile = at(own, "seccompProfile", "type") or at(around, "seccompProfile", "type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield f"{where}: seccompProfile is {profile or 'not set'}"
