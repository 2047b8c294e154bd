"""What the five APIs hand out is told from what only looks similar."""

from __future__ import annotations

import base64
import html
import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest

from jupyter_tokens.scan.shapes import find_shapes
from jupyter_tokens.scan.values import merged

from ..sampling import long

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
    return [(span.kind, text[span.start : span.end]) for span in merged(find_shapes(text))]


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
        (f"{{'Authorization': 'Token {SECRET}'}}", "value of Authorization", SECRET),
        # However a name is written, and whatever is around its value.
        (f'{{"accessToken": "{SECRET}"}}', "value of accessToken", SECRET),
        (f"oneaccess_token = '{SECRET}'", "value of oneaccess_token", SECRET),
        (f"access_token=SecretStr('{SECRET}')", "value of access_token", SECRET),
        (f"API_TOKEN: str = '{SECRET}'", "value of API_TOKEN", SECRET),
        (f"access_token -> {SECRET}", "value of access_token", SECRET),
        (f'api_key <- "{SECRET}"', "value of api_key", SECRET),
        (f"AccessKeySecret：{SECRET}", "value of AccessKeySecret", SECRET),
        (f"AccessKey Secret＝“{SECRET}”", "value of Secret", SECRET),
        (f"os.environ['API_TOKEN'] = '{SECRET}'", "value of API_TOKEN", SECRET),
        (f"os.getenv('API_TOKEN', '{SECRET}')", "value of API_TOKEN", SECRET),
        (f"tool --access-token {SECRET}", "value of access-token", SECRET),
        (f"[basic]\nak = ABCDEFGHIJKLMNOPQRST\nsk = {SECRET}", "value of sk", SECRET),
        (f'BasicCredentials(ak="ABCDEFGHIJKLMNOPQRST", sk="{SECRET}")', "value of sk", SECRET),
        (f'{{"access": "ABCDEFGHIJKLMNOPQRST", "secret": "{SECRET}"}}', "value of secret", SECRET),
        (f"fs.obs.secret.key={SECRET}", "value of fs.obs.secret.key", SECRET),
        ("CONSUMER_SECRET = 'qzXwKvJbRtGhPmNcLdFs'", "value of CONSUMER_SECRET", "qzXwKvJbRtGhPmNcLdFs"),
        (f'AuthApiKey(api_key="{SECRET}")', "value of api_key", SECRET),
        (f"x-api-key: {SECRET}", "value of x-api-key", SECRET),
        (f"API Key: {SECRET}", "value of API Key", SECRET),
        ("api_key='822fab12-c224-4d1f-8118-5fb5d2def8b9'", "value of api_key", "822fab12-c224-4d1f-8118-5fb5d2def8b9"),
        ("password=':a1Bcdxyz;&9#,'", "value of password", ":a1Bcdxyz;&9#,"),
        ("password='%:a1B+x#9'", "value of password", "%:a1B+x#9"),
        # A percent-encoded value is taken whole, and no more than it.
        (f"?client_secret=a1B2c3%2B{SECRET}%3D&x=1", "value of client_secret", f"a1B2c3%2B{SECRET}%3D"),
        (f"?SecurityToken={SECRET}%2b{SECRET}&x=1", "value of SecurityToken", f"{SECRET}%2b{SECRET}"),
        (f"?access_token={SECRET}%252F{SECRET}&x=1", "value of access_token", f"{SECRET}%252F{SECRET}"),
        (f"client_secret%3D{SECRET}%2F{SECRET}%26x%3D1", "value of client_secret", f"{SECRET}%2F{SECRET}"),
        # Around a value: URLs, clients, commands.
        ("postgresql://etl:kX93mPq0aLz@db/sales", "password in a URL", "kX93mPq0aLz"),
        ("redis://:p%40kX93mPq0aLz@db", "password in a URL", "p%40kX93mPq0aLz"),
        (f"git+https://{SECRET}@github.com/a/b", "token in a URL", SECRET),
        ("HTTPBasicAuth('client', 'kX93mPq0aLz')", "password of a client", "kX93mPq0aLz"),
        ("requests.get(url, auth=('client', 'kX93mPq0aLz'))", "password of a client", "kX93mPq0aLz"),
        ("curl -u client:kX93mPq0aLz https://x", "password of a command", "kX93mPq0aLz"),
        ("curl --user 'client:kX93mPq0aLz' https://x", "password of a command", "kX93mPq0aLz"),
        ("machine h login someone password kX93mPq0aLz", "value of password", "kX93mPq0aLz"),
        (f"obsutil config -i=ABCDEFGHIJKLMNOPQRST -k={SECRET}", "Huawei secret access key", SECRET),
        (f"BasicCredentials('ABCDEFGHIJKLMNOPQRST', '{SECRET}')", "password of a client", SECRET),
        (f"?X-Amz-Date=1&X-Amz-Signature={'0f1e2d3c' * 8}", "signature of a URL", "0f1e2d3c" * 8),
        ("?Expires=1&Signature=6L5tkQ29DbJWswTZqiIbNFeBNWI%3D", "signature of a URL", "6L5tkQ29DbJWswTZqiIbNFeBNWI%3D"),
        ("?sv=1&amp;sig=6L5tkQ29DbJWswTZqiIbNFeBNWI%3D", "signature of a URL", "6L5tkQ29DbJWswTZqiIbNFeBNWI%3D"),
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
        "iVBOR%2BSATF" + "a1" * 50 + "%2Bx",
        "iVBOR\\u002fLTAItestAccessKeyId01%2Bx",
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


@long
def test_megabytes_without_an_end_are_no_trap() -> None:
    # Each would take minutes if an expression went back over what it has read.
    for text in (
        "eyJ" * 300_000,
        "oken" * 300_000,
        "token" + " " * 500_000,
        "token=" + "a" * 500_000,
        "<b>" * 300_000,
        "<tr><th>token</th>" * 50_000,
        "token\n" * 100_000,
        "secret=" * 20_000,
        "a,token\n" * 50_000,
        "://a:" * 100_000,
        "-----BEGIN PRIVATE KEY-----" + "\\" * 500_000,
        "-----BEGIN PRIVATE KEY-----\\n" * 10_000,
        "auth=('a','" * 50_000,
        "sk-" * 100_000 + "T3BlbkFJ" * 1000,
        "Signature=" * 20_000,
        '{"0":' * 50_000 + "token" + '{"0":' * 50_000,
    ):
        assert found(text) == []


@pytest.mark.parametrize("text", ["secret=", "sk=7K/", "%3Dtoken%3D", "Bearer+"])
def test_a_run_of_names_is_not_read_to_its_end_at_each_of_them(text: str) -> None:
    # Time of this process alone, and with reserve: it takes about half a second, and took 8 to 40.
    begun = time.process_time()
    found(text * (100_000 // len(text)))
    assert time.process_time() - begun < 4


@pytest.mark.parametrize("size", [120, 127, 128, 129, 20_000])
@pytest.mark.parametrize("around", ["secret_key={}", "secret_key='{}'", "Bearer {}", "?a=1&sig={}"])
def test_a_long_value_is_found_whole(around: str, size: int) -> None:
    value = (SECRET * size)[: min(size, 16_384)]
    assert [text for _, text in found(around.format(value))] == [value]


class TestPairs:
    """The secret that is beside an id."""

    SECRET = "n8ZikMwVum0H74geah3X9rST466Pvf"

    @pytest.mark.parametrize(
        "text",
        [
            "oss2.Auth('{}', '{}')",
            "ODPS('{}', '{}', 'project')",
            "ossutil64 config -i {} -k {}",
            "{},{},https://signin.example.org",
            "id = '{}'\nkey = '{}'",
        ],
    )
    def test_after_its_id(self, text: str) -> None:
        assert found(text.format(ACCESS_KEY, self.SECRET))[-1] == ("Alibaba AccessKey secret", self.SECRET)

    def test_before_its_id(self) -> None:
        assert ("Alibaba AccessKey secret", self.SECRET) in found(f"{self.SECRET} {ACCESS_KEY}")

    @pytest.mark.parametrize(
        "beside", ["0a1b2c3d4e5f60718293a4b5c6d7e8", "thirtyLettersThatAreWordsAlone", SECRET + "a", SECRET[:29]]
    )
    def test_what_is_no_secret_is_not_taken(self, beside: str) -> None:
        assert found(f"'{ACCESS_KEY}', '{beside}'") == [("Alibaba AccessKey id", ACCESS_KEY)]

    def test_far_from_its_id_it_is_not_looked_for(self) -> None:
        assert found(f"{ACCESS_KEY}{' ' * 300}{self.SECRET}") == [("Alibaba AccessKey id", ACCESS_KEY)]


class TestTables:
    """As pandas shows and writes them."""

    TOKEN = "9f3b2c7d8e1a4f6b0c5d9e2a7b8c1d4e6f0a3b5c"

    @pytest.mark.parametrize(
        "write",
        [
            pd.DataFrame.to_string,
            pd.DataFrame.to_html,
            pd.DataFrame.to_csv,
            pd.DataFrame.to_dict,
            pd.DataFrame.to_json,
            lambda frame: frame.to_csv(sep="\t"),
            lambda frame: frame.to_csv(sep=";", index=False, quoting=1),
            lambda frame: frame.to_json(orient="records"),
            lambda frame: frame.to_json(orient="index"),
            lambda frame: frame.to_dict("list"),
            lambda frame: frame.set_index("n").to_string(),
            lambda frame: frame.to_json(orient="table"),
            lambda frame: frame[["access_token"]].to_csv(index=False),
        ],
    )
    def test_a_frame(self, write: Callable[[pd.DataFrame], object]) -> None:
        frame = pd.DataFrame({"n": [1, 2], "access_token": [self.TOKEN, self.TOKEN[::-1]], "name": ["a b", "c"]})
        values = [value for _, value in found(str(write(frame)))]
        assert values == [self.TOKEN, self.TOKEN[::-1]]

    def test_a_series(self) -> None:
        series = pd.Series({"access_token": self.TOKEN, "token_type": "Bearer", "expires_in": 1799})
        assert found(repr(series)) == [("value of access_token", self.TOKEN)]

    @pytest.mark.parametrize(
        "table",
        ["| n | api_key |\n|---|---|\n| 1 | {} |\n", "│ n ┆ api_key │\n│ 1 ┆ {} │\n", "api_key\n{}\n\nafter {}"],
    )
    def test_others(self, table: str) -> None:
        assert found(table.replace("{}", self.TOKEN, 1).replace("{}", "x")) == [("value of api_key", self.TOKEN)]

    @pytest.mark.parametrize(
        "table",
        [
            # Another column, another table, words below, a list that is no table.
            f"n,api_key\n{TOKEN},1\n",
            f"api_key\n\n{TOKEN}\n",
            "token  n\ninternationalization  12345678901\n",
            f"<tr><th>token</th><th>n</th></tr><tr><td>x</td><td>{TOKEN}</td></tr>",
            f"def f(\n    access_token,\n):\n    '{TOKEN}'",
        ],
    )
    def test_what_is_not_below_a_name_passes(self, table: str) -> None:
        assert found(table) == []


class TestPrivateKeys:
    LINES = tuple(base64.b64encode(secrets.token_bytes(48)).decode() for _ in range(6))

    @pytest.mark.parametrize("newline", ["\n", "\\n", "\\\\n", "\r\n", " "])
    @pytest.mark.parametrize("kind", ["", "RSA ", "OPENSSH ", "ENCRYPTED "])
    def test_taken_with_header_and_footer(self, newline: str, kind: str) -> None:
        head, foot = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
        key = newline.join([head, *self.LINES, foot])
        assert found(f"key = '{key}' # after") == [("private key", key)]

    def test_one_without_an_end(self) -> None:
        key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(self.LINES)
        assert found(key + "\n\nand so on") == [("private key", key)]

    @pytest.mark.parametrize(
        "text",
        [
            "if '-----BEGIN PRIVATE KEY-----' in text: raise ValueError('there is a key in it')",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nHere goes the private key that was made before\n-----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\n" + "\n".join(LINES),
        ],
    )
    def test_a_mention_passes(self, text: str) -> None:
        assert found(text) == []


def test_pictures_within_text_are_left_out() -> None:
    picture = base64.b64encode(secrets.token_bytes(3000)).decode()
    text = f'<img src="data:image/png;base64,{picture} {ACCESS_KEY}"> {STS}'
    assert found(f'<img src="data:image/png;base64,{picture}\n{ACCESS_KEY}"> {STS}') == [
        ("Alibaba STS AccessKey id", STS)
    ]
    assert found(text.replace("image/png", "text/plain"))[0][1] == ACCESS_KEY


def test_small_letters_are_as_long_as_their_capitals() -> None:
    # Names are looked for in small letters, and their places are those of the text.
    odd = [chr(code) for code in range(sys.maxunicode + 1) if len(chr(code).lower()) != 1]
    assert odd == ["İ"]
    assert found(f"İİİ access_token='{SECRET}'") == [("value of access_token", SECRET)]
