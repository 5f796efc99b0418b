// The table of all genes: sorted, filtered, a page at a time, and as a file.

const PAGE = 25;
const COLUMNS = [
  ["svg_score", "SVG score"], ["svg_pvalue", "p"], ["svg_qvalue", "q"], ["strength", "strength"],
  ["mean_count", notes.isCount ? "mean count" : "mean"], ["detected", "spots with it"], ["probability", "probability"],
].filter(([name]) => has("column " + name));

async function startTable() {
  const numbers = new Map();
  for (const [name] of COLUMNS) numbers.set(name, await array("column " + name));
  const table = part("genes-table"), choice = part("genes-module"), filter = part("genes-filter");
  let rows = [], page = 0, by = COLUMNS[0][0], down = true;

  for (const name of [...notes.modules.map((m) => m.name), notes.unassigned]) {
    choice.append(make("option", { value: name }, name === notes.unassigned ? "no module" : "module " + name));
  }

  function valueOf(gene, name) {
    if (name === "gene") return labels[gene];
    if (name === "module") return notes.module[gene] === notes.unassigned ? NaN : rank.get(notes.module[gene]);
    return numbers.get(name)[gene];
  }
  const rank = new Map(notes.modules.map((m, i) => [m.name, i]));

  function arrange() {
    const wanted = filter.value.trim().toLowerCase();
    rows = [];
    for (let gene = 0; gene < nGenes; gene++) {
      if (wanted && !searched[gene].some((name) => name.includes(wanted))) continue;
      if (choice.value !== "" && notes.module[gene] !== choice.value) continue;
      rows.push(gene);
    }
    const sign = down ? -1 : 1;
    rows.sort((a, b) => {
      const x = valueOf(a, by), y = valueOf(b, by);
      if (typeof x === "string") return sign * x.localeCompare(y);
      if (x !== x || y !== y) return Number(x !== x) - Number(y !== y); // missing ones last, either way
      return sign * (x - y);
    });
    page = 0;
    show();
  }

  function head(name, title) {
    const sorted = name === by ? (down ? "descending" : "ascending") : null;
    const sort = () => { down = name === by ? !down : name !== "gene"; by = name; arrange(); };
    return make("th", { "data-number": name !== "gene", "aria-sort": sorted, scope: "col" },
      make("button", { type: "button", onclick: sort }, title));
  }

  function line(gene) {
    const cells = COLUMNS.map(([name]) => make("td", { class: "n" }, shown(name, numbers.get(name)[gene])));
    const name = make("button", { type: "button", class: "gene", "data-gene": gene }, labels[gene]);
    const module = notes.module[gene] === notes.unassigned ? "–" : notes.module[gene];
    return make("tr", {}, make("td", {}, smallMap(gene, { class: "thumb" })), make("td", {}, name), make("td", { class: "n" }, module), ...cells);
  }

  function show() {
    const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    page = Math.min(page, last);
    const heads = [make("th", { scope: "col" }, "map"), head("gene", "gene"), head("module", "module"),
      ...COLUMNS.map(([name, title]) => head(name, title))];
    table.tHead.replaceChildren(make("tr", {}, ...heads));
    table.tBodies[0].replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map(line));
    const first = rows.length ? page * PAGE + 1 : 0;
    part("genes-shown").textContent = `${first}–${Math.min((page + 1) * PAGE, rows.length)} of ${rows.length} genes`;
    part("genes-before").disabled = page === 0;
    part("genes-next").disabled = page >= last;
  }

  filter.addEventListener("input", arrange);
  choice.addEventListener("change", arrange);
  part("genes-before").addEventListener("click", () => { page -= 1; show(); });
  part("genes-next").addEventListener("click", () => { page += 1; show(); });
  part("genes-csv").addEventListener("click", () => download("genes.csv", [
    [...NAME_COLUMNS, "module", ...COLUMNS.map(([name]) => name)],
    ...rows.map((gene) => [...namesOf(gene), notes.module[gene], ...COLUMNS.map(([name]) => numbers.get(name)[gene])]),
  ]));
  arrange();
  return (module) => { choice.value = module; filter.value = ""; arrange(); };
}
