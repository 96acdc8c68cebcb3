"""What keeps Ray workers ready before anything asks for them: working hours and the length of a queue, by KEDA."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from infra.settings.base import Count, Positive, Settings

_FIELD = r"(\*|\d+(-\d+)?(,\d+(-\d+)?)*)(/\d+)?"
_DAYS = r"(\*|[0-7](-[0-7])?(,[0-7](-[0-7])?)*)"
_CRON = re.compile(rf"{_FIELD} {_FIELD} {_FIELD} {_FIELD} {_DAYS}")
_QUEUE = r"^https://sqs\.([a-z0-9-]+)\.amazonaws\.com/(\d{12})/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)$"


class HoursSettings(Settings):
    """`workers` stand ready from `start` to `end`, both cron expressions (minute hour day month weekday) of
    `timezone`."""

    timezone: str
    start: str
    end: str
    workers: Positive

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError("this is no time zone: use a name of the IANA database, as Europe/Berlin or UTC")
        return value

    @field_validator("start", "end")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if not _CRON.fullmatch(value):
            raise ValueError("this is no cron expression of five fields: write it as 0 8 * * 1-5")
        return value

    @model_validator(mode="after")
    def _ends(self) -> HoursSettings:
        if self.start == self.end:
            raise ValueError(f"start and end are both {self.start}: KEDA takes hours that end when they start for none")
        return self


class QueueSettings(Settings):
    """One worker for each `messagesPerWorker` that wait in the SQS queue or are being worked on. The platform must let
    KEDA read it (`manta:keda.queues`)."""

    url: Annotated[str, Field(pattern=_QUEUE)]
    messages_per_worker: Positive = 1

    @property
    def region(self) -> str:
        return self.url.split(".")[1]

    @property
    def arn(self) -> str:
        _, account, name = self.url.removeprefix("https://").split("/")
        return f"arn:aws:sqs:{self.region}:{account}:{name}"


class ScalingSettings(Settings):
    """The most that any of them wants is what stands ready, up to the workers' `max`. `cooldownSeconds` is how long
    that lasts once nothing wants any."""

    hours: list[HoursSettings] = Field(default_factory=list[HoursSettings])
    queue: QueueSettings | None = None
    poll_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    cooldown_seconds: Count = 300

    @model_validator(mode="after")
    def _asks_for_something(self) -> ScalingSettings:
        if not self.hours and self.queue is None:
            raise ValueError("nothing scales: say hours or queue, or leave scaling out")
        return self

    def check(self, most: int) -> None:
        """Raise ValueError if more is asked for than there can be."""
        for entry in self.hours:
            if entry.workers > most:
                raise ValueError(
                    f"scaling.hours: {entry.workers} workers are more than workers.max {most}: raise max or lower them"
                )
