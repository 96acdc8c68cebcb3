"""Digests of an environment's images: said by its settings, or recorded by what built them."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from infra.errors import MantaError
from infra.settings.platform import ImagesSettings


class Images:
    """The ConfigMap is read when the first image is asked for that the settings do not name."""

    def __init__(self, settings: ImagesSettings, opts: pulumi.InvokeOptions | None = None) -> None:
        self._settings = settings
        self._provider = opts.provider if opts else None
        self._recorded: k8s.core.v1.ConfigMap | None = None

    def find(self, name: str) -> pulumi.Output[str] | None:
        """The image `name`; None where neither the settings nor a record names it."""
        if given := self._settings.given.get(name):
            return pulumi.Output.from_input(given)
        if not self._settings.recorded:
            return None
        source = self._settings
        if self._recorded is None:
            options = pulumi.ResourceOptions(provider=self._provider) if self._provider else None
            self._recorded = k8s.core.v1.ConfigMap.get("images", f"{source.namespace}/{source.config_map}", options)
        return self._recorded.data.apply(lambda data: self._digest(data, name))

    def get(self, name: str) -> pulumi.Output[str]:
        """The image `name`; raises MantaError if nothing names it."""
        if found := self.find(name):
            return found
        raise MantaError(f"no image {name} is named: set manta:images, by digest")

    def _digest(self, data: Mapping[str, str] | None, name: str) -> str:
        if not data or name not in data:
            source = self._settings
            raise MantaError(
                f"ConfigMap {source.namespace}/{source.config_map} records no image {name}: run `make up`, which "
                "builds the images and records their digests"
            )
        return data[name]
