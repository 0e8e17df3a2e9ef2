"""What looks secret is masked wherever text is shown; what only resembles it stays readable."""

from __future__ import annotations

import pytest

from pytest_backchannel.errors import BackchannelError, BackchannelFailure, WebSocketRejected
from pytest_backchannel.events import Event, EventLog
from pytest_backchannel.masking import looks_secret, masked, masked_data
from pytest_backchannel.questions.report.story import story


def words(text):
    return text.split()


SECRET = words(
    """
    token access_token accessToken refresh_token id_token auth_token authtoken csrftoken csrfmiddlewaretoken
    api_key apikey apiKey X-Api-Key X-API-KEY Authorization Proxy-Authorization Cookie Set-Cookie sessionid
    session_id session_key password passwd pwd password1 new_password2 db_password passphrase secret
    client_secret clientSecret secret_key SECRET_KEY signature X-Amz-Signature X-Amz-Security-Token
    X-Amz-Credential AWS_SECRET_ACCESS_KEY access_key private_key X-Auth-Token X-CSRFToken X-Hub-Signature-256
    jwt otp otp_code verification_code auth_code auth bearer credentials password_hash
    """
)
IN_QUERY = ["code", "state", "key", "ticket", "sig", "sid", "session", "pass", "pin", "nonce", "hmac"]
READABLE = words(
    """
    tokens_count token_count max_tokens token_type page author authors authority author_id authenticated
    auth_method keyboard key_count keys routing_key primary_key public_key monkey keyword status_code
    country_code codec zip_code encode state_name statement passenger passport compass password_hashers
    secretary designature_id signal ticket_count ticketing option rotation optional user_id client_id page_size
    q sort
    """
)


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_name_is_known_everywhere(name):
    assert looks_secret(name)
    assert masked(f"/ws/?a=1&{name}=v4lue&b=2") == f"/ws/?a=1&{name}=***&b=2"
    assert masked_data(f'{{"{name}": "v4lue", "b": 2}}') == f'{{"{name}": "***", "b": 2}}'


@pytest.mark.parametrize("name", IN_QUERY)
def test_some_are_secret_in_a_query_alone(name):
    assert not looks_secret(name)
    assert masked(f"wss://shop.example/ws/?{name}=v4lue") == f"wss://shop.example/ws/?{name}=***"
    assert masked_data(f"{{'{name}': 'v4lue'}}") == f"{{'{name}': 'v4lue'}}"


@pytest.mark.parametrize("name", READABLE)
def test_a_look_alike_stays_readable(name):
    text = f'/ws/?{name}=v4lue {{"{name}": "v4lue"}}'
    assert masked_data(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'Authorization': 'Token abc'}", "{'Authorization': '***'}"),
        ("[(b'authorization', b'Bearer x')]", "[(b'authorization', b'***')]"),
        ("Cookie: sessionid=abc; theme=dark", "Cookie: sessionid=***; theme=***"),
        ("[(b'cookie', b'sessionid=abc')]", "[(b'cookie', b'sessionid=***')]"),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        ("sent with csrftoken=abc; it failed", "sent with csrftoken=***; it failed"),
        ("refused Bearer a1b2c3d4e5", "refused Bearer ***"),
        ("got eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl here", "got *** here"),
        ("amqp://app:s3cret@broker//", "amqp://app:***@broker//"),
        ("https://shop.example/cb#access_token=abc", "https://shop.example/cb#access_token=***"),
        ("unexpected token: ','; basic authentication is off", "unexpected token: ','; basic authentication is off"),
        ("task_queue(broker='redis'): choose one of 'stepped'", "task_queue(broker='redis'): choose one of 'stepped'"),
    ],
)
def test_headers_cookies_and_urls(text, shown):
    assert masked(text) == shown


class Spoken(Event):
    def headline(self):
        return 'connect /ws/?token=s3cret, frame {"password": "s3cret"}'


def test_the_story_problems_and_errors_show_none():
    log = EventLog()
    log.record(Spoken)
    problem = log.problem("no_members", "sent from /ws/?token=s3cret&page=2")
    shown = [story(log), problem.text, problem.headline()]
    shown += [str(kind("refused /ws/?token=s3cret")) for kind in (BackchannelError, BackchannelFailure)]
    shown.append(str(WebSocketRejected("refused /ws/?token=s3cret", 4003, 403)))
    for text in shown:
        assert "s3cret" not in text
        assert "***" in text
