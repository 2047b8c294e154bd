"""Environment variables that make programs load or run code. A token must not be put into them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

__all__ = ["LOADS_CODE", "loads_code"]

LOADS_CODE: Mapping[str, str] = {
    # Shells and the search for programs
    "PATH": "the shell looks for programs there",
    "PATHEXT": "Windows uses it to decide which files are programs",
    "COMSPEC": "Windows starts it as the shell",
    "SHELL": "terminals and editors start it",
    "BASH_ENV": "bash runs the file that it names before each script",
    "ENV": "sh runs the file that it names",
    "ZDOTDIR": "zsh runs the start-up files in the folder that it names",
    "PROMPT_COMMAND": "bash runs it before each prompt",
    "PS4": "bash expands it when tracing, and runs the commands in it",
    "BASH_FUNC_*": "bash defines a function from it",
    # The dynamic linker and the C library
    "LD_*": "the dynamic linker uses it to find and load libraries",
    "DYLD_*": "the dynamic linker of macOS uses it to find and load libraries",
    "GCONV_PATH": "the C library loads converters from it",
    "OPENSSL_CONF": "OpenSSL loads the engines that are listed in the file that it names",
    "OPENSSL_ENGINES": "OpenSSL loads engines from it",
    "OPENSSL_MODULES": "OpenSSL loads providers from it",
    # Python and Jupyter
    "PYTHON*": "Python reads it at its start",
    "IPYTHONDIR": "IPython runs the start-up files in the folder that it names",
    "JUPYTER_CONFIG_*": "Jupyter runs the configuration files in the folders that it names",
    "JUPYTER_DATA_DIR": "Jupyter starts the kernels that are described there",
    "JUPYTER_PATH": "Jupyter starts the kernels that are described there",
    "MPLBACKEND": "matplotlib imports the module that it names",
    "PYSPARK_*": "Spark starts the program or uses the arguments that it names",
    "PYTEST_*": "pytest loads the plugins that it names",
    "PIP_*": "pip installs packages from the index that it names",
    "UV_*": "uv installs packages from the index that it names",
    "CONDA_*": "conda runs programs that it names",
    "VIRTUAL_ENV": "tools look for Python there",
    # Other languages
    "NODE_OPTIONS": "node loads the modules that it names",
    "NODE_PATH": "node looks for modules there",
    "NPM_CONFIG_*": "npm uses it to run scripts and fetch packages",
    "PERL5*": "perl uses it to find and load modules",
    "PERLLIB": "perl looks for modules there",
    "RUBYOPT": "ruby loads the libraries that it names",
    "RUBYLIB": "ruby looks for libraries there",
    "GEM_*": "ruby looks for libraries there",
    "R_*": "R runs a start-up file or looks for packages there",
    "JULIA_*": "Julia looks for packages and start-up files there",
    "LUA_*": "lua runs it, or looks for modules there",
    "PHPRC": "PHP reads its configuration there",
    "PHP_INI_SCAN_DIR": "PHP reads its configuration there",
    "CLASSPATH": "Java looks for classes there",
    "JAVA_TOOL_OPTIONS": "Java loads the agents that it names",
    "_JAVA_OPTIONS": "Java loads the agents that it names",
    "JDK_JAVA_OPTIONS": "Java loads the agents that it names",
    "JAVA_HOME": "tools start Java from it",
    "SPARK_*": "Spark uses it to start programs and load classes",
    "HADOOP_*": "Hadoop uses it to start programs and load classes",
    "DOTNET_*": ".NET loads the assemblies that it names",
    "CORECLR_*": ".NET loads the profiler that it names",
    "COR_*": ".NET loads the profiler that it names",
    "MAKEFLAGS": "make evaluates it",
    # Programs that start other programs
    "GIT_*": "git starts the programs or reads the configuration that it names",
    "SSH_ASKPASS": "ssh starts it",
    "SUDO_ASKPASS": "sudo starts it",
    "EDITOR": "programs start it",
    "VISUAL": "programs start it",
    "PAGER": "programs start it",
    "MANPAGER": "man starts it",
    "BROWSER": "programs start it",
    "LESSOPEN": "less starts it",
    "LESSCLOSE": "less starts it",
    "KUBECONFIG": "kubectl starts the credential plugins that the file names",
    "AWS_CONFIG_FILE": "AWS tools start the credential processes that the file names",
    "AWS_SHARED_CREDENTIALS_FILE": "AWS tools start the credential processes that the file names",
    "DOCKER_CONFIG": "docker starts the credential helpers that the file names",
    "QT_PLUGIN_PATH": "Qt loads plugins from it",
    "GTK_*": "GTK uses it to find and load modules",
    "GIO_*": "GLib uses it to find and load modules",
    # Where programs look for their own files
    "HOME": "programs run start-up files from the folder that it names",
    "USERPROFILE": "programs run start-up files from the folder that it names",
    "APPDATA": "programs run start-up files from the folder that it names",
    "LOCALAPPDATA": "programs run start-up files from the folder that it names",
    "XDG_*": "programs look for their configuration and data there",
}
"""Environment variables that make some program load or start code, with the reason. `*` matches any suffix.

Few programs read a token from such a variable, and the names of those variables say so, as UV_PUBLISH_TOKEN does. An
endpoint could return the path of a file instead of a token, and the program would then run that file.
"""

_HOLDS_A_SECRET = re.compile(r".*_(TOKEN|KEY|KEY_ID|AK|SK|SECRET|PASSWORD|CREDENTIALS?)")


def loads_code(name: str) -> str | None:
    """Return why a token must not be put into this variable; None if it may."""
    # Names are case-insensitive on Windows.
    name = name.upper()
    if _HOLDS_A_SECRET.fullmatch(name):
        return LOADS_CODE.get(name)
    return next((why for pattern, why in LOADS_CODE.items() if fnmatchcase(name, pattern)), None)
