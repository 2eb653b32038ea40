"""The documentation's site shows Markdown as a forge does."""

from html import escape

from tools.site_markdown import render


def as_it_is(link: str) -> str:
    return link


def test_a_list_goes_on_after_a_block_that_is_indented_as_forges_want_it() -> None:
    shown = render("1. One\n\n   ```console\n   $ ls\n   ```\n\n2. Two\n", as_it_is)
    assert shown.count("<ol") == 1
    assert shown.index("<pre>") < shown.index("Two")


def test_headings_have_the_names_that_forges_give_them() -> None:
    shown = render("## `deploy.targets` – to `NAME`\n\n## Errors\n\n## Errors\n", as_it_is)
    assert 'id="deploytargets--to-name"' in shown
    assert 'href="#deploytargets--to-name"' in shown
    assert 'id="errors"' in shown
    assert 'id="errors_1"' in shown


def test_links_and_pictures_are_led_but_not_what_is_code() -> None:
    shown = render("[a](b.md) ![c](d.webp) `[e](f.md)`\n", lambda link: f"led/{link}")
    assert 'href="led/b.md"' in shown
    assert 'src="led/d.webp"' in shown
    assert "[e](f.md)" in shown


def test_code_is_text_whatever_it_says() -> None:
    shown = render("```yaml\na: <script>\n```\n\n```no-such-language\n<b>\n```\n", as_it_is)
    assert "&lt;script&gt;" in shown
    assert "&lt;b&gt;" in shown
    assert '<span class="nt">a</span>' in shown


def test_tables_and_comments_stay() -> None:
    shown = render("<!-- not run: why -->\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n", as_it_is)
    assert "<!-- not run: why -->" in shown
    assert shown.count("<td") == 2


def test_the_button_of_a_session_copies_what_is_typed() -> None:
    session = (
        "```console\n$ ls 'a' \\\n>   b    # why\nout\n$ cat > c <<'EOF'\nd: \"e\"\n"
        "EOF\n\n$ f\n…\n```\n\n```yaml\ng: 1\n```\n"
    )
    shown = render(session, as_it_is)
    copied = "ls 'a' \\\n  b    # why\ncat > c <<'EOF'\nd: \"e\"\nEOF\nf"
    assert f'data-copy="{escape(copied)}"' in shown
    assert shown.count("data-copy") == 1
