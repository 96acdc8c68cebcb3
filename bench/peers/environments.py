"""A Python environment for each peer, with nothing in it but what that peer needs, at the project's versions."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from local import processes
from local.environment import REQUIREMENTS, uv, uv_environment
from local.errors import MantaError
from local.settings import LocalSettings

PACKAGES = {
    "fastapi": ("fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "torch", "numpy"),
    "serve": ("ray[serve]", "fastapi", "pydantic", "torch", "numpy"),
    "litserve": ("litserve==0.2.19", "uvloop", "httptools", "pydantic", "torch", "numpy"),
    "bentoml": ("bentoml==1.4.39", "pydantic", "numpy"),
}
# What BentoML needs contradicts other versions of the project; only torch, which is what computes, has to be the same.
FREE = {"bentoml": ("torch",)}


@dataclass(frozen=True)
class Environments:
    """Paths of the peers' Python programs."""

    fastapi: str
    serve: str
    litserve: str
    bentoml: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Environments:
        return cls(**json.loads(text))


def build(settings: LocalSettings) -> Environments:
    """Make the environments in the cache, or find them there; uv links the packages that the project has already."""
    return Environments(
        **{name: str(build_one(settings, name, packages, FREE.get(name))) for name, packages in PACKAGES.items()}
    )


def build_one(
    settings: LocalSettings, name: str, packages: tuple[str, ...], pinned: tuple[str, ...] | None = None
) -> Path:
    """The Python program of an environment with `packages`, made in the cache or found there.

    All of it has the project's versions; with `pinned`, only those packages, which are then part of it.
    """
    constraints = ["--constraint", str(REQUIREMENTS)]
    if pinned is not None:
        constraints = []
        packages = (*packages, *(pin for pin in REQUIREMENTS.read_text().split() if pin.split("==")[0] in pinned))
    identity = hashlib.sha256(REQUIREMENTS.read_bytes() + repr((packages, sys.version)).encode()).hexdigest()[:16]
    folder = settings.cache_dir / "bench" / f"{name}-{identity}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        program = str(uv(settings))
        install = ["pip", "install", "--python", str(python), *constraints, *packages]
        for arguments in (["venv", "--clear", "--python", sys.executable, str(folder)], install):
            ended = processes.stream([program, *arguments], environment=uv_environment())
            if ended.status:
                raise MantaError(f"the environment of the peer {name} could not be made in {folder}", ended.output)
        (folder / "complete").touch()
    return python
