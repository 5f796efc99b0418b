// Pictures of the tissue: every point shows the place nearest to it, so that a picture is a look-up of colours.

const [HEIGHT, WIDTH] = shapeOf("picture");
const TILE = Math.max(1, Math.round(Math.sqrt(HEIGHT * WIDTH) / 160));
const PALETTE = Uint32Array.from(notes.palette, opaque);
const MISSING = opaque("#8c8c8c");

/** A colour "#rrggbb" as the number that a canvas on a little-endian machine takes. */
function opaque(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Colours of numbers between two limits; missing ones are grey. */
function colorsOfNumbers(values, low, high) {
  const scale = (PALETTE.length - 1) / Math.max(high - low, 1e-12);
  return Uint32Array.from(values, (v) =>
    v === v ? PALETTE[Math.round(Math.min(Math.max((v - low) * scale, 0), PALETTE.length - 1))] : MISSING);
}

function colorsOfCodes(codes, colors) {
  const table = colors.map(opaque);
  return Uint32Array.from(codes, (code) => (code < 0 ? MISSING : table[code]));
}

/** Limits of a gene's colours: zero and the 99th percentile, or its maximum where that is zero. */
function limitsOf(values) {
  const high = quantile(values, 0.99) || quantile(values, 1);
  return [0, high > 0 ? high : 1];
}

/** Fill `target` (a canvas's or a plot's numbers) with the colours of places, every `step`-th point of the picture. */
function paint(target, picture, colors, step = 1) {
  let at = 0;
  for (let y = 0; y + step <= HEIGHT; y += step) {
    for (let x = 0; x + step <= WIDTH; x += step) {
      const place = picture[y * WIDTH + x];
      target[at++] = place < 0 ? 0 : colors[place];
    }
  }
}

/** A canvas with a small map of a gene, which is drawn when its counts are there. */
function smallMap(gene, attributes = {}) {
  const [width, height] = [WIDTH, HEIGHT].map((n) => Math.max(1, Math.floor(n / TILE)));
  const canvas = make("canvas", { "aria-hidden": "true", width, height, ...attributes });
  drawTile(canvas, gene, notes.isCount ? 1 : 0);
  return canvas;
}

async function drawTile(canvas, gene, rounds) {
  const picture = await array("picture");
  const values = await lognormOf(gene);
  if (values === null) return;
  const shown = await smoothed(values, rounds);
  const image = new ImageData(canvas.width, canvas.height);
  paint(new Uint32Array(image.data.buffer), picture, colorsOfNumbers(shown, ...limitsOf(shown)), TILE);
  canvas.getContext("2d").putImageData(image, 0, 0);
}
