"""Put a model of your own onto the storage: `python -m payloads.text.put --model-name flan --folder ./flan-t5-small`.

The folder is one that `save_pretrained` of a Transformers seq2seq model and its fast tokenizer wrote, with safetensors.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from payloads.common import reporting
from payloads.common.cli import parse
from payloads.common.errors import PayloadError, run_main
from payloads.common.settings import MODEL_PATTERN, read_platform


class PutSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str = Field(pattern=MODEL_PATTERN, description="name that servers ask for")
    folder: Path = Field(description="folder with config.json, tokenizer.json and *.safetensors")


def main(arguments: list[str] | None = None) -> None:
    """Check that the model generates, upload it, publish it; prints one `result:` line."""
    settings = parse(PutSettings, __doc__ or "", arguments)
    platform = read_platform()
    if not settings.folder.is_dir():
        raise PayloadError(f"--folder {settings.folder} is no folder")

    from payloads.common import storage as object_storage
    from payloads.text import network, store

    storage = object_storage.open_storage(platform)
    object_storage.check_storage(storage, platform)
    model, tokenizer = network.load(settings.folder)
    network.summarise(model, tokenizer, ["A model that cannot do this is not published."], 4)
    version = store.put(storage, settings.model_name, settings.folder)
    store.publish(storage, settings.model_name, version)
    reporting.result({"model": settings.model_name, "version": version})


if __name__ == "__main__":
    run_main(main)
