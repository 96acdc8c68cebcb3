"""Credentials of a kubeconfig turned into a connection pool, by the Kubernetes project's own loader."""

from __future__ import annotations

from typing import Any

import urllib3

from local.engine.kubernetes.connection import ConfigurationError, ProviderSettings, active_context

# The engine runs 16 resource operations at once by default, and people raise it; each may hold a connection.
POOL_SIZE = 64


class KubeconfigTransport:
    def __init__(self, kubeconfig: dict[str, Any], base_path: str, settings: ProviderSettings) -> None:
        # Imported late: it takes most of a second, and the engine waits for this process's first line.
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.kube_config import KubeConfigLoader

        context = active_context(kubeconfig, settings)
        contexts = [{"name": context["name"], "context": {k: v for k, v in context.items() if k != "name"}}]
        configuration = Configuration()
        try:
            loader = KubeConfigLoader(
                {**kubeconfig, "contexts": contexts}, active_context=context["name"], config_base_path=base_path
            )
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as error:
            raise ConfigurationError(
                f'The kubeconfig\'s context "{context["name"]}" cannot be used: {error}.'
            ) from None
        configuration.connection_pool_maxsize = POOL_SIZE
        self._configuration = configuration
        self.server = str(configuration.host).rstrip("/")
        self.pool: urllib3.PoolManager = ApiClient(configuration).rest_client.pool_manager

    def headers(self) -> dict[str, str]:
        """Asked for anew each time: tokens of exec plugins expire."""
        setting = self._configuration.auth_settings().get("BearerToken")
        value = setting["value"] if setting else None
        return {"Authorization": value} if value else {}
