"""The formats of keys and tokens that contain a mark of their issuer, such as `ghp_…`. Each format names its source.

A mark should not occur in ordinary text. For example, `sk-` is not used as a mark, because CSS classes begin with it
too. The mark of OpenAI's keys is `T3BlbkFJ`, which is base64 for "OpenAI".
"""

from __future__ import annotations

from typing import NamedTuple

from .values import ESCAPED

__all__ = ["SHAPES", "Shape"]


class Shape(NamedTuple):
    """The format of one kind of key or token.

    Attributes
    ----------
    kind : str
        The name of the kind.
    mark : str
        A literal that is part of each value, or directly before it. A text without this literal is not searched.
    pattern : str
        Regular expression of the whole value.
    source : str
        The page that documents the format, or where the format was seen.
    pair : tuple of str or None
        If the value is an id: the kind and the regular expression of the secret that belongs to the id.
    touching : str or None
        The characters that must not be directly before or after the value. By default, if the mark has only letters and
        digits, the characters of both base64 alphabets (RFC 4648); otherwise the characters of the URL-safe alphabet.
    """

    kind: str
    mark: str
    pattern: str
    source: str
    pair: tuple[str, str] | None = None
    touching: str | None = None

    @property
    def edge(self) -> str:
        """The characters in `touching`, or its default, for a character class in a regular expression."""
        if self.touching is not None:
            return self.touching
        return "A-Za-z0-9+/_-" if self.mark.isalnum() else "A-Za-z0-9_-"


_B64 = rf"(?:[A-Za-z0-9+/=]|{ESCAPED})"
_URL64 = r"[A-Za-z0-9_-]"
_GITHUB = "github.blog: Behind GitHub's new authentication token formats"
_GITLAB = "docs.gitlab.com/security/tokens: token prefixes"
_SLACK = "api.slack.com/authentication/token-types"
# This page names the issuers, but not the formats. The formats were seen in keys from the issuers' consoles.
_SCANNING = "docs.github.com: supported secret scanning patterns"
_CONSOLE = "the issuer's console"

SHAPES = (
    # shapes.py also requires a JSON header that names an algorithm. Mapbox's public keys (pk.eyJ…) have no such header.
    Shape(
        "JWT",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{8,4096}+\.[A-Za-z0-9_-]{2,16384}+\.[A-Za-z0-9_-]{2,4096}+",
        "RFC 7519: PAI-DLC's GetToken, OneAccess' id_token",
        touching="A-Za-z0-9_-",
    ),
    # Alibaba Cloud. The length after LTAI is from the test vectors pai_gettoken_*.json and from other scanners' rules.
    Shape(
        "Alibaba AccessKey id",
        "LTAI",
        r"LTAI[A-Za-z0-9]{12,26}",
        "alibabacloud.com/help/ram: AccessKey pairs",
        pair=("Alibaba AccessKey secret", r"[A-Za-z0-9]{30}"),
    ),
    Shape(
        "Alibaba STS AccessKey id",
        "STS.",
        r"STS\.(?=[A-Za-z]*\d)[A-Za-z0-9]{16,40}",
        "alibabacloud.com/help/ram: AssumeRole, STS.L4aBSCSJVMuKg5U1****",
        pair=("Alibaba AccessKey secret", r"[A-Za-z0-9]{36,46}"),
    ),
    Shape("Alibaba security token", "CAIS", rf"CAIS{_B64}{{60,4096}}+", "alibabacloud.com/help/ram: AssumeRole"),
    Shape("Alibaba security token", "CAES", rf"CAES{_B64}{{60,4096}}+", "alibabacloud.com/help/ram: AssumeRole"),
    # The page of the source shows a token of 125 characters.
    Shape("EIAM application token", "SATF", r"SATF[A-Za-z0-9]{80,252}", "alibabacloud.com/help/idaas"),
    Shape(
        "Tencent SecretId",
        "AKID",
        r"AKID[A-Za-z0-9]{32}",
        "cloud.tencent.com/document/api: signatures",
        pair=("Tencent SecretKey", r"[A-Za-z0-9]{32}"),
    ),
    # Huawei Cloud. MII… is CMS signed data (RFC 5652) in base64 with "-" for "/". Certificates and private keys also
    # begin with MII, but do not go on with the object identifier of signed data, the mark.
    Shape(
        "Huawei IAM token",
        "YJKoZIhvcNAQcC",
        rf"MII[A-Za-z0-9+/-]{{3}}YJKoZIhvcNAQcC(?:[A-Za-z0-9+/=-]|{ESCAPED}){{40,65536}}+",
        "support.huaweicloud.com/api-iam: X-Subject-Token: MIIatAYJKoZIhvcNAQcCoII…",
    ),
    # The mark is base64 of "\ncn-": the length of a region's name (10) and its beginning, as in cn-north-1. Tokens of
    # other regions are found by the field's name.
    Shape(
        "Huawei security token",
        "Qpjbi",
        rf"[gh]Qpjbi{_B64}{{60,4096}}+",
        "support.huaweicloud.com/api-iam: securitytoken; recorded answers of AssumeAgency begin with hQpj",
    ),
    # Amazon. Of all Amazon's ids, only the ids of long-term keys (AKIA) and temporary keys (ASIA) have a secret.
    *(
        Shape(
            "AWS access key id",
            mark,
            rf"{mark}[A-Z2-7]{{16}}",
            "docs.aws.amazon.com/IAM: unique identifiers",
            pair=("AWS secret access key", r"[A-Za-z0-9/+]{40}"),
        )
        for mark in ("AKIA", "ASIA")
    ),
    # Protobuf. Its first field is a string that begins with "origin", or that is "er/aws".
    Shape("AWS session token", "IQoJ", rf"IQoJb3JpZ2lu{_B64}{{60,4096}}+", "docs.aws.amazon.com/STS: GetSessionToken"),
    Shape("AWS session token", "FwoG", rf"FwoGZXIvYXdz{_B64}{{60,4096}}+", "docs.aws.amazon.com/STS: GetSessionToken"),
    # Google.
    Shape("Google access token", "ya29.", r"ya29\.[A-Za-z0-9_.-]{30,2048}+", "developers.google.com/identity/oauth2"),
    Shape(
        "Google API key", "AIza", rf"AIza{_URL64}{{35}}", "cloud.google.com/docs/authentication/api-keys; " + _SCANNING
    ),
    Shape("Google client secret", "GOCSPX-", rf"GOCSPX-{_URL64}{{28}}", _SCANNING),
    Shape("Google refresh token", "1//0", rf"1//0{_URL64}{{38,512}}+", "developers.google.com/identity/oauth2"),
    # Microsoft.
    Shape(
        "Azure storage key",
        "AccountKey=",
        r"(?<=AccountKey=)[A-Za-z0-9+/]{86}==",
        "learn.microsoft.com/azure/storage: connection strings",
        touching="A-Za-z0-9+/_",
    ),
    Shape(
        "Azure shared access key",
        "AccessKey=",
        r"(?<=SharedAccessKey=)[A-Za-z0-9+/]{43}=",
        "learn.microsoft.com/azure/service-bus-messaging: connection strings",
        touching="A-Za-z0-9+/_",
    ),
    Shape(
        "Azure client secret",
        "Q~",
        r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",
        "learn.microsoft.com/purview: sit-defn-azure-ad-client-secret",
        touching="A-Za-z0-9+/_~.-",
    ),
    # Models.
    Shape(
        "OpenAI API key",
        "T3BlbkFJ",
        rf"sk-{_URL64}{{16,150}}?T3BlbkFJ{_URL64}{{16,150}}+",
        "platform.openai.com/docs/api-reference/authentication; " + _SCANNING,
    ),
    Shape("Anthropic API key", "sk-ant-", rf"sk-ant-[a-z]{{2,8}}\d\d-{_URL64}{{60,200}}+", _SCANNING),
    Shape("OpenRouter API key", "sk-or-v1-", r"sk-or-v1-[0-9a-f]{64}", _CONSOLE),
    Shape("Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,40}", "huggingface.co/docs/hub/security-tokens"),
    Shape("Hugging Face token", "api_org_", r"api_org_[A-Za-z0-9]{34}", "huggingface.co/docs/hub/security-tokens"),
    Shape("Groq API key", "gsk_", r"gsk_[A-Za-z0-9]{52}", _SCANNING),
    Shape("xAI API key", "xai-", r"xai-[A-Za-z0-9]{70,90}", _SCANNING),
    Shape("Perplexity API key", "pplx-", r"pplx-[A-Za-z0-9]{48,56}", _SCANNING),
    Shape("NVIDIA API key", "nvapi-", rf"nvapi-{_URL64}{{60,70}}", _CONSOLE),
    Shape("Replicate API token", "r8_", r"r8_[A-Za-z0-9]{37}", "replicate.com/docs/topics/security/api-tokens"),
    Shape("LangSmith API key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}", _SCANNING),
    Shape("Tavily API key", "tvly-", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{32}", "docs.tavily.com"),
    Shape("Jina API key", "jina_", r"jina_[0-9a-f]{32}[A-Za-z0-9_-]{28}", _CONSOLE),
    Shape("Weights & Biases API key", "wandb_v1_", r"wandb_v1_[A-Za-z0-9_]{60,100}", "docs.wandb.ai: API keys"),
    Shape("Kaggle API token", "KGAT_", r"KGAT_[0-9a-f]{32}", "kaggle.com/docs/api"),
    Shape(
        "Neptune API token",
        "eyJhcGlf",
        r"eyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/_-]{40,400}={0,2}",
        'docs.neptune.ai: base64 of {"api_address": …',
    ),
    # Data.
    Shape(
        "Databricks token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?", "docs.databricks.com/dev-tools/auth/pat; " + _SCANNING
    ),
    Shape("Pinecone API key", "pcsk_", r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,70}", _CONSOLE),
    Shape(
        "DataStax Astra token",
        "AstraCS:",
        r"AstraCS:[A-Za-z0-9]{24}:[0-9a-f]{64}",
        "docs.datastax.com/astra: application tokens",
    ),
    Shape(
        "Mapbox secret token",
        "sk.eyJ",
        r"sk\.eyJ[A-Za-z0-9_-]{20,400}\.[A-Za-z0-9_-]{20,40}",
        "docs.mapbox.com: tokens",
    ),
    Shape("Notion token", "ntn_", r"ntn_\d{11}[A-Za-z0-9]{35}", _SCANNING),
    Shape("Supabase token", "sbp_", r"sbp_[0-9a-f]{40}", _SCANNING),
    # Code and packages.
    *(
        Shape("GitHub token", mark, rf"{mark}[A-Za-z0-9]{{36,255}}", _GITHUB)
        for mark in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")
    ),
    Shape("GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", _GITHUB),
    *(
        Shape("GitLab token", mark, rf"{mark}{_URL64}{{20,300}}(?:\.[0-9a-z]{{2}}\.[0-9a-z]{{7,10}})?", _GITLAB)
        for mark in ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-")
    ),
    Shape("npm token", "npm_", r"npm_[A-Za-z0-9]{36}", "github.blog: npm's new access token format"),
    Shape("PyPI token", "pypi-AgE", rf"pypi-AgE{_URL64}{{60,500}}+", "PyPI help, API tokens; " + _SCANNING),
    Shape("Docker Hub token", "dckr_", rf"dckr_(?:pat|oat)_{_URL64}{{27,32}}", _SCANNING),
    Shape("Atlassian API token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{60,250}", _SCANNING),
    Shape("Vault token", "hvs.", rf"hvs\.{_URL64}{{24,200}}", "developer.hashicorp.com/vault: token prefixes"),
    Shape("DigitalOcean token", "_v1_", r"do[oprt]_v1_[0-9a-f]{64}", _SCANNING),
    Shape("Grafana token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}", _SCANNING),
    Shape("Postman API key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", _SCANNING),
    Shape("Linear API key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}", _SCANNING),
    # Messages, mail, money.
    *(
        Shape("Slack token", mark, rf"{mark}[A-Za-z0-9-]{{20,300}}", _SLACK)
        for mark in ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxc-", "xoxd-", "xapp-")
    ),
    Shape(
        "Slack webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{30,90}",
        "api.slack.com/messaging/webhooks",
        touching=" ",
    ),
    Shape(
        "Discord webhook",
        "/api/webhooks/",
        rf"discord(?:app)?\.com/api/webhooks/\d{{17,20}}/{_URL64}{{60,80}}",
        "discord.com/developers: webhook resource",
        touching=" ",
    ),
    Shape("Telegram bot token", ":AA", rf"(?:bot)?\d{{8,10}}:AA{_URL64}{{33}}", "core.telegram.org/bots/api"),
    Shape("Stripe key", "_live_", r"[sr]k_live_[A-Za-z0-9]{20,250}", "docs.stripe.com/keys"),
    Shape("SendGrid API key", "SG.", rf"SG\.{_URL64}{{22}}\.{_URL64}{{43}}", "docs.sendgrid.com; " + _SCANNING),
    *(
        Shape("Shopify token", mark, rf"{mark}[0-9a-fA-F]{{32}}", "shopify.dev: access token prefixes")
        for mark in ("shpat_", "shpca_", "shppa_", "shpss_")
    ),
)
"""All formats, grouped by cloud or purpose."""
