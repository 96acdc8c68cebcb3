"""Parameters of a batch inference; each is a flag of `python -m payloads.batch.predict`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import MODEL_PATTERN, RunSettings


class BatchSettings(RunSettings):
    """All parameters of a run; a worker is an actor that holds the model."""

    experiment: str = Field(default="batch", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="digits", pattern=MODEL_PATTERN, description="name in the model registry")
    alias: str = Field(default="champion", min_length=1, description="alias of the version to use")
    source: str | None = Field(
        default=None, pattern=r"^[^/].*$", description="folder of Parquet files (id, pixels) in the storage"
    )
    sample_rows: int = Field(
        default=0, ge=0, le=10**9, description="rows of made data to write to the source first; 0 writes none"
    )
    batch_rows: int = Field(default=512, ge=1, le=65_536, description="rows of one forward pass")
    unit_mib: int = Field(default=16, ge=1, le=1024, description="size in memory of the rows of one output file")
    max_refused_files: int = Field(
        default=0, ge=0, description="files that may be unreadable or of another schema; more and the run fails"
    )

    @property
    def folder(self) -> str:
        """The source's folder under the storage root."""
        return self.source or f"sources/digits-rows{f'-sample-{self.sample_rows}' if self.sample_rows else ''}"
