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


MOCKED = """
    import io
    from unittest.mock import Mock, patch

    import pytest
    from celery import Task, chain, group, shared_task
    from parcels import carrier, tasks
    from parcels.models import Label

    @shared_task
    def prints():
        for text in carrier.labels():
            Label.objects.get_or_create(parcel_id=1, text=text)

    @shared_task
    def prints_all_pages():
        while page := carrier.page():
            Label.objects.get_or_create(parcel_id=1, text=page)

    @shared_task
    def prints_a_file():
        Label.objects.get_or_create(parcel_id=1, text=carrier.file().read().decode() or "nothing")

    def test_an_iterator(db):
        with patch("parcels.carrier.labels", create=True, return_value=iter(["a", "b"])) as mock:
            prints.delay()
            assert list(mock.return_value) == []
        assert Label.objects.count() == 2

    def test_a_list_of_answers(db):
        with patch("parcels.carrier.page", create=True, side_effect=["a", "b", None]):
            prints_all_pages.delay()
            with pytest.raises(StopIteration):
                carrier.page()
        assert Label.objects.count() == 2

    def test_a_file(db):
        with patch("parcels.carrier.file", create=True, return_value=io.BytesIO(b"a")) as mock:
            prints_a_file.delay()
            assert mock.return_value.read() == b""
        assert Label.objects.get().text == "a"
"""


def test_what_a_mock_answers_is_answered_again(parcels):
    result, found = parcels.test(MOCKED)
    result.assert_outcomes(passed=3)
    names = ("prints", "prints_all_pages", "prints_a_file")
    # Each makes what it does not find: nothing is doubled, and what a death leaves out comes with the next run.
    assert {name: found[name]["verdict"] for name in names} == dict.fromkeys(names, "NO DIFFERENCE FOUND")
    assert [len(call["effects"]) for call in found["prints_all_pages"]["calls"]] == [4]


REPLACES = """
    from unittest.mock import MagicMock, patch

    import pytest
    from celery import chain, group, shared_task
    from celery.exceptions import Ignore
    from parcels import tasks
    from parcels.models import Label, Parcel

    @shared_task(bind=True)
    def fans_out(self):
        Label.objects.get_or_create(parcel_id=1, text="a")
        raise self.replace(group(tasks.counts_in_sql.si(parcel.pk) for parcel in Parcel.objects.all()))

    @shared_task(bind=True)
    def goes_on(self):
        return self.replace(tasks.sets_the_state.si(Parcel.objects.get().pk))

    @shared_task(bind=True)
    def mocked(self):
        return self.replace(group([]))

    @shared_task
    def ignores():
        Label.objects.create(parcel_id=1, text="a")
        raise Ignore()

    @pytest.fixture(autouse=True)
    def parcel(db):
        return Parcel.objects.create()

    def test_what_is_enqueued():
        tasks.counts_in_sql.delay(Parcel.objects.get().pk)
        tasks.sets_the_state.delay(Parcel.objects.get().pk)

    def test_mocked():
        with patch("celery.app.task.Task.replace", autospec=True, side_effect=TabError):
            for task in (fans_out, goes_on):
                with pytest.raises(TabError):
                    task()
            with patch(f"{__name__}.group"), pytest.raises(TabError):
                mocked()
        assert Parcel.objects.get().tries == 0

    def test_ignored():
        with pytest.raises(Ignore):
            ignores()
"""


def test_a_task_that_puts_another_one_in_its_place(parcels):
    result, found = parcels.test(REPLACES)
    result.assert_outcomes(passed=3)
    verdicts = {name: found[name]["verdict"] for name in ("fans_out", "goes_on", "mocked", "ignores")}
    assert verdicts == {
        "fans_out": "LOOK",
        "goes_on": "NO DIFFERENCE FOUND",
        "mocked": "NO DIFFERENCE FOUND",
        "ignores": "BREAKS",
    }
    [again] = [cause for cause in found["fans_out"]["causes"] if cause["kind"] == "enqueue"]
    assert again["text"].startswith("again: enqueue parcels.tasks.counts_in_sql")


FAKED = """
    from unittest.mock import patch

    from parcels import carrier, shipping
    from parcels.models import Label

    def test_a_fake_that_writes(db, monkeypatch):
        def price(pk):
            Label.objects.create(parcel_id=pk, text="of the fake")
            return 7

        monkeypatch.setattr(carrier, "price", price)
        shipping.weighs.delay(1)
        assert Label.objects.count() == 2

    def test_a_mock_that_writes(db):
        with patch("parcels.carrier.price", side_effect=lambda pk: Label.objects.create(parcel_id=pk, text="a").pk):
            shipping.weighs.delay(2)

    def test_a_fake_with_answers_for_once(db, monkeypatch):
        answers = [7]
        monkeypatch.setattr(carrier, "price", lambda pk: answers.pop())
        shipping.pays.delay(1)
        assert Label.objects.get().text == "paid 7"

    def test_what_goes_through_a_mock_is_the_bodys(db):
        with patch("parcels.carrier.price", wraps=shipping.notes):
            shipping.asks.delay(1)
"""
SHIPPING = """
    from celery import shared_task
    from . import carrier
    from .models import Label

    @shared_task
    def weighs(pk):
        carrier.price(pk)
        Label.objects.get_or_create(parcel_id=pk, text="weighed")

    @shared_task
    def pays(pk):
        Label.objects.create(parcel_id=pk, text=f"paid {carrier.price(pk)}")

    @shared_task
    def asks(pk):
        carrier.price(pk)

    def notes(pk):
        Label.objects.create(parcel_id=pk, text="noted")
"""


def test_what_a_fake_of_the_test_does_is_not_the_bodys(parcels):
    parcels.project.write("parcels/shipping.py", SHIPPING)
    result, found = parcels.test(FAKED)
    result.assert_outcomes(passed=4)
    assert {name: found[name]["verdict"] for name in ("weighs", "pays", "asks")} == {
        "weighs": "NO DIFFERENCE FOUND",
        "pays": "NOT AUDITED",
        "asks": "BREAKS",
    }
    reason = "the double of the test (one of its own) has no answer for a message that comes again"
    assert found["pays"]["reason"] == reason
