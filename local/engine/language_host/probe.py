"""Run by the program's own interpreter (standard library only): tells what is installed there, as JSON on stdout."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pulumi_packages() -> list[dict[str, object]]:
    """The pulumi-plugin.json files that SDK packages carry: which provider plugin each of them needs."""
    found: dict[str, dict[str, object]] = {}
    for folder in sys.path[1:]:
        for file in sorted(Path(folder or ".").glob("*/pulumi-plugin.json")):
            try:
                content = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            package = file.parent.name
            content.setdefault("name", package.removeprefix("pulumi_").replace("_", "-"))
            if not content.get("version"):
                content["version"] = version_of(package)
            if content.get("resource"):
                found.setdefault(str(content["name"]), content)
    return list(found.values())


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def distributions(transitive: bool) -> list[dict[str, str]]:
    everything = {normalised(d.metadata["Name"]): d for d in metadata.distributions() if d.metadata["Name"]}
    required: set[str] = set()
    if not transitive:
        for distribution in everything.values():
            for requirement in distribution.requires or []:
                name = re.match(r"[A-Za-z0-9._-]+", requirement)
                if name and "extra ==" not in requirement:
                    required.add(normalised(name[0]))
    return [
        {"name": d.metadata["Name"], "version": d.version}
        for name, d in sorted(everything.items())
        if name not in required
    ]


if __name__ == "__main__":
    question = sys.argv[1]
    if question == "packages":
        answer: object = pulumi_packages()
    elif question == "about":
        answer = {"executable": sys.executable, "version": platform.python_version()}
    else:
        answer = distributions(transitive=question == "all-distributions")
    json.dump(answer, sys.stdout)
