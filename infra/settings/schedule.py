"""When a training stack starts its runs by itself."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from infra.settings.base import Count, Seconds, Settings

_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
_PART = rf"(\*|\?|(\d+|{_NAMES})(-(\d+|{_NAMES}))?)(/\d+)?"
_FIELD = re.compile(rf"{_PART}(,{_PART})*", re.IGNORECASE)
_MACRO = re.compile(r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)")


class History(Settings):
    """Ended runs that are kept, with their logs; older ones are deleted, RayJob and all."""

    succeeded: Count = 3
    failed: Count = 3


class Schedule(Settings):
    """A text alone is `cron`. One run at a time: `forbid` lets a run that goes on finish and leaves out the next,
    `replace` stops it."""

    cron: str
    timezone: str = "Etc/UTC"
    suspend: bool = False
    concurrency: Literal["forbid", "replace"] = "forbid"
    history: History = History()
    # The CronJob controller looks every 10 s: with less, a run might never start.
    starting_deadline_seconds: Annotated[Seconds, Field(ge=10)] = 3600

    @model_validator(mode="before")
    @classmethod
    def _text_is_the_cron(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value

    @field_validator("cron")
    @classmethod
    def _is_a_schedule(cls, value: str) -> str:
        fields = value.split()
        if not _MACRO.fullmatch(value) and (len(fields) != 5 or not all(map(_FIELD.fullmatch, fields))):
            raise ValueError("a schedule is minute, hour, day, month and weekday, as 0 3 * * * for three at night")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("a timezone is a name of the IANA database, as Europe/Berlin")
        return value
