"""From the provider's configuration to an API server: kubeconfig as path or text, context, cluster, namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from local.engine.kubernetes.objects import items, section

DEFAULT_NAMESPACE = "default"
TRUE_WORDS = ("true", "1", "yes", "on", "t", "y")

# Asked of the provider, and not to be had from this one.
REFUSED_SETTINGS = {
    "renderYamlToDirectory": "rendering manifests to a folder needs Pulumi's official Kubernetes provider",
    "alwaysRender": "rendering manifests to a folder needs Pulumi's official Kubernetes provider",
}


class ConfigurationError(Exception):
    """The provider's configuration cannot be used; the message names the setting."""


@dataclass(frozen=True)
class ProviderSettings:
    """The provider's configuration, names as in the official provider."""

    kubeconfig: str | None
    """A path or the content; None: KUBECONFIG or ~/.kube/config."""
    context: str | None
    cluster: str | None
    namespace: str | None
    cluster_identifier: str | None
    delete_unreachable: bool
    skip_update_unreachable: bool
    patch_force: bool
    upsert_existing: bool
    config_map_mutable: bool
    secret_mutable: bool


def parse_settings(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> ProviderSettings:
    """Raises ConfigurationError for what only the official provider can do."""
    for name, reason in REFUSED_SETTINGS.items():
        if arguments.get(name) not in (None, "", False, "false"):
            raise ConfigurationError(f"{name}: {reason}, and the stand-in of Manta is in use.")
    if arguments.get("enableServerSideApply") in (False, "false"):
        raise ConfigurationError("enableServerSideApply: the stand-in provider of Manta applies server-side only.")

    def flag(name: str, variable: str) -> bool:
        value = arguments.get(name)
        value = environment.get(variable, "") if value is None else value
        return str(value).lower() in TRUE_WORDS

    def word(name: str) -> str | None:
        return str(arguments[name]) if arguments.get(name) else None

    return ProviderSettings(
        kubeconfig=word("kubeconfig"),
        context=word("context"),
        cluster=word("cluster"),
        namespace=word("namespace"),
        cluster_identifier=word("clusterIdentifier"),
        delete_unreachable=flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
        skip_update_unreachable=flag("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
        patch_force=flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
        upsert_existing=flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
        config_map_mutable=flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
        secret_mutable=flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
    )


def load_kubeconfig(kubeconfig: str | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The kubeconfig's content and the folder that its relative paths start from."""
    # A content taken for a path would be quoted in an error message, with its credentials.
    if kubeconfig and ("\n" in kubeconfig or ": " in kubeconfig or kubeconfig.startswith("{")):
        return _parsed(kubeconfig, "the provider's kubeconfig"), str(Path.cwd())
    source = kubeconfig or environment.get("KUBECONFIG") or "~/.kube/config"
    # KUBECONFIG may list several files; the first that exists is used.
    candidates = [Path(part).expanduser() for part in source.split(os.pathsep) if part]
    for path in candidates:
        if path.is_file():
            try:
                return _parsed(path.read_text(), str(path)), str(path.parent)
            except OSError as error:
                raise ConfigurationError(f"The kubeconfig {path} cannot be read: {error.strerror}.") from None
    raise ConfigurationError(
        f"There is no kubeconfig at {source}: set KUBECONFIG, or `kubernetes:kubeconfig` in the stack's configuration."
    )


def _parsed(content: str, source: str) -> dict[str, Any]:
    try:
        parsed = yaml.safe_load(content)
    except yaml.YAMLError:
        # The parser's message quotes the text, which may hold credentials.
        raise ConfigurationError(f"{source} is not valid YAML.") from None
    if not isinstance(parsed, dict) or not {"clusters", "contexts", "users"} <= set(cast(dict[str, Any], parsed)):
        raise ConfigurationError(f"{source} is no kubeconfig: it has no clusters, contexts and users.")
    return cast(dict[str, Any], parsed)


def active_context(kubeconfig: Mapping[str, Any], settings: ProviderSettings) -> dict[str, Any]:
    """The context that is used: {name, cluster, user, namespace}."""
    name = settings.context or kubeconfig.get("current-context")
    contexts = _named(kubeconfig, "contexts", "context")
    if name not in contexts:
        raise ConfigurationError(f'The kubeconfig has no context "{name}"; it has {", ".join(contexts) or "none"}.')
    context = dict(contexts[name])
    if settings.cluster:
        context["cluster"] = settings.cluster
    if context.get("cluster") not in _named(kubeconfig, "clusters", "cluster"):
        raise ConfigurationError(f'The kubeconfig has no cluster "{context.get("cluster")}".')
    return {**context, "name": name}


def active_cluster(kubeconfig: Mapping[str, Any], settings: ProviderSettings) -> dict[str, Any]:
    context = active_context(kubeconfig, settings)
    return _named(kubeconfig, "clusters", "cluster")[context["cluster"]]


def default_namespace(kubeconfig: Mapping[str, Any], settings: ProviderSettings) -> str:
    return settings.namespace or active_context(kubeconfig, settings).get("namespace") or DEFAULT_NAMESPACE


def _named(kubeconfig: Mapping[str, Any], key: str, inner: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: dict(section(entry, inner)) for entry in items(kubeconfig, key)}
