"use strict";
(() => {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const rows = [...document.querySelectorAll("#ledger tbody tr")].map((row) => ({
    row, outcome: row.dataset.outcome, text: row.textContent.toLowerCase(),
  }));

  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const { row, outcome, text } of rows) {
      const fits = outcomes.has(outcome) && wanted.every((word) => text.includes(word));
      row.hidden = !fits;
      count += fits;
    }
    shown.value = `${count} of ${rows.length}`;
  };

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
  apply();
  reveal();
})();
