"""What a refusal says on the wire: the code of each status, and the body around a message.

Here lives no verdict on a request.
"""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[int, str] = {
    400: "invalid_request",
    401: "unauthorized",
    403: "insufficient_balance",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    410: "output_expired",
    413: "body_too_large",
    429: "rate_limit_exceeded",
    431: "head_too_large",
    500: "internal_error",
    501: "not_installed",
    503: "overloaded",
    504: "timeout",
}


def envelope(status: int, message: str, code: str = "") -> dict[str, str]:
    """The body of an error answer. The code is that of the status unless one is given."""
    return {"code": code or CODES.get(status, CODES[400]), "message": message, "detail": message}
