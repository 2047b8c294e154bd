"""Tables of regions, held against the vendors' own SDKs."""

from __future__ import annotations

import pytest
from alibabacloud_eiam20211201.client import Client as EiamClient
from alibabacloud_pai_dlc20201203.client import Client as PaiDlcClient
from alibabacloud_tea_openapi.utils_models import Config
from huaweicloudsdkcore.auth import endpoint as huawei_iam
from huaweicloudsdkmodelarts.v1.region.modelarts_region import ModelArtsRegion
from huaweicloudsdksts.v1.region.sts_region import StsRegion

from jupyter_tokens.config.profiles import Profile, Profiles
from jupyter_tokens.errors import ConfigurationError
from jupyter_tokens.providers.base import SettingProblem
from jupyter_tokens.providers.regions import DASHSCOPE, EIAM, HUAWEI_STS, IAM, MODELARTS, PAI_DLC, PAI_DSW, Hosts

KEY = {"access_key_id": "AKID", "access_key_secret": "s"}
PAI = {"provider": "pai-dlc", **KEY}
LOGIN = {"provider": "modelarts", "username": "u", "password": "p", "domain_name": "d"}


def sdk(client: type, region: str, **config: str) -> str:
    made = client(Config(access_key_id="AKID", access_key_secret="s", region_id=region, **config))
    endpoint: str = made._endpoint
    return endpoint


def profile(**settings: str) -> Profile:
    return Profiles.from_settings({"mine": settings})["mine"]


def refused(**settings: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        profile(**settings)
    return caught.value.message


def test_pai_dlc_is_where_its_sdk_has_it() -> None:
    # What a newer SDK knows beyond the table is no fault of the table.
    known = PaiDlcClient(Config(access_key_id="AKID", region_id="cn-hangzhou"))._endpoint_map
    assert PAI_DLC.others.items() <= known.items()
    for region in ("cn-hangzhou", "ap-southeast-1", *PAI_DLC.others):
        assert PAI_DLC.host(region) == sdk(PaiDlcClient, region)
    assert PAI_DLC.host("cn-hangzhou", vpc=True) == sdk(PaiDlcClient, "cn-hangzhou", network="vpc")


def test_eiam_is_where_its_sdk_has_it() -> None:
    assert len(EIAM.regions) == 6
    for region in EIAM.regions:
        assert EIAM.host(region) == sdk(EiamClient, region)


def test_modelarts_is_where_its_sdk_has_it() -> None:
    known = {region.id: region.endpoints[0] for region in ModelArtsRegion.static_fields.values()}
    assert len(MODELARTS.regions) == 22
    # The SDK writes .cn for this one; ModelArts' documentation has one form for all.
    known["ap-southeast-1"] = known["ap-southeast-1"].replace(".cn", ".com")
    assert {region: f"https://{MODELARTS.host(region)}" for region in MODELARTS.regions}.items() <= known.items()


def test_iam_is_where_the_sdk_has_it() -> None:
    known = next(table for table in vars(huawei_iam).values() if isinstance(table, dict) and "cn-east-2" in table)
    assert {region: f"https://{IAM.host(region)}" for region in IAM.regions}.items() <= known.items()


def test_huawei_sts_is_where_its_sdk_has_it() -> None:
    known = {region.id: region.endpoints[0] for region in StsRegion.static_fields.values()}
    assert {region: f"https://{HUAWEI_STS.host(region)}" for region in HUAWEI_STS.regions} == known


@pytest.mark.parametrize(
    ("hosts", "region", "host"),
    [
        (MODELARTS, "eu-de", "modelarts.eu-de.otc.t-systems.com"),
        (MODELARTS, "eu-nl", "modelarts.eu-nl.otc.t-systems.com"),
        (IAM, "eu-de", "iam.eu-de.otc.t-systems.com"),
        (IAM, "eu-nl", "iam.eu-nl.otc.t-systems.com"),
        (IAM, "eu-ch2", "iam-pub.eu-ch2.sc.otc.t-systems.com"),
        (MODELARTS, "cn-north-4", "modelarts.cn-north-4.myhuaweicloud.com"),
        (IAM, "cn-north-4", "iam.cn-north-4.myhuaweicloud.com"),
        (PAI_DSW, "cn-hangzhou", "pai-dsw.cn-hangzhou.aliyuncs.com"),
        (DASHSCOPE, "cn-beijing", "dashscope.aliyuncs.com"),
        (DASHSCOPE, "ap-southeast-1", "dashscope-intl.aliyuncs.com"),
    ],
)
def test_hosts_that_the_documents_name(hosts: Hosts, region: str, host: str) -> None:
    assert hosts.host(region) == host


@pytest.mark.parametrize(
    ("hosts", "region", "words"),
    [
        (EIAM, "cn-hangzou", r"region: .* of EIAM is known \(did you mean cn-hangzhou\?\); set endpoint instead"),
        (EIAM, "mars", "region: names a region in which no endpoint of EIAM is known; set endpoint instead"),
        (MODELARTS, "eu-dee", r"\(did you mean eu-de\?\)"),
        (MODELARTS, "eu-ch2", "of ModelArts.*; set endpoint instead"),
        (IAM, "cn-southwest-3", "of IAM.*; set endpoint instead"),
        (DASHSCOPE, "cn-hangzhou", "of Model Studio.*; set endpoint instead"),
    ],
)
def test_where_a_table_ends_an_endpoint_is_asked_for(hosts: Hosts, region: str, words: str) -> None:
    with pytest.raises(SettingProblem, match=words):
        hosts.host(region)


def test_a_profile_within_a_vpc() -> None:
    made = profile(**PAI, region="cn-hangzhou", network="vpc")
    assert made.provider.base() == "https://pai-dlc-vpc.cn-hangzhou.aliyuncs.com"
    assert profile(**PAI, region="cn-hangzhou").provider.base() == "https://pai-dlc.cn-hangzhou.aliyuncs.com"
    assert profile(**PAI, region="me-east-1").provider.base() == "https://pai-dlc.aliyuncs.com"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**PAI, "region": "me-east-1", "network": "vpc"}, "key 'network' cannot be vpc: no VPC endpoint of PAI-DLC"),
        ({**PAI, "endpoint": "https://h", "network": "vpc"}, "key 'network' cannot be vpc if endpoint is given"),
        ({**PAI, "region": "cn-hangzhou", "network": "x"}, "key 'network' must be one of public, vpc"),
        ({"provider": "eiam", **KEY, "region": "cn-beijing"}, "names a region in which no endpoint of EIAM is known"),
        ({"provider": "eiam", **KEY, "region": "cn-hangzhou", "network": "vpc"}, "key 'network' is not a setting"),
        ({**LOGIN, "region": "eu-ch2"}, "key 'region' names a region in which no endpoint of ModelArts is known"),
        (
            {**LOGIN, "region": "cn-southwest-3"},
            "no endpoint of IAM is known (did you mean cn-southwest-2?); set iam_endpoint instead",
        ),
    ],
)
def test_profiles_whose_place_is_not_known(settings: dict[str, str], words: str) -> None:
    assert words in refused(**settings)


def test_an_endpoint_goes_wherever_no_table_does() -> None:
    assert profile(**LOGIN, region="eu-ch2", endpoint="https://h").provider.base() == "https://h"
    profile(**LOGIN, region="cn-southwest-3", iam_endpoint="https://iam")
