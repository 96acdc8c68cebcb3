"""The checkout's Python environment: `.venv` holds exactly what requirements.txt pins."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from local import locks, processes
from local.errors import MantaError
from local.progress import Reporter, Stage
from local.settings import LocalSettings

CHECKOUT = Path(__file__).resolve().parents[1]
VENV = CHECKOUT / ".venv"
REQUIREMENTS = CHECKOUT / "requirements.txt"
_UV_PIN = CHECKOUT / "local" / "uv.txt"
_BOOTSTRAP = CHECKOUT / "local" / "bootstrap"
_STAMP = "manta-synced"


def ensure_environment(settings: LocalSettings, progress: Reporter) -> None:
    """Install what requirements.txt pins and remove what it does not name; nothing is done when it was done already.

    Safe beside a running program of the same environment: what is installed in the pinned version stays untouched.
    """
    with progress.stage("python environment") as stage:
        wanted = fingerprint(REQUIREMENTS)
        stamp = VENV / _STAMP
        if _read(stamp) == wanted:
            stage.result("up to date")
            return
        with locks.exclusive(VENV / "manta-lock", lambda who: stage.note(f"waiting for {who}, which installs")):
            if _read(stamp) == wanted:
                stage.result("installed by another run")
                return
            stamp.unlink(missing_ok=True)  # an interrupted installation must not pass for a finished one
            _sync(uv(settings), stage)
            scratch = stamp.with_suffix(".new")
            scratch.write_text(wanted)
            scratch.replace(stamp)


def is_current() -> bool:
    """Whether `.venv` holds what requirements.txt pins, by the record of the last installation."""
    return _read(VENV / _STAMP) == fingerprint(REQUIREMENTS)


def fingerprint(requirements: Path) -> str:
    """Names an environment: its pins and the Python it is for."""
    digest = hashlib.sha256(requirements.read_bytes())
    digest.update(sys.version.encode())
    return digest.hexdigest()


def uv(settings: LocalSettings) -> Path:
    """The pinned uv in the cache; installs it when the cache was deleted meanwhile."""
    program = uv_path(settings)
    if not os.access(program, os.X_OK):
        environment = {**os.environ, "MANTA_CACHE_DIR": str(settings.cache_dir)}
        ended = processes.stream([str(_BOOTSTRAP), "--only-uv"], environment=environment)
        if ended.status:
            raise MantaError(f"uv could not be installed into {program.parent}: the lines above say why", ended.output)
    return program


def uv_path(settings: LocalSettings) -> Path:
    version = _UV_PIN.read_text().strip().removeprefix("uv==")
    return settings.cache_dir / f"uv-{version}" / "bin" / "uv"


def uv_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for uv: it takes the package index from pip's configuration unless it has one of its own."""
    env = dict(os.environ if environment is None else environment)
    if not any(env.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE")):
        index = env.get("PIP_INDEX_URL") or _pip_index(env)
        if index:
            env["UV_DEFAULT_INDEX"] = index
    env.pop("VIRTUAL_ENV", None)  # an activated environment of the user's is not the one meant
    return {**env, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def explain(lines: tuple[str, ...], action: str) -> str:
    """The sentence for a uv command that failed with this output."""
    text = "\n".join(lines)
    if "No space left on device" in text:
        return f"the disk filled up while {action}: free some space and start again"
    if re.search(r"error sending request|dns error|timed out|connect error|Failed to fetch", text, re.IGNORECASE):
        return (
            f"the package index could not be reached while {action}: check the network and pip's index-url, start again"
        )
    return f"uv failed while {action}: the lines above are its own"


def _sync(program: Path, stage: Stage) -> None:
    announced = fetched = 0

    def on_line(line: str) -> None:
        nonlocal announced, fetched
        words = line.split()
        if len(words) > 1 and words[0] in ("Downloading", "Downloaded"):
            announced += words[0] == "Downloading"
            fetched += words[0] == "Downloaded"
            stage.update(completed=fetched, total=announced, detail=f"fetching {words[1]}")
        elif words and words[0] in ("Prepared", "Installed"):
            stage.update(detail=line.strip())

    command = [str(program), "pip", "sync", "--python", str(VENV / "bin" / "python")]
    ended = processes.stream([*command, str(REQUIREMENTS)], cwd=CHECKOUT, environment=uv_environment(), on_line=on_line)
    if ended.status:
        raise MantaError(explain(ended.lines, f"installing {REQUIREMENTS.name}"), "\n".join(ended.lines[-20:]))
    stage.result(next((line for line in reversed(ended.lines) if line.startswith("Installed")), "nothing to install"))


def _pip_index(env: Mapping[str, str]) -> str | None:
    """The `index-url` of pip's configuration files, the most particular one last, as pip reads them."""
    home = env.get("HOME") or str(Path.home())
    user = env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(["/etc/xdg/pip/pip.conf", "/etc/pip.conf", f"{home}/.pip/pip.conf", f"{user}/pip/pip.conf"])
    parser.read(env.get("PIP_CONFIG_FILE", ""))
    return parser.get("install", "index-url", fallback=None) or parser.get("global", "index-url", fallback=None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
