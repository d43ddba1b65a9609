"""People and tokens as an administrator types them on the machine."""

from tests.cli.conftest import Membrana


def test_a_forgotten_password_and_limited_tokens(membrana: Membrana) -> None:
    membrana("db", "upgrade")
    assert membrana("users", "add", "anna", "--password", "correct horse battery").code == 0
    given = membrana("users", "password", "anna")
    assert (given.code, len(given.out.strip()) >= 12, given.err) == (0, True, "")
    unknown = membrana("users", "password", "nobody")
    assert (unknown.code, "user_not_found" in unknown.err) == (1, True)

    token = membrana("tokens", "create", "scraper", "--scope", "metrics", "--days", "30")
    assert (token.code, token.out.startswith("mbr_")) == (0, True)
    wrong = membrana("tokens", "create", "scraper", "--scope", "everything")
    assert (wrong.code, "is no scope" in wrong.err) == (2, True)
    assert membrana("tokens", "create", "scraper", "--days", "0").code == 2
