// Figures as people read them.

const digits = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);
const short = (value) => String(Number(value.toFixed(digits(value))));

// duration of microseconds.
export function duration(us) {
  if (us === null || us === undefined) return '–';
  if (us < 1) return us === 0 ? '0' : `${Math.round(us * 1000)} ns`;
  if (us < 1e3) return `${short(us)} µs`;
  if (us < 1e6) return `${short(us / 1e3)} ms`;
  if (us < 60e6) return `${short(us / 1e6)} s`;
  return span(us / 1e6);
}

// span of seconds, such as 3 h 5 min.
export function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const list = [];
  let rest = Math.floor(seconds);
  for (const [unit, name] of parts) {
    const n = Math.floor(rest / unit);
    rest -= n * unit;
    if (n > 0 || list.length > 0) list.push(`${n} ${name}`);
    if (list.length === 2) break;
  }
  return list.join(' ');
}

export const whole = (n) => n.toLocaleString('en');

// rate of something a second.
export function rate(n) {
  if (n === null || n === undefined) return '–';
  if (n >= 1e6) return `${short(n / 1e6)} M`;
  if (n >= 1e4) return `${short(n / 1e3)} k`;
  return n < 10 && !Number.isInteger(n) ? n.toFixed(1) : whole(Math.round(n));
}

export function bytes(n) {
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return `${unit === 0 ? Math.round(n) : short(n)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

const two = (n) => String(n).padStart(2, '0');

// clock is the local time of day.
export function clock(date, parts = 'hms') {
  const d = new Date(date);
  const hm = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (parts === 'hm') return hm;
  const hms = `${hm}:${two(d.getSeconds())}`;
  return parts === 'ms' ? `${hms}.${String(d.getMilliseconds()).padStart(3, '0')}` : hms;
}
