"""A Jupyter server with the extension, and so many kernels of which there is all but the process.

`python tests/load/served.py KERNELS` writes their connection files into Jupyter's runtime folder, and prints its port.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import uuid4


def add_kernel(manager: Any) -> None:
    """One with a real connection file and the key in it, as the server knows a kernel that it has started."""
    kernel_id = str(uuid4())
    kernel = manager.kernel_manager_factory(
        connection_file=f"{manager.connection_dir}/kernel-{kernel_id}.json",
        parent=manager,
        kernel_name="python3",
        transport="ipc",  # which takes no ports
    )
    kernel.kernel_id = kernel_id
    kernel.write_connection_file()
    manager._kernels[kernel_id] = kernel


def main() -> None:
    from jupyter_server.serverapp import ServerApp

    app = ServerApp.instance()
    # Without the extensions that happen to be installed.
    app.find_server_extensions = lambda: None  # type: ignore[method-assign]
    app.initialize(sys.argv[2:])
    for _ in range(int(sys.argv[1])):
        add_kernel(app.kernel_manager)
    app.io_loop.add_callback(lambda: print(json.dumps({"port": app.port}), flush=True))
    app.start()


if __name__ == "__main__":
    main()
