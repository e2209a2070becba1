// How the search orders what it finds (search_words.py has the rest): what readers look up, and
// what contributors read, come after the pages that solve a problem.
Scorer.score = ([page, , , , score]) =>
  /^(contributing|changes|reference\/(?!get-the-code|headers|stream-check|what-this))/.test(page)
    ? score / 10
    : score;
