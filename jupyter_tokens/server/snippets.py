"""How each language sets an environment variable, as text to send to its kernel; knows nothing of kernels' channels.

Name and value travel as hexadecimal digits and are decoded by the kernel: they are data, never code.

A token never stands in a snippet's `code`. Kernels tell all their clients the code that they run, and IRkernel does so
for silent requests too. So it stands in `expression`, which goes out as a user expression: that part of the protocol is
published by no one, evaluated in the reply alone (ipykernel, IJulia) or, in R, read by the code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from ..errors import ConfigurationError, ParameterError, UnusableToken
from ..protocol.proof import FILLED_VARIABLE

__all__ = [
    "ENTRY_POINT_GROUP",
    "EXPRESSION",
    "MOST_BYTES",
    "Snippet",
    "ask",
    "check_value",
    "filled",
    "forget",
    "languages",
    "snippet",
    "unset",
]

ENTRY_POINT_GROUP = "jupyter_tokens.kernel_languages"
EXPRESSION = "jupyter_tokens"
"""The name that the user expression goes by, and that a kernel confirms it by."""

MOST_BYTES = 32_000
"""Of a value: about what Windows allows; Linux refuses to start any program with a variable of four times that."""


class Snippet(NamedTuple):
    """What a kernel is asked to run. code : told to all clients, so without the value. expression : told to none."""

    code: str
    expression: str


_UNHEX = "__import__('binascii').unhexlify('{}').decode('utf-8')".format
"""The text that hexadecimal digits stand for, in Python."""


def _python(name: str, value: str, expected: str | None = None) -> Snippet:
    # An expression binds no name, and enters no history. Only __import__ is looked up in the user's namespace.
    environ = "__import__('os').environ"
    done = f"{environ}.__setitem__({_UNHEX(_hex(name))}, {_UNHEX(_hex(value))})"
    if expected is not None:
        done = f"{done} if {environ}.get({_UNHEX(_hex(name))}) == {_UNHEX(_hex(expected))} else {{}}['left alone']"
    return Snippet("", done)


def ask(request: Mapping[str, Any]) -> Snippet:
    """The line that has a Python kernel fetch and inject a token itself; it holds no value.

    It evaluates to None where the extension is not loaded, else to the outcome (`kernel.magics.inject`).
    """
    kernel = "getattr(__import__('sys').modules.get('jupyter_tokens.kernel.magics'), 'inject', lambda request: None)"
    return Snippet("", f"{kernel}('{_hex(json.dumps(request))}')")


def forget(profile: str) -> Snippet:
    """The line that has a Python kernel take a profile's tokens out again, as `%deltoken` does.

    It evaluates to None where the extension is not loaded, else to the outcome (`kernel.magics.forget`).
    """
    kernel = "getattr(__import__('sys').modules.get('jupyter_tokens.kernel.magics'), 'forget', lambda profile: None)"
    return Snippet("", f"{kernel}('{_hex(profile)}')")


def filled(name: str, profile: str, params: Mapping[str, Any], sent: Snippet) -> Snippet:
    """A Python snippet that also notes whose token the variable holds, so that the extension knows it once loaded."""
    environ, loads = "__import__('os').environ", "__import__('json').loads"
    entry = _hex(json.dumps({name: {"profile": profile, "params": dict(params)}}))
    before = f"{loads}({environ}.get('{FILLED_VARIABLE}', '{{}}'))"
    both = f"{{**{before}, **{loads}(__import__('binascii').unhexlify('{entry}'))}}"
    # First the note: a thread that prints in between finds nothing that is not known.
    return Snippet(
        "", f"({environ}.__setitem__('{FILLED_VARIABLE}', __import__('json').dumps({both})), {sent.expression})"
    )


_R = """\
base::local({
  for (frame in base::sys.frames()) {
    if (!base::exists("request", envir = frame, inherits = FALSE)) next
    request <- base::get("request", envir = frame, inherits = FALSE)
    if (!base::is.list(request)) next
    sent <- request$content$user_expressions$%(expression)s
    if (!base::is.character(sent)) next
    unhex <- function(digits) {
      if (digits == "") return("")
      first <- base::seq.int(1L, by = 2L, length.out = base::nchar(digits) %%/%% 2L)
      base::rawToChar(base::as.raw(base::strtoi(base::substring(digits, first, first + 1L), 16L)))
    }
    parts <- base::strsplit(base::paste0(sent, " "), " ", fixed = TRUE)[[1L]]
    ours <- base::length(parts) <= 3L || base::Sys.getenv(unhex(parts[1L])) == unhex(parts[3L])
    if (parts[2L] == "-") {
      if (ours) base::Sys.unsetenv(unhex(parts[1L]))
    } else if (!ours) break
    else base::do.call(base::Sys.setenv, base::structure(base::list(unhex(parts[2L])), names = unhex(parts[1L])))
    base::assign("payload", base::list(base::list(source = "%(expression)s")), envir = base::parent.env(frame))
    break
  }
  base::invisible()
})
""" % {"expression": EXPRESSION}  # noqa: UP031 (braces are R's)


def _r(name: str, value: str, expected: str | None = None) -> Snippet:
    # IRkernel evaluates no user expressions, but its request is in the frames of whatever it runs. It calls a silent
    # request that failed "ok", so the code confirms in the reply's payload that the variable was set.
    guard = "" if expected is None else f" {_hex(expected)} ."
    return Snippet(_R, f"{_hex(name)} {_hex(value)}{guard}")


def _julia(name: str, value: str, expected: str | None = None) -> Snippet:
    unhex = 'Base.String(Base.hex2bytes("{}"))'.format
    done = f"(Base.setindex!(Base.ENV, {unhex(_hex(value))}, {unhex(_hex(name))}); Base.nothing)"
    if expected is not None:
        found = f'Base.get(Base.ENV, {unhex(_hex(name))}, "") == {unhex(_hex(expected))}'
        done = f'{found} ? {done} : Base.error("left alone")'
    return Snippet("", done)


def unset(language: str, name: str, expected: str | None = None) -> Snippet:
    """What removes an environment variable that `snippet` has set.

    expected : leaves the variable alone if it has another value, which is then the notebook's own. A language of
    another package can only set a variable, so there it becomes empty.

    Raises what `snippet` raises.
    """
    empty = snippet(language, name, "")
    match language.lower():
        case "python":
            environ, named = "__import__('os').environ", _UNHEX(_hex(name))
            ours = "" if expected is None else f" if {environ}.get({named}) == {_UNHEX(_hex(expected))} else None"
            # What was there is not what the expression is: that goes into the reply.
            return Snippet("", f"({environ}.pop({named}, None) and None){ours}")
        case "r":
            return Snippet(_R, f"{_hex(name)} -" + ("" if expected is None else f" {_hex(expected)} ."))
        case "julia":
            environ, named = "Base.ENV", f'Base.String(Base.hex2bytes("{_hex(name)}"))'
            is_ours = "true"
            if expected is not None:
                value = f'Base.String(Base.hex2bytes("{_hex(expected)}"))'
                is_ours = f'Base.get({environ}, {named}, "") == {value}'
            return Snippet("", f"({is_ours} && Base.delete!({environ}, {named}); Base.nothing)")
    return empty


_BUILT_IN = {"python": _python, "r": _r, "julia": _julia}


@cache
def _installed() -> dict[str, EntryPoint]:
    return {p.name.lower(): p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name.lower() not in _BUILT_IN}


def languages() -> list[str]:
    """The languages there are snippets for, in lower case: the built-in ones, then those of other packages."""
    return [*_BUILT_IN, *sorted(_installed())]


def check_value(value: str) -> None:
    """Raises `UnusableToken` for what no environment variable can hold on every system."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = -1
    if "\0" in value or size < 0:
        raise UnusableToken("The token holds a character that no environment variable can hold.")
    if size > MOST_BYTES:
        raise UnusableToken(f"The token is longer than an environment variable can be ({MOST_BYTES} bytes).")


def snippet(language: str, name: str, value: str, expected: str | None = None) -> Snippet:
    """What sets the environment variable in a kernel of this language (as its kernelspec spells it).

    expected : fails if the variable has another value, which is then the notebook's own. Languages of other packages
    take no notice of it.

    Raises `ParameterError` for an unknown language or a wrong name, `UnusableToken` for a value that no environment
    variable can hold, and `ConfigurationError` if another package's function fails; none of them quotes the value.
    """
    lower = language.lower()
    if lower not in languages():
        raise ParameterError(
            f"Tokens cannot be put into kernels of language {language[:80]!r}.",
            hint=f"There are: {', '.join(languages())}; see docs/kernels.md for how to add one.",
        )
    if not (name.isascii() and name.isidentifier()):
        raise ParameterError(f"{name[:80]!r} is not a valid name for an environment variable.")
    check_value(value)
    if lower in _BUILT_IN:
        return _BUILT_IN[lower](name, value, expected)
    found: object = None
    try:
        found = _installed()[lower].load()(name, value)
    except Exception:
        # Its message and its frames may hold the value.
        failed = True
    else:
        failed = not isinstance(found, Snippet)
    if failed or not isinstance(found, Snippet):
        raise ConfigurationError(f"The package that adds the kernel language {lower!r} made no snippet.")
    return found


def _hex(text: str) -> str:
    return text.encode().hex()
