// How the search orders what it finds (search_words.py has the rest): definitions, functions and
// what contributors read come after the pages that solve a problem.
Scorer.score = ([page, , , , score]) =>
  /^(contributing|changes|reference\/(blocks|data|examples|glossary|kit|licence|measurements))$/.test(page)
    ? score / 10
    : score;
