"""URLs of brokers and servers: what may be shown of them, and the parts that change."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit


def without_secrets(url: str) -> str:
    """The URL with its password replaced by ``***``, for messages; a token alone in the user's place counts as one.

    Example:
        >>> without_secrets("redis://app:s3cret@cache:6379/1")
        'redis://app:***@cache:6379/1'
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "(a URL that can't be read)"
    if "@" not in parts.netloc:
        netloc = parts.netloc
    else:
        credentials, _, host = parts.netloc.rpartition("@")
        user, colon, _ = credentials.partition(":")
        netloc = f"{user}:***@{host}" if colon else f"***@{host}"
    # A query may carry passwords too (redis://…?password=…), and says nothing that a message needs.
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def secrets_in(url: str) -> set[str]:
    """What must not be shown of a URL, as written and decoded: the password, or a token in the user's place, the query.

    Example:
        >>> sorted(secrets_in("redis://app:s%40cret@cache:6379/1"))
        ['s%40cret', 's@cret']
    """
    rest = url.partition("://")[2]
    authority, _, query = rest.partition("?")
    found = {value for part in query.split("&") if (value := part.partition("=")[2])}
    credentials, at, _ = authority.partition("/")[0].rpartition("@")
    if at:
        user, colon, password = credentials.partition(":")
        found.add(password if colon else user)
    return {text for secret in found for text in (secret, unquote(secret)) if text}


def with_database(url: str, number: int) -> str:
    """The same Redis server, another database.

    Example:
        >>> with_database("redis://:pw@cache:6379/0?timeout=2", 3)
        'redis://:pw@cache:6379/3?timeout=2'
    """
    base, mark, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{number}{mark}{query}"
