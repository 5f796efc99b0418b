// The gene map and the tissue, drawn by Bokeh, and their colors.

const plots = {};
const NAME_PADDING = 6; // pixels on both sides of a section name together
const GRAY = "#b5b5b5";

async function startPlots(selectGene, selectUnits) {
  for (const id of ["gene-plot", "tissue-plot"]) {
    await Bokeh.embed.embed_item(JSON.parse(byId(id + "-item").textContent), id);
  }
  for (const doc of Bokeh.documents) {
    for (const name of ["genes", "selected gene", "picture", "units", "section names", "genes plot", "tissue plot"]) {
      plots[name] = doc.get_model_by_name(name) ?? plots[name];
    }
  }
  keepScale();
  const { inner_width, inner_height } = plots["tissue plot"].properties;
  for (const size of [inner_width, inner_height]) size.change.connect(keepScale);
  plots["tissue plot"].x_range.properties.end.change.connect(fitSectionNames);
  const { selected } = plots.genes;
  selected.properties.indices.change.connect(() => {
    if (selected.indices.length) selectGene(plots.genes.data.gene_index[selected.indices.at(-1)]);
  });
  const units = plots.units.selected;
  units.properties.indices.change.connect(() => selectUnits(new Set(units.indices)));
}

/** Give x and y of the tissue the same scale, centered in the frame; a zoomed view keeps its center and scale. */
function keepScale() {
  const plot = plots["tissue plot"], { x_range, y_range } = plot;
  const { width, height } = Bokeh.index.find_one(plot).frame.bbox;
  if (!(width > 0 && height > 0)) return;
  const resetScale = Math.max(WIDTH / width, HEIGHT / height); // points of the picture per pixel of the screen
  const isZoomed = x_range.reset_start !== null && (x_range.start !== x_range.reset_start || y_range.start !== y_range.reset_start);
  const scale = isZoomed ? (x_range.end - x_range.start) / width : resetScale;
  const setRange = (range, middle, pixels) => {
    const half = (scale * pixels) / 2, resetHalf = (resetScale * pixels) / 2;
    const center = isZoomed ? (range.start + range.end) / 2 : middle;
    range.setv({ start: center - half, end: center + half, reset_start: middle - resetHalf, reset_end: middle + resetHalf });
  };
  setRange(x_range, WIDTH / 2, width);
  setRange(y_range, HEIGHT / 2, -height); // y points down
  fitSectionNames();
}

/** Shorten the names of sections in the middle until they fit below their section. */
function fitSectionNames() {
  const plot = plots["tissue plot"], source = plots["section names"];
  if (!source) return;
  const scale = Bokeh.index.find_one(plot).frame.bbox.width / (plot.x_range.end - plot.x_range.start);
  const context = document.createElement("canvas").getContext("2d");
  context.font = "11px helvetica, sans-serif";
  const text = source.data.name.map((name, i) => {
    const maxWidth = source.data.max_width[i] * scale - NAME_PADDING;
    let short = name;
    for (let n = name.length - 1; n > 2 && context.measureText(short).width > maxWidth; n--) {
      short = name.slice(0, Math.ceil((n - 1) / 2)) + "…" + name.slice(name.length - Math.floor((n - 1) / 2));
    }
    return short;
  });
  if (text.some((short, i) => short !== source.data.text[i])) source.data = { ...source.data, text };
}

/** Colors "#rrggbb" of all genes by module or by a column of numbers, and the color limits of numbers. */
async function geneColors(name) {
  if (name === "module") {
    const colors = new Map(metadata.modules.map((m) => [m.name, m.color]));
    return { colors: metadata.module.map((module) => colors.get(module) ?? GRAY), limits: null };
  }
  const values = Float32Array.from(await getArray("column " + name), (v) => (name === "mean_count" ? Math.log10(v) : v));
  const finite = values.filter((v) => Number.isFinite(v));
  const limits = [quantile(finite, 0.01), quantile(finite, 0.99)];
  const color = (v) => metadata.colormap[colorIndex(v, ...limits, metadata.colormap.length)];
  return { colors: Array.from(values, (v) => (Number.isFinite(v) ? color(v) : GRAY)), limits };
}

async function colorGenes(name) {
  const { colors, limits } = await geneColors(name);
  const genes = plots.genes.data.gene_index;
  plots.genes.data = { ...plots.genes.data, color: Array.from(genes, (gene) => colors[gene]) };
  showColorBar(byId("genes-scale"), limits);
}

/** Mark the gene in the gene map. Its label is on the side of the plot center, where there is space. */
function markGene(gene) {
  const { gene_index, x, y } = plots.genes.data, i = gene_index.indexOf(gene);
  const { start, end } = plots["genes plot"].x_range, isRight = x[i] > (start + end) / 2;
  plots["selected gene"].data = i < 0 ? { x: [], y: [], gene: [], align: [], offset: [] } : {
    x: [x[i]], y: [y[i]], gene: [labels[gene]], align: [isRight ? "right" : "left"], offset: [isRight ? -10 : 10],
  };
}

/** Color the units and set the texts of their tooltips. */
async function colorTissue(colors, tooltips) {
  paint(plots.picture.data.image[0], await getArray("picture"), colors);
  plots.picture.change.emit();
  plots.units.data = { ...plots.units.data, value: tooltips };
}

/** Show a color bar with its limits, or hide it if there are no limits. */
function showColorBar(element, limits, label = "") {
  element.hidden = limits === null;
  if (limits === null) return;
  const [low, high] = limits.map((limit) => createElement("span", {}, formatNumber(limit)));
  element.replaceChildren(low, createElement("i"), high, createElement("span", {}, label));
}
