"""A platform that still carries runs cannot be destroyed.

The guard depends on everything else of the platform, so the engine deletes it first; while the namespace holds Ray
resources its deletion fails, and nothing that it depends on is touched. Otherwise the operator would go before the
resources whose finalizers only it can remove. A cluster that does not answer is not taken for an empty one, unless
PULUMI_K8S_DELETE_UNREACHABLE says so, the variable by which the Kubernetes provider forgets what was in it.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


def _provider() -> ResourceProvider:
    # Inside a function, so that it is stored in the state by value: the plugin that runs it need not find this module.
    class RunGuard(ResourceProvider):
        def create(self, props: dict[str, Any]) -> CreateResult:
            return CreateResult(f"{props['namespace']}-runs", dict(props))

        def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
            changed = any(_olds.get(key) != _news.get(key) for key in ("namespace", "kubeconfig"))
            return DiffResult(changes=changed)

        def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
            return UpdateResult(dict(_news))

        def delete(self, _id: str, _props: dict[str, Any]) -> None:
            import os
            import sys

            # The plugin runs in infra/, whose package `kubernetes` would hide the client library of that name.
            here = os.path.realpath(os.getcwd())  # noqa: PTH109
            sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
            from kubernetes import client, config
            from kubernetes.client.exceptions import ApiException
            from urllib3.exceptions import HTTPError

            # Said by the platform where it made the cluster itself; the text has no credentials.
            kubeconfig = _props.get("kubeconfig")
            if kubeconfig:
                import json

                api: Any = client.CustomObjectsApi(config.new_client_from_config_dict(json.loads(kubeconfig)))
            else:
                config.load_kube_config()
                api = client.CustomObjectsApi()
            found: list[str] = []
            for plural in ("rayjobs", "rayservices", "rayclusters"):
                try:
                    items = api.list_namespaced_custom_object(
                        "ray.io", "v1", _props["namespace"], plural, _request_timeout=(10, 30)
                    )["items"]
                except ApiException as error:
                    if error.status == 404:
                        continue
                    raise
                except (HTTPError, OSError):
                    variable = "PULUMI_K8S_DELETE_UNREACHABLE"
                    if os.environ.get(variable, "").lower() in ("1", "t", "true"):
                        return
                    raise Exception(
                        f"the cluster of this platform does not answer, so nobody knows what runs on it: bring it "
                        f"back, or, if it is gone for good, destroy again with {variable}=true"
                    ) from None
                for item in items:
                    metadata = item["metadata"]
                    if metadata.get("ownerReferences"):
                        continue
                    stack = metadata.get("labels", {}).get("manta/stack")
                    where = f" (pulumi destroy -s {stack})" if stack else ""
                    found.append(f"{item['kind']} {metadata['name']}{where}")
            if found:
                raise Exception(f"this platform still carries {', '.join(sorted(found))}: destroy those first")

    return RunGuard()


class RunGuard(Resource, module="manta", name="RunGuard"):
    """Refuses its own deletion while `namespace` holds Ray resources that no other Ray resource owns."""

    def __init__(
        self,
        name: str,
        namespace: str,
        opts: pulumi.ResourceOptions,
        kubeconfig: pulumi.Input[str] | None = None,
    ) -> None:
        where = {"kubeconfig": kubeconfig} if kubeconfig is not None else {}
        super().__init__(_provider(), name, {"namespace": namespace, **where}, opts)
