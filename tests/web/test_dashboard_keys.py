"""Keys made and revoked in the dashboard, and its page of the service's own state."""

import re
from typing import Any

import pytest

from bandit.model import Role
from storage.base import LogProgress
from tests.web.browsing import HIDDEN, Visitor, words
from tests.web.flask_side import Side

KEYS = "/dashboard/keys"


def made(answer: Any) -> str:
    found = re.search(r"bk_[0-9a-f]{12}_[0-9a-f]{48}", answer.text)
    assert found is not None, answer.text
    return found[0]


def test_a_key_is_shown_once_and_works(side: Side) -> None:
    visitor = Visitor(side, "admin")
    text = made(visitor.send(KEYS, role="read", name="Asha"))
    assert Visitor(side).sign_in(text).status_code == 303
    page = visitor.read(KEYS)
    assert text not in page and "Asha" in page and f"bk_{text.split('_')[1]}_…" in page
    rows = visitor.download(f"{KEYS}?csv=keys")  # by time, and this one is older than the others
    assert {"key": text.split("_")[1], "role": "read", "name": "Asha"}.items() <= rows[0].items()
    assert {row["role"] for row in rows} == {"serve", "server", "read", "admin"}


def test_loading_the_page_of_a_new_key_again_makes_no_second_one(side: Side) -> None:
    visitor = Visitor(side, "admin")
    sent = {**dict(HIDDEN.findall(visitor.read(KEYS))), "role": "read", "name": "Asha"}
    made(visitor.post(KEYS, **sent))
    before = side.store.configuration().keys
    again = visitor.post(KEYS, **sent)
    assert again.status_code == 409 and "no key was made" in words(again.text)
    assert side.store.configuration().keys == before
    assert 'value="Asha"' in again.text  # from here a second one can be made, if it is meant
    made(visitor.post(KEYS, **{**sent, **dict(HIDDEN.findall(again.text))}))
    assert len(side.store.configuration().keys) == len(before) + 1


def test_a_revoked_key_is_gone_and_logged(side: Side) -> None:
    visitor = Visitor(side, "admin")
    key = made(visitor.send(KEYS, role="server", name="")).split("_")[1]
    assert visitor.send(f"{KEYS}/{key}/revoke", form=KEYS).status_code == 303
    assert key not in side.store.configuration().keys and f"bk_{key}_" not in visitor.read(KEYS)
    actions = [row["action"] for row in visitor.download("/dashboard/changes?csv=changes")]
    assert actions == ["removed", "made"]
    assert visitor.send(f"{KEYS}/{key}/revoke", form=KEYS).status_code == 404


def test_revoking_the_key_one_signed_in_with_ends_the_session(side: Side) -> None:
    visitor = Visitor(side, "admin")
    own = side.keys["admin"].split("_")[1]
    visitor.send(f"{KEYS}/{own}/revoke", form=KEYS)
    assert visitor.open(KEYS).status_code == 303


@pytest.mark.parametrize(
    ("role", "problem"),
    [("operator", "Role: an operator key belongs to no tenant"), ("king", "Role: "), ("", "Role: ")],
)
def test_no_other_role_can_be_made(side: Side, role: str, problem: str) -> None:
    before = side.store.configuration().keys
    answer = Visitor(side, "admin").send(KEYS, role=role, name="")
    assert answer.status_code == 400 and problem in words(answer.text)
    assert side.store.configuration().keys == before


def test_a_wrong_name_is_named_by_its_label_and_what_was_typed_stays(side: Side) -> None:
    before = side.store.configuration().keys
    answer = Visitor(side, "admin").send(KEYS, role="read", name="x" * 201)
    assert answer.status_code == 400 and "Name: should have at most 200 characters" in words(answer.text)
    assert f'value="{"x" * 201}"' in answer.text and '<option value="read" selected>' in answer.text
    assert side.store.configuration().keys == before


def test_another_tenants_key_cannot_be_seen_or_revoked(side: Side) -> None:
    visitor, foreign = Visitor(side, "other"), side.keys["admin"].split("_")[1]
    assert foreign not in visitor.read(KEYS)
    assert visitor.send(f"{KEYS}/{foreign}/revoke", form=KEYS).status_code == 404
    assert foreign in side.store.configuration().keys


def test_an_operator_makes_keys_for_the_tenant_that_was_chosen(side: Side) -> None:
    visitor = Visitor(side, "operator")
    text = made(visitor.send(f"{KEYS}?tenant=shop", role="admin", name=""))
    key = side.store.configuration().keys[text.split("_")[1]]
    assert (key.tenant, key.role) == ("shop", Role.ADMIN)
    assert visitor.open(KEYS).headers["Location"] == "/dashboard/tenants"


def test_the_state_of_the_service_is_told_in_words_and_as_csv(side: Side) -> None:
    side.installation.banner()
    visitor = Visitor(side, "read")
    facts = {row["name"]: row["value"] for row in visitor.download("/dashboard/system?csv=system")}
    assert facts["state"] == "no drain" and facts["drain"] == "not running" and facts["journal backlog"] != "0 bytes"
    assert "No drain is running" in words(visitor.read("/dashboard/system"))
    side.installation.settle()
    facts = {row["name"]: row["value"] for row in visitor.download("/dashboard/system?csv=system")}
    assert facts["delivered"] == "1" and facts["journal backlog"] == "0 bytes" and facts["store"] == "there"
    counted = {name: value for name, value in facts.items() if name.startswith("counted from")}
    assert counted in ({}, {"counted from shard 0": "1 Feb 2026, 01:30:00"})
    assert bool(counted) == isinstance(side.store, LogProgress)
