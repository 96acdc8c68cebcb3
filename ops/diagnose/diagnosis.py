"""From complaints to causes: pure, so that every known failure is tested with what was once recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.plain import section
from ops.diagnose.causes_nodes import CAUSES as NODES
from ops.diagnose.causes_pods import CAUSES as PODS
from ops.diagnose.causes_ray import PROGRAMS, RUNS
from ops.diagnose.evidence import Evidence, Thing, name_of
from ops.diagnose.signals import PLACES, Place, Signal, signals

CAUSES = (*NODES, *PODS, *PROGRAMS, *RUNS)
UNKNOWN = "unknown"
# What follows from another cause: said only where nothing else is known of the same thing.
_CONSEQUENCES = frozenset(
    {"crash", "init-failed", "run-failed", "run-not-submitted", "serve-failed", "readiness", "serve-head-busy"}
)
# Why there is no machine, and what the scheduler says of those that are there for as long as it does not come.
_NO_MACHINE = frozenset(
    {"pool-limit", "spot-quota", "vcpu-quota", "no-capacity", "no-type-fits", "spot-role-missing", "subnet-full"}
)
_WAITING = frozenset({"no-gpu", "too-large", "taint", "selector", "spread"})
# Complaints that need no explanation when they are the only ones: things on their way.
_MUST_EXPLAIN: frozenset[Place] = frozenset({"create", "schedule", "end", "stuck"})
_LOST = ("Failed", "ValidationFailed")
_MOST_WORDS = 300


@dataclass(frozen=True)
class Finding:
    """One cause and all that suffer from it. `said` is the complaint that gave it away, shortened."""

    cause: str
    things: tuple[str, ...]
    said: str
    why: str
    fix: str


def diagnose(evidence: Evidence) -> list[Finding]:
    """What is wrong, the first causes first; empty where nothing is."""
    found: dict[tuple[str, str, str], tuple[list[str], Signal]] = {}
    explained: dict[str, list[tuple[str, str, str]]] = {}
    unexplained: list[Signal] = []
    for signal in signals(evidence):
        key = _explain(signal)
        if key is None:
            unexplained.append(signal)
            continue
        name = name_of(signal.thing)
        known = explained.setdefault(name, [])
        # An object often says the same in its events and in its status.
        if key[0] not in (each[0] for each in known):
            things, _ = found.setdefault(key, ([], signal))
            things.append(name)
            known.append(key)
    for name, keys in explained.items():
        for key in _weak(keys):
            things, _ = found[key]
            things[:] = [each for each in things if each != name]
    findings = [
        (PLACES.index(signal.place), Finding(key[0], tuple(dict.fromkeys(things)), _short(signal.text), *key[1:]))
        for key, (things, signal) in found.items()
        if things
    ]
    findings += [(len(PLACES), each) for each in _unknown(unexplained, set(explained))]
    return [finding for _, finding in sorted(findings, key=lambda pair: pair[0])]


def _explain(signal: Signal) -> tuple[str, str, str] | None:
    for cause in CAUSES:
        if words := cause.explains(signal):
            return cause.name, words[0].strip(), words[1]
    return None


def _weak(keys: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Of the causes of one thing those that say less than another: an end that its own log explains."""
    weak = _CONSEQUENCES | (_WAITING if any(key[0] in _NO_MACHINE for key in keys) else frozenset[str]())
    strong = [key for key in keys if key[0] not in weak]
    return [key for key in keys if key[0] in weak] if strong else []


def _unknown(signals: list[Signal], explained: set[str]) -> Iterator[Finding]:
    said: set[str] = set()
    for signal in signals:
        name = name_of(signal.thing)
        lost = section(signal.thing, "status").get("jobDeploymentStatus") in _LOST
        if name in explained or name in said or not (signal.place in _MUST_EXPLAIN or lost):
            continue
        said.add(name)
        why = "not among the known failures: what it says itself is all there is"
        yield Finding(UNKNOWN, (name,), _short(signal.text), why, f"kubectl describe {_kubectl(signal.thing)}")


def _kubectl(thing: Thing) -> str:
    metadata = section(thing, "metadata")
    namespace = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{str(thing.get('kind', '')).lower()} {metadata.get('name')}{namespace}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _MOST_WORDS else plain[: _MOST_WORDS - 1] + "…"
