// Table of all genes: sorted, filtered, one page at a time, and as a CSV file.

const ROWS_PER_PAGE = 25;
const COLUMNS = [
  ["svg_score", "SVG score"], ["svg_pvalue", "p"], ["svg_qvalue", "q"], ["strength", "strength"],
  ["mean_count", metadata.isCount ? "mean count" : "mean"], ["detected", "spots with counts"], ["probability", "probability"],
].filter(([name]) => hasArray("column " + name));

/** Start the table; return a function that filters it by module. */
async function startGeneTable() {
  const values = new Map();
  for (const [name] of COLUMNS) values.set(name, await getArray("column " + name));
  const rank = new Map(metadata.modules.map((m, i) => [m.name, i]));
  const table = byId("genes-table"), module = byId("genes-module"), filter = byId("genes-filter");
  let genes = [], page = 0, sortColumn = COLUMNS[0][0], descending = true;

  for (const name of [...metadata.modules.map((m) => m.name), metadata.unassigned]) {
    module.append(createElement("option", { value: name }, name === metadata.unassigned ? "no module" : "module " + name));
  }

  function sortValue(gene) {
    if (sortColumn === "gene") return labels[gene];
    if (sortColumn === "module") return rank.get(moduleName(gene)) ?? NaN;
    return values.get(sortColumn)[gene];
  }

  function compare(a, b) {
    const x = sortValue(a), y = sortValue(b), sign = descending ? -1 : 1;
    if (typeof x === "string") return sign * x.localeCompare(y);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)); // missing values last
    return sign * (x - y);
  }

  function update() {
    const text = filter.value.trim().toLowerCase();
    genes = metadata.genes.map((_, gene) => gene).filter((gene) =>
      searchNames[gene].some((name) => name.includes(text)) && (!module.value || metadata.module[gene] === module.value));
    genes.sort(compare);
    page = 0;
    draw();
  }

  function createHead(name, title) {
    const sort = () => { descending = name === sortColumn ? !descending : name !== "gene"; sortColumn = name; update(); };
    const direction = name === sortColumn ? (descending ? "descending" : "ascending") : null;
    return createElement("th", { "data-number": name !== "gene", "aria-sort": direction, scope: "col" },
      createButton({ onclick: sort }, title));
  }

  function createRow(gene) {
    const cells = [moduleName(gene) ?? "–", ...COLUMNS.map(([name]) => formatColumn(name, values.get(name)[gene]))];
    return createElement("tr", {},
      createElement("td", {}, geneMap(gene, { class: "thumb" })),
      createElement("td", {}, createButton({ class: "gene", "data-gene": gene }, labels[gene])),
      ...cells.map((text) => createElement("td", { class: "n" }, text)));
  }

  function draw() {
    const lastPage = Math.max(0, Math.ceil(genes.length / ROWS_PER_PAGE) - 1);
    page = Math.min(page, lastPage);
    const heads = [["gene", "gene"], ["module", "module"], ...COLUMNS].map(([name, title]) => createHead(name, title));
    table.tHead.replaceChildren(createElement("tr", {}, createElement("th", { scope: "col" }, "map"), ...heads));
    table.tBodies[0].replaceChildren(...genes.slice(page * ROWS_PER_PAGE, (page + 1) * ROWS_PER_PAGE).map(createRow));
    const first = genes.length ? page * ROWS_PER_PAGE + 1 : 0, last = Math.min((page + 1) * ROWS_PER_PAGE, genes.length);
    byId("genes-shown").textContent = `${first}–${last} of ${genes.length} genes`;
    byId("genes-previous").disabled = page === 0;
    byId("genes-next").disabled = page >= lastPage;
  }

  filter.addEventListener("input", update);
  module.addEventListener("change", update);
  byId("genes-previous").addEventListener("click", () => { page -= 1; draw(); });
  byId("genes-next").addEventListener("click", () => { page += 1; draw(); });
  byId("genes-csv").addEventListener("click", () => downloadCsv("genes.csv", [
    [...NAME_COLUMNS, "module", ...COLUMNS.map(([name]) => name)],
    ...genes.map((gene) => [...namesOf(gene), metadata.module[gene], ...COLUMNS.map(([name]) => values.get(name)[gene])]),
  ]));
  update();
  return (name) => { module.value = name; filter.value = ""; update(); };
}
