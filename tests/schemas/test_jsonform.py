"""Readable JSON: every message there and back, described by its JSON Schema, refused by fault and path."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import any_messages, messages

from schemas.events import EVENTS, LINKED, AccountOpened, InstrumentListed, MarketClosed, RiskArray, Trade
from schemas.jsonform import Fault, FormError, from_json, schema_of, schema_of_catalogue, to_json
from schemas.kinds import Kind, Payoff, Reason, Right, Segregation, Settling, Style
from schemas.message import Catalogue, Message
from schemas.outcomes import OUTCOMES, Rejected
from schemas.wire import HEADERS, EntryHeader

EVERY = [(catalogue, one) for catalogue in (EVENTS, OUTCOMES, HEADERS) for one in catalogue.by_template.values()]
every_message = pytest.mark.parametrize(("catalogue", "definition"), EVERY, ids=[one.name for _, one in EVERY])
EVENT = Draft202012Validator(schema_of_catalogue(EVENTS, "Event"))

TRADE = Trade(
    venue=1,
    instrument=2,
    buyer=16,
    seller=17,
    time=1_709_251_199_123_456,
    trade=2**64 - 1,
    quantity=10,
    price=-5,
    buyer_fee=0,
    seller_fee=-3,
)
TRADE_JSON = {
    "type": "Trade",
    "venue": 1,
    "instrument": 2,
    "buyer": 16,
    "seller": 17,
    "time": "2024-02-29T23:59:59.123456Z",
    "trade": 2**64 - 1,
    "quantity": 10,
    "price": -5,
    "buyer_fee": 0,
    "seller_fee": -3,
}
ACCOUNT = AccountOpened(
    segregation=Segregation.HOUSE, liquidator=0, profile=0, account=16, member=1, owner=1, time=0, name="Zoë"
)
ACCOUNT_JSON = to_json(EVENTS, ACCOUNT)
CLOSED_JSON = to_json(EVENTS, MarketClosed(market=1, rows=0, digest=bytes(range(32))))
ARRAY_JSON = to_json(EVENTS, RiskArray(profile=0, first=0, instrument=1, market=1, losses=tuple(range(16))))


# few examples each: there are seventy messages
@every_message
@settings(max_examples=30)
@given(data=st.data())
def test_every_message_through_json(catalogue: Catalogue, definition: Message, data: st.DataObject) -> None:
    message = data.draw(messages(definition))
    form = json.loads(json.dumps(to_json(catalogue, message)))
    assert from_json(catalogue, form) == message
    Draft202012Validator(schema_of(definition)).validate(form)


@given(any_messages(EVENTS))
def test_every_event_is_one_of_the_catalogue(message: Any) -> None:
    EVENT.validate(to_json(EVENTS, message))


@every_message
def test_schemas_are_schemas(catalogue: Catalogue, definition: Message) -> None:
    schema = schema_of(definition)
    Draft202012Validator.check_schema(schema)
    assert schema["description"] == definition.doc != ""
    assert definition.name in schema_of_catalogue(catalogue, "Any")["$defs"]
    assert all(field.name != "type" for field in definition.fields)


@pytest.mark.parametrize("catalogue", [EVENTS, OUTCOMES, HEADERS], ids=["events", "outcomes", "headers"])
def test_the_schema_of_a_catalogue_is_a_schema(catalogue: Catalogue) -> None:
    schema = schema_of_catalogue(catalogue, "Any")
    Draft202012Validator.check_schema(schema)
    assert len(schema["oneOf"]) == len(catalogue.by_template)


def test_a_trade_as_people_read_it() -> None:
    assert to_json(EVENTS, TRADE) == TRADE_JSON
    assert list(to_json(EVENTS, TRADE)) == list(TRADE_JSON)
    assert from_json(EVENTS, TRADE_JSON) == TRADE


def test_enums_bytes_arrays_and_text_as_people_read_them() -> None:
    assert ACCOUNT_JSON["segregation"] == "house"
    assert ACCOUNT_JSON["name"] == "Zoë"
    assert CLOSED_JSON["digest"] == "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    assert ARRAY_JSON["losses"] == list(range(16))
    option = InstrumentListed(
        kind=Kind.OPTION,
        payoff=Payoff.INVERSE,
        style=Style.PREMIUM,
        settling=Settling.SETTLED_TO_MARKET,
        right=Right.CALL,
        underlying=0,
        settlement_asset=1,
        base_asset=0,
        instrument=1,
        time=0,
        effective=0,
        expiry=0,
        strike=0,
        price_scale=1,
        tick_value=1,
        contract_value=1,
        lot_size=1,
        symbol="",
    )
    form = to_json(EVENTS, option)
    assert [form[key] for key in ("kind", "payoff", "style", "settling", "right")] == [
        "option",
        "inverse",
        "premium",
        "settled_to_market",
        "call",
    ]
    rejected = Rejected(index=0, template=23, reason=Reason.UNKNOWN_ACCOUNT, account=9)
    assert to_json(OUTCOMES, rejected)["reason"] == "unknown_account"
    assert to_json(HEADERS, EntryHeader(source=1, events=2, sequence=3))["type"] == "EntryHeader"


def test_flags_may_be_left_out_and_are_kept() -> None:
    assert "flags" not in to_json(EVENTS, TRADE)
    linked = from_json(EVENTS, {**TRADE_JSON, "flags": LINKED})
    assert linked.flags == LINKED
    assert to_json(EVENTS, linked)["flags"] == LINKED
    assert from_json(EVENTS, {**TRADE_JSON, "flags": 0}) == TRADE


def refused(form: object, fault: Fault, path: str, what: str = "") -> None:
    with pytest.raises(FormError) as caught:
        from_json(EVENTS, form)
    assert (caught.value.fault, caught.value.path) == (fault, path)
    assert what in caught.value.what
    assert str(caught.value).startswith(f"{fault.name} at {path}: ")


@pytest.mark.parametrize("form", [None, 1, "Trade", [TRADE_JSON], True])
def test_what_is_no_object(form: object) -> None:
    refused(form, Fault.WRONG_TYPE, "$")


def test_types() -> None:
    refused({}, Fault.MISSING_KEY, "$.type")
    refused({"type": 23}, Fault.WRONG_TYPE, "$.type", "int")
    refused({"type": "trade"}, Fault.UNKNOWN_TYPE, "$.type", "'trade'")
    refused({"type": "Posted"}, Fault.UNKNOWN_TYPE, "$.type")


def test_keys() -> None:
    refused({**TRADE_JSON, "comment": "x"}, Fault.UNKNOWN_KEY, "$.comment", "Trade has no 'comment'")
    refused({**TRADE_JSON, 5: "x"}, Fault.UNKNOWN_KEY, "$.5")
    for key in TRADE_JSON:
        refused({k: v for k, v in TRADE_JSON.items() if k != key}, Fault.MISSING_KEY, f"$.{key}")


@pytest.mark.parametrize("value", [None, True, 1.0, float("nan"), "1", [1], {}])
def test_integers_are_integers(value: object) -> None:
    refused({**TRADE_JSON, "price": value}, Fault.WRONG_TYPE, "$.price", "an integer is needed")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("price", 2**63),
        ("price", -(2**63) - 1),
        ("price", 2**1000),
        ("venue", -1),
        ("venue", 2**16),
        ("buyer", 2**32),
        ("trade", 2**64),
        ("flags", 2**16),
    ],
)
def test_integers_stay_in_their_field(key: str, value: int) -> None:
    refused({**TRADE_JSON, key: value}, Fault.OUT_OF_RANGE, f"$.{key}")
    assert not EVENT.is_valid({**TRADE_JSON, key: value})


@pytest.mark.parametrize("name", ["HOUSE", "House", "", "houses", "__class__", "0"])
def test_enums_have_one_name(name: str) -> None:
    refused({**ACCOUNT_JSON, "segregation": name}, Fault.UNKNOWN_NAME, "$.segregation", "is no Segregation")
    assert not EVENT.is_valid({**ACCOUNT_JSON, "segregation": name})


def test_enums_are_not_numbers() -> None:
    refused({**ACCOUNT_JSON, "segregation": 0}, Fault.WRONG_TYPE, "$.segregation")


def test_times() -> None:
    refused({**TRADE_JSON, "time": 0}, Fault.WRONG_TYPE, "$.time")
    refused({**TRADE_JSON, "time": "yesterday"}, Fault.OUT_OF_RANGE, "$.time", "is no UTC time")
    refused({**TRADE_JSON, "time": "2023-02-29T00:00:00Z"}, Fault.OUT_OF_RANGE, "$.time", "day 29")


def test_text() -> None:
    refused({**ACCOUNT_JSON, "name": 5}, Fault.WRONG_TYPE, "$.name")
    refused({**ACCOUNT_JSON, "name": "é" * 13}, Fault.OUT_OF_RANGE, "$.name", "26 bytes")
    refused({**ACCOUNT_JSON, "name": "a\0b"}, Fault.OUT_OF_RANGE, "$.name", "NUL at 1")
    refused({**ACCOUNT_JSON, "name": "\ud800"}, Fault.OUT_OF_RANGE, "$.name")
    assert from_json(EVENTS, {**ACCOUNT_JSON, "name": "é" * 12}).name == "é" * 12


@pytest.mark.parametrize("digest", ["", "00" * 31, "00" * 33, "AB" * 32, "0g" * 32, "00" * 32 + "\n"])
def test_bytes(digest: str) -> None:
    refused({**CLOSED_JSON, "digest": digest}, Fault.OUT_OF_RANGE, "$.digest", "64 lower-case hex digits")


def test_bytes_are_a_string() -> None:
    refused({**CLOSED_JSON, "digest": 0}, Fault.WRONG_TYPE, "$.digest")


def test_arrays() -> None:
    refused({**ARRAY_JSON, "losses": "0123456789abcdef"}, Fault.WRONG_TYPE, "$.losses")
    refused({**ARRAY_JSON, "losses": [0] * 15}, Fault.OUT_OF_RANGE, "$.losses", "15 values, 16 are needed")
    refused({**ARRAY_JSON, "losses": [0] * 3 + ["4"] + [0] * 12}, Fault.WRONG_TYPE, "$.losses[3]")
    refused({**ARRAY_JSON, "losses": [0] * 15 + [2**63]}, Fault.OUT_OF_RANGE, "$.losses[15]")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(any_messages(EVENTS), st.data())
def test_one_value_replaced_by_anything(message: Any, data: st.DataObject) -> None:
    form = to_json(EVENTS, message)
    form[data.draw(st.sampled_from(sorted(form)))] = data.draw(json_values)
    try:
        read = from_json(EVENTS, form)
    except FormError:
        return
    assert EVENT.is_valid(form)
    assert from_json(EVENTS, to_json(EVENTS, read)) == read
