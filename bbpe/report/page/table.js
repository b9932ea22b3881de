// Tables that sort by a click on a heading, and long ones that show all their rows on request.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  rows.forEach((row, number) => (row.number = number));
  const headings = Array.from(table.tHead.rows[0].cells);
  const words = new Intl.Collator(document.documentElement.lang, { numeric: true });

  /** What a cell is sorted by: the number that it was written from, else its text; null where nothing was measured. */
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.none !== undefined) return null;
    return cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent.trim();
  };

  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : words.compare(a, b));

  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = heading.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      const sign = order === "ascending" ? 1 : -1;
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      const sorted = rows
        .map((row) => [key(row, column), row])
        .sort(([a, first_], [b, second]) => {
          if (a === null || b === null) return (a === null) - (b === null) || first_.number - second.number;
          return sign * compare(a, b) || first_.number - second.number; // equal rows keep their order
        });
      body.append(...sorted.map(([, row]) => row));
      limit();
    });
  });

  const shown = Number(table.dataset.limit || rows.length);
  const more = table.parentElement.parentElement.querySelector("button.more");
  let all = !more;

  /** Only the first rows, in the order of the moment, unless all are wanted. */
  function limit() {
    Array.from(body.rows).forEach((row, number) => (row.hidden = !all && number >= shown));
  }

  if (more) {
    more.hidden = false;
    more.addEventListener("click", () => {
      all = !all;
      more.textContent = all ? more.dataset.fewer : more.dataset.all;
      more.setAttribute("aria-expanded", String(all));
      limit();
    });
  }
  limit();
}
