"""What a page token is tied to."""

from google.protobuf.message import Message


def filters_of(request: Message) -> str:
    """The request without its paging."""
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return type(request).__name__ + filters.SerializeToString(deterministic=True).hex()
