"""Where a URL leads that an implementation has answered, and whether the key may go there. Here live no requests."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

LONGEST = 2000
"""Characters of a URL."""
_PORTS = {"http": 80, "https": 443}


def path_below(base_url: str, at: str, url: object) -> str | None:
    """Path and query by which a request below the base URL gets to `url`; None where it leads elsewhere or nowhere.

    `url` was answered by the path `at`, and may be relative to it. A mere path may count the base URL's own or not.
    """
    base, parts = split(base_url), split(url)
    if base is None or parts is None:
        return None
    prefix = base.path.rstrip("/")
    whole = urlsplit(urljoin(f"{base_url.rstrip('/')}{at}", parts.geturl()))
    if _origin(whole) != _origin(base):
        return None
    if whole.path.startswith(f"{prefix}/"):
        path = whole.path.removeprefix(prefix)
    elif not parts.netloc:
        path = whole.path
    else:
        return None
    return f"{path}?{whole.query}" if whole.query else path


def host(base_url: str, at: str, url: object) -> str | None:
    """The host, in lower case, that `url` leads to, once it is resolved; None where it is no URL."""
    parts = split(url)
    return None if parts is None else urlsplit(urljoin(f"{base_url.rstrip('/')}{at}", parts.geturl())).hostname


def split(url: object) -> SplitResult | None:
    """The parts of a URL or of a reference to one; None for anything else, and for what is read in different ways."""
    if not isinstance(url, str) or not 0 < len(url) <= LONGEST or not url.isascii() or not url.isprintable():
        return None
    if " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
