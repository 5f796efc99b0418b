// Genes that follow a pattern, as in spacex.tl.pattern; the formulas are documented in spacex/patterns.py.

const NEGLIGIBLE_NORM = 0.05;

/**
 * Genes by similarity to a pattern of selected units: [gene, similarity], in descending order.
 * `onProgress` is called with the share of genes that are done.
 */
async function genesOfPattern(selected, onProgress) {
  const pixels = await pixelsOf(selected);
  const { projection, remainder, remainderNorm } = await project(expectedMap(pixels));
  const [embedded, direction, length] = await Promise.all(["embedded", "direction", "length"].map(getArray));
  const nDims = shapeOf("direction")[1];
  const extra = remainderNorm > 0 ? await dotWithResiduals(remainder, pixels, onProgress) : new Float32Array(nGenes);
  const targetNorm = Math.hypot(Math.sqrt(dot(projection, projection)), remainderNorm);
  const pairs = [];
  embedded.forEach((gene, i) => {
    if (Number.isNaN(extra[gene])) return; // its counts are not in the report
    const z = direction.subarray(i * nDims, (i + 1) * nDims);
    const shared = (dot(z, projection) / norm(z)) * length[i];
    pairs.push([gene, (shared + extra[gene] * remainderNorm) / (Math.hypot(length[i], extra[gene]) * targetNorm || 1)]);
  });
  return pairs.sort((a, b) => b[1] - a[1]);
}

/** Weight, share of the library and section of each pixel, which may contain several units. */
async function pixelsOf(selected) {
  const [pixel, librarySize, section] = await Promise.all(["pixel", "pixel library size", "pixel section"].map(getArray));
  const n = librarySize.length, weight = new Float64Array(n), nUnitsOfPixel = new Float64Array(n);
  for (let i = 0; i < nUnits; i++) {
    if (pixel[i] < 0) continue;
    nUnitsOfPixel[pixel[i]] += 1;
    weight[pixel[i]] += selected.has(i) ? 1 : 0;
  }
  for (let p = 0; p < n; p++) weight[p] /= nUnitsOfPixel[p] || 1;
  const total = sumBySection(librarySize, section);
  const share = Float64Array.from(librarySize, (size, p) => (metadata.isCount ? size / total[section[p]] : 1));
  const sectionSize = sumBySection(new Float32Array(n).fill(1), section);
  return { n, pixel, weight, nUnitsOfPixel, share, section, sectionSize };
}

function sumBySection(values, section) {
  const sums = [];
  for (let p = 0; p < values.length; p++) sums[section[p]] = (sums[section[p]] ?? 0) + values[p];
  return sums;
}

function centerBySection(values, { section, sectionSize }) {
  const total = sumBySection(values, section);
  return values.map((v, p) => v - total[section[p]] / sectionSize[section[p]]);
}

/** Expected residual map of a gene that follows the weights: √s (w - w̄), with w̄ the mean weighted by library size. */
function expectedMap(pixels) {
  const { n, weight, share, section } = pixels;
  const total = sumBySection(share, section), weighted = sumBySection(share.map((s, p) => s * weight[p]), section);
  const meanShare = share.reduce((a, b) => a + b, 0) / n;
  const mean = (p) => weighted[section[p]] / total[section[p]];
  return centerBySection(share.map((s, p) => Math.sqrt(s / meanShare) * (weight[p] - mean(p))), pixels);
}

/** Projection (D,) of a map on the components, and the normalized remainder with its norm, 0 if negligible. */
async function project(map) {
  const [basis, rotation] = await Promise.all([getArray("basis"), getArray("rotation")]);
  const [r, d] = shapeOf("rotation");
  const coefficients = new Float64Array(r), projection = new Float64Array(d), remainder = Float64Array.from(map);
  for (let p = 0; p < map.length; p++) for (let k = 0; k < r; k++) coefficients[k] += basis[p * r + k] * map[p];
  for (let k = 0; k < r; k++) for (let j = 0; j < d; j++) projection[j] += coefficients[k] * rotation[k * d + j];
  for (let p = 0; p < map.length; p++) for (let k = 0; k < r; k++) remainder[p] -= basis[p * r + k] * coefficients[k];
  const remainderNorm = Math.sqrt(dot(remainder, remainder));
  if (remainderNorm <= NEGLIGIBLE_NORM * Math.sqrt(dot(map, map))) return { projection, remainder, remainderNorm: 0 };
  return { projection, remainder: remainder.map((v) => v / remainderNorm), remainderNorm };
}

/** Dot product of each gene's residual map with a map; NaN for genes whose counts are not in the report. */
async function dotWithResiduals(map, pixels, onProgress) {
  const products = new Float64Array(nGenes).fill(NaN);
  for (let gene = 0; gene < nGenes; gene++) {
    const counts = await countsOf(gene);
    if (counts !== null) products[gene] = dot(residuals(counts, pixels), map);
    if (gene % 512 === 511) {
      onProgress(gene / nGenes);
      await new Promise((resolve) => setTimeout(resolve)); // let the browser draw
    }
  }
  return products;
}

/** Centered, clipped Pearson residuals of counts in the pixels; z-scores of intensities. */
function residuals(counts, pixels) {
  const { n, pixel, nUnitsOfPixel, share, section, sectionSize } = pixels, values = new Float64Array(n);
  for (let i = 0; i < nUnits; i++) if (pixel[i] >= 0) values[pixel[i]] += counts[i];
  if (!metadata.isCount) {
    const centered = centerBySection(values.map((v, p) => v / (nUnitsOfPixel[p] || 1)), pixels);
    const sumOfSquares = sumBySection(centered.map((v) => v * v), section);
    return centered.map((v, p) => v / Math.max(Math.sqrt(sumOfSquares[section[p]] / sectionSize[section[p]]), 1e-12));
  }
  const total = sumBySection(values, section);
  const clipped = values.map((v, p) => {
    const mean = total[section[p]] * share[p], limit = Math.sqrt(sectionSize[section[p]]);
    const z = (v - mean) / Math.sqrt(Math.max(mean + (mean * mean) / metadata.theta, 1e-12));
    return Math.max(Math.min(z, limit), -limit);
  });
  return centerBySection(clipped, pixels);
}
