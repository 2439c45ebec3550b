"""Messages of any type, filled by what the contracts say of their fields, well or badly.

A field is filled with what its name calls for, so that a request comes past the first checks, or
with a value at the edge of its type. Which of both, and how often, is drawn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz import hostile
from tests.fuzz.probes import Mark
from tests.fuzz.world import World

_DEPTH_MAX: Final = 5
_MANY: Final = (0, 1, 1, 2, 3, 20, 150)
_INT32: Final = (0, 1, -1, 2, 100, 101, 2**31 - 1, -(2**31))
_INT64: Final = (0, 1, -1, 2, 1250, 2**31, 2**53, 2**63 - 1, -(2**63))
_UNSIGNED: Final = (0, 1, 2**32 - 1)
_DOUBLES: Final = (0.0, -0.0, 1.5, 1e308, -1e308, float("inf"), float("-inf"), float("nan"))
_SECONDS: Final = (0, 1, -1, 60, 1_900_000_000, 253_402_300_799, 253_402_300_800, 2**63 - 1)
_NANOS: Final = (0, 1, 999_999_999, 1_000_000_000, -1, 2**31 - 1)
_IDS: Final = (
    *("pay", "re", "att", "step", "plan", "mer", "key", "evt", "ltx", "dp", "dlq", "req", "whe"),
)
_TOKENS: Final = (
    *("e30", "W10", "WyIiXQ", "x", "bm9uc2Vuc2U", "////", "=", "WyIwIiwiMSIsIjIiXQ"),
    *("W1tbW1tbW1tbW1tbW1tdXV1dXV1dXV1dXV1d", "_" * 5_000),
)

Good = Callable[[World, Random, Mark], Any]
_UINTS: Final = {
    FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
}  # fmt: skip
_INT32S: Final = {
    FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32,
}  # fmt: skip
_REALS: Final = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}


def _pick(*values: Any) -> Good:
    return lambda _world, chance, _mark: chance.choice(values)


# What a field of this name holds when all is well.
_GOOD: Final[Mapping[str, Good]] = {
    "merchant_id": lambda world, _chance, _mark: world.internal_merchant_id,
    "payment_id": lambda world, chance, _mark: chance.choice(world.internal_payment_ids),
    "api_key_id": lambda world, chance, _mark: chance.choice(world.internal_key_ids),
    "idempotency_key": lambda _world, _chance, mark: f"{mark.text}-key",
    "request_id": lambda _world, _chance, mark: mark.request_id,
    "user_id": lambda _world, _chance, mark: mark.text,
    "reference_id": lambda _world, _chance, mark: mark.text,
    "comment": lambda _world, _chance, mark: mark.text,
    "name": lambda _world, _chance, mark: mark.text,
    "reason": lambda _world, _chance, mark: mark.text,
    "note": lambda _world, _chance, mark: mark.text,
    "evidence": lambda _world, _chance, mark: mark.text,
    "amount_minor": _pick(1, 50, 1250),
    "currency": _pick("USD", "EUR", "JPY"),
    "default_currency": _pick("USD"),
    # The sandbox's own would do what the platform never asked of it.
    "processor_id": _pick("simulated"),
    "adapter": _pick("stripe", "simulated"),
    "account": _pick("merchant:a", "platform:fees", "processor:x"),
    "token": _pick("pm_card_visa", "pm_card_visa_chargeDeclined"),
    "contact_email": _pick("a@example.com"),
    "email": _pick("a@example.com"),
    "country": _pick("DE"),
    "return_url": _pick("https://shop.example/thanks"),
    "url": _pick("https://shop.example/hooks"),
    "scopes": _pick("payments:read", "payments:write"),
    "page_size": _pick(0, 1, 20, 100),
    "page_token": lambda _world, _chance, _mark: "",
    "expected_version": _pick(0, 1, 2),
    "consumer": _pick("orchestrator.confirmations", "x"),
}


# What in a seed is to be every request's own.
_OWNED: Final = frozenset({"idempotency_key", "request_id", "user_id", "reference_id", "comment"})


def _type_of(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None, "the field holds messages"
    return field.message_type


def _within(message: Message) -> Iterator[Message]:
    """The message, and all that are in it."""
    if message.DESCRIPTOR.fields:
        yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in _messages(value):
                yield from _within(each)


def _messages(value: Any) -> Sequence[Message]:
    if isinstance(value, Message):
        return [value]
    return [each for each in value if isinstance(each, Message)]


class Filler:
    """Fills messages for one request; `badness` is the share of fields that are filled badly."""

    def __init__(self, world: World, chance: Random, mark: Mark, badness: float) -> None:
        self._world = world
        self._chance = chance
        self._mark = mark
        self._badness = badness

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """A message of this type."""
        message = GetMessageClass(descriptor)()
        if descriptor.full_name.startswith("google.protobuf."):
            self._fill_known(message)
            return message
        chosen = {self._chance.choice(list(each.fields)).name for each in descriptor.oneofs}
        for field in descriptor.fields:
            in_oneof = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
            if in_oneof and field.name not in chosen:
                continue
            if self._chance.random() < 0.15 + depth * 0.1:
                continue
            self._fill(message, field, depth)
        return message

    def changed(self, message: Message, changes: int) -> Message:
        """A good message, made this request's own, with so many of its values changed."""
        self._own(message)
        for _ in range(changes):
            self._change(self._chance.choice(list(_within(message))))
        return message

    def _own(self, message: Message) -> None:
        """Put this request's own marks where the seed has its."""
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for each in _messages(value):
                    self._own(each)
            elif field.name in _OWNED:
                setattr(
                    message, field.name, _GOOD[field.name](self._world, self._chance, self._mark)
                )

    def _change(self, message: Message) -> None:
        """One field filled anew, emptied, or filled with too much."""
        fields: Sequence[Any] = list(message.DESCRIPTOR.fields)
        field = self._chance.choice(fields)
        message.ClearField(field.name)
        if self._chance.random() < 0.8:
            self._fill(message, field, 1)

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            self._fill_messages(message, field, depth)
        elif field.is_repeated:
            values = [self._value(field) for _ in range(self._chance.choice(_MANY))]
            getattr(message, field.name).extend(values)
        else:
            setattr(message, field.name, self._value(field))

    def _fill_messages(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if depth >= _DEPTH_MAX:
            return
        inner = _type_of(field)
        if inner.GetOptions().map_entry:
            self._fill_map(message, field, depth)
        elif field.is_repeated:
            # Few where each holds others, since many of many is too many for any message.
            count = self._chance.choice(_MANY if depth == 0 else _MANY[:5])
            getattr(message, field.name).extend(
                self.message(inner, depth + 1) for _ in range(count)
            )
        else:
            getattr(message, field.name).CopyFrom(self.message(inner, depth + 1))

    def _fill_map(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        fields = _type_of(field).fields_by_name
        key, value = fields["key"], fields["value"]
        for _ in range(self._chance.choice(_MANY[:5])):
            place = self._value(key)
            if value.type == FieldDescriptor.TYPE_MESSAGE:
                getattr(message, field.name)[place].CopyFrom(
                    self.message(_type_of(value), depth + 1)
                )
            else:
                getattr(message, field.name)[place] = self._value(value)

    def _fill_known(self, message: Message) -> None:
        """A moment, a duration and the like, within their bounds and beyond."""
        names = {field.name for field in message.DESCRIPTOR.fields}
        if {"seconds", "nanos"} <= names and self._chance.random() < 0.9:
            message.seconds = self._chance.choice(_SECONDS)  # type: ignore[attr-defined]
            message.nanos = self._chance.choice(_NANOS)  # type: ignore[attr-defined]

    def _value(self, field: FieldDescriptor) -> Any:
        is_bad = self._chance.random() < self._badness
        if not is_bad and field.name in _GOOD:
            return _GOOD[field.name](self._world, self._chance, self._mark)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field) if is_bad else f"{self._mark.text}"
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._bytes()
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self._chance.random() < 0.5
        if field.type == FieldDescriptor.TYPE_ENUM:
            return self._enum(field, is_bad=is_bad)
        return self._number(field)

    def _text(self, field: FieldDescriptor) -> str:
        draw = self._chance.random()
        if field.name == "page_token" and draw < 0.7:
            return self._chance.choice(_TOKENS)
        if draw < 0.15:
            return self._chance.choice(hostile.UNKEEPABLE)
        if draw < 0.3:
            return hostile.card(self._chance)
        if draw < 0.5:
            prefix = self._chance.choice(_IDS)
            return f"{prefix}_019aa5a000007000800000000000{self._chance.randrange(10_000):04d}"
        return hostile.text(self._chance)

    def _bytes(self) -> bytes:
        draw = self._chance.random()
        if draw < 0.3:
            return hostile.junk(self._chance, self._chance.choice((0, 1, 100, 5_000)))
        return (
            hostile.text(self._chance).encode() if draw < 0.7 else b'{"id": "evt_1", "type": "x"}'
        )

    def _enum(self, field: FieldDescriptor, *, is_bad: bool) -> int:
        assert field.enum_type is not None, "the field is of an enum"
        known: Sequence[int] = [value.number for value in field.enum_type.values]
        return self._chance.choice((-1, 99, 2**31 - 1, 0) if is_bad else known[1:] or known)

    def _number(self, field: FieldDescriptor) -> int | float:
        if field.type in _REALS:
            return self._chance.choice(_DOUBLES)
        if field.type in _UINTS:
            return self._chance.choice(_UNSIGNED)
        return self._chance.choice(_INT32 if field.type in _INT32S else _INT64)
