// Measure a page, in pixels: its end, the end of "In short", and each section with its first code.
// Every fold is open but the checks, which no reader has to pass.
() => {
  for (const fold of document.querySelectorAll("details:not(.check)")) fold.open = true;
  const top = element => element.getBoundingClientRect().top + scrollY;
  const bottom = element => element.getBoundingClientRect().bottom + scrollY;
  const article = document.querySelector("article");
  const box = article.querySelector(".in-short");
  const listing = box?.querySelector(".highlight");
  const sections = [...article.querySelectorAll("section:has(> h2)")].map(section => {
    const code = [...section.querySelectorAll(".highlight")].find(each => !each.closest(".check"));
    const start = top(section.querySelector(":scope > h2"));
    return {
      heading: section.querySelector(":scope > h2").firstChild.textContent,
      length: bottom(section) - start,
      code: code ? top(code) - start : null,
    };
  });
  return {
    length: bottom(article),
    in_short: box ? bottom(box) : null,
    listing: listing ? top(listing) : null,
    sections,
  };
}
