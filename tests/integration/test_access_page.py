# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the access report in Chromium: found, filtered, sorted, printed, by mouse, by keyboard and by ear."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.permissions import Atom, Permissions
from ansible_collections.kubestead.platform.plugins.module_utils._report.page import page

from access_world import Told, World
from integration.browser import Browser
from integration.conftest import ROOT
from integration.downloads import browser as install_browser
from rbac_world import EDIT, NOW, VIEW
from scale import scaled

FILES = ROOT / "roles" / "access_report" / "files"
DAY = 86400
HOSTILE = "<script>alert(1)</script>"
IMAGE = "</script><img src=x onerror=alert(2)>"
RULES = {
    "reader": [{"apiGroups": ["", "apps"], "resources": ["pods", "pods/log", "deployments"], "verbs": ["get", "list"]}],
    "scaler": [{"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["update"]}],
    "one-secret": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "delete"], "resourceNames": ["web"]}],
    "prober": [{"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]}],
    "owner": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}],
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    install_browser()
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


def written(folder: Path, told: Any) -> Path:
    """The page of a result."""
    parts = [(FILES / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")]
    path = folder / "access.html"
    path.write_text(page(told, *parts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few people, some of them with names that mean harm."""
    world = World()
    for name, rules in RULES.items():
        world.api.put(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}", {"metadata": {}, "rules": rules})
    people: list[dict[str, Any]] = [
        {"name": "anna", "full_name": "Anna Berg", "access": [{"role": "edit", "namespaces": ["red"]}]},
        {"name": "bert", "full_name": HOSTILE, "access": [{"role": "reader", "scope": "cluster"}]},
        {"name": "dora", "full_name": IMAGE, "state": "disabled"},
    ]
    for person, until in zip(people, (NOW + 90 * DAY, NOW + 5 * DAY, NOW + 60 * DAY)):
        world.account(person["name"], locked=person.get("state") == "disabled")
        world.pair(person["name"], until=until)
    world.bind("anna", "edit", "red")
    world.bind("bert", "reader")
    world.bind("anna", "view", "blue", owner="more", ends="2027-02-01T00:00:00Z")
    world.bind(HOSTILE, "owner", "blue", owner="", name="by-hand")
    for role in ("scaler", "one-secret", "prober"):
        world.bind("carl", role, owner="more")
    return written(tmp_path_factory.mktemp("small"), Told(world, people, cluster=IMAGE, warn_before="30d").result)


@pytest.fixture
def window(browser: Browser, small: Path) -> Browser:
    """The small page, newly opened."""
    browser.open(small)
    return browser


def rows(window: Browser, table: str = "rights") -> list[tuple[str, ...]]:
    """Person and role, or who and kind, of what the table shows."""
    cells = "[...row.children].map((one) => one.innerText)"
    script = f"return [...document.querySelectorAll(`#${{arguments[0]}} tbody tr`)].map((row) => {cells})"
    found = window.run(script, table)
    first = (lambda cells: (cells[0], cells[3])) if table == "rights" else (lambda cells: (cells[1], cells[2]))
    last = -1 if table == "findings" else 0
    return [(first(cells)[0].split("\n")[0], first(cells)[1].split("\n")[last]) for cells in found]


def status(window: Browser, table: str = "rights") -> str:
    return window.texts(f"#{table}-status")[0]


def filtered(window: Browser, selector: str, text: str, *left: tuple[str, ...]) -> None:
    """What a text in a field leaves over."""
    window.write(selector, text)
    window.until(lambda: rows(window) == list(left), or_else=lambda: f"{selector} {text}: {rows(window)}")


ALL = [
    (HOSTILE, "owner"), ("anna", "view"), ("anna", "edit"), ("bert", "reader"), ("carl", "one-secret"), ("carl", "prober"),
    ("carl", "scaler"), ("dora", ""),
]  # fmt: skip


def test_names_that_mean_harm_are_shown_and_do_nothing(window: Browser) -> None:
    assert rows(window) == ALL
    assert window.texts("h1") == [f"Access to {IMAGE}"]
    assert f"bert\n{HOSTILE}" in window.texts("#rights tbody th") and f"dora\n{IMAGE}" in window.texts("#rights tbody th")
    assert window.alert() == "" and window.run("return document.images.length + document.scripts.length") == 2
    assert window.complaints() == []


def test_the_page_asks_nobody_for_anything(window: Browser) -> None:
    assert window.run("return performance.getEntriesByType('resource').length") == 0
    window.run("document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x.png'}))")
    window.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = 1'}))")
    window.until(lambda: len(window.complaints()) > 0)
    assert window.run("return window.pwned") is None


class TestFilters:
    """Each field for itself, and together."""

    def test_search(self, window: Browser) -> None:
        filtered(window, "#search", "berg RED", ("anna", "edit"))
        assert status(window) == "1 to 1 of 1 shown, 8 in all"
        filtered(window, "#search", "nothing like this")
        assert status(window) == "0 shown, 8 in all"
        window.click("button[type=reset]")
        window.until(lambda: rows(window) == ALL)

    def test_person(self, window: Browser) -> None:
        filtered(window, "#person", "Berg", ("anna", "view"), ("anna", "edit"))
        assert rows(window, "findings") == [("anna", "right_ends")]

    def test_namespace_with_what_holds_in_the_whole_cluster(self, window: Browser) -> None:
        window.run("document.getElementById('namespace').value = 'red'")
        window.run("document.getElementById('namespace').dispatchEvent(new Event('input', {bubbles: true}))")
        window.until(lambda: len(rows(window)) == 5)
        assert rows(window) == [row for row in ALL if row[1] in ("edit", "reader", "one-secret", "prober", "scaler")]

    def test_right_by_the_name_of_the_role(self, window: Browser) -> None:
        filtered(window, "#right", "edit", ("anna", "edit"))
        filtered(window, "#right", "everything", (HOSTILE, "owner"))

    def test_right_by_what_it_allows(self, window: Browser) -> None:
        filtered(window, "#right", "delete secrets", (HOSTILE, "owner"), ("carl", "one-secret"))
        filtered(window, "#right", "delete secrets other", (HOSTILE, "owner"))
        filtered(window, "#right", "get /logs/app", ("carl", "prober"))

    def test_end(self, window: Browser) -> None:
        until = "const field = document.getElementById('until'); field.value = arguments[0];"
        until += "field.dispatchEvent(new Event('input', {bubbles: true}))"
        window.run(until, "2027-01-31")
        window.until(lambda: rows(window) == [("bert", "reader")])
        window.run(until, "2027-02-01")
        window.until(lambda: rows(window) == [("anna", "view"), ("bert", "reader")])

    def test_state_and_others_together(self, window: Browser) -> None:
        window.run("document.getElementById('state').value = 'unlisted'")
        filtered(window, "#search", "more", ("carl", "one-secret"), ("carl", "prober"), ("carl", "scaler"))
        filtered(window, "#right", "update deployments/scale.apps", ("carl", "scaler"))

    def test_findings_follow(self, window: Browser) -> None:
        found = rows(window, "findings")
        assert ("bert", "certificate_ends") in found and (HOSTILE, "right_not_asked") in found
        filtered(window, "#right", "owner", (HOSTILE, "owner"))
        assert rows(window, "findings") == [(HOSTILE, "right_not_asked")]


def test_what_a_right_allows_is_reckoned_as_elsewhere(window: Browser) -> None:
    """The page's own reckoning against the one that is compared with the API server."""
    dice = random.Random(scaled(1))
    held = {name: Permissions.of(rules) for name, rules in {**RULES, "view": VIEW, "edit": EDIT}.items()}
    for _round in range(scaled(20)):
        verb = dice.choice(["get", "list", "update", "delete", "create"])
        if dice.random() < 0.2:
            atom = Atom(verb, path=dice.choice(["/metrics", "/logs", "/logs/a", "/other"]))
            allowed = {name for name in held if held[name].allows(atom) and name != "owner"}  # owner is bound in a namespace
        else:
            resource = dice.choice(["pods", "pods/log", "deployments", "deployments/scale", "secrets"])
            atom = Atom(verb, dice.choice(["", "apps"]), resource, dice.choice(["", "web", "other"]))
            allowed = {name for name in held if held[name].allows(atom)}
        group = f".{atom.group}" if atom.group else "."
        whole, slash, sub = atom.resource.partition("/")
        text = f"{verb} {atom.path}" if atom.path else f"{verb} {whole}{slash}{sub}{group} {atom.name}"
        if not atom.path and not atom.name:  # without a name the page shows rights on single objects too
            allowed = {name for name in held if held[name].allows(atom) or held[name].allows(atom._replace(name="web"))}
        filtered(window, "#right", text, *(row for row in ALL if row[1] in allowed))


class TestSorting:
    """By the headings."""

    def test_by_mouse(self, window: Browser) -> None:
        window.click("#rights thead th:nth-child(4) button")
        assert [role for _who, role in rows(window)] == [
            "edit",
            "one-secret",
            "owner",
            "prober",
            "reader",
            "scaler",
            "view",
            "",
        ]
        window.click("#rights thead th:nth-child(4) button")
        assert [role for _who, role in rows(window)] == [
            "view",
            "scaler",
            "reader",
            "prober",
            "owner",
            "one-secret",
            "edit",
            "",
        ]
        states = window.run("return [...document.querySelectorAll('#rights thead th')].map((one) => one.ariaSort)")
        assert states == ["none", "none", "none", "descending", *["none"] * 5]

    def test_by_keyboard(self, window: Browser) -> None:
        window.run("document.querySelector('#rights thead th:nth-child(3) button').focus()")
        window.press("Tab", "Enter")
        assert window.focused() == "Role" and rows(window)[0] == ("anna", "edit")
        window.press("Space")
        assert rows(window)[0] == ("anna", "view") and window.focused() == "Role"


class TestWithoutAMouse:
    """Keyboard and screen reader."""

    def test_the_keyboard_reaches_all_in_the_order_of_reading(self, window: Browser) -> None:
        reached = []
        for _number in range(8):
            window.press("Tab")
            reached.append(window.focused())
        assert reached[:6] == ["Skip to the rights", "search", "person", "namespace", "right", "state"]
        assert reached[6] == "until"

    def test_the_first_link_leads_to_the_rights(self, window: Browser) -> None:
        window.press("Tab", "Enter")
        assert window.focused() == "rights"

    def test_typing_filters_and_the_count_is_told(self, window: Browser) -> None:
        window.press("Tab", "Tab", *"anna")
        window.until(lambda: len(rows(window)) == 2)
        polite = window.run("return document.getElementById('rights-status').ariaLive")
        assert (polite, status(window)) == ("polite", "1 to 2 of 2 shown, 8 in all")

    def test_a_screen_reader_is_given_names_for_everything(self, window: Browser) -> None:
        spoken = window.spoken()
        named = {role: [name for one, name in spoken if one == role] for role, _name in spoken}
        assert (
            named["searchbox"] == ["Search"]
            and named["textbox"][:1] == ["Person"]
            and "Right" in named["combobox"] + named["textbox"]
        )
        assert named["Date"] == ["Ends by"] and named["main"] == [""] and named["search"] == ["Filters"]
        assert [name for name in named["region"] if name] and {"Findings", "Rights of people"} <= set(named["region"])
        assert len(named["columnheader"]) == 15 and all(named["columnheader"])
        assert {"Next page of Findings", "Previous page of Rights of people"} <= set(named["button"]) and all(named["button"])
        assert f"bert {HOSTILE}" in [name.replace("\n", " ") for name in named["rowheader"]]


class TestPaper:
    """What is printed."""

    def test_the_form_is_not_printed_and_all_rows_are(self, window: Browser) -> None:
        filtered(window, "#person", "anna", ("anna", "view"), ("anna", "edit"))
        window.tool("Emulation.setEmulatedMedia", media="print")
        try:
            shown = window.run(
                "return [...document.querySelectorAll('form, .pages button')].filter((one) => one.offsetParent).length"
            )
            heads = window.run("return getComputedStyle(document.querySelector('#rights thead')).display")
        finally:
            window.tool("Emulation.setEmulatedMedia", media="")
        assert (shown, heads) == (0, "table-header-group")
        assert window.printed().startswith(b"%PDF-")


class TestManyPeople:
    """5,000 people with 15,000 rights in 500 namespaces."""

    @pytest.fixture(scope="class")
    def large(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        def right(role: str, where: str) -> dict[str, Any]:
            named = {"role": role, "where": where, "level": "reads", "group": None, "ends": None, "standing": "list"}
            return {**named, "binding": f"rolebinding {where}/{role}-0a1b2c3d4e"}

        entries = [
            {
                "name": f"person{number}",
                "full_name": f"Person {number}",
                "state": "present",
                "account": {"locked": False},
                "certificate_end": "2027-02-15T00:00:00Z",
                "rights": [right(role, f"team-{(number + at) % 500}") for at, role in enumerate(("edit", "view", "reader"))],
            }
            for number in range(5000)
        ]
        rest: dict[str, Any] = {"everybody": [], "roles": [], "namespaces": [], "answers": [], "findings": []}
        told = {"cluster": "large", "taken_at": "2027-01-15T00:00:00Z", "entries": entries, **rest}
        return written(tmp_path_factory.mktemp("large"), told)

    def test_it_opens_and_finds(self, browser: Browser, large: Path) -> None:
        browser.open(large)
        assert status(browser) == "1 to 100 of 15000 shown, 15000 in all"
        browser.write("#search", "person4999 view")
        browser.until(lambda: status(browser) == "1 to 1 of 1 shown, 15000 in all")
        assert browser.complaints() == []

    def test_pages(self, browser: Browser, large: Path) -> None:
        browser.open(large)
        back, on = (f"#rights .pages button:nth-of-type({number})" for number in (1, 2))
        assert browser.run("return document.querySelector(arguments[0]).disabled", back)
        browser.click(on)
        assert status(browser) == "101 to 200 of 15000 shown, 15000 in all"
        browser.click("#rights thead th:nth-child(1) button")
        assert status(browser).startswith("1 to 100") and rows(browser)[0][0] == "person0"
        browser.click("#rights thead th:nth-child(1) button")
        assert rows(browser)[0][0] == "person4999"
        browser.click(on)
        browser.click(back)
        assert rows(browser)[0][0] == "person4999"

    def test_paper_holds_every_row_that_was_found(self, browser: Browser, large: Path) -> None:
        browser.open(large)
        browser.write("#search", "person49")
        browser.until(lambda: status(browser) == "1 to 100 of 333 shown, 15000 in all")
        browser.run("dispatchEvent(new Event('beforeprint'))")
        assert len(rows(browser)) == 333
        browser.run("dispatchEvent(new Event('afterprint'))")
        assert len(rows(browser)) == 100
