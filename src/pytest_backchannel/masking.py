"""What may not be shown of a URL, a query, a header, a cookie or a message: the one place that decides it.

A name decides: by its last word (``X-Amz-Signature``, ``access_token``), so that ``tokens_count`` and ``author`` stay
readable. In a query, where ``code``, ``state`` and ``key`` are of a login, more names are secret than elsewhere.
"""

from __future__ import annotations

import re

MASK = "***"

# As the last word of a name.
_SECRET_WORDS = frozenset(
    (
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "csrftoken",
        "jwt",
        "otp",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "secrets",
        "sessionid",
        "signature",
        "token",
        "totp",
        "xsrftoken",
    )
)
# Before "key": routing_key and primary_key are none.
_KEYS = frozenset(
    (
        "access",
        "account",
        "api",
        "auth",
        "encryption",
        "private",
        "secret",
        "session",
        "signing",
        "subscription",
    )
)
# Before "code": status_code and country_code are none.
_CODES = frozenset(
    (
        "access",
        "auth",
        "authorization",
        "backup",
        "invite",
        "login",
        "otp",
        "recovery",
        "reset",
        "sms",
        "verification",
    )
)
# Written in one word with what stands before it: authtoken, csrfmiddlewaretoken, clientsecret.
_ENDINGS = ("token", "password", "passwd", "secret", "apikey", "sessionid", "signature")
# As the whole name, and in a query alone: elsewhere they are words of every day.
_IN_QUERY = frozenset(
    (
        "code",
        "hmac",
        "key",
        "nonce",
        "pass",
        "pin",
        "session",
        "sid",
        "sig",
        "state",
        "ticket",
        "tokens",
    )
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def looks_secret(name: str, *, query: bool = False) -> bool:
    """Whether a value of this name is to be masked.

    Args:
        name: of a parameter, a header, a cookie or a key.
        query: whether it stands in a URL's query.

    Example:
        >>> looks_secret("X-Amz-Signature"), looks_secret("author"), looks_secret("code", query=True)
        (True, False, True)
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    *before, last = words
    if last in _SECRET_WORDS or last.endswith(_ENDINGS) or (query and not before and last in _IN_QUERY):
        return True
    previous = before[-1] if before else ""
    if last in ("id", "key", "value", "hash", "digest") and previous in ("session", "token", "secret", "password"):
        return True
    return (last == "key" and previous in _KEYS) or (last == "code" and previous in _CODES)


# The login of any URL, also of one that no setting has: in the message of a library, or of the project's own settings.
# One that a library has masked stays as it is.
_LOGIN = re.compile(r"(?<=://)([^\s/@:]*+)(:?+)(?!\*+@)[^\s/]*@")
_PARAMETER = re.compile(r"([?&#;])([\w.%\[\]-]+)=([^\s&#;'\"<>)\]},]+)")
# A header as it is sent, or as a pair in a dict or a list; a cookie's own names stay readable.
_HEADER = re.compile(
    r"""(?ix) ( b?["']? \b (?P<name> (?:proxy-)?authorization | (?:set-)?cookie
        | (?:x-)?[\w]+(?:-[\w]+)*-(?:key|token|signature|secret|csrftoken|credential) ) \b ["']? \s* [:,] \s* )
    (?P<value> b?"[^"\n]*" | b?'[^'\n]*' | [^\n'"]+ )"""
)
_COOKIE = re.compile(r"([\w.-]+)=([^;\s'\"]+)")
_SESSION = re.compile(r"(?i)\b(sessionid|csrftoken)=([^;&\s'\"]+)")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|token)(\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")
_KEYED = re.compile(r"""(["'])([\w.-]+)\1(\s*:\s*)("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|-?\d[\d.]*)""")
_MAY_HOLD = re.compile(
    r"[?&#=]|://|eyJ|(?i:auth|bearer|basic|code|cookie|credential|jwt|key|otp|pass|pwd|secret|session|signature|token)"
)


def without_logins(text: str) -> str:
    """The text with the password of each URL in it replaced by ``***``, or a token that stands in the user's place.

    Example:
        >>> without_logins("can't reach amqp://app:s3cret@broker//")
        "can't reach amqp://app:***@broker//"
    """
    return _LOGIN.sub(lambda found: f"{found[1]}:{MASK}@" if found[2] else f"{MASK}@", text)


def masked(text: str) -> str:
    """The text with what looks secret in its URLs, queries, headers and cookies replaced by ``***``.

    Example:
        >>> masked("connect /ws/?token=abc&page=2")
        'connect /ws/?token=***&page=2'
    """
    if not _MAY_HOLD.search(text):
        return text
    text = _JWT.sub(MASK, without_logins(text))
    text = _PARAMETER.sub(_parameter, text)
    text = _HEADER.sub(_header, text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    return _SESSION.sub(rf"\1={MASK}", text)


def masked_data(text: str) -> str:
    """As :func:`masked`, and the values of secret names in JSON, or in a dict as Python shows it.

    Example:
        >>> masked_data('frame from the client: {"type": "login", "token": "abc"}')
        'frame from the client: {"type": "login", "token": "***"}'
    """
    if not _MAY_HOLD.search(text):
        return text
    return masked(_KEYED.sub(_keyed, text))


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={MASK}" if looks_secret(found[2], query=True) else found[0]


def _header(found: re.Match[str]) -> str:
    value = found["value"]
    if "cookie" not in found["name"].lower():
        if not looks_secret(found["name"]):
            return found[0]
        inner = MASK
    else:
        inner = _COOKIE.sub(rf"\1={MASK}", value.lstrip("b").strip("\"'")) if "=" in value else MASK
    quote = '"' if value.endswith('"') else "'" if value.endswith("'") else ""
    return f"{found[1]}{'b' if quote and value.startswith('b') else ''}{quote}{inner}{quote}"


def _keyed(found: re.Match[str]) -> str:
    quote, name, colon, value = found.groups()
    if not looks_secret(name):
        return found[0]
    mark = value[0] if value[0] in "\"'" else quote
    return f"{quote}{name}{quote}{colon}{mark}{MASK}{mark}"
