"""Astra Control's token resources: their JSON, the checks of a client's JSON, and the queries of lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .api import RefusedError

MEDIA, VERSION = "application/astra-token", "1.0"
_METADATA = {"labels", "creationTimestamp", "modificationTimestamp", "createdBy", "modifiedBy"}
_EDITABLE = {"type", "version", "name", "metadata"}
_MAX_NAME_LENGTH = 63
_FIXED = ("id", "userID")
# The documentation: "Internally validated to prevent XSS, Unicode, directory traversal, and SQL-injection attacks."
_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9 ._:@()+\-]*")
_INCLUDE = re.compile(r"[0-9a-zA-Z]+(,[0-9a-zA-Z]+)*")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_ORDER = re.compile(r"([0-9a-zA-Z]+)( desc)?")
_FILTER = re.compile(r"([0-9a-zA-Z]+) eq '([0-9a-zA-Z.,_:@ -]+)'")
_PROBLEMS = {
    1: (404, "Resource not found", "The resource specified in the request URI wasn't found."),
    2: (404, "Collection not found", "The collection specified in the request URI wasn't found."),
    3: (401, "Missing bearer token", "The request is missing the required bearer token."),
    4: (401, "Invalid bearer token", "The bearer token provided is invalid, revoked, or doesn't exist."),
    5: (400, "Invalid query parameters", "The supplied query parameters are invalid."),
    6: (400, "Query parameters not supported", "The supplied query parameters aren't supported for this endpoint."),
    7: (400, "Invalid JSON payload", "The request body is not valid JSON."),
    8: (400, "Invalid JSON resource", "The request body JSON doesn't conform to the schema."),
    9: (400, "Invalid JSON resource", "The request body JSON didn't pass extended validation."),
    10: (
        409,
        "JSON resource conflict",
        "The request body JSON contains a field that conflicts with an idempotent value.",
    ),
    11: (403, "Operation not permitted", "The requested operation isn't permitted."),
}

Resource = dict[str, Any]


def problem(number: int, **extra: Any) -> RefusedError:
    """Create the refusal with this number in the vendor's catalogue of problems; `extra` are its additional fields."""
    status, title, detail = _PROBLEMS[number]
    return RefusedError(status, f"https://astra.netapp.io/problems/{number}", detail, title=title, **extra)


def new_resource(identifier: str, user_id: str, body: Resource, now: str) -> Resource:
    """Create the resource of a new token."""
    labels = body.get("metadata", {}).get("labels", [])
    stamps = {"creationTimestamp": now, "modificationTimestamp": now, "createdBy": user_id}
    return {
        "type": MEDIA,
        "version": VERSION,
        "id": identifier,
        "name": body["name"],
        "userID": user_id,
        "metadata": {"labels": labels, **stamps},
    }


def check_create(body: Any) -> Resource:
    """Check the body of a POST and return it. Raises RefusedError."""
    return _check(body, _EDITABLE, ("type", "version", "name"))


def replace(stored: Resource, body: Any, now: str) -> None:
    """Apply the body of a PUT: only the name and the labels can change. Raises RefusedError."""
    given = _check(body, _EDITABLE | set(_FIXED), ("type", "version"))
    for name in _FIXED:
        if name in given and given[name] != stored[name]:
            raise problem(10, invalidFields=[{"name": name, "reason": "cannot be changed"}])
    stored["name"] = given.get("name", stored["name"])
    metadata = stored["metadata"]
    metadata["labels"] = given.get("metadata", {}).get("labels", metadata["labels"])
    metadata["modificationTimestamp"], metadata["modifiedBy"] = now, stored["userID"]


def _check(body: Any, known: set[str], required: tuple[str, ...]) -> Resource:
    if not isinstance(body, dict):
        raise problem(8, schemaValidationFailure="the body must be an object")
    for name in required:
        if name not in body:
            raise problem(8, schemaValidationFailure=f"{name} is required")
    if set(body) - known:
        raise problem(8, schemaValidationFailure="additional properties are not allowed")
    if (body["type"], body["version"]) != (MEDIA, VERSION):
        raise problem(8, schemaValidationFailure=f"type must be {MEDIA} and version {VERSION}")
    name = body.get("name", "-")
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_LENGTH:
        raise problem(8, schemaValidationFailure="name must be a string of 1 to 63 characters")
    if not _NAME.fullmatch(name):
        raise problem(9, invalidFields=[{"name": "name", "reason": "holds characters that are not allowed"}])
    if not _is_metadata(body.get("metadata", {})):
        raise problem(8, schemaValidationFailure="metadata does not conform to the schema")
    return body


def _is_metadata(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) - _METADATA:
        return False
    labels = value.get("labels", [])
    return isinstance(labels, list) and all(
        isinstance(label, dict) and set(label) == {"name", "value"} and all(isinstance(v, str) for v in label.values())
        for label in labels
    )


def query(resources: Iterable[Resource], params: list[tuple[str, str]]) -> tuple[list[Any], int | None]:
    """Return the items that the query selects and, if the query has `count`, their number before `skip` and `limit`.

    Raises RefusedError for an invalid query.
    """
    given = dict(params)
    patterns = {"include": _INCLUDE, "limit": _NUMBER, "skip": _NUMBER, "orderBy": _ORDER, "filter": _FILTER}
    patterns["count"] = re.compile("true")
    # There is never a second page, so any `continue` is invalid.
    bad = [name for name, value in given.items() if name not in patterns or not patterns[name].fullmatch(value)]
    if bad or len(given) != len(params):
        reasons = [{"name": name, "reason": "unknown, malformed or not supported"} for name in bad]
        raise problem(5, invalidParams=reasons or [{"name": "query", "reason": "a parameter is given twice"}])
    items = list(resources)
    if match := _FILTER.fullmatch(given.get("filter", "")):
        items = [item for item in items if item.get(match[1]) == match[2]]
    if match := _ORDER.fullmatch(given.get("orderBy", "")):
        items.sort(key=lambda item: str(item.get(match[1])), reverse=bool(match[2]))
    total = len(items)
    first = int(given.get("skip", 0))
    items = items[first : first + int(given.get("limit", total))]
    count = total if "count" in given else None
    if "include" not in given:
        return items, count
    return [[item.get(name) for name in given["include"].split(",")] for item in items], count
