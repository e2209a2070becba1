// Remove each element without children whose place in the document another one has: the classes
// of all that it is in. Style sheets give both their colours, and to compare them once is enough.
() => {
  const seen = new Set();
  const repeated = [];
  const visit = (element, place) => {
    place += ` ${element.tagName}.${element.className}`;
    for (const child of element.children) visit(child, place);
    if (element.children.length || !element.textContent.trim() || !element.checkVisibility()) return;
    if (seen.has(place)) repeated.push(element);
    seen.add(place);
  };
  visit(document.body, "");
  for (const element of repeated) element.remove();
  return repeated.length;
}
