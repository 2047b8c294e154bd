from __future__ import annotations

import pytest

from jupyter_tokens._util.loopback import is_loopback


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1:1/x", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:5", True),
        ("http://127.evil.com", False),
        ("http://127.0.0.1.5", False),
        ("http://localhost.evil.com", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("http://[::2]", False),
        ("http://127.0.0.1@evil.com", False),
        ("http://127.٠.٠.١", False),
        ("http://", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
