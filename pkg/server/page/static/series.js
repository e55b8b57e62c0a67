// What happened between successive answers of /statz, kept for some minutes.

const keep = 300; // seconds that charts show at most
const gap = 3; // seconds without an answer that show as a gap

// added are the buckets of what came between two states of a histogram.
export function added(before, after) {
  const old = new Map(before);
  return (after || []).map(([bound, n]) => [bound, n - (old.get(bound) || 0)]).filter(([, n]) => n > 0);
}

// percentile is the bound of the bucket in which the request is that a part q of all are
// not slower than, or null without requests. Several buckets may have the same bound.
export function percentile(buckets, q) {
  let rank = Math.ceil(q * buckets.reduce((sum, [, n]) => sum + n, 0));
  if (rank === 0) return null;
  let found = null;
  for (const [bound, n] of [...buckets].sort((a, b) => a[0] - b[0])) {
    found = bound;
    rank -= n;
    if (rank <= 0) break;
  }
  return found;
}

const keyOf = (row) => `${row.role} ${row.type}`;

// between is one interval: what came of each type and role, and the levels at its end. If
// the server was started anew it is the time since then.
export function between(before, after) {
  const restarted = before.started !== after.started;
  const old = new Map(restarted ? [] : before.requests.map((row) => [keyOf(row), row]));
  const rows = after.requests.map((row) => {
    const was = old.get(keyOf(row)) || { outcomes: {}, buckets: [] };
    const outcomes = {};
    for (const [name, n] of Object.entries(row.outcomes)) {
      const more = n - (was.outcomes[name] || 0);
      if (more > 0) outcomes[name] = more;
    }
    return { type: row.type, role: row.role, outcomes, buckets: added(was.buckets || [], row.buckets) };
  });
  const from = Date.parse(restarted ? after.started : before.now);
  const seconds = Math.max(1e-3, (Date.parse(after.now) - from) / 1e3);
  const grown = (name) => Math.max(0, after[name] - (restarted ? 0 : before[name])) / seconds;
  return {
    time: Date.parse(after.now) / 1e3,
    seconds,
    received: grown('bytes_received'),
    sent: grown('bytes_sent'),
    restarted,
    rows,
    levels: after,
  };
}

// figures sums up the rows of an interval that are meant.
export function figures(interval, meant) {
  const outcomes = {};
  const buckets = [];
  for (const row of interval.rows) {
    if (!meant(row)) continue;
    for (const [name, n] of Object.entries(row.outcomes)) outcomes[name] = (outcomes[name] || 0) + n / interval.seconds;
    buckets.push(...row.buckets);
  }
  const all = Object.values(outcomes).reduce((sum, n) => sum + n, 0);
  return { outcomes, all, failed: all - (outcomes.ok || 0), p50: percentile(buckets, 0.5), p99: percentile(buckets, 0.99) };
}

// History is the intervals of the last minutes.
export class History {
  intervals = []; // null where nothing is known
  last = null;

  add(statz) {
    if (this.last && Date.parse(statz.now) > Date.parse(this.last.now)) {
      const interval = between(this.last, statz);
      if (interval.restarted || interval.seconds > gap) this.intervals.push({ time: interval.time - interval.seconds, missing: true });
      if (interval.restarted || interval.seconds <= gap) this.intervals.push(interval);
      const oldest = interval.time - keep;
      while (this.intervals.length > 0 && this.intervals[0].time < oldest) this.intervals.shift();
    }
    this.last = statz;
  }

  // latest is the last interval, or null.
  get latest() {
    const interval = this.intervals.at(-1);
    return interval && !interval.missing ? interval : null;
  }

  // columns are the time and, for each of the functions, its values.
  columns(meant, ...values) {
    const table = [[], ...values.map(() => [])];
    for (const interval of this.intervals) {
      table[0].push(interval.time);
      const f = interval.missing ? null : this.#figures(interval, meant);
      values.forEach((value, i) => table[i + 1].push(f === null ? null : value(f, interval.levels)));
    }
    return table;
  }

  // Figures are kept with the interval, until others are meant.
  #figures(interval, meant) {
    if (interval.meant !== meant) {
      interval.meant = meant;
      interval.figures = figures(interval, meant);
    }
    return interval.figures;
  }
}
