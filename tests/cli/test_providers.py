"""`jupyter tokens providers`: what a person needs to write a profile, and a machine to make a form."""

from __future__ import annotations

import json
from types import SimpleNamespace

import jsonschema
import pytest

from jupyter_tokens.cli.providers import ProvidersApp
from jupyter_tokens.providers import catalogue
from jupyter_tokens.providers.catalogue import provider_class, provider_ids

from .running import Run

APP = ProvidersApp


def test_each_with_all_its_settings_and_parameters(run: Run) -> None:
    done = run()
    assert (done.code, done.err) == (0, "")
    for provider_id in provider_ids():
        provider = provider_class(provider_id)
        assert f"{provider_id}  {provider.title}" in done.out
        part = run(provider_id).out
        assert all(f"  {name}" in part for name in provider.settings())
        assert all(f"  {name}=" in part for name in provider.params)


def test_what_is_secret_required_or_a_choice_is_told(run: Run) -> None:
    told = run("eiam", "modelarts").out
    assert "Access key secret. Secret." in told
    assert "Id of the IDaaS instance. Required." in told
    assert "[auto, notebooks, demanager]" in told
    assert "No parameters." in run("oneaccess").out


def test_json_holds_schemas(run: Run) -> None:
    told = json.loads(run("--json").out)["providers"]
    assert [entry["id"] for entry in told] == provider_ids()
    for entry in told:
        for schema in (*entry["settings"].values(), entry["params"]):
            jsonschema.Draft202012Validator.check_schema(schema)


def test_an_unknown_one(run: Run) -> None:
    done = run("oneacess")
    assert (done.code, done.out) == (2, "")
    assert "Did you mean oneaccess?" in done.err


def test_one_that_cannot_be_loaded_leaves_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise ImportError("secret-of-another-package")

    catalogue.provider_class.cache_clear()
    monkeypatch.setattr(catalogue, "installed", lambda: {"broken": SimpleNamespace(load=load)})
    done = run()
    assert done.code == 0
    assert "oneaccess" in done.out
    assert done.err == "The provider broken cannot be loaded (ImportError).\n"
