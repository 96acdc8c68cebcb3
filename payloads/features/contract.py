"""What the source's columns must be: declared once, checked on every file and every row, carried into serving."""

from __future__ import annotations

import pkgutil
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from payloads.common.errors import PayloadError

Kind = Literal["integer", "number", "boolean", "text", "vector"]
Role = Literal["id", "label", "feature", "check"]
NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Column(BaseModel):
    """One column. `check` columns are read for the checks and the filter, and are in no output.

    `minimum` and `maximum` are inclusive and hold for each element of a vector of `size` numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    type: Kind
    role: Role = "feature"
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fits_its_type(self) -> Column:
        if (self.type == "vector") != (self.size is not None):
            raise ValueError(f"column {self.name}: size belongs to vectors, and every vector has one")
        if self.type in ("boolean", "text") and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"column {self.name}: minimum and maximum belong to numbers and vectors")
        if self.values and self.type != "text":
            raise ValueError(f"column {self.name}: values belong to texts")
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"column {self.name}: a value is listed twice")
        if self.role == "feature" and self.type == "text" and not self.values:
            raise ValueError(f"column {self.name}: a text feature lists its values, which become one number each")
        if self.nullable and (self.role in ("id", "label") or self.type in ("boolean", "text", "vector")):
            raise ValueError(
                f"column {self.name}: only an integer or a number that is a feature or check may be missing"
            )
        return self


class Contract(BaseModel):
    """The declared columns, exactly one of them the id and one the label, and the rows to keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    columns: tuple[Column, ...]
    keep: str | None = Field(
        default=None, description="rows to keep, see expression.py; others are counted and dropped"
    )

    @model_validator(mode="after")
    def _has_its_roles(self) -> Contract:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("a column is declared twice")
        ids = [column for column in self.columns if column.role == "id"]
        labels = [column for column in self.columns if column.role == "label"]
        if len(ids) != 1 or ids[0].type != "integer":
            raise ValueError("one column, an integer, has the role id")
        if len(labels) != 1 or labels[0].type != "text" or len(labels[0].values) < 2:
            raise ValueError("one column, a text with two values or more, has the role label")
        if not self.features:
            raise ValueError("no column is a feature")
        return self

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def id(self) -> Column:
        return next(column for column in self.columns if column.role == "id")

    @property
    def label(self) -> Column:
        return next(column for column in self.columns if column.role == "label")

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == "feature")

    @property
    def classes(self) -> tuple[str, ...]:
        """Label values in the declared order: a label's target is its position here."""
        return self.label.values


def load(name: str) -> Contract:
    """The contract `contracts/<name>.yaml` of this package, from a folder or from inside the bundle's zip.

    Raises PayloadError if there is none of that name or it contradicts itself.
    """
    try:
        text = pkgutil.get_data("payloads.features", f"contracts/{name}.yaml")
    except OSError:
        text = None
    if text is None:
        raise PayloadError(f"there is no contract {name}: write payloads/features/contracts/{name}.yaml")
    return read(text.decode(), f"contract {name}")


def read(text: str, where: str) -> Contract:
    """A contract from YAML; raises PayloadError in one sentence that says `where`."""
    from payloads.features.expression import check_filter

    try:
        contract = Contract.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise PayloadError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PayloadError(
            f"{where}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None
    if contract.keep is not None:
        try:
            check_filter(contract.keep, contract)
        except ValueError as error:
            raise PayloadError(f"{where}: keep: {error}") from None
    return contract
