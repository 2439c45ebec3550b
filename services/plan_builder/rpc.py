"""PlanBuilderService over gRPC: translate, call the use case, translate back."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from payments.plan.v1 import plan_builder_service_pb2 as pb
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceServicer

from services.kernel.errors import FieldViolation, InvalidArgument
from services.plan_builder.domain.replay import PlanDifference
from services.plan_builder.service import PlanBuilder, PlanReplay, Progress
from services.plan_builder.translate.plan import plan_message
from services.plan_builder.translate.replay import (
    difference_message,
    order_from_message,
    summary_message,
)
from services.plan_builder.translate.request import context_from_message

Context = grpc.aio.ServicerContext[Any, Any]


class PlanBuilderServicer(PlanBuilderServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, builder: PlanBuilder, replay: PlanReplay) -> None:
        self._builder = builder
        self._replay = replay

    async def BuildPlan(
        self, request: pb.BuildPlanRequest, context: Context
    ) -> pb.BuildPlanResponse:
        if request.config_version < 0:
            message = "must be zero or more"
            raise InvalidArgument(
                f"config_version {message}",
                violations=[FieldViolation("config_version", "version.range", message)],
            )
        plan = await self._builder.build(
            context_from_message(request.context), request.config_version
        )
        return pb.BuildPlanResponse(plan=plan_message(plan))

    async def ReplayPlans(
        self, request: pb.ReplayPlansRequest, context: Context
    ) -> AsyncIterator[pb.ReplayPlansResponse]:
        async for told in self._replay.replay(order_from_message(request)):
            if isinstance(told, Progress):
                progress = pb.ReplayProgress(
                    requests_replayed=told.requests_replayed, requests_total=told.requests_total
                )
                yield pb.ReplayPlansResponse(progress=progress)
            elif isinstance(told, PlanDifference):
                yield pb.ReplayPlansResponse(difference=difference_message(told))
            else:
                yield pb.ReplayPlansResponse(summary=summary_message(told))
