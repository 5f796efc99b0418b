// The two plots and what they are coloured by. Bokeh draws; what it draws is set here.

const plots = {};

async function startPlots(showGene, choosePlaces) {
  for (const id of ["gene-plot", "tissue-plot"]) {
    await Bokeh.embed.embed_item(JSON.parse(part(id + "-item").textContent), id);
  }
  for (const doc of Bokeh.documents) {
    for (const name of ["genes", "chosen gene", "picture", "spots", "genes plot", "tissue plot"]) {
      plots[name] = doc.get_model_by_name(name) ?? plots[name];
    }
  }
  const selected = plots.genes.selected;
  selected.properties.indices.change.connect(() => {
    if (selected.indices.length) showGene(plots.genes.data.number[selected.indices.at(-1)]);
  });
  const lasso = plots.spots.selected;
  lasso.properties.indices.change.connect(() => choosePlaces(new Set(lasso.indices)));
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
