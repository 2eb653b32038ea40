"""The columns of a credit application, in the order in which every table holds them."""

from __future__ import annotations

ID = "application_id"
MONTH = "application_month"
TARGET = "default"

NUMERIC = (
    "amount_eur",
    "term_months",
    "income_eur",
    "debt_to_income",  # monthly payments per monthly income
    "age_years",
    "employment_years",
    "credit_history_years",
    "utilisation",  # share of the granted credit lines in use
    "delinquencies_2y",
    "inquiries_6m",
)
CATEGORICAL = ("purpose", "housing", "channel", "region")
FEATURES = (*NUMERIC, *CATEGORICAL)

# The month only describes when: a model that learned from it would know nothing of the next one.
COLUMNS = (ID, MONTH, *FEATURES, TARGET)
SLICES = (MONTH, "purpose", "housing", "channel", "region", "age_band")
