"""prospo: checks requests for the Prospolabs API before they are sent and paid for, sends them, and hears of them.

Needs the standard library only, but for the clients. Here live only the names that other programs may import.
"""

TYPE_CHECKING = False  # as type checkers know it; the module `typing` takes longer to load than all of this
if TYPE_CHECKING:
    from . import webhooks
    from .answers import Balance, Generation
    from .budget import Budget
    from .client import AsyncClient, Client, RequestWarning
    from .errors import (
        BadRequest,
        CallerError,
        FileRefused,
        Forbidden,
        GenerationFailed,
        NetworkError,
        NoAnswer,
        NotConfigured,
        NotFound,
        NotSent,
        OutcomeUnknown,
        OutputExpired,
        OverBudget,
        ProspoError,
        RateLimit,
        RateLimited,
        Refused,
        ServiceError,
        StillRunning,
        Unauthorized,
        Unavailable,
    )
    from .job import AsyncJob, AsyncResult, Job, Result
    from .price import Quote, quote
    from .problem import InvalidRequest, Problem
    from .rules import is_valid, is_valid_json, validate, validate_json
    from .secrecy import SignedUrl, UploadToken
    from .webhooks import BadSignature
else:
    _MODULES = {
        "AsyncClient": "client",
        "AsyncJob": "job",
        "AsyncResult": "job",
        "BadRequest": "errors",
        "BadSignature": "webhooks",
        "Balance": "answers",
        "Budget": "budget",
        "CallerError": "errors",
        "Client": "client",
        "FileRefused": "errors",
        "Forbidden": "errors",
        "Generation": "answers",
        "GenerationFailed": "errors",
        "InvalidRequest": "problem",
        "Job": "job",
        "NetworkError": "errors",
        "NoAnswer": "errors",
        "NotConfigured": "errors",
        "NotFound": "errors",
        "NotSent": "errors",
        "OutcomeUnknown": "errors",
        "OutputExpired": "errors",
        "OverBudget": "errors",
        "Problem": "problem",
        "ProspoError": "errors",
        "Quote": "price",
        "RateLimit": "errors",
        "RateLimited": "errors",
        "Refused": "errors",
        "RequestWarning": "client",
        "Result": "job",
        "ServiceError": "errors",
        "SignedUrl": "secrecy",
        "StillRunning": "errors",
        "Unauthorized": "errors",
        "Unavailable": "errors",
        "UploadToken": "secrecy",
        "is_valid": "rules",
        "is_valid_json": "rules",
        "quote": "price",
        "validate": "rules",
        "validate_json": "rules",
    }
    """Name -> its module, which is loaded when the name is first asked for: few programs need all of them."""

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "webhooks":
            return import_module(".webhooks", __name__)
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = found  # so that it is looked up here once
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AsyncClient",
    "AsyncJob",
    "AsyncResult",
    "BadRequest",
    "BadSignature",
    "Balance",
    "Budget",
    "CallerError",
    "Client",
    "FileRefused",
    "Forbidden",
    "Generation",
    "GenerationFailed",
    "InvalidRequest",
    "Job",
    "NetworkError",
    "NoAnswer",
    "NotConfigured",
    "NotFound",
    "NotSent",
    "OutcomeUnknown",
    "OutputExpired",
    "OverBudget",
    "Problem",
    "ProspoError",
    "Quote",
    "RateLimit",
    "RateLimited",
    "Refused",
    "RequestWarning",
    "Result",
    "ServiceError",
    "SignedUrl",
    "StillRunning",
    "Unauthorized",
    "Unavailable",
    "UploadToken",
    "is_valid",
    "is_valid_json",
    "quote",
    "validate",
    "validate_json",
    "webhooks",
]
