// Where one is on the page: the part of the address after #, such as
// #/requests?state=notable&type=Echo.

export function here() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { parts: path.split('/').filter(Boolean).map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// place is the address of a view. Parameters without a value are left out.
export function place(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

// requestName is CONN/TAG, or CONN/CHANNEL/TAG where the channel is not 0.
export const requestName = (q) => (q.channel === 0 ? [q.conn, q.tag] : [q.conn, q.channel, q.tag]).join('/');

// placeOfRequest tells requests apart that have had the same tag one after the other.
export const placeOfRequest = (q) => place(
  ['request', q.conn, ...(q.channel === 0 ? [] : [q.channel]), q.tag], { role: q.role, started: micros(q.started) });

// micros of a time since 1970. The server knows times to the nanosecond, but not to tell
// them the same to the last digits each time.
export function micros(time) {
  const [, whole, fraction = '', zone] = /^(.*?)(?:\.(\d+))?(Z|[+-].{5})$/.exec(time);
  return Date.parse(whole + zone) * 1e3 + Number(fraction.padEnd(6, '0').slice(0, 6));
}
