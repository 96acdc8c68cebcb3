"""Random credentials that are made once and live as secrets in the stack's encrypted state."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


def _provider() -> ResourceProvider:
    # Inside a function, so that it is stored in the state by value: the plugin that runs it need not find this module.
    class RandomText(ResourceProvider):
        def create(self, props: dict[str, Any]) -> CreateResult:
            import secrets

            # Letters and digits alone: the text passes through shells, URLs and environment files unquoted.
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
            text = "".join(secrets.choice(alphabet) for _ in range(int(props["length"])))
            return CreateResult(secrets.token_hex(8), {"length": props["length"], "text": text})

        def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
            replaced = ["length"] if int(_olds["length"]) != int(_news["length"]) else []
            return DiffResult(changes=bool(replaced), replaces=replaced)

    return RandomText()


class RandomSecret(Resource, module="manta", name="RandomSecret"):
    """`text`: `length` random letters and digits, secret."""

    text: pulumi.Output[str]

    def __init__(self, name: str, length: int, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["text"])
        super().__init__(
            _provider(), name, {"length": length, "text": None}, pulumi.ResourceOptions.merge(opts, secret)
        )
