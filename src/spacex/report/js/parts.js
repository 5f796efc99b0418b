// Small parts of the page. Whatever comes from the data becomes text, never markup.

/** An element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const part = (id) => document.getElementById(id);

function text(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

/** A p-value; the smallest are below what 32 bits tell from zero. */
const probability = (value) => (value < 1e-37 ? "<1e-37" : text(value));

/** A column's value as it is shown. */
function shown(name, value) {
  if (name === "detected") return (100 * value).toFixed(1) + " %";
  return /pvalue|qvalue/.test(name) ? probability(value) : text(value);
}

/** A button with the map of a gene, which shows that gene. */
function tile(gene, remark = "") {
  return make("button", { type: "button", class: "tile", "data-gene": gene }, smallMap(gene),
    make("em", {}, labels[gene]), ...(remark ? [make("small", {}, remark)] : []));
}

/** Offer rows, the first of which names the columns, as a file. */
function download(name, rows) {
  const quoted = (value) => {
    const word = typeof value === "number" && !Number.isFinite(value) ? "" : String(value);
    return /[",\n\r]/.test(word) ? `"${word.replaceAll('"', '""')}"` : word;
  };
  const content = rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
