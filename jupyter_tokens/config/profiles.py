"""Checks the profiles from Jupyter's configuration. A check reads no secret and does not use the network.

Each profile is checked when it is looked up, so that an invalid profile does not affect the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, cast

from .._util.hints import closest
from .._util.loopback import is_loopback
from ..errors import ConfigurationError, ParameterError, SecretError, TokenError, UnknownProfile, detached_errors
from ..protocol.messages import Env, env_variables
from ..providers.base import Provider
from ..providers.catalogue import provider_class, provider_ids
from ..providers.fields import (
    Endpoint,
    Field,
    Names,
    Number,
    Program,
    Reference,
    Setting,
    SettingProblem,
    Switch,
    Variable,
)
from ..providers.params import ParamValue, parse_params
from ..sdks import SDKS
from ..token import Secret
from .code_variables import loads_code
from .path_globs import MAX_GLOB_LENGTH, matches
from .secrets import SecretRef, mode_hint, mode_problem, warn_once

__all__ = [
    "COMMON",
    "Profile",
    "Profiles",
    "Raw",
]

_NONE_CONFIGURED = "No profile is configured: run `jupyter tokens add NAME`, or try `jupyter tokens demo`."


class _Table(Field):
    """Parameters by name."""

    type_schema: ClassVar = {"type": "object"}
    is_text = False

    def check(self, key: str, value: object) -> None:
        if not isinstance(value, Mapping):
            raise SettingProblem(key, "must be a mapping of the vendor's parameters")


class _Fixed(Names):
    """True, false, or a list of parameter names."""

    type_schema: ClassVar = {"anyOf": [{"type": "boolean"}, Names.type_schema]}

    def check(self, key: str, value: object) -> None:
        if isinstance(value, bool):
            return
        try:
            super().check(key, value)
        except SettingProblem:
            raise SettingProblem(key, "must be true, false or a list of parameter names") from None


class _Globs(Names):
    """A list of globs of limited length, so that matching is quick."""

    def check(self, key: str, value: object) -> None:
        super().check(key, value)
        if any(len(glob) > MAX_GLOB_LENGTH for glob in cast("Iterable[str]", value)):
            raise SettingProblem(key, f"must have at most {MAX_GLOB_LENGTH} characters in each glob")


class _Hosts(Names):
    """Hosts that may get the token. They can only be set in the configuration file, not in a form."""

    type_schema: ClassVar = {**Names.type_schema, "readOnly": True}


class _Verify(Switch):
    """True, or the path of a CA bundle. False is only allowed for loopback; `_Reader` checks that."""

    type_schema: ClassVar = {"type": ["boolean", "string"]}

    def check(self, key: str, value: object) -> None:
        if not isinstance(value, bool | str) or value == "":
            raise SettingProblem(key, "must be true, or the path of a CA bundle")


COMMON: Mapping[str, Field] = {
    "provider": Setting("Id of the provider.", label="Provider"),
    "params": _Table("Request parameters, by the vendor's own names.", label="Request parameters"),
    "fixed_params": _Fixed(
        "Parameters that no call can change: true for all parameters in params, or a list of names.",
        label="Fixed parameters",
        advanced=True,
    ),
    "allow_create": Switch(
        "Whether calls may create new tokens, if the API supports that; by default they may not.",
        label="Allow creating tokens",
    ),
    "env": Variable(
        "Environment variable that the token fills.", label="Environment variable", example="ONEACCESS_TOKEN"
    ),
    "timeout": Number(
        "Time limit of a whole call, in seconds; at most 600, by default 30.",
        label="Timeout",
        unit="seconds",
        maximum=600,
    ),
    "verify": _Verify("True, or the path of a CA bundle.", label="Certificate check"),
    "kernels": Names("Names of the kernels that may get the token; by default all.", label="Kernels", advanced=True),
    "notebooks": _Globs(
        "Notebooks whose kernels may get the token: paths with *, ? and **; by default all.",
        label="Notebooks",
        advanced=True,
    ),
    "sdk": Setting(
        "SDK that finds the token without changes to your code, unless an option of %gettoken puts it elsewhere.",
        label="SDK",
        choices=tuple(SDKS),
        advanced=True,
    ),
    "hosts": _Hosts(
        "Hosts that credential helpers (git, docker, pip) return the token for: HOST, HOST:PORT or USER@HOST; USER "
        "is the user name to send with the token. By default none.",
        label="Hosts",
        advanced=True,
    ),
    "inject_at_start": Switch(
        "Whether the variable is set in each new local kernel of a server before its first cell runs; needs env.",
        label="Inject at start",
        read_only=True,
    ),
}
"""The settings that every profile can have, whatever its provider is."""
_NULL_IS_UNSET = frozenset({"env", "kernels", "notebooks", "hosts", "sdk", "fixed_params"})


@dataclass(frozen=True)
class Raw:
    """An unchecked profile, and the file that defines it. The file is None if the profile comes from a program."""

    settings: Mapping[str, Any] = field(repr=False)
    file: Path | None = None


def _check_env(provider: Provider, env: Env) -> None:
    fields, given = tuple(provider.token_fields), env_variables(env)
    if not given or provider.any_fields or set(given) == set(fields or ("",)):
        return
    if not fields:
        raise ParameterError("The token has a single value.", hint="Name one environment variable for it.")
    raise ParameterError(
        f"The token has {len(fields)} values that belong together: {', '.join(fields)}.",
        hint=f"Name an environment variable for each: {','.join(f'{name}=VARIABLE' for name in fields)}",
    )


@dataclass(frozen=True)
class Profile:
    """A checked profile.

    Attributes
    ----------
    env : str, mapping or None
        The environment variable that the token fills; for a token with several values, a variable for each field.
    timeout : float
        Time limit of a whole call, in seconds.
    verify : bool or str
        True, or the path of a CA bundle; False only for loopback.
    kernels, notebooks : tuple of str or None
        Names of the kernels, and globs for the paths of the notebooks, that may get the token from a server; None for
        all.
    inject_at_start : bool
        Whether the variable is set in new local kernels of a server before their first cell runs.
    fixed_params : frozenset of str
        The parameters that no call can change.
    allow_create : bool
        Whether calls may create new tokens.
    hosts : tuple of str
        Hosts that credential helpers return the token for, each as HOST, HOST:PORT or USER@HOST.
    sdk : str or None
        The SDK that finds the token in a kernel without changes to the notebook's code.
    origin : str
        Text that names the process that fetches the profile's tokens; "" if the profile is in this process's own
        configuration.
    may_reveal : bool
        Whether the process that fetches the tokens allows their values to be shown.
    """

    name: str
    provider: Provider
    params: Mapping[str, Any]
    env: Env
    timeout: float
    verify: bool | str
    references: Mapping[str, SecretRef] = field(repr=False)
    kernels: tuple[str, ...] | None = None
    notebooks: tuple[str, ...] | None = None
    inject_at_start: bool = False
    fixed_params: frozenset[str] = frozenset()
    allow_create: bool = False
    hosts: tuple[str, ...] = ()
    sdk: str | None = None
    origin: str = ""
    may_reveal: bool = True

    def username_for(self, host: str) -> str | None:
        """Return the user name for a host (in lower case); "" if the profile gives no user name.

        Returns None if the host is not in the profile's `hosts`.
        """
        users = (
            user
            for user, _, host_part in (written.rpartition("@") for written in self.hosts)
            if host_part.lower() == host
        )
        return next(users, None)

    def allows(self, kernel_name: str, paths: Iterable[str]) -> bool:
        """Whether a kernel with this name, running notebooks at these paths, may get the token."""
        if self.kernels is not None and kernel_name not in self.kernels:
            return False
        return self.notebooks is None or any(matches(glob, path) for path in paths for glob in self.notebooks)

    def check_env(self, env: Env) -> None:
        """Raise `ParameterError` if the variables in `env` do not match the values of the token."""
        try:
            _check_env(self.provider, env)
        except ParameterError as error:
            raise self._with_names(error) from None

    @property
    def is_personal(self) -> bool:
        """Whether a reference contains `{user}`, so that each user of a hub's service has a separate secret."""
        return any(reference.is_personal for reference in self.references.values())

    def for_user(self, user: str) -> Profile:
        """Return the profile with a user's own secrets. Raises `SecretError` if the name is not safe in a reference."""
        return replace(self, references={key: reference.for_user(user) for key, reference in self.references.items()})

    @property
    def subjects(self) -> dict[str, str]:
        """The names of the profiles whose tokens are secrets of this profile, by the settings that refer to them."""
        return {key: reference.target for key, reference in self.references.items() if reference.kind == "profile"}

    def secrets(self) -> dict[str, Secret]:
        """Read the values of the profile's references now, except `subjects`. Blocks. Raises `SecretError`."""
        others = self.subjects
        return {key: reference.resolve() for key, reference in self.references.items() if key not in others}

    def call_params(self, given: Mapping[str, object]) -> dict[str, ParamValue]:
        """Return the profile's parameters, overridden by the parameters of a call. Raises `ParameterError`."""
        return self._parse(self.provider.params, given)

    def list_params(self, name: str, given: Mapping[str, object]) -> dict[str, ParamValue]:
        """Return the parameters with which the API lists the values of parameter `name`. Raises `ParameterError`."""
        lists = self.provider.lists
        if name not in lists:
            known = f"It can list: {', '.join(lists)}." if lists else ""
            raise self._with_names(ParameterError(f"The API has no list of values for {name[:80]!r}.", hint=known))
        needed = {key: replace(self.provider.params[key], required=True) for key in lists[name]}
        # A call cannot override fixed parameters: they are ignored here, and refused by `call_params`.
        free = {key: value for key, value in given.items() if key not in self.fixed_params}
        merged = {key: value for key, value in {**self.params, **free}.items() if key in needed}
        try:
            return parse_params(needed, merged)
        except ParameterError as error:
            raise self._with_names(error) from None

    @property
    def create_is_off(self) -> bool:
        """Whether the API can create tokens, but the profile does not allow it."""
        return not self.allow_create and type(self.provider).create is not Provider.create

    def create_params(self, given: Mapping[str, object]) -> dict[str, ParamValue]:
        """Return the parameters for creating a token, as in `call_params`.

        Raises `ConfigurationError` if the profile does not allow creating tokens, or `ParameterError`.
        """
        if self.create_is_off:
            raise self._with_names(
                ConfigurationError(
                    "The profile does not allow creating tokens.", hint="Set allow_create: true in the profile."
                )
            )
        return self._parse({**self.provider.params, **self.provider.create_params}, given)

    def _parse(self, known: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, ParamValue]:
        try:
            parsed = parse_params(known, {**self.params, **given})
        except ParameterError as error:
            raise self._with_names(error) from None
        for name in self.fixed_params & given.keys():
            default = self.params.get(name)
            if parsed.get(name) != (None if default is None else known[name].parse(name, default)):
                raise self._with_names(
                    ParameterError(f"Parameter {name} is fixed by the profile.", hint="Leave it out of the call.")
                )
        return parsed

    def _with_names(self, error: TokenError) -> TokenError:
        error.profile, error.provider = self.name, self.provider.id
        return error


_NO_PROBLEMS: Mapping[Path, ConfigurationError] = {}


class Profiles(Mapping[str, Profile]):
    """The profiles by name. Iterating yields names; looking up a profile checks it.

    Attributes
    ----------
    problems : mapping
        The errors of configuration files that could not be read.
    """

    def __init__(self, raw: Mapping[str, Raw], problems: Mapping[Path, ConfigurationError] = _NO_PROBLEMS) -> None:
        self._raw = dict(raw)
        self._checked: dict[str, Profile] = {}
        self._others: Mapping[str, Profile | TokenError] = {}
        self.problems = dict(problems)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Mapping[str, Any]]) -> Profiles:
        """Create profiles from settings that do not come from a file."""
        return cls({name: Raw(written) for name, written in settings.items()})

    def combined_with(self, others: Mapping[str, Profile | TokenError]) -> Profiles:
        """Return these profiles together with profiles that another process has checked.

        If both have a profile of the same name, the profile of this object is used.

        Parameters
        ----------
        others : mapping
            The other process's profiles by name, with the error in place of an invalid profile.
        """
        both = Profiles(self._raw, self.problems)
        both._checked = self._checked
        both._others = {name: other for name, other in others.items() if name not in self._raw}
        return both

    def __getitem__(self, name: str) -> Profile:
        """Return a checked profile. Raises `UnknownProfile`, or `ConfigurationError` if the profile is invalid."""
        if name in self._others:
            other = self._others[name]
            if isinstance(other, TokenError):
                raise other.copy()
            return other
        if name not in self._checked:
            if name not in self._raw:
                raise UnknownProfile(f"There is no profile {str(name)[:80]!r}.", hint=self._unknown_hint(str(name)))
            with detached_errors():
                self._checked[name] = _Reader(name, self._raw[name]).read()
        return self._checked[name]

    def check_readable(self) -> None:
        """Raise `ConfigurationError` if there is no profile and a file cannot be read."""
        if not self and self.problems:
            raise next(iter(self.problems.values())).copy()

    def _unknown_hint(self, name: str) -> str:
        if self.problems:
            # The profile may be in one of the files that cannot be read.
            return " ".join(map(str, self.problems.values()))
        return _missing_config_hint() or (closest(name, self) if self else _NONE_CONFIGURED)

    def file(self, name: str) -> Path | None:
        """Return the file that defines a profile; None if no file of this process does."""
        raw = self._raw.get(name)
        return raw.file if raw is not None else None

    def injected_at_start(self) -> list[str]:
        """Return the names of the profiles with `inject_at_start`, including invalid profiles."""
        return [
            name
            for name, raw in self._raw.items()
            if isinstance(raw.settings, Mapping) and raw.settings.get("inject_at_start", False) is not False
        ]

    def changed_from(self, before: Profiles) -> set[str]:
        """Return the names of the profiles that were added, changed or removed. The caller must drop their tokens.

        The profiles of `before` that were checked and have not changed are not checked again. Profiles of a file that
        cannot be read now, perhaps because it is being edited, are not returned, so that their tokens stay in use.
        """
        unknown = {name for name, raw in before._raw.items() if raw.file in self.problems and name not in self._raw}
        same = {name for name, raw in self._raw.items() if before._raw.get(name) == raw}
        self._checked |= {name: profile for name, profile in before._checked.items() if name in same}
        return (self._raw.keys() | before._raw.keys()) - same - unknown

    def __contains__(self, name: object) -> bool:
        return name in self._raw or name in self._others

    def __iter__(self) -> Iterator[str]:
        return chain(self._raw, self._others)

    def __len__(self) -> int:
        return len(self._raw) + len(self._others)

    def __repr__(self) -> str:
        return f"<Profiles {', '.join(self)}>"


def _missing_config_hint() -> str:
    """Return why this process cannot find the user's configuration, or ""."""
    if any(os.environ.get(name) for name in ("HOME", "USERPROFILE", "JUPYTER_CONFIG_DIR")):
        return ""
    return (
        "Neither HOME nor JUPYTER_CONFIG_DIR is set in this process, so your configuration is not found. A kernel "
        "behind a gateway only gets variables from its kernelspec and KERNEL_* variables: set JUPYTER_CONFIG_DIR in "
        "the kernelspec."
    )


class _Reader:
    """Checks one raw profile. The errors name the file (if the profile is from a file), the profile and the key."""

    def __init__(self, name: str, raw: Raw) -> None:
        self._name = name
        self._raw = raw

    def read(self) -> Profile:
        written = self._raw.settings
        if not isinstance(written, Mapping):
            raise self._error("", "must be a mapping of settings")
        kind = self._provider_class(written)
        known = kind.settings()
        try:
            for key, value in written.items():
                setting = known.get(key) or COMMON.get(key)
                if setting is None:
                    problem = f"is not a setting of provider {kind.id!r}"
                    raise self._error(str(key), problem, closest(str(key), [*known, *COMMON]))
                if key in COMMON and not (value is None and key in _NULL_IS_UNSET):
                    setting.check(key, value)
            provider = kind(**{key: written[key] for key in known if key in written})
            provider.check()
        except SettingProblem as error:
            raise self._error(error.key, error.problem) from None
        if written.get("inject_at_start") and written.get("env") is None:
            raise self._error("inject_at_start", "needs an environment variable to fill", "Set env.")
        return Profile(
            name=self._name,
            provider=provider,
            params=self._params(written, provider),
            env=self._env(written, provider),
            timeout=float(written.get("timeout", 30)),
            verify=self._verify(written, provider),
            references=dict(self._references(written, provider, known)),
            kernels=self._names(written, "kernels"),
            notebooks=self._names(written, "notebooks"),
            inject_at_start=written.get("inject_at_start", False),
            fixed_params=self._fixed_params(written, provider),
            allow_create=written.get("allow_create", False),
            hosts=self._names(written, "hosts") or (),
            sdk=written.get("sdk"),
        )

    def _origin(self, key: str) -> str:
        where = f"{self._raw.file}: " if self._raw.file else ""
        return f"{where}profile {self._name!r}" + (f", key {key!r}" if key else "")

    def _error(self, key: str, problem: str, hint: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self._origin(key)} {problem}.", hint=hint, setting=key)

    def _provider_class(self, written: Mapping[str, Any]) -> type[Provider]:
        provider_id = written.get("provider")
        if not isinstance(provider_id, str):
            problem = "is missing" if provider_id is None else "must be the id of a provider"
            raise self._error("provider", problem, f"Known: {', '.join(provider_ids())}.")
        if provider_id not in provider_ids():
            raise self._error("provider", "names no installed provider", closest(provider_id, provider_ids()))
        try:
            return provider_class(provider_id)
        except Exception as error:
            # An error in another package only affects the profiles of its provider.
            problem = f"names {provider_id}, which cannot be loaded ({type(error).__name__})"
            raise self._error("provider", problem, "Repair or remove the package that it comes from.") from None

    def _params(self, written: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
        params = written.get("params", {})
        for key, value in params.items():
            if key not in provider.params:
                problem = f"is not a parameter of provider {provider.id!r}"
                raise self._error(f"params.{key}", problem, closest(str(key), provider.params))
            try:
                provider.params[key].parse(key, value)
            except ParameterError as error:
                raise self._error(f"params.{key}", f"is wrong: {error.message.rstrip('.')}") from None
        return dict(params)

    def _env(self, written: Mapping[str, Any], provider: Provider) -> Env:
        env = written.get("env")
        try:
            _check_env(provider, env)
        except ParameterError as error:
            raise self._error("env", f"is wrong: {error.message.rstrip('.')}", error.hint) from None
        given = env_variables(env)
        for name in given.values():
            why = loads_code(name)
            if why is not None and self._raw.file is not None:
                warn_once(
                    f"{self._origin('env')} names {name}, which must not contain a token: {why}. Choose another name."
                )
        return given.get("", given or None)

    @staticmethod
    def _names(written: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
        return None if written.get(key) is None else tuple(written[key])

    def _fixed_params(self, written: Mapping[str, Any], provider: Provider) -> frozenset[str]:
        fixed = written.get("fixed_params") or ()
        if fixed is True:
            fixed = written.get("params", ())
        known = {**provider.params, **provider.create_params}
        for name in fixed:
            if name not in known:
                problem = f"names {name!r}, which is not a parameter of provider {provider.id!r}"
                raise self._error("fixed_params", problem, closest(name, known))
        return frozenset(fixed)

    def _verify(self, written: Mapping[str, Any], provider: Provider) -> bool | str:
        verify: bool | str = written.get("verify", True)
        if isinstance(verify, str):
            try:
                path = Path(verify).expanduser()
            except RuntimeError:
                raise self._error("verify", "names the home folder of an unknown user") from None
            return str(self._raw.file.parent / path if self._raw.file else path)
        urls = [getattr(provider, key) for key, known in provider.settings().items() if isinstance(known, Endpoint)]
        # If there is a region, every endpoint that is not given is a public host. This includes the IAM endpoint.
        public = bool(getattr(provider, "region", ""))
        if not verify and not all(is_loopback(url) if url else not public for url in urls):
            raise self._error("verify", "can only be switched off for loopback", "Give the path of a CA bundle.")
        return verify

    def _references(
        self, written: Mapping[str, Any], provider: Provider, known: Mapping[str, Setting]
    ) -> Iterable[tuple[str, SecretRef]]:
        base = self._raw.file.parent if self._raw.file else None
        # A little less than the time limit of a call, so that this error comes before the waiting caller times out.
        seconds = 0.9 * written.get("timeout", 30)
        for key, setting in known.items():
            text = getattr(provider, key)
            if not isinstance(setting, Reference) or not text:
                continue
            try:
                written_out = f"command:{text}" if isinstance(setting, Program) else text
                reference = SecretRef.parse(
                    written_out, origin=self._origin(key), base=base, seconds=seconds, setting=key
                )
            except SecretError as error:
                raise ConfigurationError(error.message, hint=error.hint) from None
            if setting.secret and reference.kind == "literal" and self._raw.file:
                self._check_literal(key, self._raw.file)
            yield key, reference

    def _check_literal(self, key: str, file: Path) -> None:
        try:
            mode = file.stat().st_mode
        except OSError as error:
            raise self._error(key, f"is in a file that cannot be inspected ({error.strerror})") from None
        better = "Use a reference instead: keyring:SERVICE/USER, file:PATH, env:NAME or command:…"
        problem = mode_problem(file, mode)
        if problem:
            raise self._error(key, f"is a literal secret in a file that {problem}", f"{mode_hint(file)} {better}")
        warn_once(f"{file} contains a literal secret. {better}")
