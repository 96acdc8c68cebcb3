"""A run as its own stack: `make up RUN=name ARGS="lr=0.01"` writes a stack file that people can keep."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from local.errors import MantaError

# The run's name becomes a RayJob name `<run>-<hash8>` of at most 47 characters, and a DNS-1035 label.
_RUN_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def stack_name(environment: str, run: str) -> str:
    """`train-local` for the environment's standing run, `train-local-<run>` for one of its own."""
    return f"train-{environment}-{run}" if run else f"train-{environment}"


def parse_arguments(text: str) -> dict[str, Any]:
    """`lr=0.01 epochs=5` as parameters; values are read as YAML scalars, so 5 is a number and `true` a truth value."""
    parameters: dict[str, Any] = {}
    try:
        words = shlex.split(text)
    except ValueError:
        raise MantaError(f"ARGS={text!r} has a quotation mark without its partner: write name=value pairs") from None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise MantaError(f"ARGS has {word!r}: write parameters as name=value, separated by spaces")
        if name in parameters:
            raise MantaError(f"ARGS names {name} twice: keep one")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            parsed = None
        if isinstance(parsed, (dict, list)) or parsed is None:
            raise MantaError(f"ARGS gives {name} the value {value!r}: a parameter is one number, word or true/false")
        # YAML 1.1 reads 1e-3 as a word (it wants 1.0e-3); people mean the number.
        parameters[name] = _number_or(parsed)
    return parameters


def write_stack_file(project: Path, environment: str, run: str, arguments: str) -> Path:
    """The stack file of a run of its own. Its parameters are the standing run's with `arguments` over them; without
    `arguments` a file that is there stays as it is."""
    if not _RUN_NAME.fullmatch(run):
        raise MantaError(
            f"RUN={run} cannot name a run: use 1 to 30 lower-case letters, digits and hyphens, starting with a letter"
        )
    parameters = parse_arguments(arguments)
    path = project / "stacks" / f"Pulumi.{stack_name(environment, run)}.yaml"
    if path.exists() and not parameters:
        return path
    standing = _read(project / "stacks" / f"Pulumi.{stack_name(environment, '')}.yaml")
    document = _read(path) or standing
    if parameters:
        config = document.setdefault("config", {})
        # Over the standing run's, not over what an earlier call left: a misspelt name would stay for ever.
        config["manta:parameters"] = {**standing.get("config", {}).get("manta:parameters", {}), **parameters}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def _read(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def _number_or(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
