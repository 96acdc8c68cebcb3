"""The version that a serving stack is pinned to, written into its file with everything else left as it is."""

from __future__ import annotations

from pathlib import Path

import yaml

from local.errors import MantaError

KEY = "model_version"


def read_model(path: Path) -> tuple[str, str | None]:
    """Name of the served model and the version that it is pinned to; raises MantaError if the file names no model."""
    node = _args(path)
    name, version = _entry(node, "model_name"), _entry(node, KEY)
    if name is None:
        raise MantaError(f"{path} serves no model by name: its args have no model_name, so there is nothing to promote")
    return str(name[1].value), None if version is None else str(version[1].value)


def pin(path: Path, version: str) -> None:
    """Write `model_version: "<version>"` beside the model's name; comments and order stay."""
    node = _args(path)
    lines = path.read_text().splitlines(keepends=True)
    there, name = _entry(node, KEY), _entry(node, "model_name")
    if there is not None:
        value = there[1]
        line = lines[value.start_mark.line]
        changed = f'{line[: value.start_mark.column]}"{version}"{line[value.end_mark.column :]}'
        lines[value.start_mark.line] = changed
    elif name is not None:
        key = name[0]
        indent = " " * key.start_mark.column
        lines.insert(name[1].end_mark.line + 1, f'{indent}{KEY}: "{version}"\n')
    path.write_text("".join(lines))
    if read_model(path)[1] != version:
        raise MantaError(f'{path} could not be changed: write {KEY}: "{version}" beside model_name by hand')


def _args(path: Path) -> yaml.MappingNode:
    """The arguments of the file's first application."""
    if not path.exists():
        raise MantaError(f"there is no stack file {path}: name a serving stack that has one")
    try:
        node = yaml.compose(path.read_text(), yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise MantaError(f"{path} is not YAML", detail=str(error)) from None
    for key in ("config", "manta:applications"):
        found = _entry(node, key)
        node = found[1] if found else None
    first = node.value[0] if isinstance(node, yaml.SequenceNode) and node.value else None
    args = _entry(first, "args")
    if args is None or not isinstance(args[1], yaml.MappingNode) or args[1].flow_style:
        raise MantaError(f"{path} has no args of an application, one a line: name a serving stack")
    return args[1]


def _entry(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next(((name, value) for name, value in node.value if name.value == key), None)
