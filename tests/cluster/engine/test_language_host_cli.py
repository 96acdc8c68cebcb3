"""Programs, policy packs, plugins and dynamic providers under the real CLI, and what a person reads when they fail."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.engine.project import CHECKOUT, Project, until

NewProject = Callable[..., Project]


def test_a_program_sees_its_folder_configuration_and_stack(new_project: NewProject) -> None:
    project = new_project(
        """
        import os, sys
        from pathlib import Path
        import pulumi
        import beside

        here = Path(__file__).resolve().parent
        config = pulumi.Config()
        pulumi.export("cwd", os.getcwd() == str(here))
        pulumi.export("path", sys.path[0] == str(here))
        pulumi.export("beside", beside.VALUE)
        pulumi.export("names", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
        pulumi.export("objects", config.require_object("list"))
        pulumi.export("dry", pulumi.runtime.is_dry_run())
        """,
        config="config:\n  project:list: [1, a]\n",
    )
    (project.folder / "beside.py").write_text("VALUE = 'imported'\n")

    project.up()

    assert project.outputs() == {
        "cwd": True,
        "path": True,
        "beside": "imported",
        "names": ["project", "test", "organization"],
        "objects": [1, "a"],
        "dry": False,
    }


def test_secret_configuration_stays_secret_and_reaches_the_program(new_project: NewProject) -> None:
    project = new_project("import pulumi\npulumi.export('password', pulumi.Config().require_secret('password'))\n")
    project.run("config", "set", "--secret", "password", "correct horse battery", "--stack", "test")

    shown = project.up().output

    assert "password: [secret]" in shown
    assert "correct horse" not in shown
    assert "correct horse" not in project.state_text()
    assert project.outputs() == {"password": "correct horse battery"}


def test_a_failing_program_shows_its_own_frames_only(new_project: NewProject) -> None:
    project = new_project("def f():\n    raise ValueError('boom')\n\nf()\n")

    result = project.preview(check=False)

    assert result.code != 0
    assert "Program failed with an unhandled exception" in result.output
    assert "ValueError: boom" in result.output
    assert "in f" in result.output
    assert "executor.py" not in result.output
    assert "pulumi/runtime" not in result.output


def test_a_run_error_is_one_sentence_without_a_traceback(new_project: NewProject) -> None:
    project = new_project("import pulumi\nraise pulumi.RunError('set project:name in the stack file')\n")

    result = project.preview(check=False)

    assert result.code != 0
    assert "error: set project:name in the stack file" in result.output
    assert "Traceback" not in result.output
    assert "exit" not in result.output


def test_output_of_the_program_is_shown_and_an_exit_code_reported(new_project: NewProject) -> None:
    project = new_project("import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\nsys.exit(3)\n")

    result = project.preview(check=False)

    assert "to stdout" in result.output
    assert "to stderr" in result.output
    assert "exited with code 3" in result.output


def test_a_missing_environment_is_named(new_project: NewProject) -> None:
    project = new_project("")
    yaml = (project.folder / "Pulumi.yaml").read_text()
    (project.folder / "Pulumi.yaml").write_text(yaml.replace(str(CHECKOUT / ".venv"), "nowhere"))

    result = project.preview(check=False)

    assert "nowhere, which does not exist: run `pulumi install`" in result.output


def test_the_second_clone_of_a_project_carries_on_with_the_same_stack(new_project: NewProject) -> None:
    program = "import pulumi\npulumi.export('password', pulumi.Output.secret('correct horse battery'))\n"
    first = new_project(program)
    first.up()

    # A clone has the project's name whatever its folder is called.
    second = new_project(program, name="clone")
    yaml = (second.folder / "Pulumi.yaml").read_text()
    (second.folder / "Pulumi.yaml").write_text(yaml.replace("name: clone", "name: project"))
    again = Project(second.folder, second.pulumi, first.environment)

    assert "1 unchanged" in again.up().output
    assert again.outputs() == {"password": "correct horse battery"}
    for project in (first, second):
        assert (project.folder / "stacks" / "Pulumi.test.yaml").read_text() == "{}\n", "stack files stay as they are"


@pytest.mark.parametrize("level", ["MANDATORY", "ADVISORY"])
def test_a_mandatory_policy_fails_the_preview_and_an_advisory_one_does_not(new_project: NewProject, level: str) -> None:
    project = new_project(
        """
        import pulumi

        class Thing(pulumi.ComponentResource):
            def __init__(self):
                super().__init__("test:index:Thing", "thing", {"size": 3})

        Thing()
        """
    )
    pack = project.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(
        f"runtime: {{name: python, options: {{virtualenv: {CHECKOUT / '.venv'}}}}}\n"
    )
    (pack / "__main__.py").write_text(
        f"""
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def check(args, report):
    if args.resource_type == "test:index:Thing":
        report("things are not allowed")

policy = ResourceValidationPolicy("no-things", "No things.", check, EnforcementLevel.{level})
PolicyPack("pack", policies=[policy])
"""
    )

    result = project.preview("--policy-pack", str(pack), check=False)

    assert "things are not allowed" in result.output
    assert (result.code != 0) == (level == "MANDATORY")


def test_a_dynamic_provider_of_a_module_of_the_project(new_project: NewProject) -> None:
    project = new_project("from parts.things import Thing\nimport pulumi\npulumi.export('id', Thing('t').id)\n")
    (project.folder / "parts").mkdir()
    (project.folder / "parts" / "things.py").write_text(
        """
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Provider(ResourceProvider):
    def create(self, inputs):
        return CreateResult("made", {})

class Thing(Resource):
    def __init__(self, name):
        super().__init__(Provider(), name, {})
"""
    )

    project.up()

    assert project.outputs() == {"id": "made"}
    assert "2 unchanged" in project.up().output
    project.destroy()


def test_a_provider_plugin_written_in_python(new_project: NewProject) -> None:
    project = new_project(
        """
        import pulumi

        class Thing(pulumi.CustomResource):
            def __init__(self):
                super().__init__("things:index:Thing", "thing", {"size": 1})

        pulumi.export("id", Thing().id)
        """
    )
    plugin = project.folder / "plugin"
    plugin.mkdir()
    (plugin / "PulumiPlugin.yaml").write_text(
        f"runtime: {{name: python, options: {{virtualenv: {CHECKOUT / '.venv'}}}}}\n"
    )
    (plugin / "__main__.py").write_text(
        """
from concurrent import futures
import grpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")
    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse()
    def Check(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)
    def Create(self, request, context):
        return provider_pb2.CreateResponse(id="from-python", properties=request.properties)

server = grpc.server(futures.ThreadPoolExecutor(4))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
"""
    )
    yaml = (project.folder / "Pulumi.yaml").read_text()
    (project.folder / "Pulumi.yaml").write_text(f"{yaml}plugins: {{providers: [{{name: things, path: plugin}}]}}\n")

    project.up()

    assert project.outputs() == {"id": "from-python"}
    assert _processes_mentioning(str(plugin)) == [], "a plugin must not outlive the engine"


def _processes_mentioning(text: str) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if text in line and "ps -eo" not in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_program_ends_with_its_update(new_project: NewProject, number: signal.Signals) -> None:
    project = new_project(
        """
        import time
        from pathlib import Path
        Path("started").touch()
        time.sleep(600)
        """
    )
    process = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview", "--stack", "test"),
        cwd=project.folder, env=dict(project.environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until(lambda: (project.folder / "started").exists(), 60)

    os.kill(process.pid, number)

    assert process.wait(30) != 0
    until(lambda: _processes_mentioning(str(project.folder)) == [], 15)


def test_about_names_the_interpreter(new_project: NewProject) -> None:
    shown = new_project("").run("about").output

    assert str(CHECKOUT / ".venv" / "bin" / "python") in shown


def test_install_creates_the_environment_of_a_new_project(new_project: NewProject, tmp_path: Path) -> None:
    project = new_project("import json\n")
    yaml = (project.folder / "Pulumi.yaml").read_text()
    (project.folder / "Pulumi.yaml").write_text(yaml.replace(str(CHECKOUT / ".venv"), "fresh"))
    (project.folder / "requirements.txt").write_text("")

    shown = project.run("install").output

    assert "Creating virtual environment" in shown
    assert (project.folder / "fresh" / "bin" / "python").exists()
    result = project.preview(check=False)
    assert "The Pulumi SDK is not installed" in result.output
