"""The payloads as one deterministic zip: the same files give the same bytes, on any machine and at any time."""

from __future__ import annotations

import base64
import difflib
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from infra.errors import MantaError, SettingsError

# A ConfigMap, all of it, must stay within 1 MiB; base64 takes four bytes for three.
MAX_ENCODED = 1024 * 1024 - 8 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment
_SUFFIXES = frozenset({".py", ".json", ".yaml", ".yml", ".toml", ".txt", ".sql"})
_NOT_CODE = frozenset({"requirements.txt", "requirements.in", "Dockerfile"})


@dataclass(frozen=True)
class Bundle:
    """`content` is a zip whose paths start with the package's name; `hash` is of what is in it.

    `modules` are the dotted names that can be imported from it.
    """

    package: str
    modules: frozenset[str]
    content: bytes
    hash: str

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.content).decode()


def build(package: Path) -> Bundle:
    """Zip the Python package at `package`; raises MantaError if there is none or it is too large for a ConfigMap."""
    if not (package / "__init__.py").is_file():
        raise MantaError(f"there is no Python package at {package}: set manta:bundle to the folder of the payloads")
    files = {str(path.relative_to(package.parent)): path.read_bytes() for path in _sources(package)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix; the default depends on the machine that zips
            archive.writestr(entry, content)
    modules = frozenset(_module(name) for name in files if name.endswith(".py"))
    bundle = Bundle(package.name, modules, buffer.getvalue(), _hash(files))
    if len(bundle.encoded) > MAX_ENCODED:
        raise MantaError(_too_large(package, files, len(bundle.encoded)))
    return bundle


def check_module(bundle: Bundle, module: str, key: str, stack: str) -> None:
    """Raise SettingsError if `module`, which the setting `key` names, should be in the bundle and is not.

    A module of another package may be in the image; only its import can tell.
    """
    if module.split(".")[0] != bundle.package or module in bundle.modules:
        return
    close = difflib.get_close_matches(module, bundle.modules, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there is no such file in {bundle.package}/"
    raise SettingsError(f"stack {stack}: manta:{key}={module} cannot be imported from the bundle ({hint})")


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _sources(package: Path) -> list[Path]:
    return [
        path
        for path in package.rglob("*")
        if path.suffix in _SUFFIXES
        and path.name not in _NOT_CODE
        and path.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(package).parts)
    ]


def _hash(files: dict[str, bytes]) -> str:
    # Of the files rather than the zip: zlib's output may differ between versions, and a run's identity must not.
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _too_large(package: Path, files: dict[str, bytes], size: int) -> str:
    largest = sorted(files, key=lambda name: len(files[name]), reverse=True)[:3]
    named = ", ".join(f"{name} ({len(files[name]) // 1024} KiB)" for name in largest)
    return (
        f"the bundle of {package.name}/ takes {size // 1024} KiB and a ConfigMap holds {MAX_ENCODED // 1024}: "
        f"move data out of it, to S3 or into the image; the largest files are {named}"
    )
