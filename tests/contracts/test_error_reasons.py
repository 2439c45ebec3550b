"""Every reason is documented with an example, and the kernel knows the same reasons."""

import re

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from payments.core.v1.error_reason_pb2 import ErrorReason

from services.kernel.errors import Reason

PREFIX = "ERROR_REASON_"
GRPC_STATUS = re.compile(
    r"\((INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|ABORTED|FAILED_PRECONDITION|PERMISSION_DENIED"
    r"|UNAUTHENTICATED|RESOURCE_EXHAUSTED|UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL)\)\.\n"
)


def documentation(files: list[FileDescriptorProto]) -> dict[str, str]:
    """The comment of each reason, by the path [5, 0, 2, n]: first enum of the file, nth value."""
    file = next(file for file in files if file.name == "payments/core/v1/error_reason.proto")
    values = file.enum_type[0].value
    return {
        values[location.path[3]].name: location.leading_comments
        for location in file.source_code_info.location
        if len(location.path) == 4 and list(location.path[:3]) == [5, 0, 2]
    }


def test_each_reason_has_a_sentence_and_an_example(files: list[FileDescriptorProto]) -> None:
    documented = documentation(files)
    assert set(documented) == set(ErrorReason.keys())
    for name, comment in documented.items():
        assert re.fullmatch(r" [A-Z][^\n]+\.\n Example: [^\n]+\.\n", comment), name


def test_each_reason_names_its_grpc_status(files: list[FileDescriptorProto]) -> None:
    documented = documentation(files)
    unnamed = [name for name, comment in documented.items() if not GRPC_STATUS.search(comment)]
    assert unnamed == [f"{PREFIX}UNSPECIFIED"]


def test_kernel_knows_the_same_reasons() -> None:
    published = {name.removeprefix(PREFIX) for name, _ in ErrorReason.items()}
    assert {reason.value for reason in Reason} == published - {"UNSPECIFIED"}
    assert [reason.name for reason in Reason] == [reason.value for reason in Reason]
