"""HTTP clients that share what takes long to read: the certificates that are trusted. Here live no requests."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import httpx2


def client(*, trust_env: bool, **options: Any) -> httpx2.Client:
    """One of httpx2's, with its own options."""
    return httpx2.Client(verify=_trusted(trust_env), trust_env=trust_env, **options)


@cache
def _trusted(trust_env: bool) -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=trust_env)
