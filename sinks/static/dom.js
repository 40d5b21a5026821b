// The page's nodes. Only what has changed is written, so that a selection and a screen reader are not disturbed.

export const one = (selector, inside = document) => inside.querySelector(selector);
export const all = (selector, inside = document) => inside.querySelectorAll(selector);

export function write(node, text) { if (node.textContent !== text || node.firstElementChild) node.textContent = text; }

export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// A row is a list of cells. A cell is a text, or {text, href, ...attributes}; the first is the row's header.
export function fill(body, rows, empty) {
  const columns = one("thead tr", body.parentNode).children.length;
  const wanted = rows.length ? rows : [[{ text: empty, class: "empty", colspan: columns }]];
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((cells, place) => {
    let row = body.rows[place];
    if (row && row.cells.length !== cells.length) { row.replaceChildren(); }
    row ??= body.insertRow();
    mark(row, "aria-current", cells.current);
    cells.forEach((cell, column) => {
      const { text, href, ...attributes } = typeof cell === "object" ? cell : { text: cell };
      let node = row.cells[column];
      if (!node) {
        node = document.createElement(column === 0 && rows.length ? "th" : "td");
        if (node.tagName === "TH") node.scope = "row";
        row.append(node);
      }
      for (const attribute of [...node.attributes]) {
        if (attribute.name !== "scope" && !(attribute.name in attributes)) node.removeAttribute(attribute.name);
      }
      for (const [name, value] of Object.entries(attributes)) mark(node, name, value);
      if (href) link(node, text, href); else write(node, text);
    });
  });
}

function link(node, text, href) {
  let anchor = node.firstElementChild;
  if (!anchor) {
    node.replaceChildren();
    anchor = node.appendChild(document.createElement("a"));
    anchor.rel = "noopener noreferrer";
  }
  write(anchor, text);
  mark(anchor, "href", href);
}
