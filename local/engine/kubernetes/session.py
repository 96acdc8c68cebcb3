"""One configured provider: the settings, the client (made on first use), and what this run has seen so far."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from local.engine.kubernetes import connection
from local.engine.kubernetes.client import Client, Resource
from local.engine.kubernetes.connection import ProviderSettings
from local.engine.kubernetes.engine import Messages
from local.engine.kubernetes.errors import NoSuchKindError
from local.engine.kubernetes.identity import GroupVersionKind, name_of
from local.engine.kubernetes.objects import section
from local.engine.kubernetes.transport import KubeconfigTransport

# Long enough for an operator that has just started to register its kinds.
KIND_APPEARS_WITHIN_S = 15.0


class Session:
    def __init__(self, settings: ProviderSettings, messages: Messages) -> None:
        self.settings = settings
        self.messages = messages
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._kubeconfig: tuple[dict[str, Any], str] | None = None
        self._previewed_namespaces: set[str] = set()
        self._previewed_kinds: dict[tuple[str, str], bool] = {}
        self._known_urns: set[str] = set()

    @property
    def client(self) -> Client:
        """Raises ConfigurationError. Nothing is connected to yet."""
        with self._lock:
            if self._client is None:
                kubeconfig, base = self._load_kubeconfig()
                self._client = Client(KubeconfigTransport(kubeconfig, base, self.settings), self.cancelled)
            return self._client

    @property
    def default_namespace(self) -> str:
        with self._lock:
            kubeconfig, _ = self._load_kubeconfig()
        return connection.default_namespace(kubeconfig, self.settings)

    def _load_kubeconfig(self) -> tuple[dict[str, Any], str]:
        if self._kubeconfig is None:
            self._kubeconfig = connection.load_kubeconfig(self.settings.kubeconfig, os.environ)
        return self._kubeconfig

    def resource(self, gvk: GroupVersionKind, urn: str) -> Resource:
        """Waits a little for kinds that a definition or an operator is about to bring. Raises NoSuchKindError."""
        deadline = time.monotonic() + (0 if gvk.is_builtin else KIND_APPEARS_WITHIN_S)
        while True:
            try:
                return self.client.resource(gvk)
            except NoSuchKindError as error:
                self.messages.status(urn, str(error))
                if time.monotonic() >= deadline or self.cancelled.wait(0.5):
                    raise

    def mark_known(self, urn: str) -> None:
        """The resource is in the stack's state."""
        with self._lock:
            self._known_urns.add(urn)

    def is_known(self, urn: str) -> bool:
        with self._lock:
            return urn in self._known_urns

    def note_preview(self, gvk: GroupVersionKind, inputs: Mapping[str, Any]) -> None:
        """Remember what will exist once this preview has become an update."""
        with self._lock:
            if (gvk.group, gvk.kind) == ("", "Namespace"):
                self._previewed_namespaces.add(name_of(inputs))
            elif (gvk.group, gvk.kind) == ("apiextensions.k8s.io", "CustomResourceDefinition"):
                spec = section(inputs, "spec")
                key = (str(spec.get("group")), str(section(spec, "names").get("kind")))
                self._previewed_kinds[key] = spec.get("scope") == "Namespaced"

    def will_have_namespace(self, name: str) -> bool:
        with self._lock:
            return name in self._previewed_namespaces

    def will_have_kind(self, gvk: GroupVersionKind) -> bool | None:
        """Whether a kind previewed in this run is namespaced; None when none was previewed."""
        with self._lock:
            return self._previewed_kinds.get((gvk.group, gvk.kind))
