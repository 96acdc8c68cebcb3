"""`helm.v3.Release`: a chart installed by Helm itself, on disk or wherever Helm finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from local.engine.kubernetes import helm
from local.engine.kubernetes.helm import HelmError
from local.engine.kubernetes.identity import format_id, parse_id
from local.engine.kubernetes.session import Session
from local.engine.kubernetes.values import has_unknown

TOKEN = "kubernetes:helm.sh/v3:Release"  # noqa: S105 - a type
REPLACING = ("name", "namespace")
# What Helm is told of a release; anything else is an error rather than ignored.
KNOWN = (
    "name", "namespace", "chart", "version", "repositoryOpts", "values", "skipCrds", "atomic", "timeout", "skipAwait",
    "createNamespace", "cleanupOnFail", "maxHistory", "description", "waitForJobs", "compat", "resourceNames",
)  # fmt: skip
_TIMEOUT_S = 300


def check(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(property, what is wrong with it)."""
    found = [
        (key, f"{key} is not a setting of Helm releases that the stand-in of Manta has")
        for key in inputs
        if key not in KNOWN and not key.startswith("__")
    ]
    found += [(key, f"a Helm release needs {key}") for key in ("name", "chart") if not inputs.get(key)]
    chart = inputs.get("chart")
    if isinstance(chart, str) and chart.startswith(("/", "./", "../")):
        folder = Path(chart)
        if not folder.is_file() and not (folder / "Chart.yaml").is_file():
            found.append(("chart", f"there is no Helm chart at {chart}"))
    return found


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(
        key
        for key in {**old, **new}
        if key in KNOWN and key not in ("compat", "resourceNames") and old.get(key) != new.get(key)
    )


def install(session: Session, inputs: Mapping[str, Any]) -> None:
    """Install or upgrade. Raises HelmError; what was left half-way by an interruption is put right first."""
    name, namespace = str(inputs["name"]), namespace_of(session, inputs)
    found = helm.status(session, name, namespace)
    state = str(found["info"]["status"]) if found else ""
    if state.startswith("pending"):
        # Helm takes an interrupted operation for one that still runs, and refuses every other for ever.
        if found and int(found["version"]) > 1:
            helm.run(session, ["rollback", name, "--namespace", namespace])
        else:
            helm.run(session, ["uninstall", name, "--namespace", namespace, "--wait"])
    seconds = int(inputs.get("timeout") or _TIMEOUT_S)
    arguments = ["upgrade", name, str(inputs["chart"]), "--install", "--namespace", namespace, f"--timeout={seconds}s"]
    if version := inputs.get("version"):
        arguments += ["--version", str(version)]
    if repository := cast(dict[str, Any], inputs.get("repositoryOpts") or {}).get("repo"):
        arguments += ["--repo", str(repository)]
    for key, option in (
        ("skipCrds", "--skip-crds"),
        ("atomic", "--atomic"),
        ("createNamespace", "--create-namespace"),
        ("cleanupOnFail", "--cleanup-on-fail"),
        ("waitForJobs", "--wait-for-jobs"),
    ):
        if inputs.get(key):
            arguments.append(option)
    if not inputs.get("skipAwait"):
        arguments.append("--wait")
    helm.run(session, arguments, cast(dict[str, Any], inputs.get("values") or {}))


def state_of(session: Session, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Inputs and what Helm says of the release; None when it is gone."""
    namespace, name = parse_id(identifier)
    found = helm.status(session, name, namespace)
    if found is None:
        return None
    manifest = helm.run(session, ["get", "manifest", name, "--namespace", namespace])
    return {
        **inputs,
        "name": name,
        "namespace": namespace,
        "resourceNames": names_in(manifest),
        "status": {
            "name": name,
            "namespace": namespace,
            "revision": int(found["version"]),
            "status": str(found["info"]["status"]),
        },
    }


def refreshed(session: Session, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as they are in the cluster: values that someone set by hand are seen."""
    namespace, name = parse_id(identifier)
    text = helm.run(session, ["get", "values", name, "--namespace", namespace, "--output", "yaml"])
    live: dict[str, Any] = yaml.safe_load(text) or {}
    if live == (inputs.get("values") or {}) or has_unknown(inputs.get("values")):
        return dict(inputs)
    return {**inputs, "values": live}


def uninstall(session: Session, identifier: str, inputs: Mapping[str, Any]) -> None:
    """What is gone already is no error, nor is a cluster that is gone, where the provider may say so."""
    namespace, name = parse_id(identifier)
    seconds = int(inputs.get("timeout") or _TIMEOUT_S)
    try:
        helm.run(session, ["uninstall", name, "--namespace", namespace, "--wait", f"--timeout={seconds}s"])
    except HelmError as error:
        if "not found" in str(error) or (error.is_unreachable and session.settings.delete_unreachable):
            return
        raise


def identifier_of(session: Session, inputs: Mapping[str, Any]) -> str:
    return format_id(namespace_of(session, inputs), str(inputs["name"]))


def namespace_of(session: Session, inputs: Mapping[str, Any]) -> str:
    return str(inputs.get("namespace") or session.default_namespace)


def names_in(manifest: str) -> dict[str, list[str]]:
    """Names by `Kind/version`, as the official provider lists them."""
    found: dict[str, list[str]] = {}
    for document in yaml.safe_load_all(manifest):
        if isinstance(document, dict):
            item = cast(dict[str, Any], document)
            metadata = cast(dict[str, Any], item.get("metadata") or {})
            key = f"{item.get('kind')}.{item.get('apiVersion')}"
            found.setdefault(key, []).append(format_id(str(metadata.get("namespace") or ""), str(metadata.get("name"))))
    return {key: sorted(names) for key, names in sorted(found.items())}
