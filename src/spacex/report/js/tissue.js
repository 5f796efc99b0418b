// Maps of the tissue: each point of the picture has the color of its unit.

const [HEIGHT, WIDTH] = shapeOf("picture");
const TILE_STEP = Math.max(1, Math.round(Math.sqrt(HEIGHT * WIDTH) / 160));
const COLORMAP = Uint32Array.from(metadata.colormap, toPixel);
const MISSING_COLOR = toPixel("#8c8c8c");

/** Convert "#rrggbb" to an opaque pixel of a canvas on a little-endian machine. */
function toPixel(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Index in a color map with n colors. */
function colorIndex(value, low, high, n) {
  return Math.round(Math.min(Math.max(((value - low) * (n - 1)) / Math.max(high - low, 1e-12), 0), n - 1));
}

function numberColors(values, low, high) {
  return Uint32Array.from(values, (v) =>
    Number.isNaN(v) ? MISSING_COLOR : COLORMAP[colorIndex(v, low, high, COLORMAP.length)]);
}

function categoryColors(codes, colors) {
  const pixels = colors.map(toPixel);
  return Uint32Array.from(codes, (code) => (code < 0 ? MISSING_COLOR : pixels[code]));
}

/** Color limits of a gene: zero and the 99th percentile, or the maximum if the percentile is zero. */
function colorLimits(values) {
  const high = quantile(values, 0.99) || quantile(values, 1);
  return [0, high > 0 ? high : 1];
}

/** Fill the pixels of a canvas or plot with the colors of the units, using every `step`-th point of the picture. */
function paint(target, picture, colors, step = 1) {
  let i = 0;
  for (let y = 0; y + step <= HEIGHT; y += step) {
    for (let x = 0; x + step <= WIDTH; x += step) {
      const unit = picture[y * WIDTH + x];
      target[i++] = unit < 0 ? 0 : colors[unit];
    }
  }
}

/** A canvas with a small map of a gene, drawn when its counts are unpacked. */
function geneMap(gene, attributes = {}) {
  const [width, height] = [WIDTH, HEIGHT].map((n) => Math.max(1, Math.floor(n / TILE_STEP)));
  const canvas = createElement("canvas", { "aria-hidden": "true", width, height, ...attributes });
  drawGeneMap(canvas, gene, metadata.isCount ? 1 : 0);
  return canvas;
}

async function drawGeneMap(canvas, gene, nRounds) {
  const picture = await getArray("picture");
  const values = await logNormalized(gene);
  if (values === null) return;
  const smoothed = await smooth(values, nRounds);
  const image = new ImageData(canvas.width, canvas.height);
  const colors = numberColors(smoothed, ...colorLimits(smoothed));
  paint(new Uint32Array(image.data.buffer), picture, colors, TILE_STEP);
  canvas.getContext("2d").putImageData(image, 0, 0);
}
