"""What a service that runs at DEBUG leaves behind, in its log, its folders and in Redis: no value, secret or key."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from jupyter_tokens.protocol.handles import Handle
from jupyter_tokens.protocol.proof import HEADER

from ..sources.conftest import PASSWORD, RedisServer
from .conftest import ALICE, BOB, ROOT, SECRETS, SERVICES_OWN, Browser, Hub
from .test_command import started


def test_nothing_of_value_is_left(
    profiles: dict[str, Any], hub: Hub, redis_server: RedisServer, tmp_path: Path, config_dir: Path
) -> None:
    hidden = [ALICE, BOB, ROOT, SERVICES_OWN, PASSWORD, "c0de-of-a-login", *SECRETS.values()]
    store = {"JUPYTER_TOKENS_STORE": redis_server.url}
    with redis_server.monitored() as told, started("--port", "0", "--debug", **store) as (process, [url]):

        def call(method: str, path: str, token: str, body: Any = None) -> httpx.Response:
            headers = {"Authorization": f"token {token}"}
            return httpx.request(method, f"{url}v1/{path}", headers=headers, json=body, timeout=60)

        answers = [call("POST", "token", ALICE, {"profile": name}) for name in ("oneaccess", "mine")]
        hidden += [answer.json()["value"] for answer in answers]
        assert call("POST", "token", ALICE, {"profile": "wrong"}).status_code == 409
        assert call("POST", "token", f"{ALICE}-old", {"profile": "mine"}).status_code == 403
        handle = Handle.new("oneaccess", {})
        facts = {"id": handle.id, "key": handle.key.hex(), "profile": "oneaccess"}
        assert call("POST", "handles", ALICE, facts).status_code == 200
        proof = handle.prove("token", b"{}", time=int(time.time()), nonce=uuid4().hex)
        for status in (200, 403):
            worked = httpx.post(f"{url}v1/handles/{handle.id}/token", headers={HEADER: proof}, content=b"{}")
            assert worked.status_code == status
        hidden += [handle.key.hex(), handle.key.decode("latin-1"), proof.rpartition("mac=")[2]]
        browser = Browser(int(url.split(":")[2].partition("/")[0]), hub)
        text = browser.page(ROOT)
        hidden += [cookie.value for cookie in browser.client.cookies.jar if cookie.value]
        assert browser.press(text, revoke=handle.id).status_code == 303
        browser.client.close()
        process.send_signal(signal.SIGTERM)
        log = "".join(process.communicate(timeout=30))
    assert re.search("^.D ", log, re.MULTILINE)
    assert "revoked" in log
    left = {"log": log.encode(), "MONITOR": "".join(told).encode()}
    own = {config_dir / "secrets", config_dir / "jupyter_tokens_config.json"}
    for root in (tmp_path, config_dir.parent, Path(os.environ["JUPYTER_DATA_DIR"])):
        for file in root.rglob("*"):
            # What the administrator has written there.
            if file.is_file() and not own & {file, *file.parents} and file.name != "redis.conf":
                left[str(file)] = file.read_bytes()
    assert any(name.endswith("dump.rdb") for name in left)
    assert any(name.endswith("jupyter_tokens_store.key") for name in left)
    assert [name for name, data in left.items() for value in hidden if value.encode() in data] == []
