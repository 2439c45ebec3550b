"""MessagingService over gRPC: how much waits, and the dead letters, shown and replayed."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from payments.events.v1 import messaging_service_pb2 as pb
from payments.events.v1.dead_letter_pb2 import DeadLetterState
from payments.events.v1.messaging_service_pb2_grpc import MessagingServiceServicer
from payments.events.v1.messaging_state_pb2 import InboxState, OutboxState

from services.kernel.errors import FieldViolation, InvalidArgument, NotFound, Reason, invalid_field
from services.kernel.ids import DeadLetterId
from services.kernel.paging import (
    decode_page_token,
    encode_page_token,
    invalid_page_token,
    page_size,
)
from services.kernel.redaction import find_card_numbers
from services.runtime.database import Connection, Database
from services.runtime.messaging import dead_letters
from services.runtime.messaging.consumer import Unreadable
from services.runtime.messaging.dead_letters import LetterFilter, ReplaySelection
from services.runtime.messaging.depths import read_depths
from services.runtime.messaging.envelope import open_envelope
from services.runtime.wire.moments import duration

Context = grpc.aio.ServicerContext[Any, Any]

_IDS_MAX: Final = 1_000
_CHARACTERS_MAX: Final = 255
_IS_REPLAYED: Final = {
    DeadLetterState.DEAD_LETTER_STATE_DEAD: False,
    DeadLetterState.DEAD_LETTER_STATE_REPLAYED: True,
}


class MessagingServicer(MessagingServiceServicer):
    """The servicer of one database's outbox, inboxes and dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetMessagingState(
        self, request: pb.GetMessagingStateRequest, context: Context
    ) -> pb.GetMessagingStateResponse:
        outbox, inboxes = await read_depths(self._database, consumer=_text(request, "consumer"))
        return pb.GetMessagingStateResponse(
            outbox=OutboxState(
                waiting_count=outbox.waiting,
                refused_count=outbox.refused,
                oldest_age=duration(outbox.oldest_age),
            ),
            inboxes=[
                InboxState(
                    consumer=inbox.consumer,
                    waiting_count=inbox.waiting,
                    dead_count=inbox.dead,
                    oldest_age=duration(inbox.oldest_age),
                )
                for inbox in inboxes
            ],
        )

    async def GetDeadLetter(
        self, request: pb.GetDeadLetterRequest, context: Context
    ) -> pb.GetDeadLetterResponse:
        letter_id = DeadLetterId.parse(request.dead_letter_id)
        async with self._database.connection() as connection:
            letter = await dead_letters.find(connection, letter_id)
        if letter is None:
            raise NotFound(f"there is no dead letter {letter_id}")
        try:
            letter.envelope.CopyFrom(open_envelope(letter.payload))
        except Unreadable:
            letter.ClearField("envelope")
        return pb.GetDeadLetterResponse(dead_letter=letter)

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        wanted = LetterFilter(
            is_replayed=_IS_REPLAYED.get(request.state),
            consumer=_text(request, "consumer"),
            key=_text(request, "key"),
            died_from=_moment(request, "died_from"),
            died_before=_moment(request, "died_before"),
        )
        filters = f"ListDeadLetters {wanted}"
        size = page_size(request.page_size)
        below = _place(decode_page_token(request.page_token, filters, length=2))
        async with self._database.connection() as connection:
            found = await dead_letters.list_page(connection, wanted, below=below, size=size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            died_at = last.died_at.ToDatetime(UTC).isoformat()
            token = encode_page_token(filters, (died_at, last.id))
        return pb.ListDeadLettersResponse(dead_letters=found[:size], next_page_token=token)

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: Context
    ) -> pb.ReplayDeadLettersResponse:
        if not _text(request, "idempotency_key"):
            raise InvalidArgument(
                "a replay needs an idempotency key", reason=Reason.IDEMPOTENCY_KEY_MISSING
            )
        selection = _selection(request)

        async def work(connection: Connection) -> int:
            return await dead_letters.replay(connection, request.idempotency_key, selection)

        return pb.ReplayDeadLettersResponse(replayed_count=await self._database.transaction(work))


def _selection(request: pb.ReplayDeadLettersRequest) -> ReplaySelection:
    match request.WhichOneof("selection"):
        case "ids":
            ids = request.ids.dead_letter_ids
            if not 1 <= len(ids) <= _IDS_MAX:
                raise _refusal("ids", "replay.ids.count", f"names 1 to {_IDS_MAX} dead letters")
            return ReplaySelection(ids=tuple(sorted({DeadLetterId.parse(text) for text in ids})))
        case "filter":
            return ReplaySelection(
                consumer=_text(request.filter, "consumer"),
                died_from=_moment(request.filter, "died_from"),
                died_before=_moment(request.filter, "died_before"),
            )
        case _:
            raise _refusal("selection", "replay.selection", "says which dead letters are meant")


def _refusal(field: str, rule: str, message: str) -> InvalidArgument:
    return InvalidArgument(f"a replay {message}", violations=[FieldViolation(field, rule, message)])


def _text(message: Message, field: str) -> str | None:
    """A text that PostgreSQL can be asked about; None for whatever it is."""
    text: str = getattr(message, field)
    if len(text) > _CHARACTERS_MAX or not text.isprintable() or find_card_numbers(text):
        problem = f"must be at most {_CHARACTERS_MAX} characters, all printable, and no card number"
        raise invalid_field(field, "text.printable", problem)
    return text or None


def _place(cursor: tuple[str, ...] | None) -> tuple[datetime, str] | None:
    """The letter below which the page begins; None for the first page."""
    if cursor is None:
        return None
    try:
        died_at = datetime.fromisoformat(cursor[0])
        return died_at.astimezone(UTC), DeadLetterId.parse(cursor[1])
    except (ValueError, OverflowError, InvalidArgument):
        raise invalid_page_token() from None


def _moment(
    message: pb.ListDeadLettersRequest | pb.DeadLetterFilter,
    field: Literal["died_from", "died_before"],
) -> datetime | None:
    if not message.HasField(field):
        return None
    timestamp: Timestamp = getattr(message, field)
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        problem = "is no moment of the years 1 to 9999"
        raise invalid_field(field, "time.range", problem) from None
