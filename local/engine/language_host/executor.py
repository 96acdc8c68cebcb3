"""Runs one Pulumi program in this process; started by the language host with the program's own interpreter.

Nothing of Manta is imported here: the program's environment may hold nothing but Pulumi. Exit code 32 tells the host
that the person has already been told what is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ALREADY_REPORTED = 32
PR_SET_PDEATHSIG = 1
# What the engine answers to registrations that it no longer takes (Pulumi 3, pkg/resource/deploy/source_eval.go).
MONITOR_GONE = "resource monitor shut down"

MISSING_SDK = """
The Pulumi SDK is not installed in {executable}.
Run `pulumi install`, or `pip install -r requirements.txt` inside the virtual environment."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Execute a Pulumi Python program")
    for name in ("project", "root_directory", "stack", "monitor", "engine", "organization", "pwd"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("--dry_run", default="false")
    parser.add_argument("program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args()


def die_with_host() -> None:
    """A host killed with SIGKILL cannot stop its program, which would go on waiting for an engine that is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def entry_file(program: str) -> Path:
    path = Path(program).resolve()
    return path / "__main__.py" if path.is_dir() else path


def user_traceback(entry: Path) -> str:
    """The current exception's traceback without the frames above the program's entry point."""
    kind, error, trace = sys.exc_info()
    frame = trace
    while frame is not None and Path(frame.tb_frame.f_code.co_filename).resolve() != entry:
        frame = frame.tb_next
    return "".join(traceback.format_exception(kind, error, frame or trace))


def monitor_is_gone(error: BaseException | None) -> bool:
    """Whether `error` came of a call that the engine ended because it had stopped at an error or a Ctrl-C of its own.

    The engine has said why; the SDK knows only of connections that are gone, and would raise this one.
    """
    while error is not None:
        if MONITOR_GONE in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def main() -> int:
    arguments = parse_arguments()
    die_with_host()
    try:
        import pulumi
        import pulumi.runtime
    except ImportError:
        print(traceback.format_exc() + MISSING_SDK.format(executable=sys.executable), file=sys.stderr)
        return ALREADY_REPORTED

    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=arguments.monitor,
            engine=arguments.engine,
            project=arguments.project,
            stack=arguments.stack,
            parallel=arguments.parallel,
            dry_run=arguments.dry_run == "true",
            organization=arguments.organization,
            root_directory=arguments.root_directory,
        )
    )
    entry = entry_file(arguments.program)
    if not entry.exists():
        pulumi.log.error(f"There is no program at {entry}: check `main` in Pulumi.yaml.")
        return ALREADY_REPORTED

    sys.argv = [arguments.program, *arguments.arguments]
    # A script's folder comes first on sys.path; without this it would be the folder of this file.
    sys.path[0] = str(entry.parent)
    if arguments.pwd:
        os.chdir(arguments.pwd)

    # A failed resource leaves futures that nothing awaits; asyncio's warnings about them are noise for a person.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Every registration blocks a thread until the engine answers; four a resource operation is the SDK's own measure.
    executor = ThreadPoolExecutor(max_workers=max(arguments.parallel, 1) * 4)
    loop.set_default_executor(executor)

    def run_program() -> None:
        runpy.run_path(arguments.program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run_program))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return ALREADY_REPORTED
    except Exception as error:
        if not monitor_is_gone(error):
            pulumi.log.error(f"Program failed with an unhandled exception:\n{user_traceback(entry)}")
        return ALREADY_REPORTED
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
