from __future__ import annotations

import pytest

from reward_agent.errors import UsageError
from reward_agent.web.security import is_loopback
from reward_agent.web.server import Address


def test_without_the_token_nothing_is_shown(server) -> None:
    for path in ("/", "/part/tree", "/events", "/static/page.js", "/film/x", "/?token=wrong"):
        answer = server.request(path, Cookie="")
        assert answer.status == 403, path
        assert "token" in answer.text
    assert server.request("/", Cookie=f"reward_agent_{server.port}=wrong").status == 403


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_have(server) -> None:
    answer = server.request(f"/?token={server.token}", Cookie="")
    assert answer.status == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("host", ["evil.example:{port}", "127.0.0.1:1", "localhost", "", "[::1"])
def test_a_foreign_host_name_is_refused(server, host: str) -> None:
    assert server.request("/", Host=host.format(port=server.port)).status == 403


def test_this_machines_own_names_are_known(server) -> None:
    assert server.request("/", Host=f"localhost:{server.port}").status == 200


@pytest.mark.parametrize("origin", ["", "null", "http://evil.example", "http://127.0.0.1:1"])
def test_only_the_page_itself_may_change_the_session(server, origin: str) -> None:
    answer = server.request("/do/note", {"description": "a stranger wrote"}, Origin=origin)
    assert answer.status == 403
    assert "a stranger wrote" not in server.request("/part/chat").text


def test_another_site_may_not_read_either(server) -> None:
    assert server.request("/part/tree", Sec_Fetch_Site="cross-site").status == 403
    assert server.request("/part/tree", Sec_Fetch_Site="same-origin").status == 200


def test_no_inline_script_or_style_can_run(server) -> None:
    policy = server.request("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = server.request("/").text
    assert "<script>" not in text
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick" not in text


def test_a_large_form_is_refused(server) -> None:
    assert server.request("/do/note", {"description": "x" * 1_100_000}).status == 413


def test_words_are_shown_as_words(server) -> None:
    server.request("/do/note", {"description": "<script>alert(1)</script>"})
    chat = server.request("/part/chat").text
    assert "<script>" not in chat
    assert "&lt;script&gt;" in chat


@pytest.mark.parametrize("path", ["/film/..%2f..%2frun.json", "/static/..%2fapp.py", "/film/.."])
def test_only_videos_and_assets_are_served(server, path: str) -> None:
    assert server.request(path).status in (404, 422)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_it_binds_elsewhere_only_when_told_twice(host: str) -> None:
    with pytest.raises(UsageError, match="lets others reach") as caught:
        Address(host)
    assert "--expose-to-network" in caught.value.remedy
    assert Address(host, is_exposed=True).host == host


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.example")))
