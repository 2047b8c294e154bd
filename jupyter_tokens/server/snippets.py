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
from ..protocol.messages import Env, variables_of
from ..protocol.proof import FILLED_VARIABLE

__all__ = [
    "ENTRY_POINT_GROUP",
    "EXPRESSION",
    "MOST_BYTES",
    "Snippet",
    "ask",
    "check_value",
    "filled",
    "filled_notes",
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


def _python(values: Mapping[str, str], expected: Mapping[str, str]) -> Snippet:
    # An expression binds no name, and enters no history. Only __import__ is looked up in the user's namespace.
    environ = "__import__('os').environ"
    pairs = ", ".join(f"{_UNHEX(_hex(name))}: {_UNHEX(_hex(value))}" for name, value in values.items())
    done = f"{environ}.update({{{pairs}}})"
    if expected:
        found = (f"{environ}.get({_UNHEX(_hex(name))}) == {_UNHEX(_hex(value))}" for name, value in expected.items())
        done = f"{done} if {' and '.join(found)} else {{}}['left alone']"
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


def filled_notes(env: Env, profile: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What `JUPYTER_TOKENS_FILLED` says of the variables that hold a token; of several values, with all of them."""
    variables = variables_of(env)
    note = {"profile": profile, "params": dict(params), **({} if "" in variables else {"env": variables})}
    return dict.fromkeys(variables.values(), note)


def filled(env: Env, profile: str, params: Mapping[str, Any], sent: Snippet) -> Snippet:
    """A Python snippet that also notes whose token the variables hold, so that the extension knows it once loaded."""
    environ, loads = "__import__('os').environ", "__import__('json').loads"
    entry = _hex(json.dumps(filled_notes(env, profile, params)))
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
    # IRkernel evaluates no user expressions, but its request is in the frames of whatever it runs. It calls a silent
    # request that failed "ok", so the code confirms in the reply's payload that the variables were set. It gets three
    # words for each variable: its name; its value, or "-" to unset it; "=" and what it must hold now, or "-".
    words = (
        f"{_hex(name)} {_hex(value)} {f'={_hex(expected[name])}' if name in expected else '-'}"
        for name, value in values.items()
    )
    return Snippet(_R, " ".join(words))


def _julia(values: Mapping[str, str], expected: Mapping[str, str]) -> Snippet:
    unhex = 'Base.String(Base.hex2bytes("{}"))'.format
    sets = (f"Base.setindex!(Base.ENV, {unhex(_hex(value))}, {unhex(_hex(name))}); " for name, value in values.items())
    done = f"({''.join(sets)}Base.nothing)"
    if expected:
        found = (f'Base.get(Base.ENV, {unhex(_hex(name))}, "") == {unhex(_hex(v))}' for name, v in expected.items())
        done = f'{" && ".join(found)} ? {done} : Base.error("left alone")'
    return Snippet("", done)


_NOTHING: Mapping[str, str] = {}
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


def snippet(language: str, values: Mapping[str, str], expected: Mapping[str, str] = _NOTHING) -> Snippet:
    """What sets environment variables in a kernel of this language (as its kernelspec spells it): all, or none.

    values : by the names of the variables. expected : fails if one of these variables has another value, which is then
    the notebook's own. Languages of other packages set one variable, and take no notice of what is expected.

    Raises `ParameterError` for an unknown language or a wrong name, `UnusableToken` for a value that no environment
    variable can hold, and `ConfigurationError` if another package's function fails; none of them quotes the value.
    """
    lower = language.lower()
    if lower not in languages():
        raise ParameterError(
            f"Tokens cannot be put into kernels of language {language[:80]!r}.",
            hint=f"There are: {', '.join(languages())}; see docs/kernels.md for how to add one.",
        )
    for name, value in values.items():
        if not (name.isascii() and name.isidentifier()):
            raise ParameterError(f"{name[:80]!r} is not a valid name for an environment variable.")
        check_value(value)
    if lower in _BUILT_IN:
        return _BUILT_IN[lower](values, expected)
    if len(values) > 1:
        raise ParameterError(
            f"The package that adds the kernel language {lower!r} takes tokens of one value alone.",
            hint=f"Of these languages a kernel takes several: {', '.join(_BUILT_IN)}.",
        )
    found: object = None
    try:
        found = _installed()[lower].load()(*next(iter(values.items())))
    except Exception:
        # Its message and its frames may hold the value.
        failed = True
    else:
        failed = not isinstance(found, Snippet)
    if failed or not isinstance(found, Snippet):
        raise ConfigurationError(f"The package that adds the kernel language {lower!r} made no snippet.")
    return found


def unset(language: str, name: str, expected: str | None = None) -> Snippet:
    """What removes an environment variable that `snippet` has set.

    expected : leaves the variable alone if it has another value, which is then the notebook's own. A language of
    another package can only set a variable, so there it becomes empty.

    Raises what `snippet` raises.
    """
    empty = snippet(language, {name: ""})
    match language.lower():
        case "python":
            environ, named = "__import__('os').environ", _UNHEX(_hex(name))
            ours = "" if expected is None else f" if {environ}.get({named}) == {_UNHEX(_hex(expected))} else None"
            # What was there is not what the expression is: that goes into the reply.
            return Snippet("", f"({environ}.pop({named}, None) and None){ours}")
        case "r":
            return Snippet(_R, f"{_hex(name)} - {'-' if expected is None else f'={_hex(expected)}'}")
        case "julia":
            environ, named = "Base.ENV", f'Base.String(Base.hex2bytes("{_hex(name)}"))'
            is_ours = "true"
            if expected is not None:
                value = f'Base.String(Base.hex2bytes("{_hex(expected)}"))'
                is_ours = f'Base.get({environ}, {named}, "") == {value}'
            return Snippet("", f"({is_ours} && Base.delete!({environ}, {named}); Base.nothing)")
    return empty


def _hex(text: str) -> str:
    return text.encode().hex()
