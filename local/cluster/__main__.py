"""`python -m local.cluster up|down|status|purge`: the cluster alone, for work on it."""

from __future__ import annotations

import sys

from local import cluster, errors, progress, settings

_VERBS = ("up", "down", "status", "purge")


def main(arguments: list[str]) -> int:
    verb = arguments[0] if len(arguments) == 1 else ""
    if verb not in _VERBS:
        raise errors.MantaError(f"say one of {', '.join(_VERBS)}")
    chosen, reporter = settings.load(), progress.reporter()
    if verb == "up":
        from local.toolchain import build

        cluster.up(chosen, build.ensure(chosen, reporter), reporter)
    elif verb == "down":
        cluster.down(chosen, reporter)
    elif verb == "purge":
        cluster.purge(chosen, reporter)
    else:
        return _print_status(cluster.status(chosen))
    return 0


def _print_status(status: cluster.ClusterStatus) -> int:
    if not status.running:
        print("not running")
        return 1
    for component in status.components:
        health = "healthy" if component.healthy else "not healthy"
        last = f", last {component.last_exit}" if component.last_exit else ""
        facts = f"up {component.uptime_s:.0f} s, {component.restarts} restarts{last}"
        print(f"{component.name:20} {component.pid or '-':>8} {health:12} {facts}")
    return 0 if status.healthy else 1


if __name__ == "__main__":
    sys.exit(errors.run(lambda: main(sys.argv[1:])))
