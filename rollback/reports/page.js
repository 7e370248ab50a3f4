// Filters the timeline, and opens the record that the address names. Without it the page is whole.
(() => {
  const form = document.querySelector("form"), count = document.querySelector("output");
  const list = document.querySelector("ol.moments"), moments = list ? [...list.children] : [];
  const texts = moments.map((moment) => moment.textContent.toLowerCase());
  // What does not match leaves the page: to hide a thousand takes a browser half a second, to remove them a moment.
  const filter = () => {
    const { words, kind, result } = Object.fromEntries(new FormData(form));
    const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const shown = moments.filter((moment, index) =>
      (!kind || moment.dataset.kind === kind) &&
      (!result || moment.dataset.result === result) &&
      wanted.every((word) => texts[index].includes(word)));
    if (list && (shown.length < moments.length || list.childElementCount < moments.length)) list.replaceChildren(...shown);
    count.textContent = `${shown.length} of ${moments.length}`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
  const open = () => {
    const name = location.hash.slice(1);
    if (!name) return;
    if (form && !document.getElementById(name)) { form.reset(); filter(); }
    const one = document.getElementById(name), details = one && one.querySelector("details");
    if (details) { details.open = true; one.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
})();
