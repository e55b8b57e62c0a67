// Panels as all dashboards have them: what is not said here is Grafana's default.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stats from '@grafana/grafana-foundation-sdk/stat';
import * as tables from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import type { Query } from './queries.js';

/** The Prometheus that the variable names. */
export const metrics = { type: 'prometheus', uid: '${datasource}' };

/** What every panel says about itself. */
export interface Subject {
  title: string;
  /** What normal looks like, and what to do if it looks otherwise. */
  help: string;
  unit: string;
  width: number;
}

/** Panels of a dashboard. */
export type PanelBuilder = Builder<dashboard.Panel>;

const refId = (index: number) => String.fromCharCode('A'.charCodeAt(0) + index);

function target(query: Query, index: number): prometheus.DataqueryBuilder {
  const target = new prometheus.DataqueryBuilder()
    .refId(refId(index))
    .datasource(metrics)
    .editorMode(prometheus.QueryEditorMode.Code)
    .expr(query.expr)
    .legendFormat(query.legend);
  return query.exemplars ? target.exemplar(true) : target;
}

const overTime = (queries: Query[]) => queries.map((q, i) => target(q, i).range());
const justNow = (queries: Query[]) => queries.map((q, i) => target(q, i).instant());
const height = 8;

function lines(subject: Subject, ...queries: Query[]): timeseries.PanelBuilder {
  return new timeseries.PanelBuilder()
    .title(subject.title)
    .description(subject.help)
    .unit(subject.unit)
    .span(subject.width)
    .height(height)
    .datasource(metrics)
    .targets(overTime(queries))
    .lineWidth(1)
    .fillOpacity(8)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    );
}

/** Lines over time, with 0 in sight. */
export const graph = (subject: Subject, ...queries: Query[]) => lines(subject, ...queries).axisSoftMin(0);

/** Durations over time, from microseconds to minutes: the scale is logarithmic and has no 0. */
export const durations = (subject: Omit<Subject, 'unit'>, ...queries: Query[]) =>
  lines({ ...subject, unit: 's' }, ...queries).scaleDistribution(
    new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Log).log(10),
  );

/** Figures of now. */
export function figure(subject: Subject, ...queries: Query[]): stats.PanelBuilder {
  return new stats.PanelBuilder()
    .title(subject.title)
    .description(subject.help)
    .unit(subject.unit)
    .span(subject.width)
    .height(4)
    .datasource(metrics)
    .targets(justNow(queries))
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .colorScheme(fixedColor('text'))
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']));
}

/** A table of now: a row for each value of the labels, a column for each query, named by its legend. */
export function table(subject: Subject, labels: string[], ...queries: Query[]): tables.PanelBuilder {
  // As Grafana names the values of queries: of several by their refId.
  const values = queries.map((_, i) => (queries.length > 1 ? `Value #${refId(i)}` : 'Value'));
  return new tables.PanelBuilder()
    .title(subject.title)
    .description(subject.help)
    .unit(subject.unit)
    .span(subject.width)
    .height(height)
    .datasource(metrics)
    .targets(justNow(queries).map((target) => target.format(prometheus.PromQueryFormat.Table)))
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        renameByName: Object.fromEntries(values.map((name, i) => [name, queries[i]?.legend])),
        indexByName: Object.fromEntries([...labels, ...values].map((name, i) => [name, i])),
      },
    });
}

/** How many took how long, over time, from a native histogram. */
export function heatmap(subject: Omit<Subject, 'unit'>, query: Query): heatmaps.PanelBuilder {
  return new heatmaps.PanelBuilder()
    .title(subject.title)
    .description(subject.help)
    .unit('s')
    .span(subject.width)
    .height(10)
    .datasource(metrics)
    .targets([target(query, 0).format(prometheus.PromQueryFormat.Heatmap).range()])
    .color(new heatmaps.HeatmapColorOptionsBuilder().mode(heatmaps.HeatmapColorMode.Scheme).scheme('Turbo'))
    .yAxis(new heatmaps.YAxisConfigBuilder().unit('s'))
    .cellValues(new heatmaps.CellValuesBuilder().unit('reqps'));
}

/** One color whatever the value. */
export const fixedColor = (color: string) =>
  new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Fixed).fixedColor(color);

/** Colors by value. */
export const byValue = () => new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Thresholds);

/** Colors, each from a value upwards; the first from the lowest. */
export const steps = (first: string, ...more: [number, string][]) =>
  new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps([{ value: null, color: first }, ...more.map(([value, color]) => ({ value, color }))]);

/** Draws the steps as dashed lines across a graph. */
export const dashed = () =>
  new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed);

/** A link of a value to somewhere else. */
export const link = (title: string, url: string) =>
  new dashboard.DashboardLinkBuilder(title).type(dashboard.DashboardLinkType.Link).url(url).targetBlank(false);
