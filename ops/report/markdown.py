"""The comment: what stops the change, then what it does, then the details, in at most 60,000 characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ops.prices.table import HOURS_A_MONTH, Table
from ops.report.diff import Difference, differences
from ops.report.preview import Change, Violation
from ops.report.text import UNKNOWN, code, sentence, value
from ops.report.weigh import ALLOW_LABEL, Danger, Weighed

# GitHub refuses a comment of more than 65,536 characters.
MOST = 60_000
# The comment is found again by this line, and updated instead of repeated.
MARKER = "<!-- manta: ops report -->"
_MOST_DANGERS, _MOST_RULES, _MOST_CHANGES, _MOST_FIELDS, _MOST_LINES = 40, 40, 60, 12, 20
_WORDS = {"create": "created", "update": "changed", "replace": "replaced", "delete": "deleted"}
Item = TypeVar("Item")


def comment(stacks: Sequence[Weighed], prices: Table, link: str = "") -> str:
    """The whole comment; what must be read comes first, and only details are left out when it grows too long."""
    head = "\n".join([MARKER, *_verdict(stacks), "", *_overview(stacks)])
    must = [*_each(stacks, _dangers), *_each(stacks, _rules), *_each(stacks, _meaning), *_costs(stacks, prices)]
    details = [*_each(stacks, _advice), *_each(stacks, _changes)]
    more = f" The whole is in [the workflow's run]({link})." if link else " The whole is in the workflow's artifacts."
    left_out = f"\n\n_Details were left out, since the comment would be longer than {MOST:,} characters.{more}_\n"
    text = head
    for block in [*must, *details]:
        if len(text) + len(block) + 2 > MOST - len(left_out):
            return text + left_out
        text += f"\n\n{block}"
    return text + "\n"


def _verdict(stacks: Sequence[Weighed]) -> list[str]:
    blocked = [(each.preview.stack, reason) for each in stacks for reason in each.blocked]
    allowed = [f"{sentence(each.preview.stack)}: {line}" for each in stacks for line in each.allowed]
    if not stacks:
        return ["### No stack changes"]
    if blocked:
        lines = ["### ⛔ This change is blocked", ""]
        lines += [f"- {code(stack)}: **{reason}**" for stack, reason in blocked]
        if any(each.dangers for each in stacks):
            lines.append(f"- if it is meant: back up what would be lost, then add the label `{ALLOW_LABEL}`")
        return [*lines, *(f"- {line}" for line in allowed)]
    quiet = all(not each.preview.changes for each in stacks)
    title = "### ✅ Nothing would change" if quiet else "### ✅ Nothing destructive, no rule broken"
    return [title if not allowed else "### ⚠️ Destructive, and allowed", *(f"- {line}" for line in allowed)]


def _overview(stacks: Sequence[Weighed]) -> list[str]:
    lines = [
        "| stack | created | changed | **replaced** | **deleted** | USD a month | GPUs at most |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in stacks[:50]:
        counts = [sum(change.operation == name for change in each.preview.changes) for name in _WORDS]
        money = _money(each.bill_before.high, each.bill.high)
        gpus = [sum(entry.high for entry in found.gpus) for found in (each.bill_before, each.bill)]
        cells = [str(counts[0]), str(counts[1]), *(f"**{count}**" if count else "0" for count in counts[2:])]
        shown = f"{gpus[1]:g}" if gpus[0] == gpus[1] else f"{gpus[0]:g} → {gpus[1]:g}"
        lines.append(f"| {code(each.preview.stack)} | {' | '.join(cells)} | {money} | {shown} |")
    return [*lines, *([f"_and {len(stacks) - 50} more stacks_"] if len(stacks) > 50 else [])]


def _dangers(stack: Weighed) -> str:
    if not stack.dangers:
        return ""
    title = f"#### {code(stack.preview.stack)}: what would be lost"
    return "\n".join([title, "", *_some(stack.dangers, _MOST_DANGERS, _danger)])


def _danger(danger: Danger) -> str:
    change = danger.change
    because = f", because {_reason(change)}" if change.operation == "replace" and change.forced_by else ""
    pending = "; not of this change: the base branch would do it too" if danger.pending else ""
    word = _WORDS[change.operation].upper()
    return f"- **{word}: {code(change.name)}** {code(change.type)} ({' and '.join(danger.reasons)}){because}{pending}"


def _reason(change: Change) -> str:
    """What forces a replacement; a value that is not known yet follows from the replacement of something else."""
    own = [path for path in change.forced_by if UNKNOWN not in str(change.new.get(path.partition(".")[0]))]
    if not own:
        return "what it stands on is replaced"
    return f"{', '.join(code(path) for path in own[:3])} cannot be changed in place"


def _rules(stack: Weighed) -> str:
    parts: list[str] = []
    name = code(stack.preview.stack)
    if stack.preview.errors and not stack.mandatory:
        errors = _some(stack.preview.errors, 5, lambda error: f"- {sentence(error, 600)}")
        parts.append("\n".join([f"#### {name}: the preview failed", "", *errors]))
    if stack.mandatory:
        parts.append(
            "\n".join([f"#### {name}: rules that it breaks", "", *_some(stack.mandatory, _MOST_RULES, _violation)])
        )
    if stack.unjudged:
        lines = _some(stack.unjudged, _MOST_RULES, _violation)
        parts.append("\n".join([f"#### {name}: rules that cannot be judged before the update", "", *lines]))
    return "\n\n".join(parts)


def _advice(stack: Weighed) -> str:
    if not stack.advisory:
        return ""
    count = len(stack.advisory)
    title = f"{code(stack.preview.stack)}: {count} warning{'' if count == 1 else 's'} of the policy pack"
    return _folded(title, _some(stack.advisory, _MOST_RULES, _violation))


def _violation(violation: Violation) -> str:
    name = violation.urn.rsplit("::", 1)[-1]
    where = f" {code(name)}:" if name else ""
    return f"- **{code(violation.rule)}** ({sentence(violation.severity)}){where} {sentence(violation.message)}"


def _meaning(stack: Weighed) -> str:
    if not stack.meaning:
        return ""
    lines = _some(stack.meaning, _MOST_LINES, lambda line: f"- {sentence(line)}")
    return "\n".join([f"#### {code(stack.preview.stack)}: what it means for runs and endpoints", "", *lines])


def _costs(stacks: Sequence[Weighed], prices: Table) -> list[str]:
    lines: list[str] = []
    for each in stacks:
        before, after = each.bill_before.by_component(), each.bill.by_component()
        for component in sorted({*before, *after}):
            old, new = before.get(component, (0.0, 0.0)), after.get(component, (0.0, 0.0))
            if old != new:
                hourly = f"{old[1]:.3f} → {new[1]:.3f}"
                lines.append(
                    f"| {code(each.preview.stack)} | {sentence(component)} | {hourly} | {_money(old[1], new[1])} |"
                )
    # What costs as much as before, known or not, is no news.
    notes = [
        sentence(line)
        for each in stacks
        for line in each.bill.unpriced
        if lines or line not in each.bill_before.unpriced
    ]
    if not lines and not notes:
        return []
    parts = ["#### Cost"]
    if lines:
        head = ["| stack | component | USD an hour, at most | USD a month, at most |", "|---|---|--:|--:|"]
        parts.append("\n".join([*head, *lines[:_MOST_LINES]]))
    if notes:
        parts.append("\n".join(["In no sum:", "", *_some(notes, _MOST_LINES, lambda note: f"- {note}")]))
    parts.append(f"<sub>{sentence(prices.about)}</sub>")
    return ["\n\n".join(parts)]


def _changes(stack: Weighed) -> str:
    changes = sorted(stack.preview.changes, key=lambda change: (list(_WORDS)[::-1].index(change.operation), change.urn))
    if not changes:
        return ""
    title = f"{code(stack.preview.stack)}: {f'all {len(changes)} changes' if len(changes) > 1 else 'the change'}"
    return _folded(title, _some(changes, _MOST_CHANGES, lambda change: _change(change, stack.pending)))


def _change(change: Change, pending: frozenset[str]) -> str:
    also = " _(pending on the base branch too)_" if change.urn in pending else ""
    line = f"- {_WORDS[change.operation]} {code(change.name)} {code(change.type)}{also}"
    if change.operation not in ("update", "replace"):
        return line
    # What a Secret holds is secret whatever it is called.
    hidden = change.type == "kubernetes:core/v1:Secret"
    found = [each for each in differences(change.old, change.new) if not hidden or each.path.startswith("metadata")]
    fields = _some(found, _MOST_FIELDS, _field)
    return "\n".join([line, *fields])


def _field(found: Difference) -> str:
    return f"  - {code(found.path)} {value(found.path, found.old)} → {value(found.path, found.new)}"


def _some(items: Sequence[Item], most: int, shown: Callable[[Item], str]) -> list[str]:
    lines = [shown(item) for item in items[:most]]
    return [*lines, f"- _and {len(items) - most} more_"] if len(items) > most else lines


def _folded(title: str, lines: Sequence[str]) -> str:
    return "\n".join(["<details><summary>" + title.replace("`", "") + "</summary>", "", *lines, "", "</details>"])


def _each(stacks: Iterable[Weighed], part: Callable[[Weighed], str]) -> list[str]:
    return [text for stack in stacks if (text := part(stack))]


def _money(before: float, after: float) -> str:
    difference = (after - before) * HOURS_A_MONTH
    return f"{after * HOURS_A_MONTH:,.0f}" + (f" ({difference:+,.0f})" if abs(difference) >= 0.5 else "")
