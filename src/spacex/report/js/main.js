// Selected gene, coloring of the tissue and selected units, and the events that change them.

const N_NEAREST = 12, N_NEAREST_CSV = 100, N_PATTERN_GENES = 24;
const state = { gene: null, tissue: "gene", units: new Set(), patternGenes: [] };

async function selectGene(gene) {
  state.gene = gene;
  markGene(gene);
  history.replaceState(null, "", "#gene=" + encodeURIComponent(metadata.genes[gene]));
  byId("tissue-color").value = state.tissue = "gene";
  await Promise.all([drawTissue(), describeGene(gene)]);
}

/** Color the tissue by the gene, a module or an annotation. */
async function drawTissue() {
  const [kind, number] = state.tissue.split(" ");
  const legend = byId("tissue-legend"), scale = byId("tissue-scale");
  legend.replaceChildren();
  if (kind === "module") {
    const map = (await getArray("modules")).subarray(number * nUnits, (number + 1) * nUnits);
    await colorTissue(numberColors(Float32Array.from(map, (v) => (v === 0 ? NaN : v)), 1, 255), metadata.units);
    showColorBar(scale, [0, 1], "relative to the range of the module");
  } else if (kind === "annotation") {
    const { title, categories, colors } = metadata.annotations[number], codes = await getArray("annotation " + number);
    const tooltips = Array.from(codes, (code) => (code < 0 ? "none" : title + " " + categories[code]));
    await colorTissue(categoryColors(codes, colors), tooltips);
    showColorBar(scale, null);
    legend.append(...categories.map((name, code) => legendItem(name, colors[code], codes, code)));
  } else {
    await drawGeneOnTissue();
  }
}

async function drawGeneOnTissue() {
  if (state.gene === null) return;
  const counts = await countsOf(state.gene);
  byId("tissue-none").hidden = counts !== null;
  if (counts === null) {
    await colorTissue(new Uint32Array(nUnits).fill(MISSING_COLOR), metadata.units);
    return;
  }
  const isRaw = byId("tissue-value").value === "counts", nRounds = Number(byId("tissue-smooth").value);
  const values = await smooth(isRaw ? counts : await logNormalized(state.gene), nRounds);
  const limits = colorLimits(values), name = labels[state.gene];
  const quantity = metadata.isCount ? (isRaw ? "counts" : "log1p of normalized counts") : "intensity";
  await colorTissue(numberColors(values, ...limits), Array.from(counts, (n) => `${name}: ${formatNumber(n)}`));
  showColorBar(byId("tissue-scale"), limits, quantity + (nRounds ? ", smoothed" : ""));
}

/** A category of the legend, which selects its units, also by keyboard. */
function legendItem(name, color, codes, code) {
  const units = [];
  codes.forEach((c, unit) => { if (c === code) units.push(unit); });
  const swatch = createElement("i");
  swatch.style.background = color;
  const select = () => { plots.units.selected.indices = units; };
  return createElement("li", {}, createButton({ onclick: select, title: `Select these ${metadata.unitKind}s` },
    swatch, name, createElement("small", {}, ` ${units.length}`)));
}

async function describeGene(gene) {
  byId("gene-name").textContent = labels[gene];
  const facts = [["module", moduleName(gene) ?? "none"]];
  if (labels[gene] !== metadata.genes[gene]) facts.push(["name", metadata.genes[gene]]);
  for (const [name, title] of COLUMNS) facts.push([title, formatColumn(name, (await getArray("column " + name))[gene])]);
  byId("gene-facts").replaceChildren(...facts.map(([title, text]) =>
    createElement("div", {}, createElement("dt", {}, title), createElement("dd", {}, text))));
  const isEmbedded = !Number.isNaN((await getArray("column strength"))[gene]);
  byId("gene-unassigned").hidden = moduleName(gene) !== null || !isEmbedded;
  await listSimilar(gene, "section", "gene-nearest", "gene-csv");
  if (hasArray("cofunction")) await listSimilar(gene, "cofunction", "gene-function", "gene-function-csv");
  if (gene === state.gene) await listPartners(gene);
}

/** Show the nearest genes in a space. An asterisk marks genes with too few counts, which only the reference knows. */
async function listSimilar(gene, space, id, buttonId) {
  const [nearest, embedded] = await Promise.all([similarGenes(gene, N_NEAREST, space), getArray("embedded")]);
  if (gene !== state.gene) return; // another gene was selected meanwhile
  byId(id).replaceChildren(...nearest.map(([other, cosine]) =>
    geneTile(other, cosine.toFixed(2) + (embedded.includes(other) ? "" : "*"))));
  byId(id + "-none").hidden = nearest.length > 0;
  byId(buttonId).disabled = nearest.length === 0;
}

async function listPartners(gene) {
  if (!hasArray("partner")) return;
  const [partner, probability] = await Promise.all([getArray("partner"), getArray("probability")]);
  const width = shapeOf("partner")[1], items = [];
  for (let k = gene * width; k < (gene + 1) * width && partner[k] >= 0; k++) {
    items.push(createButton({ class: "chip", "data-gene": partner[k] }, createElement("em", {}, labels[partner[k]]),
      createElement("small", {}, ` ${(probability[k] / 255).toFixed(2)}`)));
  }
  byId("gene-partners").replaceChildren(...(items.length ? items : ["none"]));
}

/** List the genes that follow the selected units. */
async function selectUnits(units) {
  state.units = units;
  const status = byId("pattern-status"), result = byId("pattern-result");
  result.hidden = true;
  if (!hasArray("basis") || !units.size || units.size === nUnits) {
    status.textContent = units.size ? `Select some of the ${metadata.unitKind}s, not all.` : status.dataset.empty;
    return;
  }
  const selected = `${units.size} ${metadata.unitKind}s selected`;
  status.textContent = `${selected}; comparing genes …`;
  const genes = await genesOfPattern(units, (share) => {
    status.textContent = `${selected}; comparing genes … ${Math.round(100 * share)} %`;
  });
  if (units !== state.units) return;
  state.patternGenes = genes;
  status.textContent = `${selected}. Most similar genes, by cosine:`;
  const tiles = genes.slice(0, N_PATTERN_GENES).map(([gene, cosine]) => geneTile(gene, cosine.toFixed(2)));
  byId("pattern-genes").replaceChildren(...tiles);
  result.hidden = false;
}

function fillSelects() {
  const tissue = byId("tissue-color"), genes = byId("genes-color");
  const option = (value, title) => createElement("option", { value }, title);
  tissue.append(...metadata.annotations.map((annotation, i) => option("annotation " + i, annotation.title)));
  const modules = metadata.modules.map((m, i) => option("module " + i, "module " + m.name));
  if (modules.length) tissue.append(createElement("optgroup", { label: "mean map" }, ...modules));
  if (!metadata.isCount) byId("tissue-value").hidden = true;
  const columns = COLUMNS.filter(([name]) => /score|strength|mean/.test(name));
  genes.append(...[["module", "module"], ...columns].map(([name, title]) =>
    option(name, name === "mean_count" ? "expression (log10)" : title)));
}

function addListeners(filterByModule) {
  document.addEventListener("click", (event) => {
    const gene = event.target.closest("[data-gene]"), module = event.target.closest("[data-module]");
    if (gene) selectGene(Number(gene.dataset.gene));
    if (module) {
      byId("tissue-color").value = state.tissue = "module " + metadata.modules.findIndex((m) => m.name === module.dataset.module);
      filterByModule(module.dataset.module);
      drawTissue();
    }
    if (gene || module) scrollToExplorer();
  });
  byId("genes-color").addEventListener("change", (event) => colorGenes(event.target.value));
  byId("tissue-color").addEventListener("change", (event) => { state.tissue = event.target.value; drawTissue(); });
  for (const id of ["tissue-value", "tissue-smooth"]) byId(id).addEventListener("change", drawTissue);
  window.addEventListener("hashchange", () => { if (geneInAddress() >= 0) selectGene(geneInAddress()); });
  byId("pattern-clear").addEventListener("click", () => { plots.units.selected.indices = []; });
  byId("gene-csv").addEventListener("click", async () =>
    downloadSimilarities(`similar_to_${labels[state.gene]}.csv`, await similarGenes(state.gene, N_NEAREST_CSV)));
  byId("gene-function-csv")?.addEventListener("click", async () =>
    downloadSimilarities(`function_like_${labels[state.gene]}.csv`,
      await similarGenes(state.gene, N_NEAREST_CSV, "cofunction")));
  byId("pattern-csv").addEventListener("click", () => downloadSimilarities("genes_of_pattern.csv", state.patternGenes));
  byId("spots-csv").addEventListener("click", () =>
    downloadCsv("spots.csv", [["spot"], ...[...state.units].map((unit) => [metadata.units[unit]])]));
}

function downloadSimilarities(fileName, pairs) {
  const rows = pairs.map(([gene, similarity]) => [...namesOf(gene), Number(similarity.toFixed(4))]);
  downloadCsv(fileName, [[...NAME_COLUMNS, "similarity"], ...rows]);
}

function scrollToExplorer() {
  const { top, bottom } = byId("explore").getBoundingClientRect();
  if (bottom < 200 || top > innerHeight - 200) byId("explore").scrollIntoView();
}

/** Index of the gene in the address, -1 for none or an invalid address. */
function geneInAddress() {
  const match = /^#gene=(.*)$/.exec(location.hash);
  try {
    return match ? findGene(decodeURIComponent(match[1])) : -1;
  } catch {
    return -1;
  }
}

/** The gene in the address, else the gene with the highest SVG score, else the strongest gene. */
async function firstGene() {
  const gene = geneInAddress();
  if (gene >= 0) return gene;
  const values = await getArray("column " + (hasArray("column svg_score") ? "svg_score" : "strength"));
  return values.reduce((best, v, i) => (v > (values[best] ?? -Infinity) || Number.isNaN(values[best]) ? i : best), 0);
}

async function start() {
  fillSelects();
  startStaticTables();
  await startPlots(selectGene, selectUnits);
  startSearch(selectGene);
  await colorGenes("module");
  await selectGene(await firstGene());
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  addListeners(await startGeneTable());
  document.documentElement.dataset.complete = String(Math.round(performance.now()));
}

start().catch((error) => {
  byId("failure").hidden = false;
  byId("failure").textContent = "DecompressionStream" in globalThis
    ? `The report could not be set up: ${error}`
    : "This browser is too old for the interactive part: use Chrome 80, Firefox 113, Safari 16.4 or later.";
  console.error(error);
});
