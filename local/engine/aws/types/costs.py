"""Budgets."""

from __future__ import annotations

from typing import Any

from local.engine.aws import shelf, tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.parts import table
from local.engine.aws.schema import blocks, listing, number, required, text


@kind("aws:budgets/budget:Budget")
class Budget(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[^:\\]+", longest=100),
        "budgetType": text(required=True, choices=("COST", "USAGE")),
        "timeUnit": text(required=True, choices=("DAILY", "MONTHLY", "QUARTERLY", "ANNUALLY")),
        "limitAmount": text(required=True, pattern=r"\d+(\.\d+)?"),
        "limitUnit": text(required=True, longest=10),
        "costFilters": blocks({"name": required(text()), "values": required(listing())}),
        "notifications": blocks(
            {
                "comparisonOperator": required(text(choices=("GREATER_THAN", "LESS_THAN", "EQUAL_TO"))),
                "threshold": required(number()),
                "thresholdType": required(text(choices=("PERCENTAGE", "ABSOLUTE_VALUE"))),
                "notificationType": required(text(choices=("ACTUAL", "FORECASTED"))),
                "subscriberEmailAddresses": listing(pattern=r"[^@\s]+@[^@\s]+"),
            }
        ),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        if len(want.get("notifications") or []) > 5:
            return [("notifications", "notifications: AWS lets a budget have five")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        cloud.client("budgets").create_budget(
            AccountId=cloud.account, Budget=_budget(want), NotificationsWithSubscribers=_alerts(want)
        )
        return f"{cloud.account}:{want['name']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            # The simulation changes no budget: it is made again, which loses nothing but its history there.
            account, _, name = identifier.partition(":")
            budgets = cloud.client("budgets")
            cloud.find(lambda: budgets.delete_budget(AccountId=account, BudgetName=name))
            self.create(cloud, want)
        # It keeps no addresses that it could list, nor tags.
        kept = {"notifications": want.get("notifications", []), "tags": tagging.wanted(want)}
        shelf.put(cloud, "budget", want["name"], kept)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        account, _, name = identifier.partition(":")
        found = cloud.client("budgets").describe_budget(AccountId=account, BudgetName=name)["Budget"]
        kept = shelf.get(cloud, "budget", name)
        return {
            "arn": f"arn:aws:budgets::{account}:budget/{name}",
            "accountId": account,
            "name": name,
            "budgetType": found["BudgetType"],
            "timeUnit": found["TimeUnit"],
            "limitAmount": str(found["BudgetLimit"]["Amount"]),
            "limitUnit": found["BudgetLimit"]["Unit"],
            "costFilters": [{"name": key, "values": values} for key, values in table(found, "CostFilters").items()],
            "notifications": kept.get("notifications", []),
            "tagsAll": kept.get("tags", {}),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        account, _, name = identifier.partition(":")
        cloud.find(lambda: cloud.client("budgets").delete_budget(AccountId=account, BudgetName=name))
        shelf.remove(cloud, "budget", name)


def _budget(want: Values) -> dict[str, Any]:
    return {
        "BudgetName": want["name"],
        "BudgetType": want["budgetType"],
        "TimeUnit": want["timeUnit"],
        "BudgetLimit": {"Amount": want["limitAmount"], "Unit": want["limitUnit"]},
        "CostFilters": {item["name"]: item["values"] for item in want.get("costFilters", [])},
    }


def _alerts(want: Values) -> list[dict[str, Any]]:
    return [
        {
            "Notification": {
                "NotificationType": item["notificationType"],
                "ComparisonOperator": item["comparisonOperator"],
                "Threshold": float(item["threshold"]),
                "ThresholdType": item["thresholdType"],
            },
            "Subscribers": [
                {"SubscriptionType": "EMAIL", "Address": address}
                for address in item.get("subscriberEmailAddresses", [])
            ],
        }
        for item in want.get("notifications", [])
    ]
