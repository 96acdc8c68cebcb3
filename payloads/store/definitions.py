"""Which features there are: the one place that training, materialisation and serving take them from.

A field's tag `default` (JSON) is what serving answers where it has no value. `ttl` is for how long an event says
something about its entity: beyond it a feature is as good as missing, in training as in serving.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

SERVICE = "purchase"
EVENT_TIME, ARRIVED = "event_time", "arrived"
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64, description="who is shown something")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64, description="what is shown")


Defaults = dict[str, int | float | str]


def definitions(sources: str) -> list[Any]:
    """Everything that is registered; `sources` is the URI of the folder with a folder of Parquet for each view."""
    views = [
        _view(sources, "user_activity", user, timedelta(days=7), {"sessions": 0, "minutes": 0.0, "spend": 0.0}),
        _view(sources, "item_popularity", item, timedelta(days=3), {"views": 0, "purchases": 0}),
        _view(sources, "user_profile", user, timedelta(days=365), {"age": 35, "plan": "free"}),
    ]
    return [user, item, *views, FeatureService(name=SERVICE, features=views)]


def _view(
    sources: str, name: str, entity: Entity, ttl: timedelta, defaults: dict[str, int | float | str]
) -> FeatureView:
    kinds = {int: Int64, float: Float64, str: String}
    source = FileSource(
        name=name, path=f"{sources}/{name}", timestamp_field=EVENT_TIME, created_timestamp_column=ARRIVED
    )
    fields = [
        Field(name=feature, dtype=kinds[type(value)], tags={"default": json.dumps(value)})
        for feature, value in defaults.items()
    ]
    return FeatureView(name=name, entities=[entity], ttl=ttl, schema=fields, source=source)
