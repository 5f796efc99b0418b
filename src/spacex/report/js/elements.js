// Elements of the report. Data of the section becomes text, never markup.

/** Create an element with attributes and children; strings become text. */
function createElement(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

const createButton = (attributes, ...children) => createElement("button", { type: "button", ...attributes }, ...children);

function formatNumber(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

/** Format a value of a column of the gene table. p-values below 1e-37 are zero in 32 bits. */
function formatColumn(name, value) {
  if (name === "detected") return (100 * value).toFixed(1) + " %";
  return /pvalue|qvalue/.test(name) && value < 1e-37 ? "<1e-37" : formatNumber(value);
}

/** A button with the map of a gene, which selects the gene. */
function geneTile(gene, remark) {
  return createButton({ class: "tile", "data-gene": gene }, geneMap(gene),
    createElement("em", {}, labels[gene]), createElement("small", {}, remark));
}

/** Offer rows as a CSV file; the first row holds the column names. */
function downloadCsv(fileName, rows) {
  const quote = (value) => {
    const text = typeof value === "number" && !Number.isFinite(value) ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const content = rows.map((row) => row.map(quote).join(",")).join("\n") + "\n";
  const url = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  const link = createElement("a", { href: url, download: fileName });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
