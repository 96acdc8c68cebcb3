"""What a recommendation is asked with and answered with, checked strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from payloads.common.settings import MODEL_PATTERN
from payloads.recommend.retrieve import Kind, Query
from payloads.serving import schemas
from payloads.serving.http import RefusedError

Name = Annotated[str, Field(min_length=1, max_length=128)]
MOST_EXCLUDED = 1000


class RecommendArgs(BaseModel):
    """`args` of `payloads.serving.recommend.app:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str = Field(default="recommend", pattern=MODEL_PATTERN, description="name in the model registry")
    alias: str = Field(default="champion", min_length=1, description="alias of the version to serve")
    model_version: str | None = Field(
        default=None, pattern=r"^[0-9]+$", description="the version to serve, whatever the alias"
    )
    index: Kind = Field(default="flat", description="flat is exact, hnsw a graph for catalogues of millions")
    candidates: int = Field(default=100, ge=1, le=10_000, description="neighbours that are ranked")
    most: int = Field(default=50, ge=1, le=1000, description="largest k that may be asked for")
    deadline_s: float = Field(default=2.0, gt=0, le=60, description="for an answer; after it 504")
    max_batch_size: int = Field(default=32, ge=1, le=1024, description="requests of one search or forward pass")
    batch_wait_timeout_s: float = Field(default=0.001, ge=0, le=1, description="how long a request waits for others")
    max_body_bytes: int = Field(default=1 << 16, ge=1024, description="largest request body")


class RecommendRequest(BaseModel):
    """`k` items for `user`; `exclude` are items that the user has seen since the model was trained."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: Name
    k: Annotated[int, Field(ge=1)] = 10
    exclude: Annotated[list[Name], Field(max_length=MOST_EXCLUDED)] = []


class Recommendation(BaseModel):
    item: str
    score: float = Field(description="higher is better; comparable within one answer only")


class RecommendAnswer(BaseModel):
    """`source` is `popular` where the model does not know the user: then these are simply the most popular items."""

    model_config = ConfigDict(protected_namespaces=())

    items: list[Recommendation]
    source: Literal["personal", "popular"]
    model_version: str
    request_id: str


class RecommenderCard(BaseModel):
    """What is being served."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    users: int
    items: int
    index: Kind


_validate = TypeAdapter(RecommendRequest).validate_json
_KNOWN = "user, k and exclude"


def parse(body: bytes, most: int, candidates: int) -> tuple[Query, int]:
    """The search that a body asks for, and its k. Raises RefusedError: 400 not JSON, 422 JSON of another form."""
    if not body:
        raise RefusedError(400, 'the body is empty: send {"user": "name", "k": 10} as JSON')
    try:
        request = _validate(body)
    except ValidationError as error:
        raise schemas.refused(error, _KNOWN, "user") from None
    if request.k > most:
        raise RefusedError(422, f"k: it is more than {most}")
    return Query(request.user, max(candidates, request.k), tuple(request.exclude)), request.k
