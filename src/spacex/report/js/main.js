// What is shown now, and how a choice in one view reaches the others.

const NEAREST = 12, LISTED = 100, FOUND = 24;
const state = { gene: null, tissue: "gene", places: new Set(), found: [] };

async function showGene(gene) {
  state.gene = gene;
  ringGene(gene);
  history.replaceState(null, "", "#gene=" + encodeURIComponent(notes.genes[gene]));
  part("tissue-color").value = state.tissue = "gene";
  await Promise.all([showOnTissue(), describe(gene)]);
}

/** Colour the tissue by the gene, a module or an annotation. */
async function showOnTissue() {
  const [kind, number] = state.tissue.split(" ");
  const legend = part("tissue-legend");
  legend.replaceChildren();
  if (kind === "module") {
    const map = (await array("modules")).subarray(number * nPlaces, (number + 1) * nPlaces);
    const values = Float32Array.from(map, (v) => (v === 0 ? NaN : v));
    await showTissue(colorsOfNumbers(values, 1, 255), notes.places);
    bar(part("tissue-scale"), [0, 1], "of the module's range");
  } else if (kind === "annotation") {
    const { title, categories, colors } = notes.annotations[number], codes = await array("annotation " + number);
    await showTissue(colorsOfCodes(codes, colors), Array.from(codes, (c) => (c < 0 ? "none" : title + " " + categories[c])));
    bar(part("tissue-scale"), null);
    legend.append(...categories.map((name, code) => category(name, colors[code], codes, code)));
  } else {
    await showGeneOnTissue();
  }
}

async function showGeneOnTissue() {
  if (state.gene === null) return;
  const counts = await countsOf(state.gene), none = counts === null;
  const raw = part("tissue-value").value === "counts";
  part("tissue-none").hidden = !none;
  if (none) {
    await showTissue(new Uint32Array(nPlaces).fill(MISSING), notes.places);
    return;
  }
  const rounds = Number(part("tissue-smooth").value);
  const values = await smoothed(raw ? counts : await lognormOf(state.gene), rounds);
  const limits = limitsOf(values), name = labels[state.gene];
  const unit = notes.isCount ? (raw ? "counts" : "log1p of normalised counts") : "intensity";
  await showTissue(colorsOfNumbers(values, ...limits), Array.from(counts, (n) => `${name}: ${text(n)}`));
  bar(part("tissue-scale"), limits, unit + (rounds ? ", smoothed" : ""));
}

/** A category of the legend: its places can be chosen as a pattern, without a mouse too. */
function category(name, color, codes, code) {
  const size = codes.reduce((n, c) => n + (c === code), 0);
  const choose = () => {
    const places = [];
    codes.forEach((c, place) => { if (c === code) places.push(place); });
    plots.spots.selected.indices = places;
  };
  const swatch = make("i");
  swatch.style.background = color;
  return make("li", {}, make("button", { type: "button", onclick: choose, title: "Choose these spots" },
    swatch, name, make("small", {}, ` ${size}`)));
}

/** What is known of a gene, beside its picture. */
async function describe(gene) {
  part("gene-name").textContent = labels[gene];
  const facts = labels[gene] === notes.genes[gene] ? [] : [["name", notes.genes[gene]]];
  for (const [name, title] of COLUMNS) facts.push([title, shown(name, (await array("column " + name))[gene])]);
  part("gene-facts").replaceChildren(
    make("div", {}, make("dt", {}, "module"), make("dd", {}, notes.module[gene] === notes.unassigned ? "none" : notes.module[gene])),
    ...facts.map(([title, words]) => make("div", {}, make("dt", {}, title), make("dd", {}, words))));
  const near = await similarTo(gene, NEAREST);
  if (gene !== state.gene) return; // another was chosen meanwhile
  part("gene-near").replaceChildren(...near.map(([other, cosine]) => tile(other, cosine.toFixed(2))));
  part("gene-near-none").hidden = near.length > 0;
  await describePartners(gene);
}

async function describePartners(gene) {
  if (!has("partner")) return;
  const [partner, probability] = await Promise.all([array("partner"), array("probability")]);
  const width = shapeOf("partner")[1], items = [];
  for (let k = gene * width; k < (gene + 1) * width && partner[k] >= 0; k++) {
    items.push(make("button", { type: "button", class: "chip", "data-gene": partner[k] },
      make("em", {}, labels[partner[k]]), make("small", {}, ` ${(probability[k] / 255).toFixed(2)}`)));
  }
  part("gene-partners").replaceChildren(...(items.length ? items : ["none"]));
}

/** The genes of chosen places. */
async function choosePlaces(places) {
  state.places = places;
  const status = part("pattern-status"), result = part("pattern-result");
  result.hidden = true;
  if (!has("basis") || !places.size || places.size === nPlaces) {
    status.textContent = places.size ? "Choose some of the spots, not all." : part("pattern-status").dataset.empty;
    return;
  }
  status.textContent = `${places.size} places chosen; comparing genes …`;
  const found = await genesOfPattern(places, (share) => {
    status.textContent = `${places.size} places chosen; comparing genes … ${Math.round(100 * share)} %`;
  });
  if (places !== state.places) return;
  state.found = found;
  status.textContent = `${places.size} places chosen. The genes that follow them most closely, by cosine:`;
  part("pattern-genes").replaceChildren(...found.slice(0, FOUND).map(([gene, cosine]) => tile(gene, cosine.toFixed(2))));
  result.hidden = false;
}

function fillChoices() {
  const tissue = part("tissue-color");
  notes.annotations.forEach((a, i) => tissue.append(make("option", { value: "annotation " + i }, a.title)));
  const group = make("optgroup", { label: "mean map of" });
  notes.modules.forEach((m, i) => group.append(make("option", { value: "module " + i }, "module " + m.name)));
  if (notes.modules.length) tissue.append(group);
  if (!notes.isCount) part("tissue-value").hidden = true;
  const genes = part("genes-color");
  for (const [name, title] of [["module", "module"], ...COLUMNS.filter(([n]) => /score|strength|mean/.test(n))]) {
    genes.append(make("option", { value: name }, name === "mean_count" ? "expression (log10)" : title));
  }
}

function listen(filterByModule) {
  document.addEventListener("click", (event) => {
    const gene = event.target.closest("[data-gene]"), module = event.target.closest("[data-module]");
    if (gene) { showGene(Number(gene.dataset.gene)); toExplorer(); }
    if (module) {
      part("tissue-color").value = state.tissue = "module " + notes.modules.findIndex((m) => m.name === module.dataset.module);
      filterByModule(module.dataset.module);
      showOnTissue();
      toExplorer();
    }
  });
  part("genes-color").addEventListener("change", (event) => colorGenes(event.target.value));
  part("tissue-color").addEventListener("change", (event) => { state.tissue = event.target.value; showOnTissue(); });
  for (const id of ["tissue-value", "tissue-smooth"]) part(id).addEventListener("change", showOnTissue);
  window.addEventListener("hashchange", () => { if (geneInAddress() >= 0) showGene(geneInAddress()); });
  part("pattern-clear").addEventListener("click", () => { plots.spots.selected.indices = []; });
  part("gene-csv").addEventListener("click", async () => {
    const near = await similarTo(state.gene, LISTED);
    download(`similar_to_${labels[state.gene]}.csv`, [[...NAME_COLUMNS, "similarity"], ...named(near)]);
  });
  part("pattern-csv").addEventListener("click", () => download("genes_of_pattern.csv", [[...NAME_COLUMNS, "similarity"], ...named(state.found)]));
  part("spots-csv").addEventListener("click", () => download("spots.csv", [["spot"], ...[...state.places].map((i) => [notes.places[i]])]));
}

const named = (pairs) => pairs.map(([gene, value]) => [...namesOf(gene), Number(value.toFixed(4))]);

function toExplorer() {
  if (part("explore").getBoundingClientRect().bottom < 200 || part("explore").getBoundingClientRect().top > innerHeight - 200) {
    part("explore").scrollIntoView();
  }
}

/** The gene that the address names, -1 for none: an address may come from anywhere. */
function geneInAddress() {
  const asked = /^#gene=(.*)$/.exec(location.hash);
  try {
    return asked ? geneNamed(decodeURIComponent(asked[1])) : -1;
  } catch {
    return -1;
  }
}

/** The gene in the address, else the one with the highest SVG score, else the strongest. */
async function firstGene() {
  const known = geneInAddress();
  if (known >= 0) return known;
  const values = await array("column " + (has("column svg_score") ? "svg_score" : "strength"));
  return values.reduce((best, v, i) => (v > (values[best] ?? -Infinity) || values[best] !== values[best] ? i : best), 0);
}

async function start() {
  fillChoices();
  startStaticTables();
  await startPlots(showGene, choosePlaces);
  startSearch(showGene);
  await colorGenes("module");
  await showGene(await firstGene());
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  listen(await startTable());
  document.documentElement.dataset.complete = String(Math.round(performance.now()));
}

start().catch((error) => {
  part("failure").hidden = false;
  part("failure").textContent = "DecompressionStream" in globalThis
    ? `The page could not be set up: ${error}`
    : "This browser is too old for the interactive part (it lacks DecompressionStream): use Chrome 80, Firefox 113, Safari 16.4 or later.";
  console.error(error);
});
