"""A monthly budget of what carries the environment's tag."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.naming import ENVIRONMENT_TAG, Place
from infra.settings.aws_data import BudgetSettings


def alerts(settings: BudgetSettings) -> list[dict[str, Any]]:
    def alert(kind: str, percent: int) -> dict[str, Any]:
        return {
            "comparison_operator": "GREATER_THAN",
            "threshold": percent,
            "threshold_type": "PERCENTAGE",
            "notification_type": kind,
            "subscriber_email_addresses": settings.emails,
        }

    return [
        *(alert("ACTUAL", percent) for percent in settings.actual_percent),
        *(alert("FORECASTED", percent) for percent in settings.forecast_percent),
    ]


class Budget(pulumi.ComponentResource):
    """Costs are known by tag a day after the tag was activated for cost allocation, by hand, once an account."""

    def __init__(self, name: str, place: Place, settings: BudgetSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Budget", name, None, opts)
        aws.budgets.Budget(
            "monthly",
            name=f"{place.cluster}-monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(settings.monthly_usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{ENVIRONMENT_TAG}${place.environment}"]}],
            notifications=alerts(settings),  # pyright: ignore[reportArgumentType] - keys are those of the SDK's type
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
