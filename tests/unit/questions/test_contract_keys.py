"""Which keys a handler needs, by its code."""

from __future__ import annotations

import textwrap

import pytest

from pytest_backchannel.questions.contract.handler_keys import keys_of


@pytest.fixture
def keys(tmp_path):
    def read(body):
        path = tmp_path / f"consumers{abs(hash(body))}.py"
        path.write_text("async def chat(self, event):\n" + textwrap.indent(textwrap.dedent(body), "    "))
        needs, asks = keys_of(path, 1, "chat")
        return "".join(needs), "".join(asks)

    return read


@pytest.mark.parametrize(
    ("body", "needs", "asks"),
    [
        ("await self.send(event['a'])", "a", ""),
        ("text = event['a']\nawait self.send({'x': [event['b']], 'y': event.get('c')})", "ab", ""),
        ("if event['a']:\n    use(event['b'])", "a", ""),
        ("if 'a' in event:\n    use(event['a'])", "", ""),
        ("if 'a' not in event:\n    return\nuse(event['a'])", "a", "a"),
        ("if event.get('v', 1) == 1:\n    return\nuse(event['a'])", "a", "v"),
        ("if self.closed:\n    return\nuse(event['a'])", "a", ""),
        ("try:\n    use(event['a'])\nexcept KeyError:\n    return\nuse(event['b'])", "", ""),
        ("with lock:\n    use(event['a'])", "a", ""),
        ("for one in event['a']:\n    use(event['b'])", "a", ""),
        ("use(event['a'] if event['b'] else 1, event['c'] and event['d'])", "bc", ""),
        ("event.setdefault('a', 1)\nuse(event['a'])", "", ""),
        ("event['a'] = 1\nuse(event['a'])", "", ""),
        ("event = upgraded(event)\nuse(event['a'])", "", ""),
        ("def later():\n    use(event['a'])\nuse(lambda: event['b'])", "", ""),
        ("use(event['type'], event[name], event)", "", ""),
        ("return event['a']\nuse(event['b'])", "a", ""),
    ],
)
def test_keys(keys, body, needs, asks):
    assert keys(body) == (needs, asks)


def test_a_function_that_is_not_there(tmp_path):
    assert keys_of(tmp_path / "none.py", 1, "chat") == ((), ())
