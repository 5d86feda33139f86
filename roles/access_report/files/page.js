// Copyright: Kubestead contributors
// SPDX-License-Identifier: GPL-3.0-or-later
// All text goes into the page as text; nothing in the data is ever read as HTML, as a script or as an address.
"use strict";
(() => {
  const PAGE = 100;
  const EVERYWHERE = "the whole cluster";
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const roles = new Map(data.roles.map((role) => [role.name, role]));
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function records(table) {
    return table.rows.map((row) => {
      const made = {};
      table.columns.forEach((column, number) => { made[column] = row[number]; });
      made.text = row.join("\u0001").toLowerCase();
      return made;
    });
  }

  const day = (moment) => (moment ? moment.replace("T", " ").replace(/:\d\dZ$/, " UTC") : "");

  // What "delete secrets", "update deployments.apps web" or "get /metrics" asks for; null for anything else.
  const verbs = new Set(data.roles.flatMap((role) => role.rules.flatMap((rule) => rule.verbs)));
  ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"].forEach((verb) => verbs.add(verb));

  function question(text) {
    const [verb, what, name, ...rest] = text.trim().split(/\s+/);
    if (!what || rest.length || !verbs.has(verb)) return null;
    if (what.startsWith("/")) return name ? null : { verb, path: what };
    // The group stands after a dot, as in deployments.apps/scale or in deployments/scale.apps; "pods." means the core group.
    const parts = what.split("/", 2).map((part) => [part.split(".")[0], part.includes(".") ? part.slice(part.indexOf(".") + 1) : null]);
    const group = parts.map((part) => part[1]).find((found) => found !== null);
    return { verb, resource: parts.map((part) => part[0]).join("/"), group: group === undefined ? null : group, name: name || null };
  }

  const pathFits = (rule, path) => (rule.endsWith("*") ? path.startsWith(rule.replace(/\*+$/, "")) : rule === path);
  const resourceFits = (rule, resource) =>
    rule === "*" || rule === resource || (rule.startsWith("*/") && resource.includes("/") && resource.split("/")[1] === rule.slice(2));

  function ruleAllows(rule, asked) {
    if (!rule.verbs.includes("*") && !rule.verbs.includes(asked.verb)) return false;
    if (asked.path) return (rule.nonResourceURLs || []).some((path) => pathFits(path, asked.path));
    const groups = rule.apiGroups || [];
    return (rule.resources || []).some((resource) => resourceFits(resource, asked.resource))
      && (asked.group === null || groups.includes("*") || groups.includes(asked.group))
      && (!asked.name || !rule.resourceNames || rule.resourceNames.includes(asked.name));
  }

  const rightFilter = (text) => {
    const asked = question(text);
    const words = text.trim().toLowerCase();
    const fits = new Map();
    for (const [name, role] of roles) {
      fits.set(name, asked ? role.rules.some((rule) => ruleAllows(rule, asked))
        : name.toLowerCase().includes(words) || role.level === words);
    }
    return { fits, paths: Boolean(asked && asked.path) };
  };

  function filters() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const person = byId("person").value.trim().toLowerCase();
    const place = byId("namespace").value;
    const state = byId("state").value;
    const until = byId("until").value ? `${byId("until").value}T23:59:59Z` : "";
    const right = byId("right").value.trim() ? rightFilter(byId("right").value) : null;
    const common = (row) => words.every((word) => row.text.includes(word))
      && (!place || row.where === place || row.where === EVERYWHERE);
    return {
      rights: (row) => common(row)
        && (!person || row.person.toLowerCase().includes(person) || row.full_name.toLowerCase().includes(person))
        && (!state || row.state === state)
        && (!until || (row.ends && row.ends <= until) || (row.certificate_end && row.certificate_end <= until))
        && (!right || (right.fits.get(row.role) && (!right.paths || row.where === EVERYWHERE))),
      findings: (row) => common(row)
        && (!person || row.who.toLowerCase().includes(person) || (names.get(row.who) || "").includes(person))
        && (!state || states.get(row.who) === state)
        && (!until || (row.until && row.until <= until))
        && (!right || (right.fits.get(row.what.split(/ by | through group | is not granted$/)[0]))),
    };
  }

  class Table {
    constructor(id, title, caption, columns, rows, fill) {
      Object.assign(this, { id, title, columns, rows, fill, found: rows, page: 0, sort: null, descending: false });
      this.heads = columns.map((column, number) => {
        const button = element("button", { type: "button" }, column.title);
        button.addEventListener("click", () => this.sortBy(number));
        return element("th", { scope: "col", "aria-sort": "none" }, button);
      });
      this.body = element("tbody");
      this.status = element("output", { "aria-live": "polite", id: `${id}-status` });
      this.previous = this.pageButton("Previous", -1);
      this.next = this.pageButton("Next", 1);
      byId(id).append(
        element("h2", { id: `${id}-title` }, title),
        element("div", { class: "pages", role: "group", "aria-label": `Pages of ${title}` }, this.previous, this.next, this.status),
        element("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": `${id}-title` },
          element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...this.heads)), this.body)),
      );
    }

    pageButton(text, step) {
      const button = element("button", { type: "button", "aria-label": `${text} page of ${this.title}` }, text);
      button.addEventListener("click", () => { this.page += step; this.show(); });
      return button;
    }

    sortBy(number) {
      this.descending = this.sort === number && !this.descending;
      this.sort = number;
      this.heads.forEach((head, at) => {
        head.setAttribute("aria-sort", at !== number ? "none" : this.descending ? "descending" : "ascending");
      });
      this.page = 0;
      this.order();
      this.show();
    }

    order() {
      if (this.sort === null) return;
      const key = this.columns[this.sort].key;
      const sign = this.descending ? -1 : 1;
      // What is empty comes last, whichever way the others go.
      this.found = [...this.found].sort((one, other) => {
        if (!one[key] || !other[key]) return one[key] ? -1 : other[key] ? 1 : 0;
        return sign * compare(one[key], other[key]);
      });
    }

    filter(fits) {
      this.found = this.rows.filter(fits);
      this.page = 0;
      this.order();
      this.show();
    }

    show(all = false) {
      const count = this.found.length;
      this.page = Math.max(0, Math.min(this.page, Math.ceil(count / PAGE) - 1));
      const begin = all ? 0 : this.page * PAGE;
      const shown = all ? this.found : this.found.slice(begin, begin + PAGE);
      const rows = document.createDocumentFragment();
      for (const row of shown) rows.append(element("tr", {}, ...this.fill(row)));
      this.body.replaceChildren(rows);
      this.previous.disabled = begin === 0;
      this.next.disabled = begin + shown.length >= count;
      const part = count ? `${begin + 1} to ${begin + shown.length} of ` : "";
      this.status.textContent = `${part}${count} shown, ${this.rows.length} in all`;
    }
  }

  const cell = (...content) => element("td", {}, ...content);
  const tag = (text, kind) => (kind ? element("span", { class: `tag ${kind}` }, text) : text);
  const head = (...content) => element("th", { scope: "row" }, ...content);
  const LEVELS = { everything: "bad", "hands on": "note" };
  const STATES = { disabled: "note", absent: "note", unlisted: "bad" };

  function rightCells(row) {
    const name = row.full_name === row.person ? [row.person] : [row.person, element("small", {}, row.full_name)];
    if (!row.role) return [head(...name), cell(tag(row.state, STATES[row.state])), cell("no rights"), cell(), cell(), cell(), cell(), cell(day(row.certificate_end)), cell()];
    const standing = row.standing === "nobody" ? tag("nobody", "bad") : row.standing;
    return [
      head(...name),
      cell(tag(row.state, STATES[row.state])),
      cell(row.where),
      cell(row.role, element("small", {}, row.binding)),
      cell(tag(row.level, LEVELS[row.level])),
      cell(row.group),
      cell(day(row.ends)),
      cell(day(row.certificate_end)),
      cell(standing),
    ];
  }

  function findingCells(row) {
    return [
      cell(tag(row.severity, row.severity === "problem" ? "bad" : "note")),
      head(row.who),
      cell(data.kinds[row.kind] || row.kind, element("small", {}, row.kind)),
      cell(row.where),
      cell(row.what),
      cell(day(row.until)),
    ];
  }

  const rights = records(data.rights);
  const names = new Map(rights.map((row) => [row.person, row.full_name.toLowerCase()]));
  const states = new Map(rights.map((row) => [row.person, row.state]));
  const held = rights.filter((row) => row.role);
  const findings = records(data.findings);
  const tables = [
    new Table("findings", "Findings", "What is not as it was asked for, or soon will not be. The headings sort.", [
      { title: "Severity", key: "severity" }, { title: "Who", key: "who" }, { title: "Finding", key: "kind" },
      { title: "Where", key: "where" }, { title: "What", key: "what" }, { title: "Until", key: "until" },
    ], findings, findingCells),
    new Table("rights", "Rights of people", "One row for each right of each person. The headings sort.", [
      { title: "Person", key: "person" }, { title: "State", key: "state" }, { title: "Where", key: "where" },
      { title: "Role", key: "role" }, { title: "Goes as far as", key: "level" }, { title: "Through group", key: "group" },
      { title: "Right ends", key: "ends" }, { title: "Certificate ends", key: "certificate_end" },
      { title: "Wanted by", key: "standing" },
    ], rights, rightCells),
  ];

  function choices(id, any, found) {
    byId(id).append(element("option", { value: "" }, any), ...found.map((one) => element("option", { value: one }, one)));
  }

  function showRoles() {
    for (const role of data.roles) {
      const lines = role.rules.map((rule) => {
        const things = rule.nonResourceURLs
          || rule.resources.flatMap((resource) => rule.apiGroups.map((group) => (group ? `${resource}.${group}` : resource)));
        const only = rule.resourceNames ? ` named ${rule.resourceNames.join(", ")}` : "";
        return element("li", {}, `${rule.verbs.join(", ")}: ${things.join(", ")}${only}`);
      });
      byId("roles").append(element("details", {}, element("summary", {}, `${role.name} (${role.level})`), element("ul", {}, ...lines)));
    }
    for (const right of data.everybody) {
      byId("roles").append(element("p", {}, `Everybody in ${right.group} has ${right.role} in ${right.where}.`));
    }
  }

  function apply() {
    const fits = filters();
    for (const table of tables) table.filter(fits[table.id]);
  }

  const problems = findings.filter((row) => row.severity === "problem").length;
  byId("summary").textContent =
    `Read on ${day(data.taken_at)}: ${data.people} people, ${held.length} rights, ${problems} problems, ${findings.length - problems} notices.`;
  const places = new Set([...rights, ...findings].map((row) => row.where));
  ["", EVERYWHERE, "directory", "certificates"].forEach((place) => places.delete(place));
  choices("namespace", "Any", [...places].sort(compare));
  choices("state", "Any", ["present", "disabled", "absent", "unlisted"].filter((state) => rights.some((row) => row.state === state)));
  byId("rights-known").append(...[...roles.keys()].map((name) => element("option", { value: name })));
  showRoles();

  let waiting = 0;
  byId("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
  byId("filters").addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  byId("filters").addEventListener("reset", () => { clearTimeout(waiting); waiting = setTimeout(apply); });
  addEventListener("beforeprint", () => tables.forEach((table) => table.show(true)));
  addEventListener("afterprint", () => tables.forEach((table) => table.show()));
  apply();
})();
