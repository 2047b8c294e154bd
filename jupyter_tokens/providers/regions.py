"""Tables of the APIs' hosts by region, each with the source of its hosts. No host is guessed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from .fields import SettingProblem

__all__ = [
    "ALIBABA_STS",
    "DASHSCOPE",
    "DASHSCOPE_WORKSPACES",
    "EIAM",
    "HUAWEI_STS",
    "IAM",
    "MODELARTS",
    "PAI_DLC",
    "PAI_DSW",
    "Hosts",
]


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of one API.

    Attributes
    ----------
    api : str
        The display name of the API.
    public, vpc : str
        The documented form of the public host and of the host within a VPC, with `{region}` in place of the region;
        `vpc` is "" if the vendor documents no host within a VPC.
    regions : collection of str
        The regions in which `public` is valid; empty if the vendor documents it for every region.
    others : mapping
        The hosts of regions whose host does not have the form `public`. No host within a VPC is known in these
        regions.
    """

    api: str
    public: str
    vpc: str = ""
    regions: frozenset[str] = frozenset()
    others: Mapping[str, str] = field(default_factory=dict)

    def host(self, region: str, *, vpc: bool = False, setting: str = "endpoint") -> str:
        """Return the host in a region.

        Raises `SettingProblem` if no host is known there. The error names the setting that can be given instead.
        """
        if region in self.others:
            if vpc:
                raise SettingProblem(
                    "network",
                    f"cannot be vpc: no VPC endpoint of {self.api} is known in this region; set {setting} instead",
                )
            return self.others[region]
        if self.regions and region not in self.regions:
            near = difflib.get_close_matches(region, [*sorted(self.regions), *self.others], 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise SettingProblem(
                "region", f"names a region in which no endpoint of {self.api} is known{meant}; set {setting} instead"
            )
        return (self.vpc if vpc else self.public).format(region=region)


def _names(table: str) -> frozenset[str]:
    return frozenset(table.split())


# Form: Alibaba Cloud, "Access PAI services via PrivateLink" and the API's own pages. Others: the endpoint map of the
# official SDK, alibabacloud-pai-dlc20201203 1.11.6, which sends these regions to one host.
PAI_DLC = Hosts(
    "PAI-DLC",
    public="pai-dlc.{region}.aliyuncs.com",
    vpc="pai-dlc-vpc.{region}.aliyuncs.com",
    others=dict.fromkeys(
        _names("""
        ap-northeast-2-pop ap-south-1 ap-southeast-2 cn-beijing-finance-1 cn-beijing-finance-pop cn-beijing-gov-1
        cn-beijing-nu16-b01 cn-chengdu cn-edge-1 cn-fujian cn-haidian-cm12-c01 cn-hangzhou-bj-b01 cn-hangzhou-finance
        cn-hangzhou-internal-prod-1 cn-hangzhou-internal-test-1 cn-hangzhou-internal-test-2 cn-hangzhou-internal-test-3
        cn-hangzhou-test-306 cn-hongkong-finance-pop cn-huhehaote cn-huhehaote-nebula-1 cn-north-2-gov-1 cn-qingdao
        cn-qingdao-nebula cn-shanghai-et15-b01 cn-shanghai-et2-b01 cn-shanghai-inner cn-shanghai-internal-test-1
        cn-shenzhen-finance-1 cn-shenzhen-inner cn-shenzhen-st4-d01 cn-shenzhen-su18-b01 cn-wuhan cn-yushanfang
        cn-zhangbei cn-zhangbei-na61-b01 cn-zhangjiakou cn-zhangjiakou-na62-a01 cn-zhengzhou-nebula-1 eu-west-1
        eu-west-1-oxs me-east-1 rus-west-1-pop
        """),
        "pai-dlc.aliyuncs.com",
    ),
)

# Form: the API's own page; within a VPC: the rule of the official SDK, alibabacloud-pai-dsw20220101 2.4.0, which has
# no region with another host.
PAI_DSW = Hosts("PAI-DSW", public="pai-dsw.{region}.aliyuncs.com", vpc="pai-dsw-vpc.{region}.aliyuncs.com")

# Form: Alibaba Cloud, "STS: Endpoints", for every region.
ALIBABA_STS = Hosts("STS", public="sts.{region}.aliyuncs.com", vpc="sts-vpc.{region}.aliyuncs.com")

# Source: Model Studio, "Generate a temporary API key". The SDK has hosts of workspaces in further regions, but the page
# does not say that this call is available there.
DASHSCOPE = Hosts(
    "Model Studio",
    public="dashscope.aliyuncs.com",
    regions=frozenset({"cn-beijing"}),
    others={"ap-southeast-1": "dashscope-intl.aliyuncs.com"},
)
DASHSCOPE_WORKSPACES = Hosts(
    "Model Studio's workspaces",
    public="{region}.maas.aliyuncs.com",
    regions=frozenset({"ap-southeast-1", "cn-beijing"}),
)

# Source: Alibaba Cloud, "IDaaS EIAM: Endpoints". The host within a VPC belongs to an instance and not to a region
# (OpenAPIPrivateDomain of ListEiamInstances), so this table has none.
EIAM = Hosts(
    "EIAM",
    public="eiam.{region}.aliyuncs.com",
    regions=frozenset(
        {"ap-northeast-2", "ap-southeast-1", "ap-southeast-5", "cn-hangzhou", "cn-hongkong", "eu-central-1"}
    ),
)

_TCLOUD = ("eu-de", "eu-nl")

# Form: ModelArts, "Endpoints"; T Cloud, "Regions and Endpoints". Regions: modelarts_region.py of the official SDK,
# huaweicloudsdkmodelarts 3.1.219 (which has .cn for ap-southeast-1 only, unlike the documented form).
MODELARTS = Hosts(
    "ModelArts",
    public="modelarts.{region}.myhuaweicloud.com",
    regions=_names("""
        af-north-1 af-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 cn-east-3 cn-east-4
        cn-north-1 cn-north-11 cn-north-12 cn-north-2 cn-north-4 cn-north-9 cn-south-1 cn-southwest-2 cn-southwest-3
        la-north-2 la-south-2 me-east-1 sa-brazil-1 tr-west-1
    """),
    others={region: f"modelarts.{region}.otc.t-systems.com" for region in _TCLOUD},
)

# Source: auth/endpoint.py of the official SDK, huaweicloudsdkcore 3.1.219; T Cloud, "Regions and Endpoints".
IAM = Hosts(
    "IAM",
    public="iam.{region}.myhuaweicloud.com",
    regions=_names("""
        ae-ad-1 af-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 cn-east-2 cn-east-3 cn-east-4
        cn-east-5 cn-north-1 cn-north-12 cn-north-2 cn-north-4 cn-north-9 cn-south-1 cn-south-2 cn-southwest-2
        eu-west-0 la-north-2 la-south-2 me-east-1 my-kualalumpur-1 na-mexico-1 ru-moscow-1 sa-brazil-1 tr-west-1
    """),
    others={
        **{region: f"iam.{region}.otc.t-systems.com" for region in _TCLOUD},
        "eu-ch2": "iam-pub.eu-ch2.sc.otc.t-systems.com",
    },
)

# Source: sts_region.py of the official SDK, huaweicloudsdksts 3.1.219. T Cloud documents no STS.
HUAWEI_STS = Hosts(
    "STS",
    public="sts.{region}.myhuaweicloud.com",
    regions=_names("""
        af-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 cn-east-3 cn-north-4 cn-south-1
        cn-southwest-2 la-south-2 sa-brazil-1 tr-west-1
    """),
)
