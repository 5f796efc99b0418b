// The search for a gene: a text field with a list of completions, by mouse or keyboard alone.

const MOST_FOUND = 12;

/** Genes whose names or symbols hold the words typed: those that begin with them first. */
function completions(typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return [];
  const first = [], later = [];
  for (let gene = 0; gene < nGenes && first.length < MOST_FOUND; gene++) {
    const names = searched[gene];
    if (names.some((name) => name.startsWith(wanted))) first.push(gene);
    else if (later.length < MOST_FOUND && names.some((name) => name.includes(wanted))) later.push(gene);
  }
  const exact = first.findIndex((gene) => searched[gene].includes(wanted));
  if (exact > 0) first.unshift(...first.splice(exact, 1));
  return [...first, ...later].slice(0, MOST_FOUND);
}

function startSearch(show) {
  const input = part("search"), list = part("completions");
  let found = [], active = -1;

  function offer() {
    list.replaceChildren(...found.map((gene, i) =>
      make("li", { role: "option", id: "completion-" + i, "aria-selected": String(i === active), "data-at": i },
        make("em", {}, labels[gene]), make("small", {}, moduleWords(gene)))));
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    if (active >= 0) input.setAttribute("aria-activedescendant", "completion-" + active);
    else input.removeAttribute("aria-activedescendant");
  }

  function close() { found = []; active = -1; offer(); }

  function take(i) {
    const gene = found[i];
    close();
    input.value = labels[gene];
    show(gene);
  }

  input.addEventListener("input", () => {
    found = completions(input.value);
    active = found.length ? 0 : -1;
    part("search-none").hidden = found.length > 0 || !input.value.trim();
    offer();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) take(active);
    else if (event.key === "ArrowDown" && found.length) active = (active + 1) % found.length;
    else if (event.key === "ArrowUp" && found.length) active = (active + found.length - 1) % found.length;
    else return;
    event.preventDefault();
    if (found.length) offer();
  });
  input.addEventListener("blur", () => setTimeout(close, 150)); // a click on the list comes first
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("li");
    if (item) { event.preventDefault(); take(Number(item.dataset.at)); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}

function moduleWords(gene) {
  return notes.module[gene] === notes.unassigned ? "no module" : "module " + notes.module[gene];
}
