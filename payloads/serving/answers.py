"""What the model servers answer, for servers and clients: nothing here needs more than pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Prediction(BaseModel):
    label: str = Field(description="the recognised digit")
    confidence: float = Field(ge=0, le=1, description="probability that the model gives to it")


class OneAnswer(Prediction):
    """Answer to `pixels`."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    request_id: str


class ManyAnswers(BaseModel):
    """Answer to `rows`: one prediction a row, in the order of the request."""

    model_config = ConfigDict(protected_namespaces=())

    predictions: list[Prediction]
    model_version: str
    request_id: str


class ModelCard(BaseModel):
    """What is being served."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    run_id: str | None
    classes: list[str]
    inputs: int
    tags: dict[str, str]
