"""The user and Python."""

from __future__ import annotations

PYTHON = (3, 11)  # Ray pickles code between the driver and the image: both must run the same Python


def root_problems(user_id: int) -> list[str]:
    if user_id == 0:
        return []
    return ["namespaces, mounts and containerd need root: run the same command as root or with sudo"]


def python_problems(version: tuple[int, int]) -> list[str]:
    if version == PYTHON:
        return []
    wanted, found = (".".join(map(str, each)) for each in (PYTHON, version))
    return [f"Python {found} runs this, {wanted} is needed: delete .venv, put python{wanted} on PATH and start again"]
