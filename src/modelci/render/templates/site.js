
"use strict";
(() => {
  const known = JSON.parse(document.getElementById("known")?.textContent ?? "[]");
  const inputs = Array.from(document.querySelectorAll("input[data-rows]"));
  const most = 6; // versions that a search names under their model

  function hit(row, place, words) {
    // Of the words that are no part of the row itself, each must be part of one version.
    const rest = words.filter((word) => !row.text.includes(word));
    const found = rest.length ? (known[place] ?? []).filter((one) => rest.every((word) => one.toLowerCase().includes(word))) : [];
    return { fits: !rest.length || found.length > 0, found };
  }

  function name(row, found) {
    const holder = row.element.querySelector(".hits");
    if (!holder) return;
    const home = row.element.querySelector("a.model").getAttribute("href");
    const links = found.slice(0, most).map((one) => {
      const link = document.createElement("a");
      link.href = `${home}#${one}`;
      link.textContent = one;
      return link;
    });
    const more = found.length - links.length;
    holder.replaceChildren(...links, ...(more > 0 ? [` and ${more.toLocaleString("en")} more`] : []));
  }

  function search(input) {
    const body = document.getElementById(input.dataset.rows).tBodies[0];
    const output = input.closest(".tools").querySelector("output");
    let rows;
    function refresh() {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length && !rows) return;
      rows ??= Array.from(body.rows, (element) => ({ element, text: element.textContent.toLowerCase() }));
      let count = 0;
      rows.forEach((row, place) => {
        const { fits, found } = hit(row, place, words);
        row.element.hidden = !fits;
        name(row, found);
        count += fits;
      });
      output.value = words.length ? `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
    }
    input.addEventListener("input", refresh);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        const row = Array.from(body.rows).find((one) => !one.hidden);
        (row?.querySelector(".hits a") ?? row?.querySelector("a.model"))?.click();
      } else if (event.key === "Escape" && input.value) {
        event.preventDefault();
        input.value = "";
        refresh();
      }
    });
    addEventListener("pageshow", refresh); // a browser that goes back has kept the words
    input.closest(".tools").hidden = false;
    return refresh;
  }

  function show() {
    // A version that is linked to is shown, whatever the filter says.
    const row = Array.from(document.querySelectorAll("tr[id]")).find((one) => `#${one.id}` === location.hash);
    if (!row?.hidden) return;
    inputs.forEach((input) => { input.value = ""; });
    refreshers.forEach((refresh) => refresh());
    row.scrollIntoView();
  }

  const refreshers = inputs.map(search);
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || !inputs.length) return;
    event.preventDefault();
    inputs[0].focus();
    inputs[0].select();
  });
  for (const details of document.querySelectorAll("details")) {
    let open = false;
    addEventListener("beforeprint", () => { open = details.open; details.open = true; });
    addEventListener("afterprint", () => { details.open = open; });
  }
})();
