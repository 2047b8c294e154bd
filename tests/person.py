"""A person with a browser, who logs in at the sandbox's OpenID provider."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, ProxyHandler, Request, build_opener


class Page(NamedTuple):
    """What a browser shows, or where it is sent to."""

    url: str
    status: int
    headers: Any
    text: str


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """No further: the test looks at where to."""


class Person:
    """Opens pages, presses their buttons, and keeps cookies; follows no redirect. It writes no log, as httpx would."""

    def __init__(self) -> None:
        self._browser = build_opener(HTTPCookieProcessor(CookieJar()), _Stay(), ProxyHandler({}))

    def open(self, url: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        request = Request(url, None if form is None else urlencode(form).encode(), headers)
        try:
            answer = self._browser.open(request, timeout=60)
        except HTTPError as error:
            answer = error
        with answer:
            return Page(url, answer.status, answer.headers, answer.read().decode())

    def press(self, page: Page, decision: str = "allow", **fields: str) -> Page:
        assert page.status == 200, page.text
        action = re.search(r'action="([^"]+)"', page.text)
        assert action is not None, page.text
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page.text))
        form = {**hidden, **fields, **({"decision": decision} if hidden else {})}
        return self.open(urljoin(page.url, action[1]), form)

    def log_in(self, url: str, decision: str = "allow") -> str:
        """Where the browser is sent to in the end."""
        return str(self.press(self.open(url), decision).headers["Location"])

    def type_code(self, url: str, code: str, decision: str = "allow") -> None:
        done = self.press(self.press(self.open(url), user_code=code), decision)
        assert done.status == 200, done.text


def answer_in(location: str) -> dict[str, list[str]]:
    """The parameters of the address that a browser came back to."""
    return parse_qs(urlsplit(location).query, keep_blank_values=True)
