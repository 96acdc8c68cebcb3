"""Stacks that exist before the engine is asked to change them, and their configuration, which the engine may not touch.

A stack with a passphrase normally has its salt written into its configuration file: a change of the checkout by
`make up`, and wrong for every other machine. Here the stack is made from a scratch project, so that the salt lies in
the state, and the engine is given a private copy of the configuration file to write it into.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from local.engine.locks import release_abandoned
from local.errors import MantaError

CONFIG_FILE_VARIABLE = "PULUMI_OPTION_CONFIG_FILE"
_ENCRYPTION_KEYS = ("encryptionsalt", "encryptedkey", "secretsprovider")


def ensure_stack(
    pulumi: Path, environment: Mapping[str, str], project: Path, stack: str, *, config_file: Path | None = None
) -> dict[str, str]:
    """The environment for the engine to work on `stack`, which is created if it is not there yet.

    `project`: folder of Pulumi.yaml. `config_file`: the stack's configuration, if not the one in the project's stack
    folder. Every call takes a fresh copy of it, so edits of the file count at once. A lock that an engine killed on
    this machine left behind is removed. Raises MantaError.
    """
    settings = _project_settings(project)
    name = str(settings["name"])
    source = config_file or project / settings.get("stackConfigDir", ".") / f"Pulumi.{stack}.yaml"
    if not source.is_file():
        raise MantaError(f"stack {stack} has no configuration: {source} does not exist")
    if not _state_file(environment, name, stack).exists():
        _create(pulumi, environment, name, stack)
    release_abandoned(_backend(environment), name, stack)
    return {**environment, CONFIG_FILE_VARIABLE: str(_private_copy(environment, source, name, stack))}


def stack_exists(environment: Mapping[str, str], project: Path, stack: str) -> bool:
    return _state_file(environment, str(_project_settings(project)["name"]), stack).exists()


def stack_names(environment: Mapping[str, str], project: Path) -> list[str]:
    """Every stack of the project in the state, whether or not it has resources."""
    folder = _backend(environment) / ".pulumi" / "stacks" / str(_project_settings(project)["name"])
    return sorted(file.stem for file in folder.glob("*.json"))


def _create(pulumi: Path, environment: Mapping[str, str], project: str, stack: str) -> None:
    with tempfile.TemporaryDirectory(prefix="manta-stack-") as scratch:
        Path(scratch, "Pulumi.yaml").write_text(yaml.safe_dump({"name": project, "runtime": "python"}))
        result = subprocess.run(
            [str(pulumi), "--non-interactive", "--color", "never", "stack", "init", "--no-select", stack],
            cwd=scratch,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    # Another run may have made it meanwhile.
    if result.returncode and not _state_file(environment, project, stack).exists():
        raise MantaError(f"stack {stack} cannot be created: the engine's reason is above", detail=result.stderr)


def _private_copy(environment: Mapping[str, str], source: Path, project: str, stack: str) -> Path:
    """The configuration without what it may say of another machine's encryption; the engine adds this one's."""
    try:
        content: Any = yaml.safe_load(source.read_text()) or {}
    except yaml.YAMLError as error:
        raise MantaError(f"{source} is not valid YAML: mend it and start again", detail=str(error)) from None
    if not isinstance(content, dict):
        raise MantaError(f"{source} is no stack configuration: it must have the key `config`")
    kept = {key: value for key, value in cast(dict[str, Any], content).items() if key not in _ENCRYPTION_KEYS}
    folder = _backend(environment).parent / "config" / project
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = folder / f"Pulumi.{stack}.yaml"
    part = folder / f".{copy.name}.{os.getpid()}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(kept, file, sort_keys=False)
    part.replace(copy)
    return copy


def _project_settings(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "Pulumi.yaml").read_text())


def _state_file(environment: Mapping[str, str], project: str, stack: str) -> Path:
    return _backend(environment) / ".pulumi" / "stacks" / project / f"{stack}.json"


def _backend(environment: Mapping[str, str]) -> Path:
    return Path(environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
