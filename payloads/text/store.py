"""Models as folders of files on the storage, in the form that Transformers' `from_pretrained` reads.

A version is named by its content and never changes. Its manifest is written last, so that a version without one was cut
off; `latest.json` beside the versions names the one that is served.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage

MANIFEST, LATEST = "manifest.json", "latest.json"
# Of a checkpoint's many forms only these are read: none of them can hold code.
KEPT = re.compile(r"[\w.-]+\.(safetensors|json|model|txt)")
_NAME = re.compile(r"[\w.-]+")


def folder_of(model: str) -> str:
    return f"text/{model}"


def put(storage: Storage, model: str, folder: Path) -> str:
    """Upload the files of `folder` that `from_pretrained` needs, unless they are there; the version.

    Raises PayloadError if weights, configuration or tokenizer are missing.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and KEPT.fullmatch(path.name))
    names = {path.name for path in files}
    if not any(name.endswith(".safetensors") for name in names):
        raise PayloadError(f"{folder} has no weights as *.safetensors: save it by model.save_pretrained(folder)")
    for needed in ("config.json", "tokenizer.json"):
        if needed not in names:
            raise PayloadError(f"{folder} has no {needed}: save model and fast tokenizer by save_pretrained(folder)")
    digests = {path.name: _digest(path.read_bytes()) for path in files}
    version = _digest(json.dumps(digests, sort_keys=True).encode())[:12]
    target = f"{folder_of(model)}/{version}"
    if not storage.exists(f"{target}/{MANIFEST}"):
        for path in files:
            storage.write(f"{target}/{path.name}", path.read_bytes())
        storage.write_json(f"{target}/{MANIFEST}", {"files": digests})
    return version


def publish(storage: Storage, model: str, version: str) -> None:
    """Have servers that start from now on take `version`."""
    storage.write_json(f"{folder_of(model)}/{LATEST}", {"version": version})


def latest(storage: Storage, model: str) -> str:
    """The version that was published last; raises PayloadError if there is none."""
    note = storage.read_json(f"{folder_of(model)}/{LATEST}")
    if note is None:
        raise PayloadError(
            f"{storage.path(folder_of(model))} has no {LATEST}: train a model that passes its gate, or put one by "
            "python -m payloads.text.put"
        )
    return str(note["version"])


def fetch(
    storage: Storage, model: str, version: str, folder: Path, wanted: Callable[[str], bool] = lambda _: True
) -> None:
    """Write the version's files whose names are `wanted` into `folder`, each checked against its digest.

    Raises PayloadError where the version is not there whole.
    """
    source = f"{folder_of(model)}/{version}"
    manifest = storage.read_json(f"{source}/{MANIFEST}")
    if manifest is None:
        raise PayloadError(f"{storage.path(source)} has no {MANIFEST}: there is no such version, or it was cut off")
    for name, digest in manifest["files"].items():
        if not _NAME.fullmatch(name) or not wanted(name):
            continue
        content = storage.read(f"{source}/{name}")
        if content is None or _digest(content) != digest:
            raise PayloadError(f"{storage.path(source, name)} is not what its manifest says: put the model there again")
        (folder / name).write_bytes(content)


def is_tokenizer(name: str) -> bool:
    """Whether a file is needed without the weights."""
    return not name.endswith(".safetensors") and not name.endswith(".safetensors.index.json")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
