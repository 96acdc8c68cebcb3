"""Programs that no package index ships ready-made, built from pinned Go modules into a cache outside the checkout."""

from local.toolchain.build import Toolchain, ensure

__all__ = ["Toolchain", "ensure"]
