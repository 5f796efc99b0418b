// Tables in the HTML of the report: sort by a column, filter rows, download as CSV.

const cellValue = (cell) => cell.dataset.value ?? cell.textContent.trim();

function startStaticTables() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.replaceChildren(createButton({ onclick: () => sortRows(table, heads, column) }, head.textContent));
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const rows = [...byId(input.dataset.filter).tBodies[0].rows];
    const texts = rows.map((row) => (row.textContent + " " + (row.dataset.text ?? "")).toLowerCase());
    input.addEventListener("input", () => {
      const text = input.value.trim().toLowerCase();
      rows.forEach((row, i) => { row.hidden = !texts[i].includes(text); });
    });
  }
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.addEventListener("click", () => {
      const table = byId(button.dataset.csv), visible = [...table.tBodies[0].rows].filter((row) => !row.hidden);
      downloadCsv(button.dataset.name, [table.tHead.rows[0], ...visible].map((row) => [...row.cells].map(cellValue)));
    });
  }
}

function sortRows(table, heads, column) {
  const head = heads[column], sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const value = (row) => cellValue(row.cells[column]);
  const compare = head.hasAttribute("data-number")
    ? (a, b) => parseFloat(value(a)) - parseFloat(value(b))
    : (a, b) => value(a).localeCompare(value(b));
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => sign * compare(a, b)));
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
}
