// Gene search: a text field with completions, by mouse or keyboard.

const MAX_COMPLETIONS = 12;

/** Genes whose name, symbol or label contains the text, an exact match and those that start with the text first. */
function completionsOf(typed) {
  const text = typed.trim().toLowerCase();
  if (!text) return [];
  const prefixed = [], containing = [];
  for (let gene = 0; gene < nGenes && prefixed.length < MAX_COMPLETIONS; gene++) {
    const names = searchNames[gene];
    if (names.some((name) => name.startsWith(text))) prefixed.push(gene);
    else if (containing.length < MAX_COMPLETIONS && names.some((name) => name.includes(text))) containing.push(gene);
  }
  const exact = prefixed.findIndex((gene) => searchNames[gene].includes(text));
  if (exact > 0) prefixed.unshift(...prefixed.splice(exact, 1));
  return [...prefixed, ...containing].slice(0, MAX_COMPLETIONS);
}

function startSearch(selectGene) {
  const input = byId("search"), list = byId("completions");
  let genes = [], active = -1;

  function update() {
    list.replaceChildren(...genes.map((gene, i) =>
      createElement("li", { role: "option", id: "completion-" + i, "aria-selected": String(i === active), "data-index": i },
        createElement("em", {}, labels[gene]), createElement("small", {}, moduleText(gene)))));
    list.hidden = !genes.length;
    input.setAttribute("aria-expanded", String(genes.length > 0));
    if (active >= 0) input.setAttribute("aria-activedescendant", "completion-" + active);
    else input.removeAttribute("aria-activedescendant");
  }

  function close() { genes = []; active = -1; update(); }

  function select(i) {
    const gene = genes[i];
    close();
    input.value = labels[gene];
    selectGene(gene);
  }

  input.addEventListener("input", () => {
    genes = completionsOf(input.value);
    active = genes.length ? 0 : -1;
    byId("search-none").hidden = genes.length > 0 || !input.value.trim();
    update();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) select(active);
    else if (event.key === "ArrowDown" && genes.length) active = (active + 1) % genes.length;
    else if (event.key === "ArrowUp" && genes.length) active = (active + genes.length - 1) % genes.length;
    else return;
    event.preventDefault();
    if (genes.length) update();
  });
  input.addEventListener("blur", () => setTimeout(close, 150)); // after a click on the list
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("li");
    if (item) { event.preventDefault(); select(Number(item.dataset.index)); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}

const moduleText = (gene) => (moduleName(gene) === null ? "no module" : "module " + moduleName(gene));
