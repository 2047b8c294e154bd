"""What the benchmarks ran on, without anything that names the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = (
    *("httpx", "httpcore", "aiohttp", "jupyter_server", "jupyterlab", "ipykernel", "ipython", "tornado"),
    *("botocore", "google-auth", "azure-identity", "msal", "authlib", "detect-secrets", "requests", "urllib3"),
    *("alibabacloud-pai-dlc20201203", "alibabacloud-eiam20211201", "huaweicloudsdkmodelarts", "actoolkit"),
)


def about() -> str:
    """Python, cores, processor and memory in one line."""
    memory = psutil.virtual_memory().total / 1024**3
    return (
        f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores ({_processor()}), "
        f"{memory:.0f} GB of memory"
    )


def versions() -> list[tuple[str, str]]:
    """Of all that is measured, and of what it stands on."""
    return [("jupyter_tokens", version("jupyter_tokens")), *((name, _version(name)) for name in PACKAGES)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
