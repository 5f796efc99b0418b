// The two plots and what they are coloured by. Bokeh draws; what it draws is set here.

const plots = {};
const PADDING = 6; // of a section's name, both sides together

async function startPlots(showGene, choosePlaces) {
  for (const id of ["gene-plot", "tissue-plot"]) {
    await Bokeh.embed.embed_item(JSON.parse(part(id + "-item").textContent), id);
  }
  for (const doc of Bokeh.documents) {
    for (const name of ["genes", "chosen gene", "picture", "spots", "section names", "genes plot", "tissue plot"]) {
      plots[name] = doc.get_model_by_name(name) ?? plots[name];
    }
  }
  keepScale();
  const { inner_width, inner_height } = plots["tissue plot"].properties;
  for (const side of [inner_width, inner_height]) side.change.connect(keepScale);
  plots["tissue plot"].x_range.properties.end.change.connect(fitNames);
  const selected = plots.genes.selected;
  selected.properties.indices.change.connect(() => {
    if (selected.indices.length) showGene(plots.genes.data.number[selected.indices.at(-1)]);
  });
  const lasso = plots.spots.selected;
  lasso.properties.indices.change.connect(() => choosePlaces(new Set(lasso.indices)));
}

/** Show the tissue with one scale for x and y in the middle of its frame; a part that was zoomed into stays in view. */
function keepScale() {
  const plot = plots["tissue plot"], { x_range, y_range } = plot;
  const { width, height } = Bokeh.index.find_one(plot).frame.bbox;
  if (!(width > 0 && height > 0)) return;
  const whole = Math.max(WIDTH / width, HEIGHT / height); // points of the picture in a pixel of the screen
  const zoomed = x_range.reset_start !== null && (x_range.start !== x_range.reset_start || y_range.start !== y_range.reset_start);
  const step = zoomed ? (x_range.end - x_range.start) / width : whole;
  const around = (range, middle, pixels) => {
    const half = (step * pixels) / 2, reset = (whole * pixels) / 2, centre = zoomed ? (range.start + range.end) / 2 : middle;
    range.setv({ start: centre - half, end: centre + half, reset_start: middle - reset, reset_end: middle + reset });
  };
  around(x_range, WIDTH / 2, width);
  around(y_range, HEIGHT / 2, -height); // y runs downwards
  fitNames();
}

/** Shorten the names of sections in the middle until they are as wide as there is room for. */
function fitNames() {
  const plot = plots["tissue plot"], names = plots["section names"];
  if (!names) return;
  const scale = Bokeh.index.find_one(plot).frame.bbox.width / (plot.x_range.end - plot.x_range.start);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "11px helvetica, sans-serif";
  const name = names.data.whole.map((whole, i) => {
    let words = whole;
    for (let n = whole.length - 1; n > 2 && pen.measureText(words).width > names.data.room[i] * scale - PADDING; n--) {
      words = whole.slice(0, Math.ceil((n - 1) / 2)) + "…" + whole.slice(whole.length - Math.floor((n - 1) / 2));
    }
    return words;
  });
  if (name.some((words, i) => words !== names.data.name[i])) names.data = { ...names.data, name };
}

/** Colours "#rrggbb" of all genes by what is asked: their module, or a column of numbers. */
async function colorsOfGenes(name) {
  if (name === "module") {
    const colors = new Map(notes.modules.map((m) => [m.name, m.color]));
    return { colors: notes.module.map((m) => colors.get(m) ?? "#b5b5b5"), limits: null };
  }
  const values = Float32Array.from(await array("column " + name), (v) => (name === "mean_count" ? Math.log10(v) : v));
  const finite = values.filter((v) => Number.isFinite(v));
  const limits = [quantile(finite, 0.01), quantile(finite, 0.99)];
  const scale = (notes.palette.length - 1) / Math.max(limits[1] - limits[0], 1e-12);
  const level = (v) => Math.round(Math.min(Math.max((v - limits[0]) * scale, 0), notes.palette.length - 1));
  return { colors: Array.from(values, (v) => (Number.isFinite(v) ? notes.palette[level(v)] : "#b5b5b5")), limits };
}

async function colorGenes(name) {
  const { colors, limits } = await colorsOfGenes(name);
  const numbers = plots.genes.data.number;
  plots.genes.data = { ...plots.genes.data, color: Array.from(numbers, (gene) => colors[gene]) };
  bar(part("genes-scale"), limits);
}

function ringGene(gene) {
  const { number, x, y } = plots.genes.data, at = number.indexOf(gene);
  if (at < 0) { plots["chosen gene"].data = { x: [], y: [], gene: [], side: [], gap: [] }; return; }
  // The name stands towards the middle, where there is room for it.
  const { start, end } = plots["genes plot"].x_range, right = x[at] > (start + end) / 2;
  plots["chosen gene"].data = {
    x: [x[at]], y: [y[at]], gene: [labels[gene]], side: [right ? "right" : "left"], gap: [right ? -10 : 10],
  };
}

/** Show colours of the places, and words for each when the mouse is over it. */
async function showTissue(colors, words) {
  const image = plots.picture.data.image[0];
  paint(image, await array("picture"), colors);
  plots.picture.change.emit();
  plots.spots.data = { ...plots.spots.data, value: words };
}

/** A colour bar with its limits, or nothing. */
function bar(element, limits, label = "") {
  element.hidden = limits === null;
  if (limits === null) return;
  element.replaceChildren(make("span", {}, text(limits[0])), make("i"), make("span", {}, text(limits[1])), make("span", {}, label));
}
