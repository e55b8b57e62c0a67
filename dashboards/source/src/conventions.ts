// What dashboards of this project have besides what Grafana asks for.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Document, Panel } from './document.js';
import { folder } from './files.js';
import { metrics } from './panels.js';

/** Says what is not as agreed in one dashboard. */
export function conventionErrors(dashboard: Document): string[] {
  return [...gridErrors(dashboard), ...dashboard.panels.flatMap(panelErrors), ...queryErrors(dashboard)];
}

/** Says which values occur more than once. */
export const repeated = (what: string, values: unknown[]) =>
  values.filter((value, i) => values.indexOf(value) !== i).map((value) => `${what} ${value} occurs twice`);

/** Panels have numbers of their own, and cover the 24 columns of the grid without gap or overlap. */
function gridErrors({ panels }: Document): string[] {
  const errors = repeated('the id', panels.map((panel) => panel.id));
  const cells = new Map<string, Panel>();
  let bottom = 0;
  for (const panel of panels) {
    const { x, y, w, h } = panel.gridPos ?? { x: 0, y: 0, w: 0, h: 0 };
    bottom = Math.max(bottom, y + h);
    if (x < 0 || x + w > 24) errors.push(`"${panel.title}" reaches over the edge of the grid`);
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        const other = cells.get(`${row} ${column}`);
        if (other) return [...errors, `"${panel.title}" lies on "${other.title}"`];
        cells.set(`${row} ${column}`, panel);
      }
    }
  }
  if (cells.size !== 24 * bottom) errors.push(`the grid has ${24 * bottom - cells.size} empty cells`);
  return errors;
}

/** A person who sees a panel for the first time knows what it shows; it reads from the chosen data source. */
function panelErrors(panel: Panel): string[] {
  if (panel.type === 'row') return panel.title ? [] : ['a row has no title'];
  const errors: string[] = [];
  const want = (ok: unknown, what: string) => ok || errors.push(`"${panel.title}" ${what}`);
  want(panel.title, 'has no title');
  want(/Normal: |No duration: /.test(panel.description ?? ''), 'has no description that says what is normal');
  want(panel.fieldConfig.defaults.unit, 'has no unit');
  want(panel.targets.length, 'has no query');
  for (const source of [panel, ...panel.targets].map((owner) => owner.datasource)) {
    want(source?.type === metrics.type && source.uid === metrics.uid, 'has another data source than the variable');
  }
  panel.targets.forEach((target) => want(target.legendFormat, `has a query without legend: ${target.expr}`));
  want(!repeated('refId', panel.targets.map((target) => target.refId)).length, 'has a refId twice');
  return errors;
}

/** Queries read what exists, and have only variables that the dashboard has and a test can fill in. */
function queryErrors(dashboard: Document): string[] {
  const variables = dashboard.templating.list ?? [];
  const allowed = ['job', 'instance', 'type'].filter((name) => variables.some((variable) => variable.name === name));
  const expressions = [
    ...dashboard.panels.flatMap((panel) => (panel.type === 'row' ? [] : panel.targets.map((target) => target.expr))),
    ...dashboard.annotations.list.map((annotation) => annotation.target.expr),
    ...variables.flatMap(({ type, query }) => (type === 'query' ? String(query) : [])),
  ];
  return expressions.flatMap((expression) => [
    ...[...expression.matchAll(/\$\{?(\w+)/g)]
      .filter(([, name]) => !['__rate_interval', '__range', ...allowed].includes(name ?? ''))
      .map(([name]) => `the variable ${name} is not for queries: ${expression}`),
    ...[...expression.replace(/"[^"]*"/g, '').matchAll(/\b(pktsvc_\w+|job(_type)?:[\w:]+)/g)]
      .filter(([name]) => !known().has(name) && !known().has(name.replace(/_(bucket|count|sum)$/, '')))
      .map(([name]) => `nothing is called ${name}: ${expression}`),
  ]);
}

let names: Set<string> | undefined;

/** Metrics of the project, and what the rules record. Those of other libraries only a live test can know. */
function known(): Set<string> {
  if (!names) {
    const golden = readFileSync(join(folder, '..', 'pkg', 'server', 'testdata', 'metrics.golden'), 'utf8');
    const rules = readFileSync(join(folder, 'prometheus', 'recording.rules.yaml'), 'utf8');
    names = new Set([
      ...(JSON.parse(golden) as { name: string }[]).map((metric) => metric.name),
      ...[...rules.matchAll(/^\s*- record: (\S+)$/gm)].map((match) => match[1] ?? ''),
    ]);
  }
  return names;
}
