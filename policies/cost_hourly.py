"""What a stack may cost an hour at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policies import limits, prices
from policies.facts import GPU
from policies.pods import RAY, groups, pods_at_most
from policies.rule import About, Finding, Resource, Stack
from policies.spot import NODE_POOL
from policies.values import Values, at, entries, items, number, section

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
_FAMILY, _SIZE = "karpenter.k8s.aws/instance-family", "karpenter.k8s.aws/instance-size"
_TYPE = "node.kubernetes.io/instance-type"


@About(
    "cost-hourly-ceiling", "cost", "high",
    "What may be launched will be, on the night when something goes wrong; its price is best known before.",
    "lower the NodePools' limits or leave dear machines out, or raise the environment's usd_an_hour in "
    "policies/limits.json in a change of its own",
).stack()  # fmt: skip
def hourly_ceiling(stack: Stack) -> Iterator[Finding]:
    """Every pool at its limits, with the machines that cost most for it, at on-demand prices."""
    most = limits.load().usd_an_hour.get(stack.environment)
    if most is None:
        return
    parts: dict[str, float] = {}
    for resource in stack.of(NODE_POOL, NODE_GROUP, *RAY):
        usd, unpriced = _usd(resource)
        if unpriced:
            named = ", ".join(unpriced[:3])
            yield Finding(f"{resource.name}: no price of {named} is known, and so not what it may cost", resource.urn)
        if usd:
            parts[resource.name] = parts.get(resource.name, 0.0) + usd
    if (total := sum(parts.values())) > most:
        dearest = sorted(parts.items(), key=lambda part: -part[1])[:3]
        yield Finding(
            f"up to {total:.0f} USD an hour at on-demand prices "
            f"({', '.join(f'{name} {usd:.0f}' for name, usd in dearest)}), and {stack.environment} may cost {most:g}"
        )


def _usd(resource: Resource) -> tuple[float, list[str]]:
    """USD an hour at most, and the types that have no price."""
    if resource.type == NODE_POOL:
        return _pool(section(resource.props, "spec"))
    if resource.type == NODE_GROUP:
        nodes = number(at(resource.props, "scalingConfig", "maxSize")) or 0
        return _dearest([str(name) for name in items(resource.props, "instanceTypes")], nodes)
    total, unpriced = 0.0, list[str]()
    for group in groups(resource):
        # Without a type of its own it takes what a NodePool launches, which is counted there.
        if chosen := at(group.pod.spec, "nodeSelector", _TYPE):
            usd, missing = _dearest([str(chosen)], pods_at_most(group))
            total, unpriced = total + usd, unpriced + missing
    return total, unpriced


def _dearest(names: list[str], nodes: float) -> tuple[float, list[str]]:
    table = prices.load()
    known = [table[name].hourly for name in names if name in table]
    return nodes * max(known, default=0.0), [name for name in names if name not in table]


def _pool(spec: Values) -> tuple[float, list[str]]:
    """A limit of GPUs bounds a pool of GPU machines, one of CPUs any other; a pool without either is another rule's."""
    types, unpriced = _types(entries(spec, "template", "spec", "requirements"))
    bound = section(spec, "limits")
    gpus, cpus = number(at(bound, GPU)), number(at(bound, "cpu"))
    if gpus is not None:
        return gpus * max((each.hourly / each.gpus for each in types.values() if each.gpus), default=0.0), unpriced
    if cpus is not None:
        return cpus * max((each.hourly / each.cpus for each in types.values()), default=0.0), unpriced
    return 0.0, unpriced


def _types(requirements: list[Values]) -> tuple[Mapping[str, prices.Machine], list[str]]:
    """The machines that requirements let in, and families among them of which no price is known."""
    wanted = {
        str(at(one, "key")): [str(value) for value in items(one, "values")]
        for one in requirements
        if at(one, "operator") == "In"
    }
    families, sizes, names = wanted.get(_FAMILY), wanted.get(_SIZE), wanted.get(_TYPE)
    found = {
        name: machine
        for name, machine in prices.load().items()
        if (families is None or name.partition(".")[0] in families)
        and (sizes is None or name.partition(".")[2] in sizes)
        and (names is None or name in names)
    }
    unpriced = [name for name in names or () if name not in found]
    unpriced += [name for name in families or () if not any(each.startswith(f"{name}.") for each in prices.load())]
    return found, unpriced
