"""CustomResourceDefinitions as one resource that knows them by digest.

KubeRay's four hold 1.3 MB of schema. As ordinary resources the engine would carry all of it through every check, diff,
log and snapshot: half a minute of computing for each `pulumi up` that changes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """The CRDs in `folder` by name, in a fixed order."""
    loader = _loader()
    manifests = [
        cast(dict[str, Any], yaml.load(path.read_text(), loader))  # noqa: S506 - a safe loader
        for path in sorted(folder.glob("*.yaml"))
    ]
    return {manifest["metadata"]["name"]: manifest for manifest in manifests}


def _loader() -> Any:
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the pure loader takes ten times as long

    class Loader(base):
        """YAML 1.1 gives a lone `=` a meaning that nobody uses, and PyYAML then fails; it is text in the CRDs."""

    Loader.add_constructor("tag:yaml.org,2002:value", base.construct_yaml_str)
    return Loader


def digests(folder: Path) -> dict[str, str]:
    """A digest of each file with a CRD, by file name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.yaml"))}


def _provider() -> ResourceProvider:
    # Inside a function, so that it is stored in the state by value: the plugin that runs it need not find this module.
    class CrdProvider(ResourceProvider):
        def _api(self) -> Any:
            import os
            import sys

            # The plugin runs in infra/, whose package `kubernetes` would hide the client library of that name.
            here = os.path.realpath(os.getcwd())  # noqa: PTH109
            sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
            from kubernetes import config

            return config.new_client_from_config()

        def _call(self, api: Any, method: str, name: str, **request: Any) -> Any:
            import json

            from kubernetes.client.exceptions import ApiException

            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            serialized = api.param_serialize(method, path, auth_settings=["BearerToken"], **request)
            response = api.call_api(*serialized, _request_timeout=60)
            content = response.read()
            if not 200 <= response.status < 300:
                raise ApiException(status=response.status, reason=f"{response.reason}: {content.decode()[:500]}")
            return json.loads(content)

        def _wait(self, api: Any, name: str, established: bool) -> None:
            import time

            from kubernetes.client.exceptions import ApiException

            for _ in range(240):
                try:
                    status = self._call(api, "GET", name).get("status", {})
                except ApiException as error:
                    if error.status != 404 or established:
                        raise
                    return
                reported: list[dict[str, Any]] = status.get("conditions") or []
                conditions = {entry["type"]: entry["status"] for entry in reported}
                if established and conditions.get("Established") == "True":
                    return
                time.sleep(0.5)
            state = "established" if established else "gone"
            raise Exception(f"CRD {name} is not {state} after two minutes")

        def _apply(self, props: dict[str, Any]) -> dict[str, Any]:
            import json
            import os

            import yaml

            api = self._api()
            base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            # As in _loader, which this code cannot reach.
            loader: Any = type("Loader", (base,), {})
            loader.add_constructor("tag:yaml.org,2002:value", base.construct_yaml_str)
            names: list[str] = []
            for file in sorted(props["digests"]):
                with open(os.path.join(str(props["folder"]), str(file))) as stream:  # noqa: PTH118, PTH123
                    manifest = yaml.load(stream, loader)  # noqa: S506
                names.append(manifest["metadata"]["name"])
                self._call(
                    api,
                    "PATCH",
                    names[-1],
                    query_params=[("fieldManager", "manta-crds"), ("force", "true")],
                    header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
                    body=json.dumps(manifest),
                )
            for name in names:
                self._wait(api, name, established=True)
            return {"folder": props["folder"], "digests": props["digests"], "names": names}

        def _remove(self, names: list[str]) -> None:
            api = self._api()
            # After _api, which takes infra/ out of the way.
            from kubernetes.client.exceptions import ApiException

            for name in names:
                try:
                    self._call(api, "DELETE", name)
                except ApiException as error:
                    if error.status != 404:
                        raise
            for name in names:
                self._wait(api, name, established=False)

        def create(self, props: dict[str, Any]) -> CreateResult:
            return CreateResult("crds", self._apply(props))

        def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
            return DiffResult(changes=_olds["digests"] != _news["digests"])

        def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
            outputs = self._apply(_news)
            self._remove([name for name in _olds.get("names", []) if name not in outputs["names"]])
            return UpdateResult(outputs)

        def delete(self, _id: str, _props: dict[str, Any]) -> None:
            self._remove(list(_props["names"]))

    return CrdProvider()


class Crds(Resource, module="manta", name="Crds"):
    """The CRDs in `folder`, applied by the server under a field manager of their own and awaited until served."""

    def __init__(self, name: str, folder: Path, opts: pulumi.ResourceOptions) -> None:
        props = {"folder": str(folder), "digests": digests(folder), "names": None}
        super().__init__(_provider(), name, props, opts)
