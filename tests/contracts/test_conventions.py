"""The conventions that buf has no rule for, held over every contract.

An RPC that changes something carries an idempotency key, a list pages, an amount is Money, an enum
begins with UNSPECIFIED, a comment is a sentence, and packages point one way.
"""

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)

from services.kernel.ids import Id

Files = list[FileDescriptorProto]

SERVICES_BY_PACKAGE = {
    "payments.access.v1": {"AccessService"},
    "payments.config.v1": {"MerchantConfigService"},
    "payments.contracts.v1": {"ContractMonitorService"},
    "payments.core.v1": set(),
    "payments.events.v1": {"MessagingService"},
    "payments.ledger.v1": {"LedgerService"},
    "payments.orchestrator.v1": {"OrchestratorService"},
    "payments.plan.v1": {"PlanBuilderService"},
    "payments.processor.v1": {"ProcessorService"},
    "payments.result.v1": set(),
    "payments.router.v1": {"RouterService"},
    "payments.webhooks.v1": {"WebhookService", "MerchantWebhookService"},
}

READS_BY_ANOTHER_NAME = {
    "Authenticate",
    "BuildPlan",
    "DiffConfigs",
    "ExplainPayment",
    "NormalizeEvent",
    "ReplayPlans",
    "VerifyIntegrity",
}

AMOUNT_NAME = re.compile(r"(^|_)(amount|amounts|fee|fees|balance|money)(_|$)")
PREFIXES_OF_STRIPE = {"pi", "whsec"}
NOT_AMOUNTS = {"payments.core.v1.Money.amount_minor"}


def methods(files: Files) -> Iterator[MethodDescriptorProto]:
    return (method for file in files for service in file.service for method in service.method)


def messages(files: Files) -> dict[str, DescriptorProto]:
    """Every message by its full name; the contracts nest none but the entries of maps."""
    return {
        f".{file.package}.{message.name}": message
        for file in files
        for message in file.message_type
    }


def enums(files: Files) -> Iterator[EnumDescriptorProto]:
    return (enum for file in files for enum in file.enum_type)


def fields(message: DescriptorProto) -> dict[str, FieldDescriptorProto]:
    return {field.name: field for field in message.field}


def carries_key(message: DescriptorProto, known: dict[str, DescriptorProto]) -> bool:
    """Whether the message has an idempotency key, or each item of its only list has one."""
    own = fields(message)
    if len(own) == 1 and (only := message.field[0]).label == FieldDescriptorProto.LABEL_REPEATED:
        return only.type_name in known and carries_key(known[only.type_name], known)
    key = own.get("idempotency_key")
    return key is not None and key.type == FieldDescriptorProto.TYPE_STRING


def test_each_package_has_its_services(files: Files) -> None:
    found: dict[str, set[str]] = {}
    for file in files:
        found.setdefault(file.package, set()).update(service.name for service in file.service)
    assert found == SERVICES_BY_PACKAGE


def test_each_rpc_says_whether_it_changes_anything(files: Files) -> None:
    unsaid = [
        method.name
        for method in methods(files)
        if method.options.idempotency_level == MethodOptions.IDEMPOTENCY_UNKNOWN
    ]
    assert unsaid == []


def test_only_known_rpcs_read(files: Files) -> None:
    named_as_reads = re.compile("Get|List|Watch")
    reads = {
        method.name
        for method in methods(files)
        if method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    }
    assert {name for name in reads if not named_as_reads.match(name)} == READS_BY_ANOTHER_NAME
    writes = {method.name for method in methods(files)} - reads
    assert [name for name in writes if named_as_reads.match(name)] == []


def test_each_rpc_that_changes_something_carries_an_idempotency_key(files: Files) -> None:
    known = messages(files)
    writes = [
        method
        for method in methods(files)
        if method.options.idempotency_level == MethodOptions.IDEMPOTENT
    ]
    assert len(writes) > 20
    keyless = [w.name for w in writes if not carries_key(known[w.input_type], known)]
    assert keyless == []


def test_each_list_pages(files: Files) -> None:
    known = messages(files)
    lists = [method for method in methods(files) if method.name.startswith("List")]
    assert len(lists) > 20
    for method in lists:
        asked, answered = fields(known[method.input_type]), fields(known[method.output_type])
        assert asked["page_size"].type == FieldDescriptorProto.TYPE_INT32, method.name
        assert asked["page_token"].type == FieldDescriptorProto.TYPE_STRING, method.name
        assert answered["next_page_token"].type == FieldDescriptorProto.TYPE_STRING, method.name
        items = [f for f in answered.values() if f.label == FieldDescriptorProto.LABEL_REPEATED]
        assert len(items) == 1, method.name


def test_each_amount_is_money(files: Files) -> None:
    bare = [
        f"{name[1:]}.{field.name}"
        for name, message in messages(files).items()
        for field in message.field
        if AMOUNT_NAME.search(field.name) and field.type != FieldDescriptorProto.TYPE_MESSAGE
    ]
    assert set(bare) == NOT_AMOUNTS


def test_each_id_is_a_string(files: Files) -> None:
    others = [
        f"{name[1:]}.{field.name}"
        for name, message in messages(files).items()
        for field in message.field
        if re.search(r"(^|_)ids?$", field.name)
        and field.type != FieldDescriptorProto.TYPE_STRING
        and not field.HasField("oneof_index")
    ]
    assert others == []


def test_no_number_is_a_float(files: Files) -> None:
    floats = {FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE}
    found = [
        f"{name[1:]}.{field.name}"
        for name, message in messages(files).items()
        for field in message.field
        if field.type in floats
    ]
    assert found == []


def test_each_enum_begins_unspecified(files: Files) -> None:
    for enum in enums(files):
        assert enum.value[0].number == 0, enum.name
        assert enum.value[0].name.endswith("_UNSPECIFIED"), enum.name


def test_states_are_called_state_never_status(files: Files) -> None:
    names = [enum.name for enum in enums(files)]
    names += [field.name for message in messages(files).values() for field in message.field]
    allowed = {"http_status"}
    assert [n for n in names if "status" in n.lower() and n not in allowed] == []


def test_payment_has_exactly_the_states_of_its_life_cycle(files: Files) -> None:
    states = next(enum for enum in enums(files) if enum.name == "PaymentState")
    assert {value.name.removeprefix("PAYMENT_STATE_") for value in states.value} == {
        "UNSPECIFIED",
        "CREATED",
        "CONFIRMING",
        "FAILED",
        "AUTHORIZED",
        "CAPTURED",
        "REFUNDED",
        "DISPUTED",
        "VOIDED",
    }


def test_envelope_type_names_its_payload(files: Files) -> None:
    envelope = messages(files)[".payments.events.v1.Envelope"]
    payloads = [field for field in envelope.field if field.HasField("oneof_index")]
    assert len(payloads) > 20
    for field in payloads:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", field.type_name.rsplit(".", 1)[1]).lower()
        assert field.name == snake


def test_packages_point_one_way_and_import_nothing_foreign(files: Files) -> None:
    package_of = {file.name: file.package for file in files}
    graph: dict[str, set[str]] = {file.package: set() for file in files}
    for file in files:
        for imported in file.dependency:
            assert imported in package_of or imported.startswith("google/protobuf/"), imported
            if imported in package_of and package_of[imported] != file.package:
                graph[file.package].add(package_of[imported])
    assert set(TopologicalSorter(graph).static_order()) == set(SERVICES_BY_PACKAGE)
    assert graph["payments.core.v1"] == set()


def test_each_comment_is_sentences(files: Files) -> None:
    comments = [
        location.leading_comments.strip()
        for file in files
        for location in file.source_code_info.location
        if location.leading_comments.strip()
    ]
    assert len(comments) > 800
    assert [text for text in comments if not re.match(r"[A-Z].*\.$", text, re.DOTALL)] == []


def test_each_id_has_a_prefix_that_the_kernel_makes(files: Files) -> None:
    made = {kind.prefix for kind in Id.__subclasses__()}
    written = {
        prefix
        for file in files
        for location in file.source_code_info.location
        for prefix in re.findall(r"([a-z]+)_…", location.leading_comments)
    }
    assert len(written) > 10
    assert written - made == PREFIXES_OF_STRIPE
