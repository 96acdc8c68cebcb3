"""What this machine must have before anything is built; every lack is one sentence that says what to do about it."""

from local.prerequisites.ensure import ensure

__all__ = ["ensure"]
