"""The image of the runs after it was pushed: its signature, and the pull request that names it in a stack file."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from typing import Annotated, Any

import typer
import yaml

from local.errors import MantaError
from ops.exits import Exit
from ops.github import Output, leave
from ops.github_api import GitHub

app = typer.Typer(no_args_is_help=True, help="Sign the image of the runs, and propose it to an environment.")
Image = Annotated[str, typer.Argument(help="By digest: registry/name@sha256:<64 hex digits>.")]


@app.command()
def sign(image: Image) -> None:
    """Sign an image by cosign with the identity of the workflow that runs, without a key that could be lost."""
    _digest(image)
    cosign = shutil.which("cosign")
    if cosign is None:
        raise MantaError("cosign is not on PATH: install it (https://docs.sigstore.dev), then sign again")
    if subprocess.run([cosign, "sign", "--yes", image], check=False).returncode:
        raise MantaError(f"cosign did not sign {image}: its reason is above; the image stays unsigned and unused")
    typer.echo(f"signed {image}")


@app.command()
def name(image: Image, output: Output) -> None:
    """Leave an image's name for the jobs that follow."""
    _digest(image)
    leave(output, image)


@app.command()
def bump(
    image: Image,
    environment: Annotated[str, typer.Option(help="The environment whose platform's file names the image.")],
    repository: Annotated[str, typer.Option(help="owner/name on GitHub.")],
    base: Annotated[str, typer.Option(help="The branch to change.")] = "main",
) -> None:
    """Open the pull request that names an image in a platform's file. The token is in GITHUB_TOKEN.

    Run again it finds its branch and its pull request, and adds nothing.
    """
    digest = _digest(image)
    path = f"stacks/Pulumi.platform-{environment}.yaml"
    github = GitHub(repository)
    if named(_text(github.call("GET", f"/contents/{path}?ref={base}")), image, path) is None:
        typer.echo(f"{path} on {base} names {image} already")
        raise typer.Exit(Exit.OK)
    branch = f"image-{environment}-{digest[:12]}"
    if not github.call("GET", f"/git/matching-refs/heads/{branch}"):
        head = github.call("GET", f"/git/ref/heads/{base}")["object"]["sha"]
        github.call("POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": head})
    title = f"build(image): {environment} runs {digest[:12]}"
    there = github.call("GET", f"/contents/{path}?ref={branch}")
    changed = named(_text(there), image, path)
    if changed is not None:
        content = base64.b64encode(changed.encode()).decode()
        body = {"message": title, "content": content, "sha": there["sha"], "branch": branch}
        github.call("PUT", f"/contents/{path}", body)
    owner = repository.partition("/")[0]
    opened = github.call("GET", f"/pulls?state=open&head={owner}:{branch}")
    if not opened:
        about = f"Built, scanned and signed by the workflow `image`:\n\n`{image}`\n\nMerged, `{environment}` runs it."
        opened = [github.call("POST", "/pulls", {"title": title, "head": branch, "base": base, "body": about})]
    typer.echo(opened[0]["html_url"])


def named(text: str, image: str, path: str) -> str | None:
    """The stack file `text` with `image` as its `manta:images.ray`, all else as it is; None where it says so already.

    Raises MantaError where the file names no image.
    """
    node = _value(_value(_value(_composed(text, path), "config"), "manta:images"), "ray")
    if not isinstance(node, yaml.ScalarNode):
        raise MantaError(f"{path} has no manta:images.ray to change: write it once by hand")
    if node.value == image:
        return None
    return f"{text[: node.start_mark.index]}{image}{text[node.end_mark.index :]}"


def _composed(text: str, path: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise MantaError(f"{path} is not YAML: mend it first", detail=str(error)) from None


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _text(answer: Any) -> str:
    return base64.b64decode(answer["content"]).decode()


def _digest(image: str) -> str:
    from infra.settings.base import IMAGE_PATTERN  # with all settings that there are

    if re.fullmatch(IMAGE_PATTERN, image) is None:
        raise MantaError(f"{image[:200]!r} is no image by digest: give registry/name@sha256:<64 hex digits>")
    return image.rpartition(":")[2]
