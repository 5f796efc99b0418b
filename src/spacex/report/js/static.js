// Tables that stand in the page already: their heads sort, a field filters, a button makes a file.

function startStaticTables() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const title = head.textContent;
      head.replaceChildren(make("button", { type: "button", onclick: () => sortRows(table, heads, column) }, title));
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const rows = [...part(input.dataset.filter).tBodies[0].rows];
    const texts = rows.map((row) => (row.textContent + " " + (row.dataset.text ?? "")).toLowerCase());
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      rows.forEach((row, i) => { row.hidden = !texts[i].includes(wanted); });
    });
  }
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.addEventListener("click", () => {
      const table = part(button.dataset.csv), shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
      const rows = [table.tHead.rows[0], ...shown].map((row) => [...row.cells].map((cell) => cell.dataset.value ?? cell.textContent.trim()));
      download(button.dataset.name, rows);
    });
  }
}

function sortRows(table, heads, column) {
  const head = heads[column], down = head.getAttribute("aria-sort") === "ascending";
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const byNumber = (a, b) => parseFloat(value(a)) - parseFloat(value(b));
  const byText = (a, b) => value(a).localeCompare(value(b));
  const compare = head.hasAttribute("data-number") ? byNumber : byText;
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}
