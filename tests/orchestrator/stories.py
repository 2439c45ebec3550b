"""The story of a payment, as it is asked for and as tests compare it."""

import re

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb

from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House

_ID = re.compile(r"([a-z]+_)[0-9a-f]{32}")


async def explain(house: House, payment_id: str, **words: str) -> story_pb.PaymentStory:
    """The story of one payment, as it is asked for."""
    request = pb.ExplainPaymentRequest(payment_id=payment_id, **words)
    with typed_errors():
        return (await house.stub.ExplainPayment(request)).story


def sentences(story: story_pb.PaymentStory) -> list[str]:
    """What is told, without the ids that differ from run to run."""
    return [_ID.sub(r"\1…", f"{line.source}: {line.message}") for line in story.timeline]
