"""A real hub whose users and whose service are users of the machine: what each can read, tried as that user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import psutil
import pytest

from jupyter_tokens.sandbox import Sandbox

from .notebooks import Notebook, notebook
from .test_real_hub import RealHub, page, running_hub

pytestmark = [
    pytest.mark.scale,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make users"),
]


SOURCES = Path(__file__).parents[2]


def as_user(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["runuser", "-u", name, "--", *command], check=False, capture_output=True, text=True)


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Of four users: one in physics, one in chemistry, one in no group, and the service's own."""
    end = uuid4().hex[:6]
    made = [f"jt-{name}-{end}" for name in ("ada", "bob", "eve", "svc")]
    for name in made:
        subprocess.run(["useradd", "--create-home", name], check=True)
    yield made
    for name in made:
        subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)


@pytest.fixture
def python(names: list[str]) -> str:
    """An interpreter of this version that users can run: one below root's home they cannot."""
    for found in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        if as_user(names[0], found, "-c", "pass").returncode == 0:
            return found
    raise AssertionError("install the system's Python of this version")


@pytest.fixture
def users_hub(names: list[str], python: str, sandbox: Sandbox) -> Iterator[RealHub]:
    ada, bob, _, service = names
    folder = Path(mkdtemp(prefix="jt-hub-"))
    folder.chmod(0o755)
    made = RealHub(
        folder,
        sandbox,
        python=python,
        python_path=os.pathsep.join([*(word for word in sys.path if word.endswith("site-packages")), str(SOURCES)]),
        service_user=service,
        users={ada: "physics", bob: "chemistry"},
        # An interpreter that is not this one's finds the extension by the path alone.
        more=f"""
c.Spawner.environment.update({{"JUPYTER_CONFIG_PATH": {str(SOURCES / "jupyter-config")!r}}})
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
c.JupyterHub.allow_named_servers = True
c.Spawner.args = []
""",
    )
    for file in [folder / "service", *(folder / "service").rglob("*")]:
        shutil.chown(file, service, service)
    try:
        with running_hub(made):
            yield made
    finally:
        shutil.rmtree(folder)


def test_what_users_of_the_machine_get_and_can_read(users_hub: RealHub, names: list[str], sandbox: Sandbox) -> None:
    ada, bob, eve, service = names
    for name in (ada, bob, eve):
        users_hub.api.post(f"/hub/api/users/{name}")
    tokens = {name: users_hub.starts(name) for name in (ada, bob, eve)}
    tokens["big"] = users_hub.starts(ada, "big")
    # Each server runs as its user, and the service as its own.
    [of_service] = [one for one in psutil.process_iter() if one.username() == service and "service" in one.cmdline()]
    route = "jupyter-tokens/profiles/shared/token"
    assert users_hub.api.post(f"/user/{ada}/{route}", json={}).status_code == 200
    assert users_hub.api.post(f"/user/{ada}/big/{route}", json={}).status_code == 200
    assert {name: users_hub.asks(token).status_code for name, token in tokens.items()} == {
        ada: 200,
        "big": 200,
        bob: 403,
        eve: 403,
    }
    assert sandbox.requests["oneaccess"] == 1
    browser, text = page(users_hub, ada)
    browser.close()
    assert ">big<" in text
    # The secret, the configuration and the service's environment, as those users.
    secrets = [file for file in (users_hub.folder / "service").rglob("*") if file.is_file()]
    assert len(secrets) >= 2
    for name in (ada, bob, eve):
        for file in (*secrets, Path(f"/proc/{of_service.pid}/environ")):
            tried = as_user(name, "cat", str(file))
            assert (tried.returncode, tried.stdout) == (1, "")
    assert as_user(service, "cat", str(secrets[0])).returncode == 0


# A digest: the kernel takes the value out of what it prints.
VARIABLE = """
import getpass, hashlib, os
value = os.environ.get("ONEACCESS_TOKEN")
print(getpass.getuser(), value and hashlib.sha256(value.encode()).hexdigest())
"""


def test_gettoken_in_notebooks_of_users_of_the_machine(users_hub: RealHub, names: list[str], sandbox: Sandbox) -> None:
    ada, bob, _, _ = names
    servers = {"default": (ada, ""), "named": (ada, "big"), "other group": (bob, "")}
    for name in (ada, bob):
        users_hub.api.post(f"/hub/api/users/{name}")
    with ExitStack() as stack:
        notebooks: dict[str, Notebook] = {}
        for kind, server in servers.items():
            users_hub.starts(*server)
            notebooks[kind] = stack.enter_context(notebook(users_hub, *server))
        for each in notebooks.values():
            each.run("%gettoken shared")
        [value] = sandbox.issued
        digest = sha256(value.encode()).hexdigest()
        assert {kind: each.run(VARIABLE) for kind, each in notebooks.items()} == {
            "default": f"{ada} {digest}",
            "named": f"{ada} {digest}",
            "other group": f"{bob} None",
        }
        assert [bool(each.errors()) for each in notebooks.values()] == [False, False, True]
        assert "shared" in notebooks["other group"].errors()[0]
        # Out of the group.
        left = users_hub.api.request("DELETE", "/hub/api/groups/physics/users", json={"users": [ada]})
        assert left.status_code == 200

        def refused() -> bool:
            for kind in ("default", "named"):
                notebooks[kind].run("%gettoken shared --refresh")
            return all(notebooks[kind].errors() for kind in ("default", "named"))

        users_hub.until(refused, 30)
        for each in notebooks.values():
            assert not [value for value in sandbox.issued if value in json.dumps(each.heard)]
