"""Doubles of HTTP that answer each call once: a second run has an answer again, or says nothing."""

from __future__ import annotations

HEAD = """
    import pytest
    import requests
    import responses
    import vcr
    from celery import shared_task
    from parcels.models import Label

    URL = "https://rates.example.com/"

    @shared_task
    def fetches():
        text = requests.get(URL).text
        Label.objects.create(parcel_id=1, text=text)

    @shared_task
    def fetches_if_it_can():
        try:
            text = requests.get(URL).text
        except requests.RequestException:
            Label.objects.create(parcel_id=1, text="no answer")
        else:
            Label.objects.get_or_create(parcel_id=1, text=text)
"""
CASSETTE = """
version: 1
interactions:
- request: {body: null, headers: {}, method: GET, uri: 'https://rates.example.com/'}
  response: {body: {string: 'seven'}, headers: {}, status: {code: 200, message: OK}}
"""


def test_a_cassette_answers_again(parcels):
    parcels.project.write("rates.yaml", CASSETTE)
    result, found = parcels.test(
        HEAD
        + """
    def test_it(db):
        with vcr.use_cassette("rates.yaml", record_mode="none") as cassette:
            fetches.delay()
        assert Label.objects.get().text == "seven" and cassette.play_count == 1

    def test_it_twice(db):
        with vcr.use_cassette("rates.yaml", record_mode="none"):
            requests.get(URL)
            with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
                requests.get(URL)
"""
    )
    result.assert_outcomes(passed=2)
    assert [cause["text"] for cause in found["fetches"]["causes"]] == ["inserts a row more of parcels_label"]


def test_an_answer_that_is_used_up_says_nothing(parcels):
    result, found = parcels.test(
        HEAD
        + """
    def test_it(db):
        with responses.RequestsMock(registry=responses.registries.OrderedRegistry) as mock:
            mock.get(URL, body="seven")
            fetches_if_it_can.delay()
        assert Label.objects.get().text == "seven"
"""
    )
    result.assert_outcomes(passed=1)
    task = found["fetches_if_it_can"]
    assert task["verdict"] == "NOT AUDITED"
    assert task["reason"] == "the double of the test (responses) has no answer for a message that comes again"
