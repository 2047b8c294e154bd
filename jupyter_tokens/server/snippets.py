"""Code that sets environment variables in a kernel, for each language.

Names and values are sent as hexadecimal digits and decoded by the kernel, so that they are data and never code.

A token is never part of a snippet's `code`, because kernels publish the code they run to all clients, and IRkernel does
so even for silent requests. The token is in `expression`, which is sent as a user expression. Kernels do not publish
user expressions: ipykernel and IJulia evaluate them for the reply only. IRkernel does not evaluate them: its snippets
read them from the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from ..errors import ConfigurationError, ParameterError, UnusableToken
from ..protocol.messages import Env, env_variables
from ..protocol.proof import FILLED_VARIABLE

__all__ = [
    "ENTRY_POINT_GROUP",
    "EXPRESSION",
    "MAX_BYTES",
    "Snippet",
    "check_value",
    "filled_entries",
    "forget_snippet",
    "inject_snippet",
    "languages",
    "snippet",
    "unset",
    "with_record",
]

ENTRY_POINT_GROUP = "jupyter_tokens.kernel_languages"
EXPRESSION = "jupyter_tokens"
"""The name of the user expression. The kernel's reply contains this name to confirm that the snippet ran."""

MAX_BYTES = 32_000
"""Maximum size of a value, in bytes: about the limit on Windows. The limit on Linux is about four times as much."""


class Snippet(NamedTuple):
    """Code for a kernel to run. `code` is published to all clients, so only `expression` contains values."""

    code: str
    expression: str


def _text(text: str) -> str:
    """Return Python code that evaluates to a text."""
    return f"__import__('binascii').unhexlify('{_hex(text)}').decode('utf-8')"


def _python(values: Mapping[str, str], expected: Mapping[str, str]) -> Snippet:
    # An expression defines no name and is not in the history. It looks up only __import__ in the user's namespace.
    environ = "__import__('os').environ"
    pairs = ", ".join(f"{_text(name)}: {_text(value)}" for name, value in values.items())
    done = f"{environ}.update({{{pairs}}})"
    if expected:
        found = (f"{environ}.get({_text(name)}) == {_text(value)}" for name, value in expected.items())
        done = f"{done} if {' and '.join(found)} else {{}}['left alone']"
    return Snippet("", done)


def inject_snippet(request: Mapping[str, Any]) -> Snippet:
    """Return a snippet that makes a Python kernel fetch and inject a token itself. It contains no value.

    The snippet evaluates to the outcome (see `kernel.magics.inject`), or to None if the server has to send the value,
    for example because the extension is not loaded.
    """
    return _magics_call("inject", json.dumps(request))


def forget_snippet(profile: str) -> Snippet:
    """Return a snippet that makes a Python kernel forget a profile's tokens, as `%deltoken` does.

    The snippet evaluates to None if the extension is not loaded, else to the outcome (`kernel.magics.forget`).
    """
    return _magics_call("forget", profile)


def _magics_call(function: str, argument: str) -> Snippet:
    magics = "__import__('sys').modules.get('jupyter_tokens.kernel.magics')"
    return Snippet("", f"getattr({magics}, '{function}', lambda _: None)('{_hex(argument)}')")


def filled_entries(env: Env, profile: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of `JUPYTER_TOKENS_FILLED` for the variables that a token fills."""
    variables = env_variables(env)
    note = {"profile": profile, "params": dict(params), **({} if "" in variables else {"env": variables})}
    return dict.fromkeys(variables.values(), note)


def with_record(env: Env, profile: str, params: Mapping[str, Any], sent: Snippet) -> Snippet:
    """Extend a Python snippet to record which token the variables contain, in case the extension is loaded later."""
    environ, loads = "__import__('os').environ", "__import__('json').loads"
    entry = _text(json.dumps(filled_entries(env, profile, params)))
    both = f"{{**{loads}({environ}.get('{FILLED_VARIABLE}', '{{}}')), **{loads}({entry})}}"
    # The record is made first, so that no variable contains an unrecorded value that a thread could print.
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
    parts <- base::matrix(base::strsplit(sent, " ", fixed = TRUE)[[1L]], nrow = 3L)
    texts <- function(digits) base::vapply(digits, unhex, "", USE.NAMES = FALSE)
    names <- texts(parts[1L, ])
    guarded <- parts[3L, ] != "-"
    ours <- base::all(base::Sys.getenv(names[guarded]) == texts(base::substring(parts[3L, guarded], 2L)))
    if (base::all(parts[2L, ] == "-")) {
      if (ours) base::Sys.unsetenv(names)
    } else if (!ours) break
    else base::do.call(base::Sys.setenv, base::structure(base::as.list(texts(parts[2L, ])), names = names))
    base::assign("payload", base::list(base::list(source = "%(expression)s")), envir = base::parent.env(frame))
    break
  }
  base::invisible()
})
""" % {"expression": EXPRESSION}  # noqa: UP031 (braces are R's)


def _r(values: Mapping[str, str], expected: Mapping[str, str]) -> Snippet:
    # IRkernel evaluates no user expressions, but the code can find its request in the calling frames. The reply to a
    # silent request that failed is "ok", so the code confirms in the reply's payload that the variables were set. The
    # expression has three words for each variable: its name; its value, or "-" to unset it; "=" and the expected value,
    # or "-".
    words = (
        f"{_hex(name)} {_hex(value)} {f'={_hex(expected[name])}' if name in expected else '-'}"
        for name, value in values.items()
    )
    return Snippet(_R, " ".join(words))


def _julia_text(text: str) -> str:
    """Return Julia code that evaluates to a text."""
    return f'Base.String(Base.hex2bytes("{_hex(text)}"))'


def _julia(values: Mapping[str, str], expected: Mapping[str, str]) -> Snippet:
    named = {_julia_text(name): _julia_text(value) for name, value in values.items()}
    done = f"({''.join(f'Base.setindex!(Base.ENV, {value}, {name}); ' for name, value in named.items())}Base.nothing)"
    if expected:
        found = (f'Base.get(Base.ENV, {_julia_text(name)}, "") == {_julia_text(v)}' for name, v in expected.items())
        done = f'{" && ".join(found)} ? {done} : Base.error("left alone")'
    return Snippet("", done)


_NOTHING: Mapping[str, str] = {}
_BUILT_IN = {"python": _python, "r": _r, "julia": _julia}


@cache
def _installed() -> dict[str, EntryPoint]:
    return {p.name.lower(): p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name.lower() not in _BUILT_IN}


def languages() -> list[str]:
    """Return the supported languages in lower case: the built-in languages, then those of other packages."""
    return [*_BUILT_IN, *sorted(_installed())]


def check_value(value: str) -> None:
    """Raise `UnusableToken` if some systems cannot store the value in an environment variable."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = -1
    if "\0" in value or size < 0:
        raise UnusableToken("The token contains a character that an environment variable cannot hold.")
    if size > MAX_BYTES:
        raise UnusableToken(
            f"The token has more than {MAX_BYTES} bytes, too many for an environment variable on some systems."
        )


def snippet(language: str, values: Mapping[str, str], expected: Mapping[str, str] = _NOTHING) -> Snippet:
    """Create a snippet that sets environment variables in a kernel: all of them, or none.

    Parameters
    ----------
    language : str
        The language in the kernelspec's spelling.
    values : mapping of str to str
        The values by the names of the variables.
    expected : mapping of str to str
        The expected current values. If a variable has another value, the notebook has changed it, and the snippet
        fails. Ignored for languages of other packages, which can set only one variable.

    Raises
    ------
    ParameterError
        The language is not supported or can set only one variable, or a variable's name is invalid.
    UnusableToken
        An environment variable cannot hold the value.
    ConfigurationError
        The function of another package failed. The error does not quote the value.
    """
    lower = language.lower()
    if lower not in languages():
        raise ParameterError(
            f"Tokens cannot be put into kernels of language {language[:80]!r}.",
            hint=f"Supported: {', '.join(languages())}. docs/kernels.md describes how to add a language.",
        )
    for name, value in values.items():
        if not (name.isascii() and name.isidentifier()):
            raise ParameterError(f"{name[:80]!r} is not a valid name for an environment variable.")
        check_value(value)
    if lower in _BUILT_IN:
        return _BUILT_IN[lower](values, expected)
    if len(values) > 1:
        raise ParameterError(
            f"The package that adds the kernel language {lower!r} only supports tokens with one value.",
            hint=f"Kernels of these languages support several: {', '.join(_BUILT_IN)}.",
        )
    try:
        found: object = _installed()[lower].load()(*next(iter(values.items())))
    except Exception:
        # The original error's message and frames may contain the value.
        found = None
    if not isinstance(found, Snippet):
        raise ConfigurationError(
            f"The package that adds the kernel language {lower!r} failed to create code for the token."
        )
    return found


def unset(language: str, name: str, expected: str | None = None) -> Snippet:
    """Create a snippet that removes an environment variable set by `snippet` and, in Python, its record.

    In a language that another package adds, variables can only be set: the variable becomes empty, whatever its value.

    Parameters
    ----------
    language : str
        The language in the kernelspec's spelling.
    name : str
        Name of the variable.
    expected : str, optional
        The expected current value. If the variable has another value, it is left alone.

    Raises
    ------
    TokenError
        For the same reasons as in `snippet`.
    """
    empty = snippet(language, {name: ""})
    match language.lower():
        case "python":
            environ, named = "__import__('os').environ", _text(name)
            ours = "" if expected is None else f" if {environ}.get({named}) == {_text(expected)} else None"
            notes = f"__import__('json').loads({environ}.get('{FILLED_VARIABLE}', '{{}}')).items()"
            others = f"__import__('json').dumps({{k: v for k, v in {notes} if k != {named}}})"
            forgotten = f"{environ}.__setitem__('{FILLED_VARIABLE}', {others})"
            # The expression must not evaluate to the old value, because its result goes into the reply.
            return Snippet("", f"(({environ}.pop({named}, None) and None){ours}, {forgotten})[1]")
        case "r":
            return Snippet(_R, f"{_hex(name)} - {'-' if expected is None else f'={_hex(expected)}'}")
        case "julia":
            named, ours = _julia_text(name), "true"
            if expected is not None:
                ours = f'Base.get(Base.ENV, {named}, "") == {_julia_text(expected)}'
            return Snippet("", f"({ours} && Base.delete!(Base.ENV, {named}); Base.nothing)")
    return empty


def _hex(text: str) -> str:
    return text.encode().hex()
