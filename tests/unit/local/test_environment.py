"""The Python environment: pins, package index, and that `local` starts with the few packages of its bootstrap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from local import environment
from local.settings import LocalSettings

PROJECT = Path(__file__).resolve().parents[3]
# Run as programs of their own, after the whole environment is installed.
_LATER = ("engine", "sim/cloud", "sim/get_token.py")
_YET_SOON = ("sim/cloud/__init__.py", "sim/cloud/config.py")


def requirement_names(path: Path) -> set[str]:
    return {match[1].lower() for match in re.finditer(r"^([A-Za-z0-9._-]+)", path.read_text(), re.MULTILINE)}


def test_what_the_bootstrap_installs_is_pinned() -> None:
    assert requirement_names(PROJECT / "local" / "requirements.in") <= requirement_names(PROJECT / "requirements.txt")


def test_local_imports_nothing_at_its_start_that_the_bootstrap_does_not_install() -> None:
    allowed = requirement_names(PROJECT / "local" / "requirements.in")
    distributions = packages_distributions()
    for path in sorted((PROJECT / "local").rglob("*.py")):
        inside = path.relative_to(PROJECT / "local")
        if any(inside.is_relative_to(later) for later in _LATER) and str(inside) not in _YET_SOON:
            continue
        for name in top_level_imports(path):
            if name in sys.stdlib_module_names or name == "local":
                continue
            owners = {owner.lower() for owner in distributions.get(name, [name])}
            assert owners & allowed, f"{path} imports {name} before requirements.txt is installed"


def top_level_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_fingerprint_follows_the_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("rich==15.0.0\n")
    before = environment.fingerprint(pins)
    assert environment.fingerprint(pins) == before
    pins.write_text("rich==15.0.1\n")
    assert environment.fingerprint(pins) != before


def test_uv_is_the_pinned_one_in_the_cache() -> None:
    settings = LocalSettings(state_dir=Path("/srv/state"), cache_dir=Path("/srv/cache"))
    pin = (PROJECT / "local" / "uv.txt").read_text().strip()
    assert re.fullmatch(r"uv==\d+\.\d+\.\d+", pin)
    assert environment.uv_path(settings) == Path(f"/srv/cache/uv-{pin.removeprefix('uv==')}/bin/uv")


def test_uv_takes_the_index_of_pips_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / ".config" / "pip" / "pip.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[global]\nindex-url = https://user:100%@mirror.example/simple\n")
    home = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    assert environment.uv_environment(home)["UV_DEFAULT_INDEX"] == "https://user:100%@mirror.example/simple"
    own = {**home, "UV_DEFAULT_INDEX": "https://uv.example"}
    assert environment.uv_environment(own)["UV_DEFAULT_INDEX"] == "https://uv.example", "uv's own setting wins"
    by_variable = {**home, "PIP_INDEX_URL": "https://pip.example"}
    assert environment.uv_environment(by_variable)["UV_DEFAULT_INDEX"] == "https://pip.example"


def test_an_activated_environment_of_the_users_is_not_the_one_installed_into() -> None:
    assert "VIRTUAL_ENV" not in environment.uv_environment({"VIRTUAL_ENV": "/somewhere", "HOME": "/nowhere"})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("error: Request failed: error sending request for url", "could not be reached"),
        ("  Caused by: No space left on device (os error 28)", "the disk filled up"),
        ("error: conflicting pins", "the lines above are its own"),
    ],
)
def test_a_failure_of_uv_is_explained(line: str, says: str) -> None:
    assert says in environment.explain((line,), "installing requirements.txt")


def bootstrap(tmp_path: Path, *arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROJECT / "local" / "bootstrap", *arguments],
        env={"PATH": path, "MANTA_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bootstrap_refuses_a_user_who_is_not_root(tmp_path: Path) -> None:
    fake = tmp_path / "id"
    fake.write_text("#!/bin/sh\necho 1000\n")
    fake.chmod(0o755)
    ended = bootstrap(tmp_path, "up", path=f"{tmp_path}:/usr/bin:/bin")
    assert ended.returncode == 1
    assert (
        ended.stderr == "error: make up needs root for namespaces, mounts and containerd: run it as root or with sudo\n"
    )
