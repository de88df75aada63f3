"""What a run prints of what it made."""

from usage_etl.cli.show import gathered


def test_statements_of_a_folder_are_one_line_and_every_other_file_its_own() -> None:
    files = [
        ("out/chargeback/2026-10/chargeback.csv", 3),
        ("out/chargeback/2026-10/statement_a.csv", 10),
        ("out/chargeback/2026-10/statement_a.pdf", 100),
        ("out/chargeback/2026-11/statement_a.csv", 7),
        ("out/chargeback/2026-11/statement_a.pdf", 70),
        ("out/mail/statement_a-2026-10.eml", 5),
    ]
    assert gathered(files) == [
        ("out/chargeback/2026-10/chargeback.csv", 3),
        ("out/chargeback/2026-10/statement_*  (2 files)", 110),
        ("out/chargeback/2026-11/statement_*  (2 files)", 77),
        ("out/mail/statement_a-2026-10.eml", 5),
    ]
    assert sum(size for _, size in gathered(files)) == sum(size for _, size in files)
