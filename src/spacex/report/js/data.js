// What the page knows: notes as JSON, arrays unpacked from deflated base64 when they are asked for.

const parsed = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done, { once: true });
  else done();
});

const notes = JSON.parse(document.getElementById("notes").textContent);
const nGenes = notes.genes.length;
const symbols = notes.symbols ?? notes.genes;
const labels = symbols.map((symbol, gene) => notes.labels[gene] ?? symbol); // what genes are called
const nPlaces = notes.places.length;
const TYPES = { uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
const unpacked = new Map();

/** Promise of an array by its name. Large arrays stand at the end of the file and may not have been read yet. */
function array(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(name));
  return unpacked.get(name);
}

async function unpack(name) {
  await parsed;
  const text = atob(document.getElementById("block-" + name.replaceAll(" ", "-")).textContent.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new TYPES[notes.shapes[name].type](await new Response(stream).arrayBuffer());
}

const has = (name) => name in notes.shapes;
const shapeOf = (name) => notes.shapes[name].shape;

/** All that a gene may be called, in small letters. */
const searched = notes.genes.map((name, gene) =>
  [...new Set([name, symbols[gene], labels[gene]].map((text) => text.toLowerCase()))]);

/** The gene of a name, else of a symbol, else of either in any case; -1 for none. */
function geneNamed(text) {
  const exact = [notes.genes.indexOf(text), symbols.indexOf(text)];
  return exact.find((gene) => gene >= 0) ?? searched.findIndex((names) => names.includes(text.toLowerCase()));
}

/** The columns of a file that name a gene. */
const NAME_COLUMNS = notes.symbols ? ["gene", "symbol"] : ["gene"];
const namesOf = (gene) => [notes.genes[gene], symbols[gene]].slice(0, NAME_COLUMNS.length);

/** Counts (or intensities) of a gene at every place; null where the page has no room for its map. */
async function countsOf(gene) {
  const [slot, most] = await Promise.all([array("slot"), array("most")]);
  if (slot[gene] < 0) return null;
  const row = slot[gene] % notes.chunk;
  const bytes = (await array("counts " + Math.floor(slot[gene] / notes.chunk))).subarray(row * nPlaces, (row + 1) * nPlaces);
  if (notes.isCount && most[gene] <= 255) return Float32Array.from(bytes);
  const scale = most[gene];
  return Float32Array.from(bytes, notes.isCount ? (b) => (b / 255) ** 2 * scale : (b) => (b / 255) * scale);
}

let medianLibrary = null;

/** log1p of counts scaled to the median library, as everywhere in SpaCEX; intensities are left as they are. */
async function lognormOf(gene) {
  const [counts, library] = await Promise.all([countsOf(gene), array("library")]);
  if (counts === null || !notes.isCount) return counts;
  medianLibrary ??= quantile(library.filter((n) => n > 0), 0.5);
  return counts.map((n, i) => (library[i] > 0 ? Math.log1p((n / library[i]) * medianLibrary) : NaN));
}

/** Each place's mean with the places that touch it, so many times over. */
async function smoothed(values, rounds) {
  const near = await array("near");
  const width = shapeOf("near")[1];
  for (let round = 0; round < rounds; round++) {
    const before = values;
    values = before.map((own, i) => {
      let sum = own, n = 1;
      for (let k = i * width; k < (i + 1) * width; k++) {
        const other = near[k] < 0 ? NaN : before[near[k]];
        if (other === other) { sum += other; n += 1; }
      }
      return sum / n;
    });
  }
  return values;
}

function quantile(values, q) {
  const sorted = Float32Array.from(values).filter((v) => v === v).sort();
  if (!sorted.length) return 0;
  const at = q * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

/** Genes by cosine of their embedding with that of a gene, the nearest first: [gene, cosine]. */
async function similarTo(gene, n) {
  const [embedded, direction] = await Promise.all([array("embedded"), array("direction")]);
  const size = shapeOf("direction")[1], at = embedded.indexOf(gene);
  if (at < 0) return [];
  const own = direction.subarray(at * size, (at + 1) * size);
  const length = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0)) || 1;
  const found = [];
  for (let i = 0; i < embedded.length; i++) {
    if (i === at) continue;
    const other = direction.subarray(i * size, (i + 1) * size);
    found.push([embedded[i], dot(own, other) / length(own) / length(other)]);
  }
  return found.sort((a, b) => b[1] - a[1]).slice(0, n);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
