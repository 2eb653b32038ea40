"""What a parser says of data, without the data."""

import pytest

from modelci.adapters.datasets import describe_error


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "CSV parse error: Expected 5 columns, got 6: a2,31,Mrs Jane Doe",
            "CSV parse error: Expected 5 columns, got 6",
        ),
        (
            "In CSV column #2: CSV conversion error to int64: invalid value 'Mrs Jane'",
            "In CSV column #2: CSV conversion error to int64: invalid value …",
        ),
        ("could not convert string to float: 'Jane'", "could not convert string to float: …"),
        ("Column 'agee' is missing", "Column 'agee' is missing"),
        ("two\nlines and \x1b[31mcolour", "two lines and [31mcolour"),
        ("", "ValueError"),
    ],
)
def test_logs_hear_what_is_wrong_and_no_values(said: str, told: str) -> None:
    assert describe_error(ValueError(said)) == told
