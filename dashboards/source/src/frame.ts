// What all dashboards have around their panels: variables, links, annotations.
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { link, metrics, type PanelBuilder } from './panels.js';
import { chosen } from './queries.js';

/** A dashboard of this folder. */
export interface Dashboard {
  /** Also the name of the file. */
  name: Name;
  help: string;
  /** A metric that exactly the jobs have that can be chosen. */
  jobs: string;
  /** The job that is chosen at first. */
  job: string;
  /** Whether it is about one type of request, to be chosen. */
  ofOneType?: boolean;
  rows: Row[];
}

/** Panels that belong together, under one title. */
export interface Row {
  title: string;
  panels: PanelBuilder[];
}

// In the order of looking.
const titles = {
  overview: 'Overview',
  type: 'One type',
  connections: 'Connections',
  store: 'Store',
  client: 'Client side',
  runtime: 'Go runtime',
};

type Name = keyof typeof titles;

const uid = (name: string) => `pktsvc-${name}`;

/** The finished dashboard, as Grafana reads it. */
export function build(d: Dashboard): dashboard.Dashboard {
  const builder = new dashboard.DashboardBuilder(`pktsvc / ${titles[d.name]}`)
    .uid(uid(d.name))
    .description(d.help)
    .tags(['pktsvc'])
    .refresh('10s')
    .time({ from: 'now-30m', to: 'now' })
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .variables(variables(d))
    .annotations(annotations(d))
    .links(links(d));
  for (const row of d.rows) {
    builder.withRow(new dashboard.RowBuilder(row.title));
    row.panels.forEach((panel) => builder.withPanel(panel));
  }
  const built = builder.build();
  built.panels?.forEach((panel, i) => (panel.id = i + 1));
  return built;
}

function variables(d: Dashboard) {
  const choice = (name: string, label: string, query: string) =>
    new dashboard.QueryVariableBuilder(name)
      .label(label)
      .datasource(metrics)
      .query(query)
      .definition(query)
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
      .sort(dashboard.VariableSort.NaturalAsc);
  const source = (name: string, label: string, type: string, current: dashboard.VariableOption) =>
    new dashboard.DatasourceVariableBuilder(name).label(label).type(type).current(current);

  const list = [
    source('datasource', 'Metrics', 'prometheus', { text: 'Prometheus', value: 'prometheus' }),
    choice('job', 'Job', `label_values(${d.jobs}, job)`).current({ text: d.job, value: d.job }),
    choice('instance', 'Instance', `label_values(${d.jobs}{job=~"$job"}, instance)`)
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current({ text: ['All'], value: ['$__all'] }),
  ];
  if (d.ofOneType) {
    const types = 'label_values(pktsvc_requests_total{job=~"$job"}, type)';
    list.push(choice('type', 'Type', types).current({ text: 'Echo', value: 'Echo' }));
  }
  return [
    ...list,
    source('traces', 'Traces', 'jaeger', { text: 'Jaeger', value: 'jaeger' }),
    new dashboard.TextBoxVariableBuilder('admin')
      .label('Admin pages')
      .description('Where this browser reaches the admin pages of one instance: for links to logs, connections, requests.')
      .defaultValue('http://localhost:7451')
      .current({ text: 'http://localhost:7451', value: 'http://localhost:7451' }),
  ];
}

const step = '10s';

const annotation = (name: string, color: string, expr: string, title: string, text: string) =>
  new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(metrics)
    .enable(true)
    .iconColor(color)
    // Grafana reads target; older ones read expr and step.
    .target(new DataqueryBuilder().refId('Anno').expr(expr).interval(step))
    .expr(expr)
    .step(step)
    .titleFormat(title)
    .textFormat(text)
    .tagKeys('job,instance');

// The value is the time of the start in ms: each start is marked where it happened,
// however far apart the steps of the query are. Starts before the range are not shown.
const starts = annotation(
  'Starts',
  'blue',
  `1000 * ${chosen('process_start_time_seconds')} * on (job, instance) group_right () ${chosen('pktsvc_build_info')}`,
  'Start of {{instance}}',
  'version {{version}}, revision {{revision}}, {{goversion}}',
).useValueForTime(true);

// A drain may be shorter than a step: whatever was seen in the last half minute counts.
const drains = (state: string) =>
  annotation(
    'Drains',
    'orange',
    `max_over_time(${state}[30s])`,
    'Drain of {{instance}}',
    'It takes no new connections and ends when all that it has accepted is answered.',
  );

function annotations(d: Dashboard) {
  const draining = 'state="draining"';
  // Programs that only call are not drained, but feel it when those that they call are.
  const state = isClient(d.name) ? `pktsvc_server_state{${draining}}` : chosen('pktsvc_server_state', draining);
  return [starts, drains(state)];
}

const isClient = (name: string) => name === 'client';

/** The variables that mean the same whatever the job. */
const ofAnyJob = '${datasource:queryparam}&${traces:queryparam}&${admin:queryparam}';

function links(d: Dashboard) {
  // The client's side is that of another job; the Go runtime is that of any.
  const sameJob = (other: string) => other === 'runtime' || isClient(other) === isClient(d.name);
  const dashboards = Object.entries(titles)
    .filter(([name]) => name !== d.name)
    .map(([name, title]) =>
      link(title, sameJob(name) ? `/d/${uid(name)}` : `/d/${uid(name)}?${ofAnyJob}`)
        .icon('dashboard')
        .includeVars(sameJob(name))
        .keepTime(true),
    );
  return [
    ...dashboards,
    outward('Traces', 'Traces of this job in Jaeger', explore()),
    outward('Rejected traces', 'Traces of requests of this job that were not answered ok', explore(rejected)),
    outward('Now', 'The page of one instance: what goes on there, and where the time of each request goes', '${admin}/'),
    outward('Logs', 'The last log lines of one instance', '${admin}/logz'),
    outward('Connections now', 'Open and recently closed connections of one instance', '${admin}/connz'),
    outward('Requests now', 'Requests in flight on one instance', '${admin}/requestz'),
  ];
}

const outward = (title: string, tooltip: string, url: string) =>
  link(title, url).icon('external link').tooltip(tooltip).targetBlank(true);

/** Narrows a search for traces to requests that were not answered ok. */
export const rejected = { tags: 'pktsvc.outcome=rejected' };

/** A search for traces in the range of time that is shown. Programs have their job's name in traces, too. */
export function explore(search: Record<string, string> = {}): string {
  const source = '${traces}';
  const pane = {
    datasource: source,
    queries: [
      { refId: 'A', datasource: { type: 'jaeger', uid: source }, queryType: 'search', service: '${job}', ...search },
    ],
    range: { from: '${__from}', to: '${__to}' },
  };
  const escaped = encodeURIComponent(JSON.stringify({ traces: pane }));
  // Grafana fills in variables only where it sees them.
  return `/explore?schemaVersion=1&panes=${escaped.replace(/%24%7B(\w+)%7D/g, '${$1}')}`;
}
