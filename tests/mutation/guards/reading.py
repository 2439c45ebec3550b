"""How what is said is understood, and what of it is never kept."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_AMOUNTS: Final = "gateway/reading/amounts.py"
_READ: Final = "tests/gateway/reading/test_amounts.py"

GUARDS: Final = (
    Guard(
        "cards-refused-at-the-edge",
        "A request with a card number in it goes no further.",
        (Cut("gateway/reading/card_data.py", "    if not places:", "    if True:"),),
        ("tests/gateway/reading/test_card_data.py::test_a_card_number_is_refused_in_every_field",),
    ),
    Guard(
        "logs-redacted",
        "No log line holds a card number, a code or a key.",
        (
            Cut(
                "services/runtime/telemetry/logs.py",
                "**{name: redact_field(name, value) for name, value in words.items()},",
                "**words,",
            ),
        ),
        ("tests/runtime/test_telemetry_lines.py::test_card_data_is_masked_wherever_it_stands",),
    ),
    Guard(
        "answers-kept-redacted",
        "What is kept of a processor's answer holds no secret and no card number.",
        (
            Cut(
                "services/processor/service/processors.py",
                "verdict=replace(verdict, raw=keepable(verdict.raw, adapter.secret_names)),",
                "verdict=verdict,",
            ),
        ),
        (
            "tests/processor/test_stripe_answers.py"
            "::test_no_secret_and_no_card_number_is_kept_of_an_answer",
        ),
    ),
    Guard(
        "bare-integers-are-minor-units",
        "1999 is 19.99 USD and 1999 JPY, and never a hundred times that.",
        (
            Cut(
                _AMOUNTS,
                "return _money(Place(notes, path, value), value, currency, sign)",
                "return _read_decimal("
                "Place(notes, path, value), Decimal(value), rules.DECIMAL, terms, sign)",
            ),
        ),
        (f"{_READ}::test_a_bare_integer_counts_minor_units_in_every_currency",),
    ),
    Guard(
        "decimals-by-currency",
        "What is written in major units counts the decimals of its currency.",
        (
            Cut(
                _AMOUNTS,
                'number.decimals.ljust(currency.exponent, "0")',
                'number.decimals.ljust(2, "0")',
            ),
        ),
        (f"{_READ}::test_an_amount_written_for_people_reads_back_the_same",),
    ),
    Guard(
        "no-rounding",
        "An amount finer than its currency is refused, and not rounded.",
        (Cut(_AMOUNTS, "    if len(number.decimals) > currency.exponent:", "    if False:"),),
        (f"{_READ}::test_the_edges_of_what_an_amount_may_be",),
    ),
    Guard(
        "minor-names-hold-minor-units",
        "A field that is named for minor units holds no decimals.",
        (
            Cut(
                _AMOUNTS,
                '    return snake_case(path.rpartition(".")[2]) in _MINOR_NAMES',
                "    return False",
            ),
        ),
        (f"{_READ}::test_the_edges_of_what_an_amount_may_be",),
    ),
    Guard(
        "amounts-are-positive",
        "Nobody pays nothing, or less.",
        (
            Cut(
                _AMOUNTS,
                "if sign is Sign.POSITIVE and amount_minor <= 0:",
                "if False:",
            ),
        ),
        (f"{_READ}::test_the_edges_of_what_an_amount_may_be",),
    ),
)
