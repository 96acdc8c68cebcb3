"""Who else than AWS may say who somebody is."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import listing, names, text


@kind("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
class OpenIdConnectProvider(Kind):
    named_by = "url"
    properties = {
        "url": text(required=True, replaces=True, pattern=r"https://\S+"),
        # The simulation cannot change them in place; AWS can.
        "clientIdLists": names(required=True, replaces=True),
        "thumbprintLists": listing(computed=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tags = tagging.pairs(tagging.wanted(want))
        made = cloud.client("iam").create_open_id_connect_provider(
            Url=want["url"], ClientIDList=want["clientIdLists"], **({"Tags": tags} if tags else {})
        )
        return made["OpenIDConnectProviderArn"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        iam = cloud.client("iam")
        tags = tagging.plain(iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=identifier)["Tags"])
        write, remove = tagging.differences(tags, want)
        if write:
            iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=identifier, Tags=tagging.pairs(write))
        if remove:
            iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=identifier, TagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        iam = cloud.client("iam")
        found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=identifier)
        tags = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=identifier)["Tags"]
        return {
            "arn": identifier,
            "url": f"https://{found['Url'].removeprefix('https://')}",
            "clientIdLists": sorted(found["ClientIDList"]),
            "thumbprintLists": found["ThumbprintList"],
            "tagsAll": tagging.plain(tags),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=identifier)
