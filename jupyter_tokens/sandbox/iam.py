"""Huawei Cloud IAM: issues IAM tokens for logins, and temporary access keys for a user or an agency."""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar

from .accounts import is_secret
from .api import ErrorTable, Issued, RefusedError, iso
from .huawei import MISSING, HuaweiApi, json_body, reply
from .messages import Request, Response
from .modelarts import PROJECT

_ID_TOKEN = "/v3.0/OS-AUTH/id-token/tokens"  # noqa: S105 - a path, and no secret
_SECURITY_TOKENS = "/v3.0/OS-CREDENTIAL/securitytokens"
_LIFE = 24 * 3600
_KEY_LIVES = range(900, 86_401)
_SESSION_USER = re.compile(r"\S{5,64}")
_PROJECT_ID = re.compile(r"[0-9a-f]{32}")


class Iam(HuaweiApi):
    """Accepts any domain and any project name. Every project name means the sandbox's default project."""

    name: ClassVar[str] = "iam"
    variants: ClassVar[frozenset[str]] = frozenset({"expired"})
    # Instead of a code, Keystone's errors have a title.
    default_errors: ClassVar[ErrorTable] = {
        400: ("Bad Request", "The request body is invalid."),
        401: ("Unauthorized", "The username or password is wrong."),
        403: ("Forbidden", "You are not authorized to perform the requested action."),
        404: ("Not Found", "The resource could not be found."),
        405: ("Method Not Allowed", "The method is not allowed for the requested URL."),
        429: ("Too Many Requests", "The throttling threshold has been reached."),
        500: ("Internal Server Error", "An unexpected error prevented the server from fulfilling your request."),
        503: ("Service Unavailable", "The service is temporarily unavailable."),
    }

    def respond(self, request: Request) -> Response:
        """Log in or issue a temporary key, with status 201.

        A login's token is in the header X-Subject-Token. The token's expiry is in the body.
        """
        if request.path not in ("/v3/auth/tokens", _ID_TOKEN, _SECURITY_TOKENS):
            raise RefusedError(404)
        if request.method != "POST":
            raise RefusedError(405)
        # Logins need no signature, but the SDK signs some logins. Like the gateway, verify every signature.
        if request.header("authorization") is not None:
            self._verifier.verify(request)
        return self._issue_key(request) if request.path == _SECURITY_TOKENS else self._log_in(request)

    def error(self, request: Request, refused: RefusedError) -> Response:
        """Create an error in Keystone's form, or the gateway's error about a signature."""
        if refused.code.startswith("APIGW."):
            return super().error(request, refused)
        error = {"code": refused.status, "message": refused.message, "title": refused.code}
        return reply(refused.status, {"error": error})

    def _log_in(self, request: Request) -> Response:
        auth, end = _member(json_body(request), "auth"), self.world.token_expiry(self.name, request, _LIFE)
        scope = _scope(auth.get("scope"))
        if request.path == _ID_TOKEN:
            return self._issue("id_token", self._federated(request, auth), scope, end)
        identity = _member(auth, "identity")
        if identity.get("methods") == ["password"]:
            return self._issue("password", self._user(identity), scope, end)
        if identity.get("methods") == ["token"]:
            token = self._token(identity)
            # The new token does not outlive the token that was used to log in.
            return self._issue("token", _named(token.subject["user"]), scope, min(end, token.expires_at or end))
        raise RefusedError(400, message='auth.identity.methods must be ["password"] or ["token"].')

    def _issue_key(self, request: Request) -> Response:
        """Issue a temporary access key for the caller or for an agency."""
        auth = _member(json_body(request), "auth")
        identity = _member(auth, "identity")
        methods = identity.get("methods")
        if methods not in (["token"], ["assume_role"]):
            raise RefusedError(400, message="Only the methods token and assume_role are known.")
        options = identity.get(methods[0], {} if methods == ["token"] else None)
        if not isinstance(options, dict):
            raise RefusedError(400, message=f"The request body lacks the object {methods[0]}.")
        # A signed request needs no token; a token in the header takes precedence over a token in the body.
        if request.header("authorization") is None:
            in_body = options.get("id") if methods == ["token"] else None
            self._token({"token": {"id": request.header("x-auth-token") or in_body}})
        if methods == ["assume_role"]:
            _check_agency(options)
        _check_policy(identity.get("policy"))
        # Unknown fields are ignored: T Cloud's SDK misspells one of the names.
        life = options.get("duration_seconds", _KEY_LIVES.start)
        if isinstance(life, bool) or not isinstance(life, int) or life not in _KEY_LIVES:
            raise RefusedError(400, message="duration_seconds must be a whole number from 900 to 86400.")
        end = self.world.token_expiry(self.name, request, life)
        key_id, secret, token = self.issue_key(end)
        credential = {
            "access": key_id,
            "secret": secret,
            "securitytoken": token,
            "expires_at": iso(end, "microseconds"),
        }
        return reply(201, {"credential": credential})

    def _federated(self, request: Request, auth: dict[str, Any]) -> dict[str, Any]:
        provider, given = request.header("x-idp-id"), _member(auth, "id_token").get("id")
        if not (provider and isinstance(given, str) and given):
            raise RefusedError(400, message="The header X-Idp-Id and the id of an id_token are needed.")
        if not is_secret(self.world.accounts.id_tokens.get(provider), given):
            raise RefusedError(401, message="The identity provider does not exist or the ID token is not valid.")
        return _named("federated-user")

    def _token(self, identity: dict[str, Any]) -> Issued:
        given = _member(identity, "token").get("id")
        if not isinstance(given, str):
            raise RefusedError(400, message="The token needs an id.")
        token = self.world.find_valid(given)
        if token is None or token.api != self.name:
            raise RefusedError(401, message="The token is invalid or has expired.")
        return token

    def _user(self, identity: dict[str, Any]) -> dict[str, Any]:
        user = _member(_member(identity, "password"), "user")
        name, password, domain = user.get("name"), user.get("password"), _member(user, "domain")
        if not (isinstance(name, str) and isinstance(password, str) and _name_or_id(domain)):
            raise RefusedError(400, message="The user needs a name, a password and a domain's name or id.")
        # An unknown user's password is compared too, and the error is the same: neither the text nor the time of the
        # response reveals whether the user or the password was wrong.
        if not is_secret(self.world.accounts.iam.get(name), password):
            raise RefusedError(401)
        return {"name": name, "domain": domain}

    def _issue(self, method: str, user: dict[str, Any], scope: dict[str, Any], end: float) -> Response:
        now = self.world.clock()
        value = "MIISand" + secrets.token_urlsafe(192)
        subject = {"user": user["name"]}
        if "project" in scope:
            subject["project_id"] = scope["project"]["id"]
        self.world.issue(value, Issued(self.name, end, subject))
        token = {
            "methods": [method],
            "expires_at": iso(end, "microseconds"),
            "issued_at": iso(now, "microseconds"),
            "user": {**user, "id": secrets.token_hex(16), "password_expires_at": ""},
            "roles": [{"name": "te_admin", "id": "0"}],
            "catalog": [],
            **scope,
        }
        return reply(201, {"token": token}, [("X-Subject-Token", value)])


def _check_agency(options: dict[str, Any]) -> None:
    name = options.get("agency_name", options.get("xrole_name"))
    account = options.get("domain_id", options.get("domain_name"))
    if not (isinstance(name, str) and name and isinstance(account, str) and account):
        raise RefusedError(400, message="The agency needs a name, and its account's domain_id or domain_name.")
    user = options.get("session_user", {"name": "sandbox"})
    named = user.get("name") if isinstance(user, dict) else None
    if not (isinstance(named, str) and _SESSION_USER.fullmatch(named)):
        raise RefusedError(400, message="The name of session_user must have 5 to 64 characters.")
    if name == MISSING:
        raise RefusedError(404, message="The agency does not exist.")


def _check_policy(policy: Any) -> None:
    if policy is None:
        return
    if not isinstance(policy, dict) or policy.get("Version") != "1.1" or not isinstance(policy.get("Statement"), list):
        raise RefusedError(400, message='The policy must be an object with "Version": "1.1" and a list "Statement".')


def _named(user: str) -> dict[str, Any]:
    return {"name": user, "domain": {"id": "sandbox", "name": "sandbox"}}


def _member(parent: Any, name: str) -> dict[str, Any]:
    child = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(child, dict):
        raise RefusedError(400, message=f"The request body lacks the object {name}.")
    return child


def _name_or_id(value: Any) -> str | None:
    text = value.get("id") or value.get("name") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


def _scope(scope: Any) -> dict[str, Any]:
    """Return the project or domain of the requested scope, in the form of the response; {} without a scope."""
    if scope is None:
        return {}
    for kind in ("project", "domain"):
        text = _name_or_id(scope.get(kind)) if isinstance(scope, dict) else None
        if text and kind == "domain":
            return {"domain": scope[kind]}
        if text:
            project_id = scope[kind].get("id") or PROJECT
            if not _PROJECT_ID.fullmatch(project_id):
                raise RefusedError(401, message="The project does not exist.")
            return {"project": {"id": project_id, "name": scope[kind].get("name", "sandbox")}}
    raise RefusedError(400, message="The scope needs a project's or a domain's id or name.")
