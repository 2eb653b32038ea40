from modelci.domain.modelfiles import Danger, FileFormat, FileScan, Scan, ScanFinding
from modelci.render.scans import render_scan


def scanned(path: str, *findings: ScanFinding) -> FileScan:
    return FileScan(
        path=path,
        format=FileFormat.PICKLE,
        sha256="",
        bytes=1500,
        types=("a", "b"),
        findings=findings,
    )


EVIL = ScanFinding(danger=Danger.FORBIDDEN_GLOBAL, name="os.system", detail="why")


def test_safe_files_are_said_to_be_so() -> None:
    text = render_scan(Scan(files=(scanned("m.skops"),)), width=80)
    assert "m.skops" in text
    assert "1.50 kB" in text
    assert "✓ safe" in text
    assert text.splitlines()[-1] == "1 file: safe to load."


def test_what_is_refused_is_named_and_what_to_do_about_it() -> None:
    text = render_scan(Scan(files=(scanned("a"), scanned("b", EVIL))), width=200)
    assert "✗ b: forbidden-global: os.system (why)" in text
    assert "1 of 2 files not safe to load." in text
    assert "safety.trusted_types" in text.splitlines()[-1]


def test_very_many_findings_are_cut() -> None:
    many = [ScanFinding(danger=Danger.FORBIDDEN_GLOBAL, name=f"n{one}") for one in range(30)]
    text = render_scan(Scan(files=(scanned("m", *many),)), width=200)
    assert "n19" in text
    assert "n20" not in text
    assert "and 10 more; --json has them all" in text


def test_a_files_names_cannot_command_the_terminal() -> None:
    finding = ScanFinding(danger=Danger.MALFORMED, name="\x1b[31mred", detail="a\nb")
    text = render_scan(Scan(files=(scanned("m\x1b[2J", finding),)), width=200)
    assert "\x1b" not in text
    assert r"a\nb" in text
