// Data of the report: metadata as JSON, and arrays that are unpacked on demand from deflated base64.

const documentParsed = new Promise((resolve) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resolve, { once: true });
  else resolve();
});

const metadata = JSON.parse(document.getElementById("metadata").textContent);
const nGenes = metadata.genes.length;
const nUnits = metadata.units.length;
const symbols = metadata.symbols ?? metadata.genes;
const labels = symbols.map((symbol, gene) => metadata.labels[gene] ?? symbol);
const TYPES = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
const unpacked = new Map();

/** Promise of an array. Large arrays are at the end of the file and may not be loaded yet. */
function getArray(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(name));
  return unpacked.get(name);
}

async function unpack(name) {
  await documentParsed;
  const text = atob(document.getElementById("array-" + name.replaceAll(" ", "-")).textContent.trim());
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new TYPES[metadata.shapes[name].type](await new Response(stream).arrayBuffer());
}

const hasArray = (name) => name in metadata.shapes;
const shapeOf = (name) => metadata.shapes[name].shape;
const moduleName = (gene) => (metadata.module[gene] === metadata.unassigned ? null : metadata.module[gene]);

/** Name, symbol and label of each gene in lower case. */
const searchNames = metadata.genes.map((name, gene) =>
  [...new Set([name, symbols[gene], labels[gene]].map((text) => text.toLowerCase()))]);

/** Index of the gene with this name, else with this symbol, else ignoring case; -1 for none. */
function findGene(text) {
  const exact = [metadata.genes.indexOf(text), symbols.indexOf(text)];
  return exact.find((gene) => gene >= 0) ?? searchNames.findIndex((names) => names.includes(text.toLowerCase()));
}

/** Columns of a CSV file that name a gene. */
const NAME_COLUMNS = metadata.symbols ? ["gene", "symbol"] : ["gene"];
const namesOf = (gene) => [metadata.genes[gene], symbols[gene]].slice(0, NAME_COLUMNS.length);

/** Counts or intensities of a gene in each unit; null if they are not in the report. */
async function countsOf(gene) {
  const [row, maxCount] = await Promise.all([getArray("row"), getArray("max count")]);
  if (row[gene] < 0) return null;
  const start = (row[gene] % metadata.nGenesPerChunk) * nUnits;
  const chunk = await getArray("counts " + Math.floor(row[gene] / metadata.nGenesPerChunk));
  const bytes = chunk.subarray(start, start + nUnits);
  if (metadata.isCount && maxCount[gene] <= 255) return Float32Array.from(bytes);
  const scale = maxCount[gene];
  return Float32Array.from(bytes, metadata.isCount ? (b) => (b / 255) ** 2 * scale : (b) => (b / 255) * scale);
}

let medianLibrarySize = null;

/** log1p of counts scaled to the median library size; intensities are not changed. */
async function logNormalized(gene) {
  const [counts, librarySize] = await Promise.all([countsOf(gene), getArray("library size")]);
  if (counts === null || !metadata.isCount) return counts;
  medianLibrarySize ??= quantile(librarySize.filter((n) => n > 0), 0.5);
  return counts.map((n, i) => (librarySize[i] > 0 ? Math.log1p((n / librarySize[i]) * medianLibrarySize) : NaN));
}

/** Average each unit with its neighbors, repeatedly. */
async function smooth(values, nRounds) {
  const neighbors = await getArray("neighbors");
  const width = shapeOf("neighbors")[1];
  for (let round = 0; round < nRounds; round++) {
    const previous = values;
    values = previous.map((value, i) => {
      let sum = value, n = 1;
      for (let k = i * width; k < (i + 1) * width; k++) {
        const neighbor = neighbors[k] < 0 ? NaN : previous[neighbors[k]];
        if (!Number.isNaN(neighbor)) { sum += neighbor; n += 1; }
      }
      return sum / n;
    });
  }
  return values;
}

function quantile(values, q) {
  const sorted = Float32Array.from(values).filter((v) => !Number.isNaN(v)).sort();
  if (!sorted.length) return 0;
  const position = q * (sorted.length - 1), low = Math.floor(position);
  return sorted[low] + (position - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

/** Names of the arrays of each space: its genes and their vectors. */
const SPACES = { section: ["embedded", "direction"], cofunction: ["cofunction genes", "cofunction"] };

/** The n genes with the largest cosine similarity in a space: [gene, cosine], in descending order. */
async function similarGenes(gene, n, space = "section") {
  const [genes, direction] = await Promise.all(SPACES[space].map(getArray));
  const nDims = shapeOf(SPACES[space][1])[1], row = genes.indexOf(gene);
  if (row < 0) return [];
  const directionOf = (i) => direction.subarray(i * nDims, (i + 1) * nDims);
  const query = directionOf(row), pairs = [];
  genes.forEach((other, i) => {
    if (i !== row) pairs.push([other, dot(query, directionOf(i)) / norm(query) / norm(directionOf(i))]);
  });
  return pairs.sort((a, b) => b[1] - a[1]).slice(0, n);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const norm = (vector) => Math.sqrt(dot(vector, vector)) || 1;
