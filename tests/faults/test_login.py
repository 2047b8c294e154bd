"""ModelArts with a login to IAM, which may fail as well, and is made anew where its token is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_tokens.errors import TokenError, Unauthorized
from jupyter_tokens.server.app import TokensExtension
from jupyter_tokens.token import Token

from .cells import Planned
from .conftest import Side
from .table import ROWS
from .vendor import Vendor, WaitingClock

OF_THE_TOKEN = {"expired", "stalled", "token-type"}
"""What can be wrong with what the API gives; a login's token never leaves the server."""


def with_a_login(vendor: Vendor, folder: Path) -> dict[str, Any]:
    """ModelArts's profile, in which a login stands in place of the access key."""
    written = {key: value for key, value in vendor.profile("modelarts").items() if not key.endswith("_key")}
    ((username, password),) = vendor.sandbox.accounts.iam.items()
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    login = {"iam_endpoint": written["endpoint"], "username": username, "domain_name": "acme"}
    return {**written, **login, "password": f"file:{secret}"}


async def test_fails_as_the_apis_do(
    kernels: Callable[[], Side],
    extension: TokensExtension,
    clock: WaitingClock,
    write_profiles: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    seen, expected = {}, {}
    for number, row in enumerate(ROWS):
        if not isinstance(row.fault, Planned) or row.fault.kind in OF_THE_TOKEN:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        with Vendor("iam", row.fault, clock.now, folder / "vendor").serving() as vendor:
            write_profiles({"modelarts": with_a_login(vendor, folder)})
            extension.source.expire_config()
            clock.waits.clear()
            if row.silent:
                clock.run()
            with vendor.failing():
                got = await kernels().ask("modelarts")
            clock.stop()
            error = type(got) if isinstance(got, TokenError) else None
            seen[row.title] = error, vendor.calls, tuple(clock.waits), vendor.sandbox.requests["modelarts"]
            expected[row.title] = row.gets.error, row.gets.calls, row.gets.waits, int(error is None)
    assert seen == expected


@pytest.mark.parametrize(("times", "kind"), [(1, Token), (None, Unauthorized)])
async def test_is_made_anew_once(
    times: int | None,
    kind: type,
    kernels: Callable[[], Side],
    clock: WaitingClock,
    write_profiles: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    with Vendor("modelarts", Planned("401", times), clock.now, tmp_path / "vendor").serving() as vendor:
        write_profiles({"modelarts": with_a_login(vendor, tmp_path)})
        kernel = kernels()
        held = await kernel.ask("modelarts")
        assert isinstance(held, Token)
        with vendor.failing():
            assert isinstance(await kernel.ask("modelarts", refresh=True), kind)
        # One call with the earlier login, and one with a new login.
        assert (vendor.calls, vendor.sandbox.requests["iam"]) == (3, 2)
        assert clock.waits == []
