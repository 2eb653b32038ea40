
"use strict";
(() => {
  function drawPlots() {
    const specs = document.getElementById("specs");
    if (!specs) return;
    const texts = JSON.parse(specs.textContent);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const holders = Array.from(document.querySelectorAll(".plot"));
    const drawn = new Map();
    async function draw(holder, dark = scheme.matches) {
      const before = drawn.get(holder);
      drawn.set(holder, modelciPlot(holder, texts[holder.dataset.plot], { dark }));
      (await before)?.finalize();
    }
    // What is far below can wait; the reader should not.
    const seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting && !drawn.has(target)) draw(target);
      }
    }, { rootMargin: "600px" });
    for (const holder of holders) seen.observe(holder);
    scheme.addEventListener("change", () => holders.filter((one) => drawn.has(one)).forEach((one) => draw(one)));
    addEventListener("beforeprint", () => holders.forEach((one) => draw(one, false)));
    addEventListener("afterprint", () => holders.forEach((one) => draw(one)));
  }
  for (const details of document.querySelectorAll("details")) {
    addEventListener("beforeprint", () => { details.open = true; });
  }
  drawPlots();
  const table = document.getElementById("metric-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row, place) => ({
    row,
    place,
    name: row.cells[0].textContent,
    text: row.cells[0].textContent.toLowerCase(),
    changed: "changed" in row.dataset,
  }));
  const filter = document.getElementById("filter");
  const changedOnly = document.getElementById("changed-only");
  const shown = document.getElementById("shown");

  function refresh() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const one of rows) {
      const fits = words.every((word) => one.text.includes(word));
      one.row.hidden = !fits || Boolean(changedOnly?.checked && !one.changed);
      if (!one.row.hidden) count += 1;
    }
    shown.value = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  }

  function compare(key, sign) {
    if (key === "name") return (a, b) => sign * a.name.localeCompare(b.name, "en", { numeric: true });
    const number = (one) => one.row.dataset[key] === "" ? NaN : Number(one.row.dataset[key].replace("inf", "Infinity"));
    return (a, b) => {
      const x = number(a), y = number(b);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    };
  }

  function sort(header) {
    const before = header.getAttribute("aria-sort");
    const ascending = before ? before === "descending" : header.dataset.key === "name";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const order = compare(header.dataset.key, ascending ? 1 : -1);
    const sorted = [...rows].sort((a, b) => order(a, b) || a.place - b.place);
    body.append(...sorted.map((one) => one.row));
  }

  for (const header of table.tHead.rows[0].querySelectorAll("[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(header));
    header.append(button);
  }
  filter.addEventListener("input", refresh);
  changedOnly?.addEventListener("change", refresh);
  table.closest("section").querySelector(".tools").hidden = false;
  refresh();
})();
