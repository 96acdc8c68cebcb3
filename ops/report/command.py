"""`ops report`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from local.errors import MantaError
from ops.exits import Exit
from ops.prices.table import HOURS_A_MONTH, load
from ops.report.markdown import comment
from ops.report.preview import Preview
from ops.report.read import read
from ops.report.weigh import ALLOW_LABEL, Weighed, weigh
from ops.show import Json, as_json

_ABSENT = "its preview left nothing: see the log of its job"
_STACK = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def report(
    head: Annotated[Path, typer.Argument(help="The change's preview: <stack>.json, or a folder of such files.")],
    base: Annotated[Path | None, typer.Option(help="The same of the branch that the change goes to.")] = None,
    label: Annotated[list[str] | None, typer.Option(help=f"A label of the pull request, as {ALLOW_LABEL}.")] = None,
    expect: Annotated[str, typer.Option(help="The stacks that must be there, as JSON; one that is not blocks.")] = "[]",
    link: Annotated[str, typer.Option(help="Where the rest is, if the comment is too long for it.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the comment to this file instead of stdout.")] = None,
    as_data: Json = False,
) -> None:
    """Say in one Markdown comment what a change would do. Exit status 1: it must not be merged as it is.

    Reads what `pulumi preview --json` writes. With PULUMI_ENABLE_STREAMING_JSON_PREVIEW=1 that holds the policies'
    results too; without them a change of a prod stack is blocked.
    """
    bases = _bases(base) if base else {}
    prices = load()
    wanted = _expected(expect)
    # Where every preview failed to run there is no folder, which must be said in the comment, not beside it.
    heads = {} if wanted and not head.exists() else _previews(head)
    heads |= {stack: Preview(stack, errors=[_ABSENT]) for stack in wanted if stack not in heads}
    if not heads:
        raise MantaError(f"{head} holds no preview: give the folder that `ops preview` wrote <stack>.json into")
    weighed = [weigh(found, bases.get(stack), prices, frozenset(label or ())) for stack, found in heads.items()]
    if as_data:
        as_json([_as_dict(each) for each in weighed])
    else:
        text = comment(weighed, prices, link)
        if out:
            out.write_text(text)
        else:
            typer.echo(text, nl=False)
    if any(each.blocked for each in weighed):
        raise typer.Exit(Exit.FOUND)


def _expected(text: str) -> list[str]:
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(_STACK.fullmatch(str(stack)) for stack in cast(list[Any], value)):
        raise MantaError(f"--expect {text!r} is no JSON list of stacks: pass what `ops changed --json` writes")
    return [str(stack) for stack in cast(list[Any], value)]


def _previews(path: Path) -> dict[str, Preview]:
    """Of a folder, one that cannot be read is a preview that failed: what the others say is shown all the same."""
    if not path.exists():
        raise MantaError(f"{path} does not exist: give the file or folder that `pulumi preview --json` was written to")
    if not path.is_dir():
        return {path.stem: read(path, _stack(path))}
    found: dict[str, Preview] = {}
    for file in sorted(path.glob("*.json")):
        stack = _stack(file)
        try:
            found[stack] = read(file, stack)
        except MantaError as error:
            found[stack] = Preview(stack, errors=[error.sentence])
    return found


def _bases(path: Path) -> dict[str, Preview]:
    """The base branch's previews. They only say what the change is not to blame for: without them it is for all."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found: dict[str, Preview] = {}
    for file in files:
        try:
            found[file.stem] = read(file, _stack(file))
        except MantaError as error:
            typer.echo(f"no preview of the base branch: {error.sentence}", err=True)
    return found


def _stack(file: Path) -> str:
    if not _STACK.fullmatch(file.stem):
        raise MantaError(f"{file}: {file.stem!r} names no stack: call the file <stack>.json")
    return file.stem


def _as_dict(weighed: Weighed) -> dict[str, object]:
    preview = weighed.preview
    return {
        "stack": preview.stack,
        "blocked": weighed.blocked,
        "allowed": weighed.allowed,
        "judged": preview.judged,
        "changes": [
            {"operation": each.operation, "urn": each.urn, "type": each.type, "protected": each.protected}
            for each in preview.changes
        ],
        "dangers": [{"urn": each.change.urn, "reasons": each.reasons} for each in weighed.dangers],
        "violations": [asdict(each) for each in preview.violations],
        "meaning": weighed.meaning,
        "usd_a_month": {"before": weighed.bill_before.high * HOURS_A_MONTH, "after": weighed.bill.high * HOURS_A_MONTH},
        "unpriced": weighed.bill.unpriced,
        "errors": preview.errors,
    }
