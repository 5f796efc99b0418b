// Genes that follow a pattern, as spacex.tl.pattern finds them: see spacex/designated.py for what each step is.

/**
 * Genes by similarity with a pattern given as chosen places: [gene, similarity], the most similar first.
 * `told` is called with the share of genes that is done.
 */
async function genesOfPattern(chosen, told) {
  const pixels = await pixelsOf(chosen);
  const target = expectedMap(pixels);
  const { inside, rest, left } = await split(target);
  const [embedded, direction, length] = await Promise.all(["embedded", "direction", "length"].map(array));
  const size = shapeOf("direction")[1];
  const added = left > 0 ? await residualsAlong(rest, pixels, told) : new Float32Array(nGenes);
  const whole = Math.hypot(Math.sqrt(dot(inside, inside)), left);
  const found = [];
  for (let i = 0; i < embedded.length; i++) {
    const own = direction.subarray(i * size, (i + 1) * size);
    const share = dot(own, inside) / (Math.sqrt(dot(own, own)) || 1);
    const further = added[embedded[i]];
    if (further !== further) continue; // a gene without a map here
    found.push([embedded[i], (share * length[i] + further * left) / (Math.hypot(length[i], further) * whole || 1)]);
  }
  return found.sort((a, b) => b[1] - a[1]);
}

/** Weights, library share and section of every pixel; places share a pixel where they lie close. */
async function pixelsOf(chosen) {
  const [pixel, library, section] = await Promise.all([array("pixel"), array("pixel library"), array("pixel section")]);
  const n = library.length, weight = new Float64Array(n), members = new Float64Array(n);
  for (let i = 0; i < nPlaces; i++) {
    if (pixel[i] < 0) continue;
    members[pixel[i]] += 1;
    weight[pixel[i]] += chosen.has(i) ? 1 : 0;
  }
  for (let p = 0; p < n; p++) weight[p] /= members[p] || 1;
  const whole = sums(library, section);
  const share = Float64Array.from(library, (v, p) => (notes.isCount ? v / whole[section[p]] : 1));
  return { n, pixel, weight, members, share, section, sizes: sums(new Float32Array(n).fill(1), section) };
}

function sums(values, section) {
  const found = [];
  for (let p = 0; p < values.length; p++) found[section[p]] = (found[section[p]] ?? 0) + values[p];
  return found;
}

function centred(values, { section, sizes }) {
  const total = sums(values, section);
  return values.map((v, p) => v - total[section[p]] / sizes[section[p]]);
}

/** Expected residual map of a gene that follows the weights: √s (w - w̄), w̄ the mean by library size. */
function expectedMap(pixels) {
  const { n, weight, share, section } = pixels;
  const whole = sums(share, section), sum = sums(share.map((s, p) => s * weight[p]), section);
  const mean = share.reduce((a, b) => a + b, 0) / n;
  const residual = share.map((s, p) => Math.sqrt(s / mean) * (weight[p] - sum[section[p]] / whole[section[p]]));
  return centred(residual, pixels);
}

/** What components see of a map (D,), and what they lack of it: its unit map and its length, 0 if next to nothing. */
async function split(target) {
  const [basis, turn] = await Promise.all([array("basis"), array("turn")]);
  const [r, d] = shapeOf("turn");
  const along = new Float64Array(r), inside = new Float64Array(d), rest = Float64Array.from(target);
  for (let p = 0; p < target.length; p++) for (let k = 0; k < r; k++) along[k] += basis[p * r + k] * target[p];
  for (let k = 0; k < r; k++) for (let j = 0; j < d; j++) inside[j] += along[k] * turn[k * d + j];
  for (let p = 0; p < target.length; p++) for (let k = 0; k < r; k++) rest[p] -= basis[p * r + k] * along[k];
  const left = Math.sqrt(dot(rest, rest));
  if (left <= 0.05 * Math.sqrt(dot(target, target))) return { inside, rest, left: 0 };
  return { inside, rest: rest.map((v) => v / left), left };
}

/** Product of every gene's residual map with a map; NaN for genes whose counts are not in the page. */
async function residualsAlong(map, pixels, told) {
  const found = new Float64Array(nGenes).fill(NaN);
  for (let gene = 0; gene < nGenes; gene++) {
    const counts = await countsOf(gene);
    if (counts !== null) found[gene] = dot(residuals(counts, pixels), map);
    if (gene % 512 === 511) {
      told(gene / nGenes);
      await new Promise((next) => setTimeout(next)); // lets the page draw
    }
  }
  return found;
}

/** Centred, clipped Pearson residuals of counts at the pixels; z-scores of intensities. */
function residuals(counts, pixels) {
  const { n, pixel, members, share, section, sizes } = pixels, value = new Float64Array(n);
  for (let i = 0; i < nPlaces; i++) if (pixel[i] >= 0) value[pixel[i]] += counts[i];
  if (!notes.isCount) {
    const mean = centred(value.map((v, p) => v / (members[p] || 1)), pixels);
    const variance = sums(mean.map((v) => v * v), section);
    return mean.map((v, p) => v / Math.max(Math.sqrt(variance[section[p]] / sizes[section[p]]), 1e-12));
  }
  const total = sums(value, section);
  const raw = value.map((v, p) => {
    const mean = total[section[p]] * share[p], limit = Math.sqrt(sizes[section[p]]);
    const z = (v - mean) / Math.sqrt(Math.max(mean + (mean * mean) / notes.theta, 1e-12));
    return Math.max(Math.min(z, limit), -limit);
  });
  return centred(raw, pixels);
}
