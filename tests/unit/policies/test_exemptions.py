"""Exemptions: whole or refused, in force until their day, and always in sight."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies import drills
from policies.exemptions import Exemption, ExemptionError, load
from policies.pack import LEVEL_VARIABLE
from tests.unit.policies.analyzer import ADVISORY, MANDATORY, PACK, Analyzer, kind_of
from tests.unit.policies.good import bent, run

RULES = ("ray-head-idle", "pods-restricted")
WHOLE: dict[str, Any] = {
    "rule": "ray-head-idle", "resource": "urn:pulumi:serve-prod::manta::*::job", "reason": "a test of it",
    "expires": datetime.date(2030, 1, 31),
}  # fmt: skip
DRILL: dict[str, Any] = {
    "bundle": "c0de" * 16, "drill": "one of two workers deleted in epoch 3", "stack": "train-dev-drill",
    "day": "2026-11-02", "passed": True,
}  # fmt: skip
BUSY = bent(run(), "spec/rayClusterSpec/headGroupSpec/rayStartParams", {})


def write(folder: Path, *entries: Any) -> Path:
    path = folder / "exemptions.yaml"
    path.write_text(yaml.safe_dump(list(entries)))
    return path


def test_a_whole_exemption_is_read(tmp_path: Path) -> None:
    (found,) = load(write(tmp_path, WHOLE), RULES)
    assert found == Exemption(**WHOLE)
    assert found.covers("ray-head-idle", "urn:pulumi:serve-prod::manta::kubernetes:ray.io/v1:RayJob::job")
    assert not found.covers("ray-head-idle", "urn:pulumi:serve-prod::manta::kubernetes:ray.io/v1:RayJob::other")
    assert (found.holds(datetime.date(2030, 1, 31)), found.holds(datetime.date(2030, 2, 1))) == (True, False)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**WHOLE, "rule": "ray-head-idel"}, "ray-head-idel is no rule (did you mean ray-head-idle?)"),
        ({**WHOLE, "reason": ""}, "names no reason"),
        ({key: value for key, value in WHOLE.items() if key != "expires"}, "names no expires"),
        ({**WHOLE, "expires": "soon"}, "expires soon is no day"),
        ({**WHOLE, "resource": "**"}, "is every resource"),
        ({**WHOLE, "until": 1}, "until is no key"),
        ("ray-head-idle", "is no mapping"),
    ],
)
def test_an_exemption_that_is_not_whole_is_refused(tmp_path: Path, entry: Any, words: str) -> None:
    with pytest.raises(ExemptionError) as caught:
        load(write(tmp_path, entry), RULES)
    assert words in str(caught.value)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the pack, with exemptions and drills of its own."""
    return Path(shutil.copytree(PACK, tmp_path / "policies", ignore=shutil.ignore_patterns("__pycache__")))


def test_an_exemption_waives_its_rule_for_its_resource_and_stays_in_sight(pack: Path) -> None:
    write(pack, WHOLE, {**WHOLE, "rule": "pods-restricted", "resource": "*::gone"})
    with Analyzer("serve-prod", pack) as analyzer:
        kind = kind_of(BUSY)
        left = {said.rule for said in analyzer.resource(kind, BUSY, name="job")}
        assert left == {"ray-drill-recorded", "spot-head-on-demand"}
        assert "ray-head-idle" in [said.rule for said in analyzer.resource(kind, BUSY, name="other")]
        (shown,) = [said for said in analyzer.whole({"job": (kind, BUSY)}) if said.rule == "exempted"]
        assert "ray-head-idle is waived until 2030-01-31: a test of it" in shown.message
        assert shown.level == ADVISORY


def test_an_expired_exemption_waives_nothing_and_says_so(pack: Path) -> None:
    write(pack, {**WHOLE, "expires": datetime.date(2020, 1, 1)})
    with Analyzer("serve-prod", pack) as analyzer:
        (said,) = [said for said in analyzer.resource(kind_of(BUSY), BUSY, name="job") if said.rule == "ray-head-idle"]
        assert "its exemption expired on 2020-01-01" in said.message
        assert said.level == MANDATORY


def test_a_pack_with_a_broken_exemption_does_not_start_and_says_why(pack: Path) -> None:
    write(pack, {**WHOLE, "rule": "no-such-rule"})
    with Analyzer("serve-prod", pack) as analyzer:
        assert not analyzer.started
        assert "error: policies/exemptions.yaml, entry 1: no-such-rule is no rule" in analyzer.errors()


def test_a_recorded_drill_lets_its_bundle_into_production(pack: Path) -> None:
    (pack / "drills.json").write_text(json.dumps([DRILL]))
    with Analyzer("serve-prod", pack) as analyzer:
        assert "ray-drill-recorded" not in [said.rule for said in analyzer.resource(kind_of(run()), run())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "drills.json is no JSON"),
        ("{}", "drills.json holds no list"),
        ("[1]", "entry 1 is no mapping"),
        (json.dumps([DRILL, {"bundle": "c0de" * 16, "passed": True}]), "entry 2: a drill has bundle, drill, stack"),
        (json.dumps([{**DRILL, "bundle": "main"}]), "bundle main is no hash"),
        (json.dumps([{**DRILL, "passed": "yes"}]), "passed yes is neither"),
        (json.dumps([{**DRILL, "day": "soon"}]), "day soon is no day"),
        (json.dumps([{**DRILL, "drill": ""}]), "say in `drill` what was taken away"),
    ],
)
def test_a_record_of_drills_that_is_not_whole_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "drills.json").write_text(text)
    with pytest.raises(drills.DrillError) as caught:
        drills.load(tmp_path / "drills.json")
    assert words in str(caught.value)


def test_a_drill_that_was_not_passed_lets_nothing_into_production(tmp_path: Path) -> None:
    (tmp_path / "drills.json").write_text(json.dumps([{**DRILL, "passed": False}]))
    assert drills.load(tmp_path / "drills.json") == frozenset()


def test_the_level_can_only_be_made_stricter() -> None:
    with Analyzer("serve-local", **{LEVEL_VARIABLE: "mandatory"}) as strict:
        assert {said.level for said in strict.resource(kind_of(BUSY), BUSY)} == {MANDATORY}
    with Analyzer("serve-prod", **{LEVEL_VARIABLE: "advisory"}) as loose:
        assert not loose.started
        assert "MANTA_POLICY_LEVEL=advisory cannot be used" in loose.errors()
