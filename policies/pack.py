"""Rules as policies of the engine: levels, exemptions and what happens to values that are not known yet."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies import drills
from policies.catalogue import RULES
from policies.exemptions import Exemption, ExemptionError, load
from policies.rule import Resource, Rule, Stack, environment_of
from policies.values import Values

LEVEL_VARIABLE = "MANTA_POLICY_LEVEL"
# Where a violation is a warning; everywhere else, also under a name that is not known, it stops the update.
ADVISORY_ENVIRONMENTS = ("local", "sim", "dev")
EXEMPTIONS_FILE = "exemptions.yaml"
EXEMPTED = "exempted"


class PackError(Exception):
    """One sentence: why the pack cannot be used."""


class Pack:
    """The policies, for a stack whose name comes later; until then they are mandatory, as for a name nobody knows."""

    def __init__(self, exemptions: list[Exemption], variables: Mapping[str, str], today: datetime.date) -> None:
        self._variables = variables
        self._judge = Judge(exemptions, today)
        self.rules: list[Policy] = [self._judge.policy(rule) for rule in RULES]
        self.policies: list[Policy] = [*self.rules, self._judge.shown_exemptions()]
        self.configure("")

    def configure(self, stack: str) -> None:
        self._judge.stack = stack
        level = level_of(environment_of(stack), self._variables)
        for policy in self.rules:
            policy.enforcement_level = level


def make(variables: Mapping[str, str], folder: Path, today: datetime.date | None = None) -> Pack:
    """The pack with the exemptions in `folder`; raises PackError where its own files are not whole."""
    try:
        exemptions = load(folder / EXEMPTIONS_FILE, [rule.name for rule in RULES])
        drills.load(drills.FILE)
    except (ExemptionError, drills.DrillError) as error:
        raise PackError(f"policies/{error}") from None
    return Pack(exemptions, variables, today or datetime.datetime.now(datetime.UTC).date())


def level_of(environment: str, variables: Mapping[str, str]) -> EnforcementLevel:
    """Mandatory but in environments for trying things out; MANTA_POLICY_LEVEL can only make it stricter."""
    asked = variables.get(LEVEL_VARIABLE)
    if asked not in (None, "", "mandatory"):
        raise PackError(f"{LEVEL_VARIABLE}={asked} cannot be used: it can only be mandatory, which is stricter")
    if environment in ADVISORY_ENVIRONMENTS and not asked:
        return EnforcementLevel.ADVISORY
    return EnforcementLevel.MANDATORY


@dataclass
class Judge:
    """Runs rules for one stack. A value that is unknown leaves as the SDK's UnknownValueError, which the engine shows
    as a rule that it could not run; `ops report` takes that for a failure where rules are mandatory."""

    exemptions: list[Exemption]
    today: datetime.date
    stack: str = ""

    def policy(self, rule: Rule) -> Policy:
        common: dict[str, Any] = {
            "name": rule.name,
            "description": rule.why,
            "severity": Severity(rule.severity),
            "remediation_steps": rule.fix,
            "tags": [rule.category],
        }
        if rule.check_stack is not None:
            return StackValidationPolicy(**common, validate=lambda args, report: self._stack(rule, args, report))
        return ResourceValidationPolicy(**common, validate=lambda args, report: self._resource(rule, args, report))

    def shown_exemptions(self) -> Policy:
        """Exemptions that are in force here, so that they stay in sight."""

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            for resource in args.resources:
                for exemption in self.exemptions:
                    if exemption.covers(exemption.rule, resource.urn) and exemption.holds(self.today):
                        report(
                            f"{exemption.rule} is waived until {exemption.expires}: {exemption.reason}", resource.urn
                        )

        return StackValidationPolicy(
            name=EXEMPTED,
            description="Rules that are waived for a resource, why, and until when.",
            validate=validate,
            enforcement_level=EnforcementLevel.ADVISORY,
            severity=Severity.LOW,
        )

    def _resource(self, rule: Rule, args: ResourceValidationArgs, report: ReportViolation) -> None:
        if rule.check is None or (rule.types and args.resource_type not in rule.types):
            return
        if self._waived(rule.name, args.urn):
            return
        for problem in rule.check(_resource(args, environment_of(self.stack))):
            report(self._sentence(rule, problem, args.urn), None)

    def _stack(self, rule: Rule, args: StackValidationArgs, report: ReportViolation) -> None:
        if rule.check_stack is None:
            return
        environment = environment_of(self.stack)
        resources = [_resource(each, environment) for each in args.resources]
        root = f"urn:pulumi:{self.stack}::stack"
        for finding in rule.check_stack(Stack(self.stack, environment, resources)):
            if not self._waived(rule.name, finding.urn or root):
                report(self._sentence(rule, finding.message, finding.urn or root), finding.urn or None)

    def _waived(self, rule: str, urn: str) -> bool:
        return any(exemption.holds(self.today) for exemption in self._covering(rule, urn))

    def _sentence(self, rule: Rule, problem: str, urn: str) -> str:
        expired = [exemption for exemption in self._covering(rule.name, urn) if not exemption.holds(self.today)]
        over = f" (its exemption expired on {expired[-1].expires})" if expired else ""
        return f"{problem}{over}: {rule.fix}"

    def _covering(self, rule: str, urn: str) -> Iterator[Exemption]:
        return (exemption for exemption in self.exemptions if exemption.covers(rule, urn))


def _resource(args: ResourceValidationArgs | PolicyResource, environment: str) -> Resource:
    provider: Values = args.provider.props if args.provider else {}
    return Resource(args.resource_type, args.name, args.urn, args.props, args.opts.protect, environment, provider)
