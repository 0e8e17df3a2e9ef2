// What the page does beyond a list that can be read: it filters, sorts, copies, and shows code in place.
"use strict";

(() => {
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // A page that is opened as a file may have no storage.
  const stored = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("backchannel-theme") || "";
      localStorage.setItem("backchannel-theme", value);
    } catch { /* then the choice holds until the page is left */ }
    return value || "";
  };
  const theme = (name) => {
    if (["light", "dark"].includes(name)) root.dataset.theme = name;
    else delete root.dataset.theme;
  };
  // Before the first paint: nothing flashes, and nothing is folded before one's eyes.
  theme(stored());
  root.classList.add("js-on");

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of all(".js")) element.hidden = false;
    const filter = startFilter();
    startSorting(filter);
    startItems();
    startLinks(filter);
    startCopying();
    startStories();
    startTheme();
    startUnfolding();
    startPrinting();
    filter.read();
  });

  // ------------------------------------------------------------- filter

  // The state of the page is in the address: #q=ship&kind=task&state=open&sort=-tests&at=i3
  function startFilter() {
    const text = document.getElementById("filter-text");
    // A page of the audit alone has neither kinds nor states.
    const choice = (id) => document.getElementById(id) || document.createElement("select");
    const kind = choice("filter-kind");
    const state = choice("filter-state");
    const said = document.getElementById("filter-said");
    const rows = all("[data-row]").map((row) => ({ row, text: row.textContent.toLowerCase() }));
    // What has no kind or no state, such as a test, is not left out for it.
    const isOf = (choice, value) => !choice.value || value === undefined || value === choice.value;
    const lists = all("section").filter((section) => section.querySelector(":scope > .nothing"));
    const sorts = { now: "", apply: () => {} };

    const apply = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { row, text: has } of rows) {
        row.hidden = !words.every((word) => has.includes(word))
          || !isOf(kind, row.dataset.kind) || !isOf(state, row.dataset.state);
      }
      for (const file of all("details.file")) {
        file.hidden = !file.querySelector("[data-row]:not([hidden])");
      }
      const counts = lists.map((section) => {
        const shown = all("[data-row]:not([hidden])", section).length;
        section.querySelector(":scope > .nothing").hidden = shown > 0;
        return `${shown} of ${all("[data-row]", section).length} ${section.id}`;
      });
      said.textContent = words.length || kind.value || state.value ? counts.join(", ") : "";
    };
    const parameters = (at) => {
      const found = new URLSearchParams();
      const values = { q: text.value.trim(), kind: kind.value, state: state.value, sort: sorts.now, at };
      for (const [name, value] of Object.entries(values)) if (value) found.set(name, value);
      return found.toString();
    };
    const write = (at) => {
      const address = location.pathname + location.search + (parameters(at) ? `#${parameters(at)}` : "");
      // Where one goes is a step back; a filter that is typed is none.
      if (at) history.pushState(null, "", address);
      else history.replaceState(null, "", address);
    };
    const changed = () => { apply(); write(); };
    const set = (values) => {
      text.value = values.q || "";
      kind.value = values.kind || "";
      state.value = values.state || "";
      apply();
    };
    const read = () => {
      const hash = location.hash.slice(1);
      const plain = hash && !hash.includes("=");
      const values = plain ? { at: hash } : Object.fromEntries(new URLSearchParams(hash));
      set(values);
      sorts.apply(values.sort || "");
      if (values.at) goTo(values.at, filter);
    };
    const filter = { apply, set, write, read, sorts, clear: () => set({}) };

    text.addEventListener("input", changed);
    kind.addEventListener("change", changed);
    state.addEventListener("change", changed);
    text.form.addEventListener("submit", (event) => event.preventDefault());
    window.addEventListener("popstate", read);
    document.addEventListener("keydown", (event) => {
      const writing = event.target.closest?.("input, select, textarea, [contenteditable]");
      if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        text.focus();
        text.select();
      }
      if (event.key === "Escape" && event.target === text && text.value) {
        event.preventDefault();
        text.value = "";
        changed();
      }
    });
    for (const link of all("[data-only-kind]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        set({ kind: link.dataset.onlyKind });
        write();
        document.getElementById("items").focus();
        document.getElementById("items").scrollIntoView();
      });
    }
    return filter;
  }

  // --------------------------------------------------------------- sort

  function startSorting(filter) {
    const table = document.querySelector("table.items");
    if (!table) return;
    const heads = all("th[data-sort]", table);
    const bodies = all("tbody", table);
    const values = {
      name: (body) => body.dataset.name.toLowerCase(),
      kind: (body) => Number(body.dataset.order),
      reached: (body) => Number(body.dataset.reached),
      tests: (body) => Number(body.dataset.tests),
    };
    const apply = (sort) => {
      const name = sort.replace(/^-/, "");
      const known = name in values ? name : "kind";
      const down = name in values && sort.startsWith("-") ? -1 : 1;
      const value = values[known];
      const order = (one, other) => (value(one) < value(other) ? -down : value(one) > value(other) ? down : 0);
      table.append(...[...bodies].sort(order)); // stable: else in the order of the report
      for (const head of heads) {
        if (head.dataset.sort === known) head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      }
      filter.sorts.now = known === "kind" && down > 0 ? "" : (down < 0 ? "-" : "") + known;
    };
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        apply((head.getAttribute("aria-sort") === "ascending" ? "-" : "") + head.dataset.sort);
        filter.write();
      });
    }
    filter.sorts.apply = apply;
  }

  // -------------------------------------------------------------- items

  // What folds: details, an item of the table, a step of a story.
  const folding = (inside = document) => all("details, tbody, .step[aria-expanded]", inside);
  function isFolded(one) {
    if (one.matches("details")) return !one.open;
    return one.matches("tbody") ? one.querySelector(".more").hidden : one.lastElementChild.hidden;
  }
  function fold(one, folded) {
    if (one.matches("details")) one.open = !folded;
    else if (one.matches("tbody")) {
      one.querySelector(".more").hidden = folded;
      one.querySelector("th button").setAttribute("aria-expanded", String(!folded));
    } else {
      one.lastElementChild.hidden = folded;
      one.setAttribute("aria-expanded", String(!folded));
    }
  }
  function startItems() {
    for (const body of all("table.items tbody")) {
      const name = body.querySelector(".name");
      const button = document.createElement("button");
      button.type = "button";
      name.replaceWith(button);
      button.append(name);
      fold(body, true);
      body.rows[0].addEventListener("click", () => {
        if (!String(getSelection())) fold(body, !isFolded(body));
      });
    }
  }

  // -------------------------------------------------------------- links

  function reveal(element) {
    for (let one = element; one; one = one.parentElement) if (one.matches("details, tbody")) fold(one, false);
  }
  function goTo(id, filter) {
    const target = document.getElementById(id);
    if (!target) return;
    if (target.matches(".excerpt")) return showCode(target);
    if (target.closest("[data-row][hidden]")) filter.clear();
    reveal(target);
    target.scrollIntoView({ block: target.matches("section") ? "start" : "center" });
    const stop = target.querySelector(":scope > summary, th button") || target;
    if (stop === target && !target.hasAttribute("tabindex")) target.tabIndex = -1;
    stop.focus({ preventScroll: true });
    target.classList.remove("aimed");
    void target.offsetWidth; // so that it is shown again
    if (!target.matches("section")) target.classList.add("aimed");
  }
  function showCode(figure) {
    const dialog = document.querySelector("dialog.code");
    const copy = figure.cloneNode(true);
    copy.removeAttribute("id");
    dialog.querySelector("div").replaceChildren(copy);
    if (!dialog.open) dialog.showModal();
  }
  function startLinks(filter) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href^='#']");
      if (!link || link.dataset.onlyKind || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const id = link.getAttribute("href").slice(1);
      const target = document.getElementById(id);
      if (!target) return;
      event.preventDefault();
      goTo(id, filter);
      if (!target.matches(".excerpt")) filter.write(id);
    });
    const dialog = document.querySelector("dialog.code");
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  // --------------------------------------------------------------- copy

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* a page from http:// has no clipboard: then as in former times */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    try {
      return document.execCommand("copy");
    } finally {
      area.remove();
    }
  }
  function startCopying() {
    for (const button of all("button.copy")) {
      button.setAttribute("aria-live", "polite");
      button.addEventListener("click", async () => {
        const done = await copied(button.closest("figure").querySelector("code").textContent);
        button.textContent = done ? "Copied" : "Select it by hand";
        button.focus();
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
    }
  }

  // ------------------------------------------------------------ stories

  // A tree, as ARIA has it: up and down over what is seen; right unfolds, or goes in; left folds, or goes out.
  function startStories() {
    for (const story of all(".story")) {
      const steps = all(".step", story);
      story.setAttribute("role", "tree");
      for (const inner of all("ol", story)) inner.setAttribute("role", "group");
      for (const step of steps) {
        step.setAttribute("role", "treeitem");
        step.setAttribute("aria-label", step.firstElementChild.textContent.trim().replace(/\s+/g, " "));
        if (step.lastElementChild.matches("ol")) step.setAttribute("aria-expanded", "true");
        step.tabIndex = -1;
      }
      steps[0].tabIndex = 0;
      story.addEventListener("click", (event) => {
        const step = event.target.closest(".step");
        if (!step || event.target.closest("a, ol") !== step.parentElement || String(getSelection())) return;
        if (step.hasAttribute("aria-expanded")) fold(step, !isFolded(step));
      });
      story.addEventListener("focusin", (event) => {
        const step = event.target.closest(".step");
        for (const one of steps) one.tabIndex = one === step ? 0 : -1;
      });
      story.addEventListener("keydown", (event) => moveInStory(event, story, steps));
    }
  }
  function moveInStory(event, story, steps) {
    const now = event.target;
    if (!now.matches(".step") || event.ctrlKey || event.metaKey || event.altKey) return;
    const seen = steps.filter((step) => !step.closest("ol[hidden]"));
    const at = seen.indexOf(now);
    const folds = now.hasAttribute("aria-expanded");
    const outer = now.parentElement === story ? undefined : now.parentElement.parentElement;
    let next;
    if (event.key === "ArrowDown") next = seen[at + 1];
    else if (event.key === "ArrowUp") next = seen[at - 1];
    else if (event.key === "Home") next = seen[0];
    else if (event.key === "End") next = seen.at(-1);
    else if ((event.key === "Enter" || event.key === " ") && folds) fold(now, !isFolded(now));
    else if (event.key === "ArrowRight" && folds && isFolded(now)) fold(now, false);
    else if (event.key === "ArrowRight") next = folds ? seen[at + 1] : undefined;
    else if (event.key === "ArrowLeft" && folds && !isFolded(now)) fold(now, true);
    else if (event.key === "ArrowLeft") next = outer;
    else return;
    event.preventDefault();
    next?.focus();
  }

  // ------------------------------------------------- theme, folds, print

  function startTheme() {
    const choice = document.getElementById("theme");
    choice.value = root.dataset.theme || "";
    choice.addEventListener("change", () => {
      theme(choice.value);
      stored(choice.value);
    });
  }
  function startUnfolding() {
    for (const button of all("[data-unfold]")) {
      const section = document.querySelector(button.dataset.unfold);
      // The lists of tests are left as they are: there are too many of them.
      const folds = () => folding(section).filter((one) => !one.matches(".tests"));
      const label = () => { button.textContent = folds().some(isFolded) ? "Unfold all" : "Fold all"; };
      button.hidden = !folds().length;
      button.addEventListener("click", () => {
        const unfold = folds().some(isFolded);
        for (const one of folds()) fold(one, !unfold);
        label();
      });
      section.addEventListener("toggle", label, true);
      section.addEventListener("click", label);
      label();
    }
  }
  function startPrinting() {
    let folded = [];
    window.addEventListener("beforeprint", () => {
      folded = folding().filter(isFolded);
      for (const one of folded) fold(one, false);
    });
    window.addEventListener("afterprint", () => {
      for (const one of folded) fold(one, true);
    });
  }
})();
