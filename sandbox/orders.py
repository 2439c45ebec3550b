"""What a control call may ask for, as the JSON of its body says it."""

import msgspec

from sandbox.faults import Form, Kind, When


class ResetOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Begin again; with the seed of an earlier run, that run again."""

    seed: int | None = None


class ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Move or stop the clock; the order of the fields is the order they are obeyed in."""

    now: float | None = None
    advance_seconds: float | None = None
    frozen: bool | None = None


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A rule to put in force."""

    kind: Kind
    operation: str = "*"
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    when: When | None = None
    delay_ms: int | None = None
    form: Form = Form.TEXT
    account: str | None = None


class DisputeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A dispute to open, on a charge or on the charge of a payment intent."""

    charge: str | None = None
    payment_intent: str | None = None
    amount: int | None = None
    reason: str = "fraudulent"
    inquiry: bool = False
