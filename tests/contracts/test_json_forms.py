"""The JSON that docs/contracts.md shows is what the messages are written as."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from payments.contracts.v1.contract_pb2 import ContractViolation
from payments.result.v1.result_pb2 import Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contracts.md"


@pytest.mark.parametrize("kind", [Result, ContractViolation])
def test_documented_json_is_read_and_written_the_same(kind: type[Message]) -> None:
    name = kind.DESCRIPTOR.full_name
    block = re.search(rf"`{name}`:\n\n```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block is not None
    message = json_format.Parse(block[1], kind())
    assert json.loads(json_format.MessageToJson(message)) == json.loads(block[1])


def test_documented_packages_are_those_that_exist() -> None:
    rows = re.findall(r"^\| `(payments\.\w+\.v\d)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    proto = PAGE.parents[1] / "proto"
    found = {file.parent.relative_to(proto).as_posix() for file in proto.rglob("*.proto")}
    assert set(rows) == {name.replace("/", ".") for name in found}
