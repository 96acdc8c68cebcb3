"""The pack as the engine starts it. Building it blocks: the constructor serves the engine until it is ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# The engine runs this folder as a script; imports start from the project's folder.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != HERE)]

from pulumi_policy import EnforcementLevel, PolicyPack  # noqa: E402

from policies import pack, sdk  # noqa: E402


def main() -> None:
    made = pack.make(os.environ, HERE)
    sdk.tell_stack(made.configure)
    sdk.read_each_resource_once()
    PolicyPack(
        name="manta",
        policies=made.policies,
        enforcement_level=EnforcementLevel.MANDATORY,
        description="Ray on Kubernetes, kept safe",
    )


try:
    main()
except pack.PackError as error:
    # The engine shows what a pack prints before it says that the pack did not start.
    print(f"error: {error}", file=sys.stderr, flush=True)
    sys.exit(1)
