// Nodes. Texts become text nodes and never markup, wherever they come from.

// h makes an element. Attributes that are functions become handlers (onclick), true is an
// empty attribute, and null, undefined and false are none.
export function h(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node[key] = value;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// setText leaves a node alone that says the same, so that nothing is read out twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// webLink is a link to another server if its URL is one of the web, or the text alone.
export function webLink(url, text) {
  try {
    if (['http:', 'https:'].includes(new URL(url).protocol)) {
      return h('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, text);
    }
  } catch {
    // it is no URL
  }
  return h('code', {}, text);
}
