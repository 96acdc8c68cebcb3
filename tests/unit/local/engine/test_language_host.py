"""Which Python runs a program, with what command and environment, and how its dependencies are installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.engine.language_host import commands, install, interpreter, probe, process
from local.engine.language_host.interpreter import HostError, Interpreter, RuntimeOptions


def _environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return folder


def test_the_virtualenv_option_is_relative_to_the_project_and_not_to_the_program(tmp_path: Path) -> None:
    _environment(tmp_path / ".venv")
    (tmp_path / "infra").mkdir()

    options = interpreter.parse_options({"virtualenv": ".venv"}, tmp_path / "infra")
    found = interpreter.find_interpreter(options, tmp_path)

    assert found.executable == tmp_path / ".venv" / "bin" / "python"


@pytest.mark.parametrize(("exists", "words"), [(False, "does not exist"), (True, "is not a virtual environment")])
def test_a_missing_environment_is_named_with_the_command_that_makes_it(
    tmp_path: Path, exists: bool, words: str
) -> None:
    if exists:
        (tmp_path / "venv").mkdir()
    with pytest.raises(HostError, match=f"{words}.*pulumi install"):
        interpreter.find_interpreter(interpreter.parse_options({"virtualenv": "venv"}, tmp_path), tmp_path)


@pytest.mark.parametrize("options", [{"toolchain": "conda"}, {"typechecker": "pytype"}, {"virtualenv": 3}])
def test_wrong_options_are_refused_by_name(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(HostError, match=next(iter(options))):
        interpreter.parse_options(options, tmp_path)


def test_a_lock_file_above_the_program_chooses_the_toolchain(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()

    assert interpreter.parse_options({}, tmp_path / "infra").toolchain == "uv"
    assert interpreter.parse_options({"toolchain": "pip"}, tmp_path / "infra").toolchain == "pip"


def test_an_activated_environment_comes_first_on_path_and_drops_pythonhome() -> None:
    environment = Interpreter(Path("/v/bin/python"), Path("/v")).environment({"PATH": "/usr/bin", "PYTHONHOME": "/x"})

    assert environment == {"PATH": "/v/bin:/usr/bin", "VIRTUAL_ENV": "/v"}


def _run(**changes: object) -> commands.ProgramRun:
    values: dict[str, object] = {
        "project": "manta",
        "stack": "dev",
        "organization": "organization",
        "root_directory": Path("/p"),
        "program": Path("/p/infra"),
        "working_directory": Path("/p/infra"),
        "arguments": ["extra"],
        "monitor_address": "127.0.0.1:1",
        "engine_address": "127.0.0.1:2",
        "parallel": 16,
        "dry_run": True,
        "config": {"manta:password": "hunter2"},
        "config_secret_keys": ["manta:password"],
    }
    return commands.ProgramRun(**{**values, **changes})  # type: ignore[arg-type]


def test_configuration_goes_by_environment_and_never_on_the_command_line() -> None:
    python = Interpreter(Path("/v/bin/python"), Path("/v"))

    command = commands.run_command(python, _run())
    environment = commands.run_environment(python, _run(), {"PATH": "/usr/bin"})

    assert not any("hunter2" in part for part in command), "every user can read command lines with ps"
    assert json.loads(environment["PULUMI_CONFIG"]) == {"manta:password": "hunter2"}
    assert json.loads(environment["PULUMI_CONFIG_SECRET_KEYS"]) == ["manta:password"]
    assert command[-2:] == ["/p/infra", "extra"]
    assert "--dry_run=true" in command


def test_policy_packs_are_served_by_the_sdk_and_plugins_serve_themselves() -> None:
    python = Interpreter(Path("/v/bin/python"), None)

    assert commands.plugin_command(python, "analyzer", Path("/pack"), ["127.0.0.1:1"]) == [
        "/v/bin/python", "-u", "-m", "pulumi.policy", "127.0.0.1:1", "/pack",
    ]  # fmt: skip
    assert commands.plugin_command(python, "resource", Path("/plugin"), ["a"]) == [
        "/v/bin/python",
        "-u",
        "/plugin",
        "a",
    ]


def test_installing_with_pip_creates_the_environment_first(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "requirements.txt").touch()

    steps = install.plan(RuntimeOptions(".venv", "pip", None), tmp_path / "infra", tmp_path)

    assert [step.command[1:3] for step in steps] == [("-m", "venv"), ("-m", "pip")]
    assert steps[1].command[0] == str(tmp_path / ".venv" / "bin" / "python")
    assert steps[1].command[-1] == str(tmp_path / "requirements.txt")


def test_installing_without_an_environment_says_which_option_to_set(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"runtime\.options\.virtualenv"):
        install.plan(RuntimeOptions(None, "pip", None), tmp_path, tmp_path)


def test_requirements_above_the_project_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    project = tmp_path / "project"
    project.mkdir()

    assert install.find_upwards("requirements.txt", project, project) is None


def test_provider_plugins_are_found_beside_their_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {
        "pulumi_random_thing": {"resource": True, "version": "1.2.3"},
        "pulumi_named": {"resource": True, "name": "other", "version": "2.0.0"},
        "pulumi_policy": {"resource": False},
        "broken": None,
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pulumi-plugin.json").write_text("{" if content is None else json.dumps(content))
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])

    found = {entry["name"]: entry["version"] for entry in probe.pulumi_packages()}

    assert found == {"random-thing": "1.2.3", "other": "2.0.0"}


def _is_running(number: int) -> bool:
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True, check=False)
    return not listing.stdout.strip().startswith("Z") and bool(listing.stdout.strip())


def test_stopping_a_child_stops_what_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {marker}; echo started; wait"
    children = process.Children()
    child = children.start(["sh", "-c", script], cwd=tmp_path, environment={"PATH": "/usr/bin:/bin"}, capture=True)
    output = child.output()
    assert next(output) == ("stdout", b"started\n")

    children.stop_all(closing=True)

    assert child.wait() < 0
    grandchild = int(marker.read_text())
    deadline = time.monotonic() + 10
    while _is_running(grandchild):
        assert time.monotonic() < deadline, "the program's own children must not outlive it"
        time.sleep(0.05)
    with pytest.raises(RuntimeError, match="shutting down"):
        children.start(["true"], cwd=tmp_path, environment={}, capture=False)
