"""What a user gets of each API with each fault, written down by hand: the tests hold the product to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jupyter_tokens.errors import (
    Forbidden,
    NetworkError,
    NotFound,
    ResponseError,
    ServiceUnavailable,
    Throttled,
    TimedOut,
    Unauthorized,
    UnusableToken,
)

from .cells import Certificate, Gets, Planned, Refused, Row, Skewed


def hints(**texts: str) -> dict[str, dict[str, str]]:
    """What to do, where it differs by API; `alibaba` is both of Alibaba Cloud's."""
    return {api: {"hint": text} for api, text in of_each(**texts).items()}


def of_each(**values: Any) -> dict[str, Any]:
    """By API; `alibaba` is both of Alibaba Cloud's."""
    named = {name.replace("_", "-"): value for name, value in values.items() if name != "alibaba"}
    return {"pai-dlc": values["alibaba"], "eiam": values["alibaba"], **named} if "alibaba" in values else named


EXPIRING = ("pai-dlc", "oneaccess", "eiam")
"""Those that tell when their token ends."""
# Where a request id is: in errors of the vendor's own form, or in any answer's headers.
IN_ERRORS = ("modelarts", "pai-dlc", "astra", "eiam")
IN_HEADERS = ("modelarts", "pai-dlc", "eiam")

BACKOFF = (0.5, 1.0, 2.0)
AGAIN = "Try again later."
NOT_THIS_API = "Check that the endpoint belongs to this API."
CLIENT = "Check client_id and client_secret, and that the application may call APIs."
LOCKED = "Check the credential of the profile and this machine's clock. A key is locked for 5 minutes after 5 refusals."
CLOCK = "Set this machine's clock: a signature is valid for 15 minutes."

UNREACHED = Gets(NetworkError, hint="Check the endpoint, the network and the proxy settings.", calls=0, waits=BACKOFF)
BROKEN = Gets(NetworkError, hint=AGAIN, calls=4, waits=BACKOFF)
SILENT = Gets(TimedOut, hint="Try again, or raise the profile's timeout.")
MALFORMED = Gets(ResponseError, status=200, hint=NOT_THIS_API)
REDIRECTED = Gets(ResponseError, status=301, hint="Check the URLs in the profile, such as endpoint or issuer.")
UNAUTHORIZED = Gets(Unauthorized, status=401, hint="Check the profile's credential.")
NOT_FOUND = Gets(NotFound, status=404, hint="Check the ids and the endpoint.")
THROTTLED = Gets(Throttled, status=429, hint=AGAIN, calls=4, waits=BACKOFF)
UNAVAILABLE = Gets(ServiceUnavailable, status=500, hint=AGAIN, calls=4, waits=BACKOFF)
UNTRUSTED = Gets(
    NetworkError,
    hint="Check the endpoint. For a private CA, set the profile's verify to the path of the CA bundle.",
    calls=0,
)
MISNAMED = replace(UNTRUSTED, hint="Check the endpoint: the certificate is not valid for its host.")
OUTDATED = replace(
    UNTRUSTED, hint="Check this machine's clock. If it is right, the certificate of the endpoint has to be renewed."
)

HINTS_401 = hints(modelarts=LOCKED, astra="Check api_token: it may have been revoked.")
HINTS_403 = hints(
    modelarts="Ask for permission to use ModelArts in this project.",
    pai_dlc="Ask for the RAM action paidlc:GetToken.",
    oneaccess=CLIENT,
    astra="Ask for a role that may see this user's tokens.",
    eiam="Ask for the RAM action eiam:ObtainApplicationToken.",
)
HINTS_404: dict[str, dict[str, Any]] = {
    **hints(alibaba=NOT_THIS_API, astra="Check account_id, user_id and token_id."),
    # Its older call is made as well, once.
    "modelarts": {"calls": 2},
}
HINTS_EXPIRED = hints(
    pai_dlc="Check this machine's clock.",
    oneaccess="Check the validity period under API Authentication in the administrator portal.",
    eiam="Enable or renew it in the IDaaS console, or give another ApplicationTokenId.",
)
STALE = {"error": Unauthorized, "request_id": True}
BUT_SKEWED = of_each(
    modelarts={**STALE, "status": 401, "code": "APIGW.0301", "hint": LOCKED},
    alibaba={**STALE, "status": 400, "code": "InvalidTimeStamp.Expired", "hint": CLOCK},
)

ASTRA = "https://astra.netapp.io/problems/"
CODES_401 = of_each(modelarts="APIGW.0301", alibaba="InvalidCredentials", oneaccess="unauthorized", astra=ASTRA + "4")
CODES_403 = of_each(modelarts="ModelArts.0108", alibaba="NoPermission", oneaccess="access_denied", astra=ASTRA + "11")
CODES_404 = of_each(modelarts="APIGW.0101", alibaba="InvalidApi.NotFound", oneaccess="not_found", astra=ASTRA + "1")
CODES_429 = of_each(
    modelarts="APIGW.0308", alibaba="Throttling.Api", oneaccess="too_many_requests", astra="about:blank"
)
CODES_500 = of_each(modelarts="APIGW.9999", alibaba="InternalError", oneaccess="system_error", astra="about:blank")
CODES_THROTTLED = {**CODES_429, **of_each(alibaba="Throttling.User")}

# Faster than it is called, as the time limit is shorter than a profile's: no single wait is what ends it.
DRIP = Planned("slow", silent=True, options={"interval": 0.1})
HTML = {"body": "<h1>Down for maintenance</h1>", "headers": {"Content-Type": "text/html"}}
TIME_LIMIT = "the profile's `timeout` ends it"
NOTHING_SENT = "nothing is sent"

# fmt: off
ROWS = (
    Row("Connection refused", Refused(), UNREACHED, NetworkError, note="four attempts to connect"),
    Row("Connection reset before the answer", Planned("reset"), BROKEN, NetworkError),
    Row("Connection reset in the middle of the answer", Planned("reset-mid"), BROKEN, NetworkError),
    Row("No answer", Planned("hang", silent=True), SILENT, TimedOut, note=TIME_LIMIT),
    Row("No body after the headers", Planned("hang-mid", silent=True), SILENT, TimedOut, note=TIME_LIMIT),
    Row("One byte a second", DRIP, SILENT, TimedOut, note=TIME_LIMIT),
    Row("100 MB", Planned("huge"), MALFORMED, ResponseError, ids=IN_HEADERS, note="only 1 MiB is read"),
    Row("A gzip bomb of 100 MB", Planned("gzip-bomb"), MALFORMED, ResponseError, ids=IN_HEADERS,
        note="not decompressed"),
    Row("Wrong content type", Planned("content-type"), MALFORMED, 200, ids=IN_HEADERS),
    Row("Truncated JSON", Planned("half-json"), MALFORMED, 200, ids=IN_HEADERS),
    Row("JSON of wrong types", Planned("wrong-types"), MALFORMED, 200, ids=IN_HEADERS),
    Row("JSON nested 100,000 deep", Planned("deep"), MALFORMED, 200),
    Row("204", Planned("204"), replace(MALFORMED, status=204), 204),
    Row("301 to another host", Planned("redirect"), REDIRECTED, ResponseError,
        note="not followed: no credential is sent to another host"),
    Row("401 once", Planned("401", times=1), UNAUTHORIZED, 401, HINTS_401, CODES_401, IN_ERRORS,
        note="not retried, because vendors lock keys; only a login to IAM is repeated, once"),
    Row("401 each time", Planned("401"), UNAUTHORIZED, 401, HINTS_401, CODES_401, IN_ERRORS,
        note="while a token is valid, the key is not sent again automatically"),
    Row("403", Planned("403"), Gets(Forbidden, status=403), 403, HINTS_403, CODES_403, IN_ERRORS),
    Row("404", Planned("404"), NOT_FOUND, 404, HINTS_404, CODES_404, IN_ERRORS,
        note="ModelArts' older API is called too, and the error contains both answers"),
    Row("429 each time, without a waiting time", Planned("429"), THROTTLED, 429, {}, CODES_429, IN_ERRORS),
    Row("429 once, with a waiting time", Planned("429", times=1, options={"retry_after": 3}),
        Gets(calls=2, waits=(3.0,)), 429, note="waits as long as requested, if the profile's `timeout` allows it"),
    Row("The vendor's own throttling, each time", Planned("throttle", options={"retry_after": 2}),
        replace(THROTTLED, waits=(2.0, 2.0, 2.0)), 400, of_each(alibaba={"status": 400}), CODES_THROTTLED, IN_ERRORS,
        note="waits as long as requested by `Retry-After`, or Alibaba Cloud's `x-acs-retry-after`"),
    Row("500 once", Planned("500", times=1), Gets(calls=2, waits=(0.5,)), 500),
    Row("500 each time", Planned("500"), UNAVAILABLE, 500, {}, CODES_500, IN_ERRORS),
    Row("503 with HTML", Planned("503", options=HTML), replace(UNAVAILABLE, status=503), 503, ids=IN_HEADERS),
    Row("Clocks 20 minutes apart", Skewed(1200), Gets(), 400, BUT_SKEWED,
        note="only signed requests depend on the clock"),
    Row("A token that has already expired", Planned("expired"), Gets(UnusableToken, status=200), 200, HINTS_EXPIRED,
        ids=IN_HEADERS, only=EXPIRING),
    Row("An expiry that does not advance", Planned("stalled"), Gets(), 200, only=EXPIRING,
        note="refreshed again after half of the remaining time, at the latest after a minute"),
    Row("A token of another type", Planned("token-type"), MALFORMED, 200, ids=IN_HEADERS),
    Row("A certificate for another name", Certificate("other.example.com"), MISNAMED, NetworkError, note=NOTHING_SENT),
    Row("A certificate that has expired", Certificate(expired=True), OUTDATED, NetworkError, note=NOTHING_SENT),
    Row("A certificate of an unknown authority", Certificate(known=False), UNTRUSTED, NetworkError, note=NOTHING_SENT),
)
# fmt: on
