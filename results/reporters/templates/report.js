"use strict";
(() => {
  const one = (id) => document.getElementById(id);
  const body = one("cases").tBodies[0];
  const rows = [...body.rows];

  // The ledger (the table of all tests): a filter by words and outcomes, and sorting by column.
  const form = one("filter");
  const words = one("words");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  let texts;
  const filter = () => {
    texts ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const [row, text] of texts) {
      const fits = outcomes.has(row.dataset.outcome) && wanted.every((word) => text.includes(word));
      row.hidden = !fits;
      count += fits;
    }
    one("shown").value = `${count} of ${rows.length}`;
  };
  const show = (outcome) => {
    for (const box of boxes) box.checked = outcome === "all" || box.value === outcome;
    words.value = "";
    filter();
  };
  const key = (row, column) => column === 2
    ? Number(row.cells[2].dataset.seconds ?? -1) : row.cells[column].textContent;
  const sort = (head) => {
    const column = head.cellIndex;
    const down = head.ariaSort ? head.ariaSort === "ascending" : column === 2;
    const keys = new Map(rows.map((row) => [row, key(row, column)]));
    const order = (a, b) => keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0;
    body.append(...[...rows].sort((a, b) => down ? order(b, a) : order(a, b)));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.ariaSort = down ? "descending" : "ascending";
  };
  for (const head of one("cases").tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const link of document.querySelectorAll("[data-show]")) {
    link.addEventListener("click", () => show(link.dataset.show));
  }

  // A link opens the collapsed elements that contain its target.
  const reveal = (target) => {
    for (let node = target; node; node = node.parentElement) {
      if (node instanceof HTMLDetailsElement) node.open = true;
    }
    if (target.hidden) show("all");
    target.scrollIntoView({ block: target.localName === "tr" ? "center" : "start" });
  };
  const follow = () => {
    const target = location.hash.length > 1 && one(location.hash.slice(1));
    if (target) reveal(target);
  };
  addEventListener("hashchange", follow);
  if (location.hash) follow();
  addEventListener("beforeprint", () => {
    for (const group of document.querySelectorAll(".group[open] .failure")) group.open = true;
  });

  // The timeline: the tooltip of a bar has the texts of its row in the ledger.
  const tip = one("tip");
  const point = (event) => {
    const row = rows[event.target.dataset?.row];
    tip.hidden = !row;
    if (!row) return;
    const name = document.createElement("b");
    name.textContent = row.cells[1].querySelector("b").textContent;
    const said = [row.cells[0].textContent, row.cells[2].textContent];
    const reason = row.cells[1].querySelector("small");
    if (reason) said.push(reason.textContent);
    tip.replaceChildren(name, said.join(" · "));
    const right = Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8));
    const above = event.clientY + 18 + tip.offsetHeight > innerHeight;
    tip.style.left = `${right}px`;
    tip.style.top = `${above ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
  };
  const bars = one("bars");
  bars?.addEventListener("pointermove", point);
  bars?.addEventListener("pointerleave", () => { tip.hidden = true; });
  bars?.addEventListener("click", (event) => {
    const row = rows[event.target.dataset?.row];
    if (!row || event.target.closest("a")) return;
    body.querySelector(".here")?.classList.remove("here");
    row.classList.add("here");
    reveal(row);
  });
})();
