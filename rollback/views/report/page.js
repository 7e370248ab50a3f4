// Filters the timeline, and opens the record that the address names. Without it the page is whole.
(() => {
  const form = document.querySelector("form"), count = document.querySelector("output");
  const moments = [...document.querySelectorAll("ol.moments > li")];
  if (form) {
    form.hidden = false;
    const texts = moments.map((moment) => moment.textContent.toLowerCase());
    const filter = () => {
      const { words, kind, result } = Object.fromEntries(new FormData(form));
      const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      moments.forEach((moment, index) => {
        moment.hidden = !(
          (!kind || moment.dataset.kind === kind) &&
          (!result || moment.dataset.result === result) &&
          wanted.every((word) => texts[index].includes(word))
        );
        shown += !moment.hidden;
      });
      count.textContent = `${shown} of ${moments.length}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
  const open = () => {
    const one = location.hash && document.getElementById(location.hash.slice(1));
    const details = one && one.querySelector("details");
    if (details) { details.open = true; one.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
})();
