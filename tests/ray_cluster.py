"""A Ray cluster of two nodes on loopback, in a process of its own: it ends when its stdin does. Here live no tests.

Its first line on stdout is JSON: the address, and the process id of each node's raylet, the head's first. All of
127.0.0.0/8 is loopback on Linux; Ray takes 127.0.0.1 itself for a name of the machine's other address.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 100 << 20


def main() -> None:
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    # Ray's sockets lie there, and their paths have to be short.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster()
        try:
            head = cluster.add_node(node_ip_address="127.0.0.2", temp_dir=folder, **node)
            other = cluster.add_node(node_ip_address="127.0.0.3", **node)
            raylets = [each.all_processes["raylet"][0].process.pid for each in (head, other)]
            print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
            sys.stdin.read()
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
