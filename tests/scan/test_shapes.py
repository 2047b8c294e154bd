"""What the five APIs hand out is told from what only looks similar."""

from __future__ import annotations

import base64
import html
import json
import secrets
from pathlib import Path
from urllib.parse import quote

import pytest

from jupyter_tokens.scan.shapes import shapes_in
from jupyter_tokens.scan.span import merged

VECTORS = Path(__file__).parents[1] / "vectors"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.sig"
ACCESS_KEY = "LTAItestAccessKeyId01"
IAM = "MIIatAYJKoZIhvcNAQcCoIIapTCCGqECAQExDTALBglghkgBZQMEAgEwgg-" + "aB3+" * 40 + "="
EIAM = "SATFwqX8zxGf83pJcJw78KFGjmrft4erWeZYBGS8oE7NN6qoE217yaJpUdMb1UuuGqhDiF43sCA4CF91CTL5iGntqwyLuaAcS9FJ9HfGadE5a7"
STS = "STS.L4aBSCSJVMuKg5U1abcd"
MODELARTS = "7211546f57cd432790643bb6612da19d"
BASE64 = "QSBKV1QgVG9rZW4gd291bGQgZ28gaGVyZS4="
SECRET = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"

BARE = {
    JWT: "JWT",
    ACCESS_KEY: "Alibaba AccessKey id",
    IAM: "Huawei IAM token",
    EIAM: "EIAM application token",
    STS: "Alibaba STS AccessKey id",
}


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in merged(shapes_in(text))]


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "a {} b",
        "'{}'",
        "\n{}\n",
        "\\n{}\\n",
        'x\\"{}\\",',
        "?a={}&b=1",
        "a%3D{}%26",
        "a\\u003d{}",
        "<b>{}</b>",
        "&#x27;{}&#x27;",
        "\x1b[31m{}\x1b[0m",
        "\x1b[38;5;208m{}\x1b[0m",
        "token={};",
        "é{}é",
    ],
)
@pytest.mark.parametrize("value", BARE, ids=BARE.values())
def test_found_by_its_shape(value: str, around: str) -> None:
    ((kind, text),) = found(around.format(value))
    assert kind in {BARE[value], "value of token"}
    # A URL's "%26" and the like are no part of it.
    assert text == value


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f'{{"token": "{MODELARTS}"}}', "value of token", MODELARTS),
        (f"https://instance/lab?token={MODELARTS}", "value of token", MODELARTS),
        (f'{{"token": "{BASE64}"}}', "value of token", BASE64),
        ("{'access_token': '334a5c9140d3b2f1e0a9', 'x': 1}", "value of access_token", "334a5c9140d3b2f1e0a9"),
        (
            '{"access_token": 1, "ApplicationToken": "S4T5F6wqX8zxGf83"}',
            "value of ApplicationToken",
            "S4T5F6wqX8zxGf83",
        ),
        (f"secret_key={SECRET}", "value of secret_key", SECRET),
        (f"X-Auth-Token: {SECRET}", "value of X-Auth-Token", SECRET),
        (f"curl -H 'x-subject-token: {SECRET}' https://x", "value of x-subject-token", SECRET),
        (f"('X-Auth-Token', '{SECRET}')", "value of X-Auth-Token", SECRET),
        (f"(b'X-Auth-Token', b'{SECRET}')", "value of X-Auth-Token", SECRET),
        (f"<td>access_token</td><td>{SECRET}</td>", "value of access_token", SECRET),
        (f"<AccessKeySecret>{SECRET}</AccessKeySecret>", "value of AccessKeySecret", SECRET),
        (f"export HUAWEICLOUD_SDK_SK={SECRET}", "value of HUAWEICLOUD_SDK_SK", SECRET),
        (f"ONEACCESS_TOKEN={SECRET}", "value of ONEACCESS_TOKEN", SECRET),
        (f"a\\nONEACCESS_TOKEN={SECRET}\\n", "value of ONEACCESS_TOKEN", SECRET),
        (f"ALIBABA_CLOUD_ACCESS_KEY_SECRET: {SECRET}", "value of ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
        (f"client_id=abc&client_secret={SECRET}&grant_type=x", "value of client_secret", SECRET),
        (f'{{\\"client_secret\\": \\"{SECRET}\\"}}', "value of client_secret", SECRET),
        (f"&quot;access_token&quot;: &quot;{SECRET}&quot;", "value of access_token", SECRET),
        (f"\x1b[32m'access_token'\x1b[0m: \x1b[32m'{SECRET}'\x1b[0m", "value of access_token", SECRET),
        (f"Authorization: Bearer {SECRET}", "bearer token", SECRET),
        (f"{{'authorization': 'Bearer {BASE64}'}}", "bearer token", BASE64),
        ("Authorization: Basic Y2xpZW50OnMzY3JldDQ1Njc4OTA=", "client id and secret", "Y2xpZW50OnMzY3JldDQ1Njc4OTA="),
    ],
)
def test_found_by_the_name_before_it(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize("name", ["pai_gettoken_basic", "pai_gettoken_sts", "eiam_obtain_basic"])
def test_found_in_recorded_requests(name: str) -> None:
    text = (VECTORS / f"{name}.json").read_text()
    kinds = {kind for kind, _ in found(text)}
    assert "Alibaba AccessKey id" in kinds
    assert ("JWT" in kinds) == ("pai" in name)


def test_found_in_the_published_signature_of_huawei() -> None:
    text = (VECTORS / "published_huawei_sdk_hmac_published_listvpcs.json").read_text()
    kinds = {kind for kind, _ in found(text)}
    assert kinds == {"signature with a Huawei access key id", "value of secret_key"}


@pytest.mark.parametrize(
    "text",
    [
        # What an ordinary notebook is full of.
        "commit 7211546f57cd432790643bb6612da19d0a1b2c3d",
        "md5 7211546f57cd432790643bb6612da19d",
        "822fab12-c224-4d1f-8118-5fb5d2def8b9",
        '{"token": "822fab12-c224-4d1f-8118-5fb5d2def8b9", "id": "0a1b2c3d"}',
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        # References, placeholders and code: how it should be done must not be told of.
        'client_secret="keyring:oneaccess/acme2024"',
        '"client_secret": "file:/run/secrets/oneaccess1"',
        'secret_key = "env:HUAWEICLOUD_SDK_SK"',
        'access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]',
        "client_secret=settings.oauth2_client_secret",
        '"access_token": OLD_TOKEN_IN_BASE64',
        "('/oauth1/access_token', OAuth1AccessToken2Handler)",
        "access_token = response.json()['access_token']",
        "headers = {'X-Auth-Token': token.reveal()}",
        '"access_key_secret": "YourAccessKeySecret"',
        "X-Auth-Token: <your token of 2026 goes here>",
        "Authorization: Bearer $ONEACCESS_TOKEN",
        "Authorization: Bearer {access_token}",
        "Authorization: Bearer YOUR_ACCESS_TOKEN_GOES_HERE",
        "ExpireTime=604800&TargetType=job",
        "token_id=822fab12-c224-4d1f-8118-5fb5d2def8b9",
        "AccessKeyId: LTAI****************",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9*****",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVC.e30.sig",
        f"{'X' * 90}_TOKEN=a1b2c3d4e5f6a7b8c9d0",
        # Others' public ones, and what tokenizers call tokens.
        "mapbox.accesstoken = 'pk.eyJ1IjoidXNlciIsImEiOiJhYmNkZWYifQ.abcdefghijklmnop'",
        "eyJ2ZXJzaW9uIjoxLCJhIjoyfQ.eyJhIjoxfQ.c2ln",
        '{"token": "##ing", "token": "internationalization"}',
        "nextPageToken=CAUQAA1234567890abcdef",
        "csrf_token: 1234567890abcdef1234",
        "<Token oneaccess … until 2026-11-22 09:00:00Z>",
        "[token oneaccess] [value of access_token] [Alibaba AccessKey id]",
        '{"token": "xlm-roberta-base-2019"}',
        # Part of something longer.
        "LTAI" + "a1" * 30,
        "LTAItestAccessKeyId01/with+more==",
        "SATF" + "a1" * 200,
        # A certificate begins like an IAM token.
        "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTESMBAGA1UEChMJ" * 4,
    ],
)
def test_ordinary_text_passes(text: str) -> None:
    assert found(text) == []
    assert found(json.dumps(text)) == []
    assert found(html.escape(text)) == []


def test_what_begins_like_a_jwt_and_never_ends_passes() -> None:
    header = base64.urlsafe_b64encode(b'{"a":' + b"[" * 3000).decode()[:4000]
    assert found(f"{header}.e30.sig") == []


def test_base64_passes() -> None:
    # The anchors themselves stand in it, each thousands of times in as much as this.
    data = "".join(anchor + secrets.token_hex(30) for anchor in ("LTAI", "SATF", "eyJ", "MII", "oken") * 4000)
    picture = base64.b64encode(secrets.token_bytes(1 << 20)).decode()
    assert found("data:image/png;base64," + picture) == []
    assert found("iVBORw0KGgo" + data.replace("=", "")) == []
    assert found(quote(picture)) == []


def test_megabytes_without_an_end_are_no_trap() -> None:
    # Each would take minutes if an expression went back over what it has read.
    for text in ("eyJ" * 300_000, "oken" * 300_000, "token" + " " * 500_000, "token=" + "a" * 500_000, "<b>" * 300_000):
        assert found(text) == []
