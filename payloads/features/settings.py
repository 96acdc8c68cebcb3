"""Parameters of a feature run; each is a flag of `python -m payloads.features.prepare`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import RunSettings


class FeatureSettings(RunSettings):
    """All parameters of a run; a worker is one task at a time, which holds `unit_mib` of rows a few times over."""

    experiment: str = Field(default="features", min_length=1, description="MLflow experiment")
    contract: str = Field(
        default="interactions", pattern=r"^[a-z0-9][a-z0-9-]*$", description="declared columns: contracts/<name>.yaml"
    )
    source: str | None = Field(
        default=None, pattern=r"^[^/].*$", description="folder of Parquet files in the storage; else sources/<contract>"
    )
    sample_rows: int = Field(
        default=0, ge=0, le=10**9, description="rows of made data to write to the source first; 0 writes none"
    )
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="share of rows for validation")
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="share of rows for the test")
    split_seed: int = Field(default=42, ge=0, lt=2**31, description="seed of the split")
    max_quarantined: float = Field(
        default=0.05, ge=0, le=1, description="largest share of rows in quarantine; more and the run fails"
    )
    max_refused_files: int = Field(
        default=0, ge=0, description="files that may be unreadable or of another schema; more and the run fails"
    )
    unit_mib: int = Field(default=32, ge=1, le=4096, description="size in memory of the rows that one task takes")

    @property
    def folder(self) -> str:
        """The source's folder under the storage root."""
        sample = f"-sample-{self.sample_rows}" if self.sample_rows else ""
        return self.source or f"sources/{self.contract}{sample}"
